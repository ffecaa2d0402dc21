"""Summaries of days that were never measured by the quarter hour. Never mixed into slots."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec

from fitstream.legacydaily import DailySummary
from fitstream.repo.database import Db, execute, fetch

_ALL = 100_000


class Source(NamedTuple):
    """Where summaries come from: the kind of file, and the upload that brought it, if any."""

    provenance: str
    origin: str = ""


class Stored(msgspec.Struct, frozen=True):
    """A summary as it is kept; absent values were not said."""

    provenance: str
    origin: str
    received_at: datetime
    day: date
    recorded_at: datetime
    steps: int | None
    active_score: int | None
    activity_kcal: float | None
    bmr_kcal: float | None
    out_kcal: float | None
    marginal_kcal: float | None
    total_distance: float | None
    tracker_distance: float | None
    logged_distance: float | None
    very_active_distance: float | None
    moderate_distance: float | None
    light_distance: float | None
    sedentary_distance: float | None
    very_active_min: int | None
    light_min: int | None
    sedentary_min: int | None
    resting_heart_rate_bpm: int | None
    heart_zones: list[dict[str, Any]]


async def store(
    db: Db, customer_no: int, source: Source, summaries: Sequence[DailySummary], at: datetime
) -> int:
    """Keeps summaries; how many were new or newer. A day keeps what was recorded last."""
    kept = 0
    for one in summaries:
        zones = msgspec.to_builtins(one.heart_zones)
        values = msgspec.structs.astuple(one)[:-1]
        kept += await execute(db, "daily.upsert_summary", customer_no, *source, at, *values, zones)
    return kept


async def summaries_of(
    db: Db,
    customer_no: int,
    span: tuple[date, date],
    after: tuple[date, str] | None = None,
    limit: int = _ALL,
) -> list[Stored]:
    """Summaries of local days, both ends in, in order, after (day, provenance)."""
    asked = (customer_no, *span, *(after or (None, None)), limit)
    return await fetch(db, Stored, "daily.summaries_of", *asked)


async def forget_origin(db: Db, customer_no: int, origin: str) -> int:
    """Takes back what one upload brought; how many days."""
    return await execute(db, "daily.forget_origin", customer_no, origin)
