"""Forecasts on real Postgres and S3: what is issued, kept, scored, and when a training is due."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from fitstream.client import Client
from fitstream.clock import DAY_SLOTS, slot_of
from fitstream.consumers.dispatcher import Dispatcher
from fitstream.errors import NotFound, Rejected
from fitstream.repo import customers, forecasts, jobs
from fitstream.repo.customers import NewCustomer
from fitstream.repo.database import Repo, open_repo
from fitstream.settings import Settings
from fitstream.store import Store, open_store
from fitstream.tasks.forecasts import forecast
from fitstream.tasks.score_forecasts import score_forecasts
from fitstream.tasks.today import forecast_today
from tests.conftest import RunningStack
from tests.forecasting import GATE_WQL, Study, forget_jobs, new_programme, walk
from tests.ledgered import LedgerWearer

pytestmark = pytest.mark.stack
SLOW = pytest.mark.slow
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
THEN = MIDNIGHT - timedelta(days=14, hours=-1)  # an hour after a midnight two weeks ago


@pytest.fixture
async def study(repo: Repo, services: Settings) -> AsyncIterator[Study]:
    async with open_store(services) as store:
        yield Study((repo, store, services), await new_programme(repo, store))
    await forget_jobs(repo)


async def test_the_next_day_and_the_next_week_are_issued_together_and_agree(study: Study) -> None:
    who = await study.walker(THEN, 20)
    result = await study.do(forecast, THEN)
    assert (result["customers"], result["forecasts"]) == (1, 6)
    day, week = [await study.latest(who, horizon) for horizon in ("96", "672")]
    assert (len(day.quantiles), len(week.quantiles)) == (96, 672)
    assert week.quantiles[:96] == day.quantiles
    assert day.start_slot == slot_of(THEN)
    assert day.data_through == slot_of(THEN) - 4  # whole days only
    assert [total["day"] for total in day.totals] == [THEN.date().isoformat()]
    assert len(week.totals) == 7
    for total in week.totals:
        assert 0 < total["low"] < total["mean"] < total["high"]
        assert total["own_days"] == 20
    assert [each["day"] for each in week.explanation] == [each["day"] for each in week.totals]
    for each, total in zip(week.explanation, week.totals, strict=True):
        parts = (*each["days"], each["other_days"], each["cohort"])
        added = sum(part["adds"] for part in parts) + each["networks"]
        assert added == pytest.approx(total["mean"], rel=1e-3)
        assert sum(each["effects"].values()) == pytest.approx(total["mean"], rel=1e-3)


@SLOW
async def test_one_horizon_alone_leaves_the_other_as_it_was(study: Study) -> None:
    who = await study.walker(THEN, 10)
    await study.do(forecast, THEN)
    before = await study.latest(who, "672")
    await study.do(forecast, THEN + timedelta(days=1), horizons=["96"])
    assert (await study.latest(who, "672")).issued_at == before.issued_at
    assert (await study.latest(who, "96")).issued_at > before.issued_at
    assert len(await study.past(who)) == 2


@pytest.mark.parametrize("days", [pytest.param(1, marks=SLOW), 3, pytest.param(14, marks=SLOW)])
async def test_a_newcomer_has_forecasts_that_say_how_sure_they_are(study: Study, days: int) -> None:
    who = await study.walker(THEN - timedelta(hours=1), days)
    await walk(who, (slot_of(THEN) - 4, slot_of(THEN) + 44))
    await study.do(forecast, THEN)
    await study.do(forecast_today, THEN + timedelta(hours=11))
    for horizon in ("96", "672", "today"):
        found = await study.latest(who, horizon)
        assert found.basis == ("cohort" if days < 2 else "own history")
        assert found.totals[0]["own_days"] == days
        assert all(low <= middle <= high for low, middle, high, _ in found.quantiles)


@SLOW
async def test_who_has_a_device_and_no_row_is_told_what_the_cohort_does_and_that_it_is_that(
    study: Study,
) -> None:
    who, settled = await study.walker(THEN, 0), await study.walker(THEN, 20)
    assert (await study.do(forecast, THEN))["forecasts"] == 12
    first, other = await study.latest(who, "96"), await study.latest(settled, "96")
    assert (first.basis, first.week, first.data_through) == ("cohort", None, slot_of(THEN))
    assert len(first.quantiles) == DAY_SLOTS
    low, high = (first.totals[0][name] / first.totals[0]["mean"] for name in ("low", "high"))
    own_low, own_high = (
        other.totals[0][name] / other.totals[0]["mean"] for name in ("low", "high")
    )
    assert low < own_low < own_high < high  # it is less sure
    await study.do(forecast_today, THEN)
    with pytest.raises(NotFound):
        await study.latest(who, "today")
    await study.do(score_forecasts, THEN + timedelta(days=2))
    (issued,) = await study.past(who)
    assert issued.slots is None


async def test_who_has_no_device_is_not_forecast(study: Study) -> None:
    async with study.repo.transaction() as db:
        await customers.create_customer(db, NewCustomer(programme=study.programme.id))
    assert (await study.do(forecast, THEN))["forecasts"] == 0


async def test_the_rest_of_today_follows_what_came_in_and_only_then(study: Study) -> None:
    who = await study.walker(THEN - timedelta(hours=1), 20)
    nine, noon = THEN + timedelta(hours=8), THEN + timedelta(hours=11)
    await walk(who, (slot_of(THEN) - 4, slot_of(nine)))
    assert (await study.do(forecast_today, nine))["forecasts"] == 3
    first = await study.latest(who, "today")
    assert (first.start_slot, len(first.quantiles)) == (slot_of(nine), DAY_SLOTS - 36)
    assert first.data_through == slot_of(nine)
    assert (await study.do(forecast_today, noon))["verdict"] == "nothing new"
    await walk(who, (slot_of(nine), slot_of(noon)), seed=2, by=4.0)
    await study.do(forecast_today, noon)
    second = await study.latest(who, "today")
    assert second.start_slot == slot_of(noon)
    assert second.totals[0]["mean"] > first.totals[0]["mean"]
    assert second.explanation[0]["effects"]["today"] != 0
    assert len(await study.past(who, "today")) == 2


async def test_past_forecasts_are_scored_once_the_truth_is_there_and_again_for_late_data(
    study: Study,
) -> None:
    who = await study.walker(THEN, 20)
    await study.do(forecast, THEN)
    assert (await study.do(score_forecasts, THEN + timedelta(hours=20)))["forecasts"] == 0
    half = slot_of(THEN) + 50
    await walk(who, (slot_of(THEN), half), seed=3)
    await study.do(score_forecasts, THEN + timedelta(days=2))
    (issued,) = await study.past(who)
    assert issued.scored_at is not None
    assert issued.slots is None  # a day with so little measured was not worn
    await walk(who, (half, slot_of(THEN) + 9 * DAY_SLOTS), seed=3)
    again = THEN + timedelta(days=9)
    assert (await study.do(score_forecasts, again))["forecasts"] == 2
    (issued,) = await study.past(who)
    assert issued.slots == 96
    assert 0 < issued.wql < 2
    assert issued.below + issued.above < 96
    assert (await study.do(score_forecasts, again + timedelta(hours=1)))["forecasts"] == 0
    async with study.repo.connection() as db:
        parts = await forecasts.part_scores(db, [study.number], (None, "steps"), 0)
        days = await forecasts.day_scores(db, [study.number], (None, "steps"), 0)
        leads = await forecasts.lead_scores(db, [study.number], (None, "steps"), 0)
    week = [part for part in parts if part.horizon == "672"]
    assert [(each.horizon, each.lead_day) for each in leads] == [("672", n) for n in range(1, 8)]
    assert {each.slots for each in leads} == {96}
    assert sum(each.loss for each in leads) == pytest.approx(sum(part.loss for part in week))
    assert leads[0].loss == pytest.approx(  # the first of seven days is the next day's forecast
        sum(part.loss for part in parts if part.horizon == "96")
    )
    assert {part.forecasts for part in parts} == {1}
    assert [part.part for part in parts if part.horizon == "96"] == list(range(6))
    assert sum(part.slots for part in parts if part.horizon == "96") == 96
    assert sum(part.loss for part in parts if part.horizon == "96") == pytest.approx(
        issued.wql * sum(part.size for part in parts if part.horizon == "96")
    )
    assert {(each.horizon, each.days) for each in days} == {("96", 1), ("672", 7)}


@SLOW
async def test_a_repeat_of_the_night_scores_nothing_twice(study: Study) -> None:
    who = await study.walker(THEN, 20)
    await study.do(forecast, THEN, horizons=["96"])
    await walk(who, (slot_of(THEN), slot_of(THEN) + 2 * DAY_SLOTS))
    night = THEN + timedelta(days=2)
    assert (await study.do(score_forecasts, night))["forecasts"] == 1
    assert (await study.do(score_forecasts, night))["forecasts"] == 0


async def damage(store: Store, key: str) -> None:
    await store.replace(key, (await store.get(key))[:100])


@SLOW
async def test_a_forecast_that_is_damaged_holds_up_the_scores_of_no_other(study: Study) -> None:
    who, other = await study.walker(THEN, 20), await study.walker(THEN, 20)
    await study.do(forecast, THEN, horizons=["96"])
    async for key in study.store.list_keys(f"users/{who.customer_id}/forecasts/"):
        await damage(study.store, key)
    for each in (who, other):
        await walk(each, (slot_of(THEN), slot_of(THEN) + 2 * DAY_SLOTS))
    night = THEN + timedelta(days=2)
    assert (await study.do(score_forecasts, night))["forecasts"] == 2
    (damaged,), (issued,) = await study.past(who), await study.past(other)
    assert (damaged.slots, issued.slots) == (None, 96)
    assert (await study.do(score_forecasts, night))["forecasts"] == 0


async def scored(study: Study, who: LedgerWearer, target: str, wql: float, count: int) -> None:
    """So many forecasts of the last days, each with that WQL."""
    for number in range(count):
        at = MIDNIGHT - timedelta(hours=6 * number + 6)
        about: dict[str, Any] = {
            "customer_no": who.customer_no, "horizon": "96", "issued_at": at,
            "model_id": study.model_id, "end_slot": slot_of(at),
        }  # fmt: skip
        issue = forecasts.DueIssue(
            **about, customer_id="", zone="UTC", start_slot=0, object_key="none"
        )
        size = [0.0, 1000.0 + number, *[0.0] * 4]
        score = forecasts.NewScore(
            **about, target=target, loss=[wql * each for each in size], size=size, slots=[16] * 6,
            below=[0] * 6, above=[0] * 6, days=1, days_inside=1,
        )  # fmt: skip
        async with study.repo.transaction() as db:
            await forecasts.store_scores(db, issue, [score], settled=True)


async def trainings(study: Study) -> list[str]:
    async with study.repo.connection() as db:
        rows = await db.fetch(
            "SELECT payload FROM job WHERE kind = 'cohort_prepare' AND programme_no = $1",
            study.number,
        )
    return [row["payload"]["reason"] for row in rows]


async def test_a_champion_that_became_clearly_worse_asks_for_a_training_once(study: Study) -> None:
    who = await study.walker(THEN, 1)
    await scored(study, who, "steps", GATE_WQL * 1.15, 28)
    await scored(study, who, "calories_kcal", GATE_WQL * 1.05, 28)
    await scored(study, who, "heart_rate_bpm", GATE_WQL * 3, 27)  # too few to tell
    result = await study.do(score_forecasts, MIDNIGHT)
    found = {each["target"]: each for each in result["drift"]}
    assert {target: each["drifts"] for target, each in found.items()} == {
        "steps": True, "calories_kcal": False, "heart_rate_bpm": False,
    }  # fmt: skip
    (reason,) = await trainings(study)
    assert reason == found["steps"]["reason"]
    assert "WQL 0.690 in the last 14 days, 0.600 when it was judged" in reason
    assert "28 are needed" in found["heart_rate_bpm"]["reason"]
    async with study.repo.connection() as db:
        drifts = {each.target: each for each in await forecasts.drifts(db, [study.number])}
    assert drifts["steps"].is_drifting
    assert drifts["steps"].job_id is not None
    assert drifts["calories_kcal"].job_id is None
    await study.do(score_forecasts, MIDNIGHT + timedelta(minutes=1))
    assert len(await trainings(study)) == 1


@SLOW
async def test_every_issue_lies_in_the_store_as_it_was_published(study: Study) -> None:
    who = await study.walker(THEN, 6)
    await study.do(forecast, THEN)
    for horizon in ("96", "672"):
        found = await study.latest(who, horizon)
        async with study.repo.connection() as db:
            issue = await forecasts.get_issue(db, who.customer_no, horizon, found.issued_at)
        stored = msgspec.json.decode(await study.store.get(issue.object_key))
        assert stored["targets"]["steps"]["rows"] == found.quantiles
        assert stored["targets"]["steps"]["explanation"] == found.explanation
        assert issue.end_slot - issue.start_slot == int(horizon)


async def test_a_week_that_waits_is_forecast_over_all_horizons(study: Study) -> None:
    """The widened job is one that names no horizon."""
    async with study.repo.transaction() as db:
        for payload in ({"customers": [1], "horizons": ["96"]}, {"customers": [2]}):
            new = jobs.NewJob(
                kind="forecast", queue="none", dedupe_key=f"{study.number}:{payload}",
                payload=payload, programme_no=study.number,
            )  # fmt: skip
            await jobs.insert_job(db, new)
        assert await jobs.widen_forecast(db, study.number, [7])
        waiting = await db.fetch(
            "SELECT payload FROM job WHERE programme_no = $1 AND kind = 'forecast'", study.number
        )
    assert sorted(str(row["payload"]["customers"]) for row in waiting) == ["[1]", "[2, 7]"]


class NoBell:
    """Nobody is rung: the test does the jobs itself."""

    async def ring(self, queue: str, job_id: str, epoch: int) -> None:
        """Told and forgotten."""


async def test_a_week_that_got_a_new_version_has_its_customer_forecast_again(study: Study) -> None:
    who = await study.walker(THEN, 20)
    await study.do(forecast, THEN)
    before = await study.latest(who, "96")
    dispatcher = Dispatcher(study.repo, NoBell(), study.settings)
    for version in (1, 2):
        async with study.repo.transaction() as db:
            await db.execute(
                "UPDATE week_state SET current_version = $2 WHERE customer_no = $1",
                who.customer_no,
                version,
            )
            finished = jobs.NewJob(
                kind="week_finished", queue="none", dedupe_key=f"{who.customer_id}:{version}",
                programme_no=study.number, customer_no=who.customer_no,
            )  # fmt: skip
            await jobs.insert_job(db, finished)
        await dispatcher.plan(MIDNIGHT + timedelta(seconds=version))
        async with study.repo.transaction() as db:
            asked = await db.fetch(
                "UPDATE job SET state = 'succeeded' WHERE kind = 'forecast' AND state = 'queued'"
                " AND programme_no = $1 AND payload->'customers' = $2 RETURNING payload",
                study.number,
                [who.customer_no],
            )
        assert len(asked) == 1
        await study.do(forecast, THEN + timedelta(hours=version), **asked[0]["payload"])
        for horizon in ("96", "672"):
            found = await study.latest(who, horizon)
            assert found.version == version
            assert found.issued_at > before.issued_at
            assert found.data_through == before.data_through


async def planned(study: Study, *times: datetime) -> list[Any]:
    """What dispatchers, each its own, plan for the programme at these times."""
    for now in times:
        dispatcher = Dispatcher(study.repo, NoBell(), study.settings)
        await dispatcher.plan(now)
    async with study.repo.connection() as db:
        rows: list[Any] = await db.fetch(
            "SELECT kind, payload->'horizons' AS horizons FROM job WHERE programme_no = $1"
            " ORDER BY created_at, kind",
            study.number,
        )
    return rows


async def test_every_night_is_forecast_and_scored_once_and_mondays_a_week_ahead(
    study: Study,
) -> None:
    await study.walker(MIDNIGHT, 3)
    monday = MIDNIGHT - timedelta(days=MIDNIGHT.weekday()) + timedelta(hours=23)
    rows = await planned(study, monday, monday, monday + timedelta(days=1))
    nightly = [row["horizons"] for row in rows if row["kind"] == "forecast"]
    assert nightly == [["96", "672"], ["96"]]
    assert [row["kind"] for row in rows].count("score_forecasts") == 2


async def test_who_sent_something_is_looked_at_once_a_round(study: Study) -> None:
    now = datetime.now(UTC)
    assert "forecast_today" not in [row["kind"] for row in await planned(study, now)]
    await study.walker(MIDNIGHT, 3)
    kinds = [row["kind"] for row in await planned(study, now, now)]
    assert kinds.count("forecast_today") == 1


async def test_the_api_tells_the_latest_the_past_why_and_how_good(
    stack: RunningStack, admin: Client
) -> None:
    async with open_repo(stack.settings) as repo, open_store(stack.settings) as store:
        given = (repo, store, stack.settings)
        own = Study(given, await new_programme(repo, store))
        who = await own.walker(THEN, 20)
        for later in (0, 24):
            await own.do(forecast, THEN + timedelta(hours=later))
        await walk(who, (slot_of(THEN), slot_of(THEN) + 2 * DAY_SLOTS))
        await own.do(score_forecasts, THEN + timedelta(days=3))
        week = await admin.forecast(who.customer_id, "steps", "672")
        assert (len(week.items), week.horizon, len(week.totals)) == (672, "672", 7)
        why = await admin.forecast_explained(who.customer_id)
        latest = await admin.forecast(who.customer_id)
        if latest.issued_at != why.issued_at:  # the system's own night came in between
            why = await admin.forecast_explained(who.customer_id)
        assert [each.day for each in why.items] == [each.day for each in latest.totals]
        assert why.items[0].mean == pytest.approx(latest.totals[0].mean, rel=1e-3)
        newest = await admin.forecasts(who.customer_id, limit=1)
        others = (await admin.forecasts(who.customer_id, after=newest.next or "")).items
        assert newest.items[0].issued_at > others[0].issued_at
        older = others[-1]
        assert older.score is not None
        assert older.score.slots == 96
        before = await admin.past_forecast(who.customer_id, older.id)
        assert before.issued_at == older.issued_at < latest.issued_at
        assert len(before.items) == 96
        assert before.items[0].slot == older.start
        then = await admin.past_forecast_explained(who.customer_id, older.id)
        assert [each.day for each in then.items] == [each.day for each in before.totals]
        scores = await admin.forecast_scores(model=own.model_id, target="steps", days="60")
        assert {each.part for each in scores.items if each.horizon == "96"} == {
            "00-04", "04-08", "08-12", "12-16", "16-20", "20-24",
        }  # fmt: skip
        asked = await admin.job(await admin.make_forecasts(who.customer_id))
        assert (asked.kind, asked.payload["horizons"]) == ("forecast", ["96", "672"])
        for wrong in ("20261124T000000000000-96", "20269999T000000000000-96", "nonsense"):
            with pytest.raises(NotFound):
                await admin.past_forecast(who.customer_id, wrong)
        await damage(store, f"users/{who.customer_id}/forecasts/{older.id}.json")
        with pytest.raises(NotFound, match="undamaged"):
            await admin.past_forecast(who.customer_id, older.id)
        with pytest.raises(Rejected, match="horizon"):
            await admin.forecast(who.customer_id, "steps", "97")  # type: ignore[arg-type]
        with pytest.raises(Rejected, match="days"):
            await admin.forecast_scores(days="0")
