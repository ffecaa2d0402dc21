"""A customer's past from the ledger as the trainer reads it; where slots lie on their clock."""

import asyncio
import io
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fitstream.clock import DAY_SLOTS, local_time
from fitstream.combined import Slot, combine
from fitstream.merge import NAMES
from fitstream.repo import samples
from fitstream.tasks.context import JobContext
from fitstream.trainer import data
from fitstream.trainer.data import TARGETS, Series, empty_series

HISTORY_DAYS = 70
_SCALES = {"steps": 1, "calories_kcal": 100, "heart_rate_bpm": 10}


class Whose(NamedTuple):
    """The customer whose slots are read."""

    number: int
    id: str
    zone: str


async def history(context: JobContext, whose: Whose, span: tuple[int, int]) -> Series:
    """The slots of [from, to) as local days; empty without any."""
    async with context.repo.connection() as db:
        slots = combine(await samples.rows_of(db, whose.number, span))
    if not slots:
        return empty_series(whose.id, local_time(span[1], whose.zone).date())
    part = await asyncio.to_thread(_part, whose, slots)
    return data.load([part])[whose.id]


def _part(whose: Whose, slots: list[Slot]) -> bytes:
    """Rows of the ledger in the form that the trainer reads."""
    columns: dict[str, Any] = {
        "customer_id": pa.array([whose.id] * len(slots)),
        "slot": pa.array([slot.slot for slot in slots], pa.int32()),
        "local": pa.array([local_time(slot.slot, whose.zone) for slot in slots]),
    }
    for target in TARGETS:
        index, scale = NAMES.index(target), _SCALES[target]
        scaled = [slot.values[index] for slot in slots]
        measured = [None if value is None else value / scale for value in scaled]
        columns[target] = pa.array(measured, pa.float32())
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def wall_clock(start: int, slots: int, zone: str) -> list[int]:
    """Where each of `slots` lies among the quarter hours that a clock on the wall shows, counted
    from `start`: one hour is left out, or comes twice, where the clocks change."""
    first = local_time(start, zone)
    places = []
    for slot in range(start, start + slots):
        local = local_time(slot, zone)
        days = (local.date() - first.date()).days
        places.append(max(days * DAY_SLOTS + quarter_of(local) - quarter_of(first), 0))
    return places


def quarter_of(local: datetime) -> int:
    """Quarter hours since local midnight on a clock."""
    return (local.hour * 60 + local.minute) // 15
