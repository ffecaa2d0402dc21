"""Rows of one customer as readers see them: one per slot over all devices, then hours and days.

Pure; `merge.combine_devices` decides where devices overlap.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import astuple

from fitstream.clock import day_bounds, local_day, local_time
from fitstream.merge import (
    HEART,
    LEAST_TOMBSTONE,
    METRICS,
    NAMES,
    NOTHING,
    Row,
    Values,
    combine_devices,
    unscaled,
)


class LedgerRow(msgspec.Struct, frozen=True, gc=False):
    """A row of the ledger with its device; metrics are scaled integers."""

    slot: int
    device_no: int
    device_id: str
    priority: int
    tz_offset_min: int
    rev: int
    tie: int
    received_s: int
    src: int
    steps: int | None
    distance_m: int | None
    calories_kcal: int | None
    heart_rate_bpm: int | None
    heart_rate_min_bpm: int | None
    heart_rate_max_bpm: int | None
    light_min: int | None
    moderate_min: int | None
    vigorous_min: int | None
    sedentary_min: int | None
    sleep_min: int | None
    floors: int | None

    @property
    def row(self) -> Row:
        """The version as the merge rule sees it."""
        values: Values = astuple(self)[_METRICS_AT:]
        return Row(values, self.tz_offset_min, self.rev, self.tie)


_METRICS_AT = 9


class LedgerColumns(NamedTuple):
    """The same rows turned by a quarter: what is done to all of them costs a fraction so."""

    slot: Sequence[int]
    device_id: Sequence[str]
    priority: Sequence[int]
    tz_offset_min: Sequence[int]
    rev: Sequence[int]
    tie: Sequence[int]
    metrics: Sequence[Sequence[int | None]]


def columns_of(rows: Iterable[LedgerRow]) -> LedgerColumns:
    """Columns of rows; each of them empty where there are none."""
    turned: list[Any] = list(zip(*map(astuple, rows), strict=True))
    if not turned:
        return LedgerColumns((), (), (), (), (), (), ((),) * len(METRICS))
    slot, _, device_id, priority, tz_offset_min, rev, tie = turned[:7]
    metrics = turned[_METRICS_AT:]
    return LedgerColumns(slot, device_id, priority, tz_offset_min, rev, tie, metrics)


class Slot(msgspec.Struct, frozen=True, gc=False):
    """One slot of one wearer: values, and the device most of them come from."""

    slot: int
    values: Values
    device_id: str
    tz_offset_min: int
    rev: int

    @property
    def is_measured(self) -> bool:
        """Whether any metric was measured; a row without says *not worn*."""
        return self.values != NOTHING


def measured(slots: Sequence[Slot]) -> int:
    """How many of the slots have any metric measured."""
    return len(slots) - [slot.values for slot in slots].count(NOTHING)


def combine(rows: Sequence[LedgerRow]) -> list[Slot]:
    """One entry per slot that has a live row; `rows` sorted by slot, best device first."""
    all_ = columns_of(rows)
    if len(set(all_.slot)) < len(rows) or max(all_.tie, default=0) >= LEAST_TOMBSTONE:
        return _combine_each(rows)
    values = zip(*all_.metrics, strict=True)  # one device, nothing deleted: nearly always
    return list(map(Slot, all_.slot, values, all_.device_id, all_.tz_offset_min, all_.rev))


def _combine_each(rows: Iterable[LedgerRow]) -> list[Slot]:
    slots = []
    for slot, group in groupby(rows, key=attrgetter("slot")):
        live = [(found, row) for found in group if not (row := found.row).deleted]
        if not live:
            continue
        best, best_row = next(
            (pair for pair in live if any(v is not None for v in pair[1].values)), live[0]
        )
        values = combine_devices([row.values for _, row in live])
        slots.append(Slot(slot, values, best.device_id, best.tz_offset_min, best_row.rev))
    return slots


def totals(slots: Sequence[Slot]) -> dict[str, float | int]:
    """Sums of a stretch of slots, heart rates as mean, least and greatest; absent stay absent."""
    summed: list[int | None] = []
    for index in range(len(METRICS)):
        present = [v for slot in slots if (v := slot.values[index]) is not None]
        summed.append(_aggregate(index, present))
    return unscaled(tuple(summed))


def _aggregate(index: int, present: list[int]) -> int | None:
    if not present:
        return None
    mean, low, high = HEART
    if index == mean:
        return round(sum(present) / len(present))
    if index == low:
        return min(present)
    return max(present) if index == high else sum(present)


def days(slots: Sequence[Slot], zone: str, span: tuple[date, date]) -> list[dict[str, object]]:
    """One entry per local day of the span (both ends in): totals, slots measured, worn or not."""
    numbers = [slot.slot for slot in slots]  # in order, as `combine` gives them
    entries = []
    for ordinal in range(span[0].toordinal(), span[1].toordinal() + 1):
        day = date.fromordinal(ordinal)
        start, end = day_bounds(day, zone)
        found = slots[bisect_left(numbers, start) : bisect_left(numbers, end)]
        measured = sum(slot.is_measured for slot in found)
        entry: dict[str, object] = {"day": day.isoformat(), **totals(found)}
        entries.append(entry | {"measured": measured, "slots": end - start, "worn": measured > 0})
    return entries


def hours(slots: Sequence[Slot], zone: str) -> list[dict[str, object]]:
    """One entry per local hour that has slots; for one day."""
    entries: list[dict[str, object]] = []
    for hour, group in groupby(slots, key=lambda slot: local_time(slot.slot, zone).hour):
        found = list(group)
        measured = sum(slot.is_measured for slot in found)
        entries.append({"hour": hour, **totals(found), "measured": measured, "slots": len(found)})
    return entries


def usual_hours(slots: Sequence[Slot], zone: str) -> list[dict[str, object]]:
    """Mean of each local hour over the days that were worn, for comparison."""
    by_hour: dict[int, list[Slot]] = {}
    worn = {local_day(slot.slot, zone) for slot in slots if slot.is_measured}
    for slot in slots:
        by_hour.setdefault(local_time(slot.slot, zone).hour, []).append(slot)
    entries = []
    for hour, found in sorted(by_hour.items()):
        summed = totals(found)
        entry: dict[str, object] = {"hour": hour}
        for name in NAMES:
            if name in summed:
                is_rate = name.startswith("heart")
                entry[name] = round(summed[name] / (1 if is_rate else max(len(worn), 1)), 2)
        entries.append(entry)
    return entries
