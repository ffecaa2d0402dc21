"""Job rows on real Postgres: one worker at a time, one run per key, nothing forgotten."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from fitstream.errors import Conflict
from fitstream.ids import new_id
from fitstream.repo import jobs
from fitstream.repo.database import Repo
from fitstream.repo.jobs import NewJob
from fitstream.tasks import old_jobs
from fitstream.tasks.old_jobs import forget_jobs

pytestmark = pytest.mark.stack


def new_job(**fields: object) -> NewJob:
    key = new_id("key")
    return NewJob(**({"kind": "test", "queue": "test", "dedupe_key": key} | fields))  # type: ignore[arg-type]


async def insert(repo: Repo, new: NewJob) -> str:
    async with repo.transaction() as db:
        return await jobs.insert_job(db, new)


async def test_one_key_is_one_job(repo: Repo) -> None:
    new = new_job()
    first, second = await asyncio.gather(insert(repo, new), insert(repo, new))
    assert first == second


async def test_of_two_workers_one_gets_the_job(repo: Repo) -> None:
    job_id = await insert(repo, new_job())

    async def claim(owner: str) -> object:
        async with repo.transaction() as db:
            return await jobs.claim_job(db, job_id, owner, 60)

    claims = await asyncio.gather(*(claim(f"w{i}") for i in range(5)))
    assert sum(claim is not None for claim in claims) == 1


async def test_a_job_whose_worker_is_gone_is_taken_over_and_the_old_one_cannot_commit(
    repo: Repo,
) -> None:
    job_id = await insert(repo, new_job())
    async with repo.transaction() as db:
        old = await jobs.claim_job(db, job_id, "old", 0)
    async with repo.transaction() as db:
        new = await jobs.claim_job(db, job_id, "new", 60)
    assert old is not None
    assert new is not None
    assert new.lease_epoch == old.lease_epoch + 1
    with pytest.raises(Conflict):
        async with repo.transaction() as db:
            await jobs.finish_job(db, old, "succeeded", {})
    with pytest.raises(Conflict):
        async with repo.transaction() as db:
            await jobs.renew_job(db, old, 60, None)
    async with repo.transaction() as db:
        await jobs.finish_job(db, new, "succeeded", {"ok": True})
        assert (await jobs.get_job(db, job_id)).result == {"ok": True}


async def test_what_redis_lost_is_told_again(repo: Repo) -> None:
    job_id = await insert(repo, new_job())
    async with repo.transaction() as db:
        assert job_id in [job.id for job in await jobs.due_jobs(db, 60)]
        await jobs.mark_sent(db, [job_id])
        assert job_id not in [job.id for job in await jobs.due_jobs(db, 60)]
        await db.execute("UPDATE job SET sent_at = now() - interval '2 min' WHERE id = $1", job_id)
        assert job_id in [job.id for job in await jobs.due_jobs(db, 60)]


async def test_a_forecast_that_waits_takes_more_customers_in_and_one_that_runs_does_not(
    repo: Repo,
) -> None:
    async with repo.connection() as db:
        programme_no = await db.fetchval("SELECT min(programme_no) FROM programme")

    async def widen(*customers: int) -> bool:
        async with repo.transaction() as db:
            return await jobs.widen_forecast(db, programme_no, customers)

    about = {"kind": "forecast", "programme_no": programme_no}
    assert not await widen(7)
    everybody = await insert(repo, new_job(**about, payload={"customers": None}))
    assert not await widen(7)  # the nightly one names nobody: it is about all of them
    some = await insert(repo, new_job(**about, payload={"customers": [3, 12]}))
    assert await widen(7, 3)
    async with repo.transaction() as db:
        claimed = await jobs.claim_job(db, some, "w", 60)
    assert claimed is not None
    assert claimed.payload == {"customers": [3, 7, 12]}
    assert not await widen(8)
    async with repo.transaction() as db:
        await db.execute("DELETE FROM job WHERE id = ANY($1)", [everybody, some])


async def test_a_job_for_later_is_neither_due_nor_claimable(repo: Repo) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    job_id = await insert(repo, new_job(run_after=later))
    async with repo.transaction() as db:
        assert job_id not in [job.id for job in await jobs.due_jobs(db, 60)]
        assert await jobs.claim_job(db, job_id, "w", 60) is None


async def test_cancel_ends_a_waiting_job_and_asks_a_running_one(repo: Repo) -> None:
    waiting, running = await insert(repo, new_job()), await insert(repo, new_job())
    async with repo.transaction() as db:
        claimed = await jobs.claim_job(db, running, "w", 60)
        assert claimed is not None
        await jobs.cancel(db, waiting)
        await jobs.cancel(db, running)
        assert (await jobs.get_job(db, waiting)).state == "cancelled"
        assert (await jobs.get_job(db, running)).state == "running"
        assert await jobs.renew_job(db, claimed, 60, {"epoch": 1})
        await jobs.finish_job(db, claimed, "cancelled", {})
    with pytest.raises(Conflict):
        async with repo.transaction() as db:
            await jobs.cancel(db, running)


async def test_only_a_failed_or_cancelled_job_runs_again(repo: Repo) -> None:
    job_id = await insert(repo, new_job())
    with pytest.raises(Conflict):
        async with repo.transaction() as db:
            await jobs.retry(db, job_id)
    async with repo.transaction() as db:
        claimed = await jobs.claim_job(db, job_id, "w", 60)
        assert claimed is not None
        await jobs.finish_job(db, claimed, "failed", {}, "broken")
        await jobs.retry(db, job_id)
        again = await jobs.get_job(db, job_id)
    assert (again.state, again.error, again.attempts) == ("queued", None, 0)


async def test_a_wait_for_a_service_and_a_job_given_back_cost_no_attempt(repo: Repo) -> None:
    job_id = await insert(repo, new_job())
    for waits, put_back in enumerate((jobs.wait_for_service, None, jobs.wait_for_service)):
        async with repo.transaction() as db:
            claimed = await jobs.claim_job(db, job_id, "w", 60)
            assert claimed is not None
            assert (claimed.attempts, claimed.waits) == (1, (waits + 1) // 2)
            if put_back is None:
                await jobs.give_back(db, claimed)
            else:
                await put_back(db, claimed, 0, "s3 was away")
        async with repo.transaction() as db:
            assert job_id in [job.id for job in await jobs.due_jobs(db, 60)]
            with pytest.raises(Conflict):  # whoever still works on it cannot commit any more
                async with db.transaction():
                    await jobs.finish_job(db, claimed, "succeeded", {})


async def test_a_plan_repeats_what_failed_and_leaves_what_succeeded(repo: Repo) -> None:
    new = new_job()
    job_id = await insert(repo, new)
    for state, after in (("failed", "queued"), ("cancelled", "queued"), ("succeeded", "succeeded")):
        async with repo.transaction() as db:
            claimed = await jobs.claim_job(db, job_id, "w", 60)
            assert claimed is not None
            await jobs.finish_job(db, claimed, state, {})
        async with repo.transaction() as db:
            assert await jobs.insert_or_repeat(db, new) == job_id
            assert (await jobs.get_job(db, job_id)).state == after


async def test_old_rows_of_what_ended_well_are_forgotten_and_nothing_else(repo: Repo) -> None:
    ended = {
        name: await insert(repo, new_job(kind=kind))
        for name, kind in (
            ("old", "week_finished"), ("parent", "forecast"), ("young", "forecast"),
            ("failed", "forecast"), ("run", "train_cohort"),
        )
    }  # fmt: skip
    child = await insert(repo, new_job(kind="forecast", parent_id=ended["parent"]))
    waiting = await insert(repo, new_job(kind="forecast"))
    async with repo.transaction() as db:
        await db.execute(
            "UPDATE job SET state = 'succeeded', done_at = now() - interval '100 days'"
            " WHERE id = ANY($1)",
            list(ended.values()),
        )
        await db.execute("UPDATE job SET state = 'failed' WHERE id = $1", ended["failed"])
        await db.execute("UPDATE job SET done_at = now() WHERE id = $1", ended["young"])
    assert await forget_jobs(repo, 90) >= 1
    assert await forget_jobs(repo, 90) == 0
    async with repo.connection() as db:
        left = {row["id"] for row in await db.fetch("SELECT id FROM job")}
    kept = {ended[name] for name in ("parent", "young", "failed", "run")} | {child, waiting}
    assert kept <= left
    assert ended["old"] not in left


async def test_many_old_rows_are_forgotten_in_portions(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_jobs, "_AT_ONCE", 3)
    async with repo.transaction() as db:
        await db.execute(
            "INSERT INTO job (id, kind, queue, dedupe_key, state, done_at)"
            " SELECT 'old_' || n, 'week_finished', 'none', 'old_' || n, 'succeeded',"
            " now() - interval '91 days' FROM generate_series(1, 10) n"
        )
    assert await forget_jobs(repo, 90) == 10
