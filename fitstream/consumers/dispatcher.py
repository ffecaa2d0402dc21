"""The dispatcher: tells arq of job rows, again and again until they are done, and plans work.

Any number may run: every plan is one row with a dedupe key, and a ring too many wakes nobody.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby

from fitstream.consumers.nights import Night, nights_at
from fitstream.consumers.training_plans import plan_training
from fitstream.crash import crash_point
from fitstream.errors import Unavailable
from fitstream.jobs import Doorbell
from fitstream.logs import get
from fitstream.metrics import count
from fitstream.repo import forecasts, jobs, models, people
from fitstream.repo.database import Db, Repo
from fitstream.repo.jobs import FinishedWeek, NewJob
from fitstream.settings import Settings

log = get(__name__)
_MONDAY = 1  # when the night's forecasts reach a week ahead
_NIGHTS_EVERY_S = 300
_LEFT_OUT_EVERY = 3  # looks at the nights
_LEFT_OUT_AT_MOST = 5000  # in one job; the next look takes the others


class Dispatcher:
    """Plans and rings until it is told to stop."""

    def __init__(self, repo: Repo, doorbell: Doorbell, settings: Settings) -> None:
        self._repo = repo
        self._doorbell = doorbell
        self._settings = settings
        self._today_looked_at = self._nights_looked_at = -1

    async def run(self, stop: asyncio.Event) -> None:
        """Polls the job table; an outage of Postgres or Redis is waited out."""
        while not stop.is_set():
            await _waited_out(self.plan(_now(self._settings)))
            await _waited_out(self.ring_due())
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._settings.dispatch_poll_s)

    async def plan(self, now: datetime) -> None:
        """Turns finished weeks, quiet programmes and the hour into job rows."""
        settings = self._settings
        async with self._repo.transaction() as db:
            finished = await jobs.take_finished_weeks(db)
            await self._forecast_again(db, finished, now)
            await plan_training(db, settings, finished, now)
            await self._folders(db)
            await self._nightly(db, now)
            await self._nights(db, now)
            await self._today(db, now)

    async def ring_due(self) -> int:
        """Tells arq of every due job; how many."""
        async with self._repo.connection() as db:
            due = await jobs.due_jobs(db, self._settings.job_resend_s)
        for job in due:
            await self._doorbell.ring(job.queue, job.id, job.lease_epoch)
            count("jobs_sent", kind=job.kind)
        if due:
            crash_point("dispatcher_after_enqueue")
            async with self._repo.transaction() as db:
                await jobs.mark_sent(db, [job.id for job in due])
            log.info("jobs_sent", jobs=len(due))
        return len(due)

    async def _forecast_again(self, db: Db, finished: list[FinishedWeek], now: datetime) -> None:
        """A forecast for the customers whose week has just finished.

        One that still waits takes them in: however fast weeks finish, one waits per programme.
        """
        by_programme: dict[int, set[int]] = {}
        for week in finished:
            by_programme.setdefault(week.programme_no, set()).add(week.customer_no)
        for programme_no, numbers in by_programme.items():
            if await models.champion(db, programme_no) is None:
                continue
            if await jobs.widen_forecast(db, programme_no, sorted(numbers)):
                continue
            new = NewJob(
                kind="forecast",
                queue="forecast",
                dedupe_key=f"forecast:{programme_no}:weeks:{now.isoformat()}",
                payload={"customers": sorted(numbers)},
                programme_no=programme_no,
            )
            await jobs.insert_job(db, new)

    async def _folders(self, db: Db) -> None:
        """One job for all customers whose folder is not set up yet."""
        newest = await people.newest_without_folder(db)
        if newest is not None:
            key = f"set_up:{newest}"
            new = NewJob(kind="set_up_customers", queue="light", dedupe_key=key)
            await jobs.insert_job(db, new)

    async def _nightly(self, db: Db, now: datetime) -> None:
        """Scores of past forecasts, upkeep and collection, once a day."""
        if now.hour < self._settings.nightly_hour_utc:
            return
        day = now.date().isoformat()
        for kind in ("upkeep", "collect_orphans"):
            await jobs.insert_job(db, NewJob(kind=kind, queue="light", dedupe_key=f"{kind}:{day}"))
        for programme_no in await jobs.programmes(db):
            if await models.champion(db, programme_no) is None:
                continue
            score = NewJob(
                kind="score_forecasts",
                queue="light",
                dedupe_key=f"score:{programme_no}:{day}",
                programme_no=programme_no,
            )
            await jobs.insert_job(db, score)

    async def _nights(self, db: Db, now: datetime) -> None:
        """Forecasts for everybody once a day, after midnight where they live; looked at every few
        minutes, and made up for where nobody looked that night. Whoever came, or moved there, since
        that night was planned is caught up."""
        round_no = int(now.timestamp() // _NIGHTS_EVERY_S)
        if round_no == self._nights_looked_at:
            return
        self._nights_looked_at = round_no
        homes = await forecasts.homes(db)
        for programme_no, own in groupby(homes, key=lambda home: home.programme_no):
            zones = [home.zone for home in own]
            for night in nights_at(now, zones, self._settings.night_forecast_after_s):
                job_id = await jobs.insert_job(db, _night_forecast(programme_no, night))
                if round_no % _LEFT_OUT_EVERY == 0:
                    await self._left_out(db, (programme_no, night), job_id, round_no)

    async def _left_out(
        self, db: Db, whose: tuple[int, Night], night_job: str, round_no: int
    ) -> None:
        """A job of their own for those whom a night's forecasts have not reached, once a round."""
        programme_no, night = whose
        about = (night_job, night.zones, night.start_slot)
        found = await forecasts.left_out(db, *about, _LEFT_OUT_AT_MOST)
        if not found:
            return
        payload = {
            "customers": found,
            "horizons": _horizons(night),
            "unless_from": night.start_slot,
        }
        late = NewJob(
            kind="forecast",
            queue="forecast",
            dedupe_key=f"{night_job}:left_out:{round_no}",
            payload=payload,
            programme_no=programme_no,
            parent_id=night_job,
        )
        await jobs.insert_job(db, late)

    async def _today(self, db: Db, now: datetime) -> None:
        """The rest of today again where something has come in; once per round and programme."""
        every_s = self._settings.today_refresh_s
        round_no = int(now.timestamp() // every_s)
        if round_no == self._today_looked_at:
            return
        self._today_looked_at = round_no
        for programme in await forecasts.programmes_with_news(db, now, 2 * every_s):
            new = NewJob(
                kind="forecast_today",
                queue="forecast",
                dedupe_key=f"today:{programme.programme_no}:{every_s:g}:{round_no}",
                programme_no=programme.programme_no,
            )
            await jobs.insert_job(db, new)


def _night_forecast(programme_no: int, night: Night) -> NewJob:
    return NewJob(
        kind="forecast",
        queue="forecast",
        dedupe_key=f"forecast:{programme_no}:night:{night.day}:{night.start_slot}",
        payload={"customers": None, "zones": night.zones, "horizons": _horizons(night)},
        programme_no=programme_no,
    )


def _horizons(night: Night) -> list[str]:
    return ["96", "672"] if night.day.isoweekday() == _MONDAY else ["96"]


async def _waited_out(step: Awaitable[object]) -> None:
    """A step by itself: a plan that fails every time must not keep what is due from running."""
    try:
        await step
    except Unavailable as error:
        log.warning("waiting", service=error.service, detail=str(error))


def _now(settings: Settings) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=settings.clock_offset_s)
