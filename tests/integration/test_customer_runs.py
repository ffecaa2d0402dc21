"""Runs of one customer: pinned, adapted, in use for them alone; asked for, or by their weeks."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from fitstream.clock import slot_of
from fitstream.consumers.dispatcher import Dispatcher
from fitstream.ids import new_id
from fitstream.jobs import ArqDoorbell
from fitstream.repo import jobs, models, training
from fitstream.repo.database import Repo
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import NewRun
from fitstream.settings import Settings
from fitstream.store import Store, open_store
from fitstream.tasks.context import JobContext
from fitstream.tasks.stored_model import load_model, own_models
from fitstream.trainer.recipe import CustomerRecipe, customer_recipe_hash
from fitstream.weekfile import encode_week, week_content
from tests.factories import ledger_row
from tests.training import QUICK, Case, put_dataset
from tests.unit.test_trainer_adapting import creature_of_habit
from tests.unit.trainer_factories import make_series

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(400)]
MONDAY = datetime(2026, 11, 9, tzinfo=UTC)
WEEK = "2026-W46"


@pytest.fixture(scope="module")
async def store(services: Settings) -> AsyncIterator[Store]:
    async with open_store(services) as opened:
        yield opened


@pytest.fixture(scope="module")
async def case(repo: Repo, store: Store, services: Settings) -> Case:
    """A programme with a model in use."""
    made = Case(repo, store, services)
    made.settings = msgspec.structs.replace(services, train_share_from_s=1000)
    recipe = msgspec.structs.replace(QUICK, history_days=21)
    await made.do(await made.begin(people=4, days=12, recipe=recipe))
    return made


async def customer_run(case: Case, series: Any) -> str:
    """The run of the first customer on these days, done."""
    whose, base = case.people[0], await case.model()
    series = {whose.id: named(series, whose.id)}
    dataset_hash = new_id("hash")
    await put_dataset(case.store, case.programme.programme_no, series, dataset_hash)
    recipe = CustomerRecipe(base_model=base.id, targets=("steps",), epochs=1)
    plain = msgspec.to_builtins(recipe)
    new = NewJob(
        kind="train_customer", queue="train", dedupe_key=new_id("adapt"),
        programme_no=case.programme.programme_no, customer_no=whose.customer_no,
    )  # fmt: skip
    async with case.repo.transaction() as db:
        run_id = await jobs.insert_job(db, new)
        await models.insert_run(
            db,
            NewRun(
                job_id=run_id, programme_no=case.programme.programme_no, scope="customer",
                recipe=plain, recipe_hash=customer_recipe_hash(recipe), dataset_hash=dataset_hash,
                customers=1, weeks=1, customer_no=whose.customer_no, base_model_id=base.id,
            ),
        )  # fmt: skip
    await case.do(run_id)
    return run_id


def named(series: Any, name: str) -> Any:
    return type(series)(name, series.first_day, series.values, series.wear)


async def test_a_model_that_passed_serves_its_customer_alone_until_another_answer(
    case: Case,
) -> None:
    run_id = await customer_run(case, creature_of_habit(36))
    base, whose = await case.model(), case.people[0]
    async with case.repo.connection() as db:
        run = await models.get_run(db, run_id)
        assert run.model_id is not None
        own = await models.get_model(db, run.model_id)
        forecasts = [c for c in await jobs.children_of(db, run_id) if c.kind == "forecast"]
    assert (own.customer_id, own.base_model_id, own.stage) == (whose.id, base.id, "champion")
    assert [each.payload["customers"] for each in forecasts] == [[whose.customer_no]]
    async with case.repo.transaction() as db:
        job = await jobs.insert_job(db, NewJob(kind="x", queue="none", dedupe_key=new_id("x")))
        claimed = await jobs.claim_job(db, job, "w", 60)
    assert claimed is not None
    context = JobContext(claimed, case.repo, case.store, case.settings)
    served = (base, await load_model(case.store, base))
    numbers = [person.customer_no for person in case.people]
    found = await own_models(context, served, numbers)
    assert {number: each.id for number, each in found.items()} == {whose.customer_no: own.id}
    kernels = found[whose.customer_no].model.base.kernels
    assert kernels["steps"] != served[1].base.kernels["steps"]
    await customer_run(case, make_series("short", 20))  # a newer answer: not enough
    assert await own_models(context, served, numbers) == {}


async def test_not_enough_days_are_the_answer_of_the_run(case: Case) -> None:
    run_id = await customer_run(case, make_series("short", 20))
    async with case.repo.connection() as db:
        run = await models.get_run(db, run_id)
    assert (run.state, run.model_id) == ("succeeded", None)
    assert "Not enough data yet" in run.metrics["verdict"]
    assert run.customer_id == case.people[0].id


async def finish_a_week(case: Case, number: int) -> None:
    """A rolled week of a customer, as the roller leaves it."""
    whose = case.people[number]
    start = slot_of(MONDAY)
    rows = [ledger_row(start + slot, steps=int(slot % 50)) for slot in range(672)]
    content = week_content(whose.id, (WEEK, start, start + 672), "UTC", rows)
    key = f"users/{whose.id}/weeks/{WEEK}/v0001.parquet"
    stored = await case.store.put_new(key, encode_week(content))
    async with case.repo.transaction() as db:
        await db.execute(
            "INSERT INTO week_state (customer_no, week, start_slot, end_slot, closed_at,"
            " current_version) VALUES ($1, $2, $3, $4, now(), 1)",
            whose.customer_no, WEEK, start, start + 672,
        )  # fmt: skip
        await db.execute(
            "INSERT INTO week_version (customer_no, week, version, content_sha, rows, slots,"
            " measured, files, reason, changed)"
            " VALUES ($1, $2, 1, $3, 672, 672, 672, $4, 'closed', '[]')",
            whose.customer_no, WEEK, "ab" * 32,
            [{"kind": "week", "key": key, "sha256": stored.sha256}],
        )  # fmt: skip
        await jobs.insert_job(
            db,
            NewJob(
                kind="week_finished", queue="none", dedupe_key=new_id("week"),
                programme_no=case.programme.programme_no, customer_no=whose.customer_no,
            ),
        )  # fmt: skip


async def prepared(case: Case) -> list[str]:
    async with case.repo.connection() as db:
        rows = await db.fetch(
            "SELECT id FROM job WHERE kind = 'customer_prepare' AND programme_no = $1",
            case.programme.programme_no,
        )
    return [row["id"] for row in rows]


async def calm(case: Case) -> None:
    """The programme is not stale any more, and nothing of other tests waits."""
    async with case.repo.connection() as db:
        await db.execute("UPDATE programme SET stale_since = NULL, stale_last = NULL")
        await db.execute(
            "DELETE FROM adapt_due WHERE customer_no <> ALL($1)",
            [person.customer_no for person in case.people],
        )
        await db.execute(
            "UPDATE job SET state = 'cancelled' WHERE kind = 'cohort_prepare' AND state = 'queued'"
        )


async def test_a_finished_week_starts_a_run_where_the_setting_says_so_and_few_at_once(
    case: Case, services: Settings
) -> None:
    now = datetime.now(UTC)
    quiet = msgspec.structs.replace(services, cohort_quiet_s=900.0, cohort_max_s=9000.0)
    off = Dispatcher(case.repo, ArqDoorbell(quiet), quiet)
    one = msgspec.structs.replace(quiet, customer_runs_at_once=1)
    on = Dispatcher(case.repo, ArqDoorbell(one), one)
    await finish_a_week(case, 3)
    await off.plan(now)
    await calm(case)
    await on.plan(now)
    assert await prepared(case) == []  # only what finishes from then on
    for number in (0, 1):
        await finish_a_week(case, number)
    await on.plan(now)
    assert await prepared(case) == []  # the cohort is to be trained first
    await calm(case)
    for _ in range(2):
        await on.plan(now)
    (first,) = await prepared(case)  # one at a time
    await case.do(first)
    async with case.repo.connection() as db:
        run_id = (await jobs.get_job(db, first)).result["run"]
        planned = await training.run_plan(db, run_id)
    assert planned.base_model_id == (await case.model()).id
    await on.plan(now)
    assert len(await prepared(case)) == 1
    await case.do(run_id)  # one week is not enough, which is an answer
    async with case.repo.connection() as db:
        assert "Not enough data yet" in (await jobs.get_job(db, run_id)).result["verdict"]
    await on.plan(now)
    assert len(await prepared(case)) == 2


async def test_without_consent_no_week_of_a_customer_is_read(case: Case) -> None:
    await finish_a_week(case, 2)
    whose = case.people[2]
    async with case.repo.transaction() as db:
        await db.execute(
            "UPDATE consent SET granted = false WHERE customer_no = $1", whose.customer_no
        )
        job = await jobs.insert_job(
            db,
            NewJob(
                kind="customer_prepare", queue="light", dedupe_key=new_id("ask"),
                programme_no=case.programme.programme_no, customer_no=whose.customer_no,
            ),
        )  # fmt: skip
    await case.do(job)
    async with case.repo.connection() as db:
        assert "do not consent" in (await jobs.get_job(db, job)).result["verdict"]
