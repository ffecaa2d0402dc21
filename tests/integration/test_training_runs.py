"""Runs whose candidates are jobs: one result whoever trains them, after kills and cancels."""

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from fitstream.errors import Conflict
from fitstream.repo import customers, jobs, training
from fitstream.repo.database import Repo
from fitstream.repo.jobs import CANDIDATE
from fitstream.settings import Settings
from fitstream.store import Store, open_store
from fitstream.tasks.context import JobContext
from tests.training import Case, due_of, untimed

pytestmark = pytest.mark.stack


@pytest.fixture
async def store(services: Settings) -> AsyncIterator[Store]:
    async with open_store(services) as opened:
        yield opened


@pytest.fixture
def case(repo: Repo, store: Store, services: Settings) -> Case:
    return Case(repo, store, services)


@pytest.mark.slow
async def test_candidates_as_jobs_come_to_the_model_of_one_process_even_after_kills(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await case.begin()
    await case.do(run_id)
    assert await case.state(run_id) == "waiting"
    first, *others = await due_of(case.repo, run_id)
    for job_id in others:
        await case.do(job_id)
    assert await case.state(run_id) == "waiting"
    await killed_after(case, monkeypatch, first, epochs=1)
    assert await case.state(run_id) == "waiting"
    await case.do(first)  # from its checkpoint on
    assert await case.state(run_id) == "queued"  # the last of the rung has called it back
    await case.do_all(run_id)
    assert await case.state(run_id) == "succeeded"
    model = await case.model()
    body, card = case.reference()
    assert await case.store.get(model.object_key) == body
    stored = json.loads(await case.store.get(f"models/{model.id}/card.json"))
    assert untimed(stored) == json.loads(msgspec.json.encode(card))
    assert len({trial["rung"] for trial in stored["trials"]}) > 1
    async with case.repo.connection() as db:
        left = await db.fetchval("SELECT count(*) FROM training_trial WHERE run_id = $1", run_id)
    assert left == 0


async def killed_after(
    case: Case, monkeypatch: pytest.MonkeyPatch, job_id: str, epochs: int
) -> None:
    """A worker that dies in mid-training: its lease runs out and the next one takes the job."""
    told = []

    def tell(_: JobContext, **progress: Any) -> None:
        told.append(progress)
        if len(told) > epochs:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(JobContext, "tell", tell)
        with pytest.raises(KeyboardInterrupt):
            await case.do(job_id)
    assert [(each["epoch"], each["left_s"] >= 0) for each in told] == [(1, True), (2, True)]
    async with case.repo.transaction() as db:
        assert await training.trial_state(db, job_id) is not None
        await db.execute(
            "UPDATE job SET state = 'queued', lease_until = NULL WHERE id = $1", job_id
        )


async def test_a_cancelled_run_takes_its_candidates_along_and_leaves_no_model(case: Case) -> None:
    run_id = await case.begin(people=3)
    await case.do(run_id)
    first, second, *rest = await due_of(case.repo, run_id)
    await case.do(first)
    async with case.repo.transaction() as db:
        running = await jobs.claim_job(db, second, "w", 60)
        assert running is not None
        await jobs.cancel(db, run_id)
    async with case.repo.transaction() as db:
        assert await jobs.renew_job(db, running, 60, None)  # asked to stop
        await jobs.finish_job(db, running, "cancelled", {})
    assert {await case.state(job_id) for job_id in (run_id, second, *rest)} == {"cancelled"}
    assert await case.models() == 0
    async with case.repo.transaction() as db:
        with pytest.raises(Conflict):  # a candidate alone would be trained for nothing
            await jobs.retry(db, second)
        await jobs.retry(db, run_id)
    assert await case.state(run_id) == "waiting"
    assert sorted(await due_of(case.repo, run_id)) == sorted([second, *rest])


@pytest.mark.slow
async def test_a_candidate_that_fails_ends_the_run_with_its_words(case: Case) -> None:
    run_id = await case.begin(people=3)
    await case.do(run_id)
    first, *rest = await due_of(case.repo, run_id)
    async with case.repo.transaction() as db:
        running = await jobs.claim_job(db, first, "w", 60)
        assert running is not None
        await jobs.finish_job(db, running, "failed", {}, "out of memory")
    await case.do(run_id)  # at once, not after the others
    async with case.repo.connection() as db:
        run = await jobs.get_job(db, run_id)
        states = {child.state for child in await jobs.children_of(db, run_id)}
    assert (run.state, states) == ("failed", {"failed", "cancelled"})
    assert "out of memory" in (run.error or "")
    assert rest


async def test_a_run_that_is_to_be_cancelled_inserts_no_candidate(case: Case) -> None:
    run_id = await case.begin(people=3)
    async with case.repo.transaction() as db:
        claimed = await jobs.claim_job(db, run_id, "w", 60)
        assert claimed is not None
        await jobs.cancel(db, run_id)
        new = jobs.NewJob(kind=CANDIDATE, queue="none", dedupe_key=run_id, parent_id=run_id)
        assert not await jobs.wait_for_children(db, claimed, [new], {})
        assert await jobs.children_of(db, run_id) == []
    assert await case.state(run_id) == "cancelled"


async def test_nothing_is_read_once_somebody_of_the_dataset_has_withdrawn(case: Case) -> None:
    run_id = await case.begin(people=3)
    await case.do(run_id)
    first, *_ = await due_of(case.repo, run_id)
    async with case.repo.transaction() as db:
        await customers.set_consents(db, case.people[0].customer_no, {"training": False})
    case.store = NoStore()  # type: ignore[assignment]
    await case.do(first)
    await case.do(run_id)
    async with case.repo.connection() as db:
        run = await jobs.get_job(db, run_id)
        children = await jobs.children_of(db, run_id)
    assert run.state == "succeeded"
    assert "consent of 1" in run.result["verdict"]
    assert {child.state for child in children} == {"cancelled"}
    assert await case.models() == 0
    async with case.repo.connection() as db:
        prepared = await db.fetchval(
            "SELECT count(*) FROM job WHERE kind = 'cohort_prepare' AND dedupe_key LIKE '%' || $1",
            run_id,
        )
    assert prepared == 1


class NoStore:
    """Fails the test when anything is read."""

    def __getattr__(self, name: str) -> None:
        pytest.fail(f"{name} of S3 was asked for")
