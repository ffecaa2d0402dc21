"""Counts of everything that grows with the customers, in slices that no other caller feels.

A tally is no snapshot: what changes while it walks may be counted before or after. At rest it is
exact.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from fitstream.repo.database import Repo, fetch_one

CUSTOMERS_AT_ONCE = 500  # a year of weeks of each is 26,000 rows: some milliseconds
JOBS_AT_ONCE = 5000
_END = datetime(9999, 1, 1, tzinfo=UTC)


class PeopleSlice(msgspec.Struct, frozen=True):
    """Some customers; `numbers`, in order, is None behind the last of them."""

    numbers: list[int] | None
    total: int
    seen_1h: int
    seen_24h: int
    rows: int
    newest_at: datetime | None


class ThingsSlice(msgspec.Struct, frozen=True):
    """What belongs to some customers."""

    devices: int
    forecasts: int
    forecast_customers: int


class WeekCounts(msgspec.Struct, frozen=True):
    """Weeks by state, and versions in all."""

    open: int
    closing: int
    rolled: int
    late: int
    versions: int


class JobsSlice(msgspec.Struct, frozen=True):
    """Some jobs, newest first, and the place of the last of them."""

    looked: int
    last_at: datetime | None
    last_id: str | None
    queued: int
    running: int
    waiting: int
    succeeded: int
    failed: int
    cancelled: int


class People(NamedTuple):
    """Active customers, how many were heard of within an hour and a day, rows of all."""

    total: int = 0
    seen_1h: int = 0
    seen_24h: int = 0
    rows: int = 0


class Things(NamedTuple):
    """Devices in use, forecasts, and customers who have one."""

    devices: int = 0
    forecasts: int = 0
    forecast_customers: int = 0


class Jobs(NamedTuple):
    """Jobs by state."""

    queued: int = 0
    running: int = 0
    waiting: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


class Tally(NamedTuple):
    """All counts of one walk that began `at`; `newest_at` is the last contact of anybody."""

    at: datetime
    people: People
    things: Things
    weeks: WeekCounts
    jobs: Jobs
    newest_at: datetime | None


async def count_all(repo: Repo, at: datetime, within: Sequence[int] | None = None) -> Tally:
    """Counts everything of all programmes, or of some, from now (`at`) on. Raises Unavailable."""
    people, things, weeks = People(), Things(), WeekCounts(0, 0, 0, 0, 0)
    newest_at: datetime | None = None
    after = 0
    while True:
        async with repo.connection() as db:
            part = await fetch_one(
                db, PeopleSlice, "tally.people_slice", after, within, CUSTOMERS_AT_ONCE
            )
            if part is None or part.numbers is None:
                break
            theirs = await fetch_one(db, ThingsSlice, "tally.things_slice", part.numbers)
            states = await fetch_one(db, WeekCounts, "tally.weeks_slice", part.numbers)
        after = part.numbers[-1]
        people = People(*_sum(people, (part.total, part.seen_1h, part.seen_24h, part.rows)))
        things = Things(*_sum(things, _numbers(theirs)))
        weeks = WeekCounts(*_sum(_numbers(weeks), _numbers(states)))
        newest_at = max((at for at in (newest_at, part.newest_at) if at), default=None)
    return Tally(at, people, things, weeks, await _count_jobs(repo, within), newest_at)


def _numbers(row: ThingsSlice | WeekCounts | None) -> tuple[int, ...]:
    return () if row is None else msgspec.structs.astuple(row)


async def _count_jobs(repo: Repo, within: Sequence[int] | None) -> Jobs:
    jobs, place = Jobs(), (_END, "")
    while True:
        async with repo.connection() as db:
            part = await fetch_one(db, JobsSlice, "tally.jobs_slice", *place, within, JOBS_AT_ONCE)
        if part is None or part.last_at is None or part.last_id is None:
            return jobs
        jobs = Jobs(*_sum(jobs, msgspec.structs.astuple(part)[3:]))
        if part.looked < JOBS_AT_ONCE:
            return jobs
        place = (part.last_at, part.last_id)


def _sum(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Sums place by place; nothing adds nothing."""
    return [a + b for a, b in zip(one, other or [0] * len(one), strict=True)]
