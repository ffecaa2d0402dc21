"""A forecast job that is repeated, data that is late, and nights in people's own zones."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from fitstream.clock import DAY_SLOTS, day_bounds, slot_of
from fitstream.consumers.dispatcher import Dispatcher
from fitstream.repo import forecasts, jobs
from fitstream.repo.database import Repo
from fitstream.repo.jobs import NewJob
from fitstream.settings import Settings
from fitstream.store import open_store
from fitstream.tasks import forecasts as task
from fitstream.tasks import issuing
from fitstream.tasks.context import JobContext
from fitstream.tasks.forecasts import forecast
from fitstream.tasks.today import forecast_today
from tests.forecasting import Study, forget_jobs, new_programme, walk
from tests.ledgered import LedgerWearer

pytestmark = pytest.mark.stack
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
THEN = MIDNIGHT - timedelta(days=14, hours=-1)  # an hour after a midnight two weeks ago


@pytest.fixture
async def study(repo: Repo, services: Settings) -> AsyncIterator[Study]:
    async with open_store(services) as store:
        yield Study((repo, store, services), await new_programme(repo, store))
    await forget_jobs(repo)


class Stopped(Exception):
    """What ends an attempt in the middle."""


class Attempts:
    """One job of the study, done again and again from THEN on."""

    def __init__(self, study: Study, job_id: str) -> None:
        self.study, self.job_id = study, job_id
        moved = (THEN - timedelta(minutes=1) - datetime.now(UTC)) / timedelta(seconds=1)
        self.settings = msgspec.structs.replace(study.settings, clock_offset_s=moved)

    async def once(self) -> dict[str, Any]:
        """The next attempt."""
        repo = self.study.repo
        async with repo.transaction() as db:
            await db.execute(
                "UPDATE job SET state = 'queued', run_after = now() WHERE id = $1", self.job_id
            )
            claimed = await jobs.claim_job(db, self.job_id, "test", 60)
        assert claimed is not None
        await forecast(JobContext(claimed, repo, self.study.store, self.settings))
        async with repo.connection() as db:
            return (await jobs.get_job(db, self.job_id)).result


async def new_attempts(study: Study) -> Attempts:
    new = NewJob(
        kind="forecast", queue="none", dedupe_key=f"again:{study.number}",
        programme_no=study.number, payload={"horizons": ["96"]},
    )  # fmt: skip
    async with study.repo.transaction() as db:
        return Attempts(study, await jobs.insert_job(db, new))


async def test_a_job_that_is_repeated_issues_one_forecast_and_passes_over_who_has_theirs(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [await study.walker(THEN, 4, seed) for seed in (1, 2)]
    monkeypatch.setattr(task, "_CUSTOMERS_AT_ONCE", 1)
    published = task.publish

    async def publish(db: Any, rows: Any, ends: Any) -> None:
        if rows[0].customer_no == second.customer_no:
            raise Stopped  # killed between the objects of the second and its commit
        await published(db, rows, ends)

    attempts = await new_attempts(study)
    with monkeypatch.context() as patched:
        patched.setattr(task, "publish", publish)
        with pytest.raises(Stopped):
            await attempts.once()
    await walk(second, (slot_of(THEN) - 40, slot_of(THEN) - 20), seed=9, by=3.0)  # late meanwhile
    asked: list[str] = []
    rows_of = issuing.rows_of

    def told(customer: Any, *given: Any) -> Any:
        asked.append(customer.id)
        return rows_of(customer, *given)

    monkeypatch.setattr(issuing, "rows_of", told)
    await attempts.once()
    assert asked == [second.customer_id]
    issues = [(await study.past(who), await study.latest(who, "96")) for who in (first, second)]
    for past, latest in issues:
        assert len(past) == 1
        assert past[0].issued_at == latest.issued_at
    assert issues[0][1].issued_at == issues[1][1].issued_at
    async with study.repo.connection() as db:
        at = (second.customer_no, "96", issues[1][1].issued_at)
        issue = await forecasts.get_issue(db, *at)
    stored = msgspec.json.decode(await study.store.get(issue.object_key))
    assert stored["targets"]["steps"]["rows"] == issues[1][1].quantiles  # of what is published


async def test_late_slots_of_today_have_the_rest_of_today_forecast_again(study: Study) -> None:
    who = await study.walker(THEN - timedelta(hours=1), 8)
    start, nine = slot_of(THEN) - 4, THEN + timedelta(hours=8)
    later = [nine + timedelta(seconds=10 * step) for step in range(4)]
    await walk(who, (start, start + 12))
    await walk(who, (start + 24, slot_of(nine)))
    assert (await study.do(forecast_today, later[0]))["forecasts"] == 3
    assert (await study.do(forecast_today, later[1]))["verdict"] == "nothing new"
    await walk(who, (start + 12, start + 24), by=4.0)  # nothing behind what is there already
    assert (await study.do(forecast_today, later[2]))["forecasts"] == 3
    assert (await study.do(forecast_today, later[3]))["verdict"] == "nothing new"


async def test_a_forecast_names_the_version_of_the_week_that_its_data_are_of(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [await study.walker(THEN, 3, seed) for seed in (1, 2)]
    monkeypatch.setattr(task, "_CUSTOMERS_AT_ONCE", 1)
    history = task.history

    async def version(who: Any, number: int) -> None:
        async with study.repo.connection() as db:
            await db.execute(
                "UPDATE week_state SET current_version = $2 WHERE customer_no = $1",
                who.customer_no, number,
            )  # fmt: skip

    async def read(context: Any, whose: Any, span: Any) -> Any:
        if whose.number == first.customer_no:  # the other one's week is rolled meanwhile
            await asyncio.create_task(version(second, 2))
        return await history(context, whose, span)

    await version(second, 1)
    monkeypatch.setattr(task, "history", read)
    await study.do(forecast, THEN, horizons=["96"])
    assert (await study.latest(second, "96")).version == 2


async def test_a_week_that_was_scored_as_one_is_scored_by_days_when_late_data_are_in(
    study: Study,
) -> None:
    who = await study.walker(THEN, 3)
    whole: dict[str, Any] = {
        "customer_no": who.customer_no, "horizon": "672", "issued_at": THEN,
        "model_id": study.model_id, "end_slot": slot_of(THEN) + 7 * DAY_SLOTS,
    }  # fmt: skip
    issue = forecasts.DueIssue(
        **whole, customer_id="", zone="UTC", start_slot=slot_of(THEN), object_key="none"
    )

    def score(lead_day: int) -> forecasts.NewScore:
        return forecasts.NewScore(
            **whole, target="steps", loss=[1.0] * 6, size=[2.0] * 6, slots=[16] * 6,
            below=[0] * 6, above=[0] * 6, days=1, days_inside=1, lead_day=lead_day,
        )  # fmt: skip

    about = ([study.number], (None, None), 0)
    async with study.repo.transaction() as db:
        await forecasts.store_scores(db, issue, [score(0)], settled=False)
        assert await forecasts.lead_scores(db, *about) == []
        await forecasts.store_scores(db, issue, [score(1), score(3)], settled=True)
        leads = await forecasts.lead_scores(db, *about)
        parts = await forecasts.part_scores(db, *about)
    assert [(each.lead_day, each.slots, each.loss) for each in leads] == [(1, 96, 6), (3, 96, 6)]
    assert [(each.forecasts, each.slots, each.loss) for each in parts] == [(1, 32, 2)] * 6


class NoBell:
    """Nobody is rung: the test does the jobs itself."""

    async def ring(self, queue: str, job_id: str, epoch: int) -> None:
        """Told and forgotten."""


async def test_who_lives_elsewhere_is_forecast_after_their_own_midnight_from_all_of_the_day(
    study: Study,
) -> None:
    day = (MIDNIGHT - timedelta(days=14)).date()
    zones = ("America/New_York", "Pacific/Kiritimati", "UTC")
    people = {}
    for zone in zones:
        until = datetime.fromtimestamp(day_bounds(day, zone)[0] * 900, UTC)
        who = people[zone] = await study.walker(until, 4)
        async with study.repo.connection() as db:
            await db.execute(
                "UPDATE customer SET zone = $2 WHERE customer_no = $1", who.customer_no, zone
            )
    home = "America/New_York"
    midnight = datetime.fromtimestamp(day_bounds(day, home)[0] * 900, UTC)
    planned = []
    for minutes in (-10, 25, 55):
        now = midnight + timedelta(minutes=minutes)
        await Dispatcher(study.repo, NoBell(), study.settings).plan(now)
        async with study.repo.connection() as db:
            rows = await db.fetch(
                "SELECT payload FROM job WHERE programme_no = $1 AND kind = 'forecast'"
                " AND dedupe_key LIKE '%:night:' || $2 || '%'", study.number, day.isoformat(),
            )  # fmt: skip
        planned.append({zone for row in rows for zone in row["payload"]["zones"]})
    assert planned == [{"UTC", "Pacific/Kiritimati"}, set(zones), set(zones)]
    async with study.repo.connection() as db:  # of the programmes of other tests
        await db.execute(
            "UPDATE job SET state = 'cancelled' WHERE state = 'queued' AND kind = 'forecast'"
            " AND dedupe_key LIKE '%:night:%'"
        )
    (payload,) = [row["payload"] for row in rows if home in row["payload"]["zones"]]
    result = await study.do(forecast, midnight + timedelta(minutes=26), **payload)
    assert result["customers"] == 1
    found = await study.latest(people[home], "96")
    assert found.start_slot == slot_of(midnight) + 2
    assert found.data_through == slot_of(midnight)  # all of the day that has just ended
    assert found.totals[0]["day"] == day.isoformat()
    assert len(found.quantiles) == DAY_SLOTS


class Night:
    """The dispatcher's looks at one night of New York, and the jobs that came of it."""

    home = "America/New_York"

    def __init__(self, study: Study) -> None:
        self.study, self.done = study, 0
        day = (MIDNIGHT - timedelta(days=14)).date()
        self.midnight = datetime.fromtimestamp(day_bounds(day, self.home)[0] * 900, UTC)

    async def walker(self, zone: str, days: int = 4) -> LedgerWearer:
        who = await self.study.walker(self.midnight, days)
        await self.move(who, zone)
        return who

    async def move(self, who: LedgerWearer, zone: str) -> None:
        async with self.study.repo.connection() as db:
            await db.execute(
                "UPDATE customer SET zone = $2 WHERE customer_no = $1", who.customer_no, zone
            )

    async def planned(self, minutes: int) -> list[dict[str, Any]]:
        """What a dispatcher that has just started plans for the programme, not done yet."""
        now = self.midnight + timedelta(minutes=minutes)
        await Dispatcher(self.study.repo, NoBell(), self.study.settings).plan(now)
        async with self.study.repo.connection() as db:
            rows = await db.fetch(
                "SELECT id, payload FROM job WHERE programme_no = $1 AND kind = 'forecast'"
                " AND state = 'queued' ORDER BY created_at, id", self.study.number,
            )  # fmt: skip
            await db.execute(  # of the programmes of other tests
                "UPDATE job SET state = 'cancelled' WHERE state = 'queued' AND kind = 'forecast'"
                " AND programme_no <> $1", self.study.number,
            )  # fmt: skip
        return [dict(row) for row in rows]

    async def do(self, job: dict[str, Any], minutes: int, state: str = "succeeded") -> None:
        if state == "succeeded":
            await self.study.do(
                forecast, self.midnight + timedelta(minutes=minutes), **job["payload"]
            )
        async with self.study.repo.connection() as db:
            await db.execute("UPDATE job SET state = $2 WHERE id = $1", job["id"], state)


async def test_whoever_comes_after_their_night_was_planned_is_forecast_that_day_and_once(
    study: Study,
) -> None:
    night = Night(study)
    first, mover = await night.walker(night.home), await night.walker("Pacific/Kiritimati")
    for job in await night.planned(30):
        is_home = night.home in job["payload"]["zones"]
        await night.do(job, 31 if is_home else -600)  # after a midnight long before
    assert [len(await study.past(each)) for each in (first, mover)] == [1, 1]
    assert await night.planned(45) == []  # nobody is left out
    newcomer, neighbour = await night.walker(night.home), await night.walker("America/Toronto")
    (late,) = await night.planned(60)
    assert late["payload"]["customers"] == sorted([newcomer.customer_no, neighbour.customer_no])
    assert await night.planned(75) == [late]  # while it waits nobody is asked for again
    await night.do(late, 76)
    assert [len(await study.past(each)) for each in (first, newcomer, neighbour)] == [1, 1, 1]
    assert await night.planned(90) == []
    await night.move(mover, night.home)
    (moved,) = await night.planned(105)
    assert moved["payload"]["customers"] == [mover.customer_no]
    before = len(await study.past(mover))
    await study.do(forecast, night.midnight + timedelta(minutes=106), customers=[mover.customer_no])
    await night.do(moved, 107)  # their week was rolled meanwhile: that will do for the night
    assert len(await study.past(mover)) == before + 1


async def test_who_cannot_be_caught_up_is_tried_once_and_a_cancelled_night_is_left_alone(
    study: Study,
) -> None:
    night = Night(study)
    await night.walker(night.home)
    (job,) = await night.planned(30)
    await night.do(job, 31, state="cancelled")
    assert await night.planned(45) == []
    await night.do(job, 46)
    newcomer = await night.walker(night.home)
    (late,) = await night.planned(60)
    assert late["payload"]["customers"] == [newcomer.customer_no]
    await night.do(late, 61, state="failed")
    assert await night.planned(75) == []
