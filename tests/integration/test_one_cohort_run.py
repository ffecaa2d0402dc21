"""A programme's cohort runs come one after the other, and nobody takes a place unmet."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest
from aiohttp import ClientSession

from fitstream.consumers.dispatcher import Dispatcher
from fitstream.errors import Conflict
from fitstream.ids import new_id
from fitstream.jobs import ArqDoorbell
from fitstream.repo import cohort_runs, customers, jobs, models
from fitstream.repo.database import Repo, open_repo
from fitstream.repo.jobs import NewJob
from fitstream.settings import Settings
from fitstream.store import Store, open_store
from fitstream.tasks.cohort_prepare import cohort_prepare
from fitstream.tasks.context import JobContext
from fitstream.tasks.registering import register_cohort
from fitstream.trainer.registry import Artifact
from tests.conftest import RunningStack
from tests.forecasting import do_job, some_model
from tests.training import QUICK, Case, programme_of, start_run

pytestmark = pytest.mark.stack


@pytest.fixture
async def store(services: Settings) -> AsyncIterator[Store]:
    async with open_store(services) as opened:
        yield opened


@pytest.fixture
def case(repo: Repo, store: Store, services: Settings) -> Case:
    case = Case(repo, store, services)
    case.settings = msgspec.structs.replace(services, train_share_from_s=1000)
    return case


def cohort_run(programme_no: int, kind: str = "cohort_prepare") -> NewJob:
    return NewJob(kind=kind, queue="none", dedupe_key=new_id("ask"), programme_no=programme_no)


async def registered(case: Case, against: str | None) -> tuple[models.Run, models.Model]:
    """A run whose model beat `against`, and the model as it was registered."""
    dataset = (new_id("hash"), case.people)
    run_id = await start_run(case.repo, case.programme, dataset, QUICK)
    async with case.repo.transaction() as db:
        claimed = await jobs.claim_job(db, run_id, "test", 60)
    assert claimed is not None
    report = {"verdict": "It is better.", "replaces": True}
    context = JobContext(claimed, case.repo, case.store, case.settings)
    await register_cohort(context, Artifact(some_model(), QUICK, report), against)
    async with case.repo.connection() as db:
        run = await models.get_run(db, run_id)
        return run, await models.get_model(db, str(run.model_id))


async def test_a_model_does_not_replace_one_that_came_into_use_while_it_was_judged(
    case: Case,
) -> None:
    case.programme, case.people = await programme_of(case.repo, 2)
    _, first = await registered(case, None)
    assert first.stage == "champion"
    _, second = await registered(case, first.id)  # which serves still: it takes its place
    assert second.stage == "champion"
    run, third = await registered(case, first.id)  # but by now another one does
    assert (third.stage, (await case.model()).id) == ("challenger", second.id)
    assert "another model came into use, which it has not met" in run.metrics["verdict"]
    assert run.metrics["judged_against"] == first.id
    async with case.repo.transaction() as db:
        forecasts = await db.fetchval(
            "SELECT count(*) FROM job WHERE dedupe_key = $1", f"forecast:model:{third.id}"
        )
        await models.retire_model(db, await models.get_model(db, second.id))
    assert forecasts == 0
    _, fourth = await registered(case, second.id)  # nobody serves whom it has not met
    assert fourth.stage == "champion"


async def test_a_second_run_is_not_planned_beside_one_under_way(repo: Repo) -> None:
    programme, _ = await programme_of(repo, 1)
    number = programme.programme_no
    async with repo.transaction() as db:
        first = await cohort_runs.ask_for_run(db, number, cohort_run(number))
        again = await cohort_runs.ask_for_run(db, number, cohort_run(number))
    assert (first.is_new, again.is_new) == (True, False)
    assert again.id == first.id
    async with repo.transaction() as db:  # it has led to a run, which waits for its candidates
        await db.execute("UPDATE job SET state = 'succeeded' WHERE id = $1", first.id)
        run_id = await jobs.insert_job(db, cohort_run(number, "train_cohort"))
        await db.execute("UPDATE job SET state = 'waiting' WHERE id = $1", run_id)
        assert (await cohort_runs.ask_for_run(db, number, cohort_run(number))).id == run_id
        await db.execute("UPDATE job SET state = 'failed' WHERE id = $1", run_id)
        third = await cohort_runs.ask_for_run(db, number, cohort_run(number))
        assert third.is_new
        with pytest.raises(Conflict) as refused:  # nor by repeating one that has failed
            await cohort_runs.retry_job(db, run_id)
        assert refused.value.code == "not_failed"
        await db.execute("UPDATE job SET state = 'cancelled' WHERE id = $1", third.id)
        await cohort_runs.retry_job(db, run_id)
        assert (await jobs.get_job(db, run_id)).state == "queued"


async def test_two_who_ask_at_once_get_one_run(repo: Repo) -> None:
    programme, _ = await programme_of(repo, 1)
    number = programme.programme_no
    async with repo.transaction() as first:
        asked = await cohort_runs.ask_for_run(first, number, cohort_run(number))
        async with repo.transaction() as second:
            await second.execute("SET LOCAL lock_timeout = '50ms'")
            with pytest.raises(Exception, match="lock timeout"):  # it waits for the first to end
                await cohort_runs.hold_programme(second, number)
    async with repo.transaction() as second:
        assert (await cohort_runs.ask_for_run(second, number, cohort_run(number))).id == asked.id


async def test_a_programme_stays_stale_until_the_run_under_way_has_ended(
    repo: Repo, services: Settings
) -> None:
    programme, _ = await programme_of(repo, 1)
    number = programme.programme_no
    settings = msgspec.structs.replace(services, cohort_quiet_s=0.0, cohort_max_s=0.0)
    dispatcher = Dispatcher(repo, ArqDoorbell(settings), settings)
    async with repo.transaction() as db:
        run_id = await jobs.insert_job(db, cohort_run(number, "train_cohort"))
        await db.execute(
            "UPDATE programme SET stale_since = now(), stale_last = now() WHERE programme_no = $1",
            number,
        )

    async def preparations() -> int:
        await dispatcher.plan(datetime.now(UTC))
        async with repo.connection() as db:
            count: int = await db.fetchval(
                "SELECT count(*) FROM job WHERE programme_no = $1 AND kind = 'cohort_prepare'",
                number,
            )
        return count

    assert await preparations() == 0
    async with repo.transaction() as db:
        await db.execute("UPDATE job SET state = 'succeeded' WHERE id = $1", run_id)
    assert await preparations() == 1  # its weeks have not been forgotten
    assert await preparations() == 1


async def test_a_preparation_leads_to_no_run_beside_another(
    repo: Repo, store: Store, services: Settings
) -> None:
    """As two that were queued before there was such a rule."""
    case = Case(repo, store, services)
    await case.begin(people=2, days=4)
    again = {"programme_no": case.programme.programme_no, "payload": {"dataset": case.hash}}
    found = await do_job(repo, store, services, cohort_prepare, kind="cohort_prepare", **again)
    assert "another training run of the programme is under way" in found["verdict"]


async def test_who_asks_for_a_run_is_answered_with_the_one_under_way(
    stack: RunningStack, http: ClientSession
) -> None:
    async with open_repo(stack.settings) as repo:
        programme, _ = await programme_of(repo, 1)
        async with repo.transaction() as db:  # told to no worker
            run_id = await jobs.insert_job(db, cohort_run(programme.programme_no, "train_cohort"))
    key = {"Authorization": f"Bearer {stack.admin_key}"}
    body = {"scope": "cohort", "programme": programme.id, "budget_s": 1}
    async with http.post("/v1/training-runs", json=body, headers=key) as answer:
        assert (answer.status, await answer.json()) == (202, {"id": run_id})


async def test_a_run_reads_the_weeks_of_so_many_people_at_most_and_of_the_same_each_time(
    repo: Repo,
) -> None:
    programme, people = await programme_of(repo, 6)
    async with repo.transaction() as db:
        for person in people:
            for week in ("2026-W40", "2026-W41"):
                await db.execute(
                    "INSERT INTO week_state (customer_no, week, start_slot, end_slot, closed_at,"
                    " current_version) VALUES ($1, $2, 0, 672, now(), 1)", person.customer_no, week,
                )  # fmt: skip
                await db.execute(
                    "INSERT INTO week_version (customer_no, week, version, content_sha, rows,"
                    " slots, measured, files, reason, changed)"
                    " VALUES ($1, $2, 1, 'a', 1, 672, 1, '[]', 'closed', '{}')",
                    person.customer_no, week,
                )  # fmt: skip

    async def chosen(most: int) -> set[int]:
        async with repo.connection() as db:
            args = (programme.programme_no, "2026-W41", most)
            weeks = await models.consenting_weeks(db, *args)
        assert {week.week for week in weeks} == {"2026-W41"}
        return {week.customer_no for week in weeks}

    assert await chosen(10) == {person.customer_no for person in people}
    some = await chosen(3)
    assert len(some) == 3
    assert await chosen(3) == some < await chosen(4)
    async with repo.transaction() as db:
        await customers.set_consents(db, min(some), {"training": False})
    assert len(await chosen(3)) == 3  # somebody else instead
    assert await chosen(3) > some - {min(some)}
