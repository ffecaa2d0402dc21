"""The ledger's one write: a chunk of one partition in one transaction; a repeat changes nothing.

Shared by the ledger consumer and by replay. Must not commit anything to Kafka.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from fitstream import events
from fitstream.clock import Week, Zones, ZoneSpan, week_of
from fitstream.errors import Conflict
from fitstream.events import SampleBatch
from fitstream.repo.database import (
    Db,
    UniqueViolation,
    execute,
    fetch,
)
from fitstream.repo.queries import sql

COLUMNS = (
    "tie", "src", "customer_no", "slot", "device_no", "rev", "received_s",
    "distance_m", "calories_kcal", "tz_offset_min", "steps",
    "heart_rate_bpm", "heart_rate_min_bpm", "heart_rate_max_bpm",
    "light_min", "moderate_min", "vigorous_min", "sedentary_min", "sleep_min", "floors",
)  # fmt: skip
_OFFSET_BITS = 48

SampleTuple = tuple[int | None, ...]
Key = tuple[int, int, int]


class DeviceRef(msgspec.Struct, frozen=True):
    """The numbers behind a device's public id."""

    device_id: str
    device_no: int
    customer_id: str
    customer_no: int


class CustomerZone(msgspec.Struct, frozen=True):
    """One span of a customer's home zones."""

    customer_no: int
    from_week: str
    zone: str


class Upserted(msgspec.Struct, frozen=True):
    """What one week of one customer gained."""

    customer_no: int
    week: str
    inserted: int
    updated: int


class Chunk(NamedTuple):
    """Decoded records of one partition: offsets [first, next) with what they hold."""

    generation: int
    partition: int
    first: int
    next: int
    last_batch_id: str
    batches: Sequence[tuple[int, SampleBatch]]


class Written(NamedTuple):
    """What a chunk did: rows carried, new, replaced; offsets whose device is unknown."""

    samples: int
    inserted: int
    updated: int
    unknown: list[int]


class _Stage(NamedTuple):
    rows: dict[Key, SampleTuple]
    weeks: dict[tuple[int, str], Week]
    samples: int


class LedgerWriter:
    """Writes chunks, straight into `sample` while keys are new, else by stage and upsert."""

    def __init__(self, retry_direct_after: int = 16) -> None:
        self._retry_direct_after = retry_direct_after
        self._skip_direct = 0

    async def write(self, db: Db, chunk: Chunk) -> Written:
        """Applies `chunk` within the caller's transaction.

        Raises Conflict(stale_consumer) when progress is not where the chunk begins.
        """
        ids = list({batch.device_id for _, batch in chunk.batches})
        refs = {ref.device_id: ref for ref in await fetch(db, DeviceRef, "ledger.device_refs", ids)}
        known = [(offset, batch) for offset, batch in chunk.batches if _belongs(batch, refs)]
        unknown = [offset for offset, batch in chunk.batches if not _belongs(batch, refs)]
        zones = await _zones(db, {refs[batch.device_id].customer_no for _, batch in known})
        stage = _stage(chunk.generation, known, refs, zones)
        changed = await self._apply(db, stage) if stage.rows else []
        await _touch(db, known, refs)
        await _mark(db, stage, changed)
        written = Written(
            stage.samples,
            sum(week.inserted for week in changed),
            sum(week.updated for week in changed),
            unknown,
        )
        await _move(db, chunk, written)
        return written

    async def _apply(self, db: Db, stage: _Stage) -> list[Upserted]:
        if self._skip_direct == 0:
            try:
                async with db.transaction():
                    await _copy(db, "sample", stage.rows)
                return _all_inserted(stage)
            except UniqueViolation:
                self._skip_direct = self._retry_direct_after
        self._skip_direct -= 1
        await db.execute(sql("ledger.create_stage"))
        await _copy(db, "stage", stage.rows)
        await execute(db, "ledger.find_conflicts")
        return await fetch(db, Upserted, "ledger.upsert_stage", *_bounds(stage.weeks))


async def _copy(db: Db, table: str, rows: dict[Key, SampleTuple]) -> None:
    records = [rows[key] for key in sorted(rows)]  # one order everywhere: no deadlocks
    await db.copy_records_to_table(table, records=records, columns=COLUMNS)


def _belongs(batch: SampleBatch, refs: dict[str, DeviceRef]) -> bool:
    ref = refs.get(batch.device_id)
    return ref is not None and ref.customer_id == batch.customer_id


def _stage(
    generation: int,
    known: Iterable[tuple[int, SampleBatch]],
    refs: dict[str, DeviceRef],
    zones: dict[int, Zones],
) -> _Stage:
    """Rows by key, the merge rule applied among them, and the weeks they lie in."""
    rows: dict[Key, SampleTuple] = {}
    weeks: dict[tuple[int, str], Week] = {}
    samples = 0
    for offset, batch in known:
        ref = refs[batch.device_id]
        head = (generation << _OFFSET_BITS | offset, ref.customer_no)
        week: Week | None = None
        for slot, row in _tuples(batch, head, ref.device_no):
            samples += 1
            key = (ref.customer_no, slot, ref.device_no)
            old = rows.get(key)
            if old is None or (row[5], row[0]) > (old[5], old[0]):
                rows[key] = row
            if week is None or not week.start_slot <= slot < week.end_slot:
                week = week_of(slot, zones[ref.customer_no])
                weeks[(ref.customer_no, week.name)] = week
    return _Stage(rows, weeks, samples)


def _tuples(
    batch: SampleBatch, head: tuple[int, int], device_no: int
) -> Iterable[tuple[int, SampleTuple]]:
    """Rows of a batch in the order of COLUMNS."""
    received_s = batch.received_at // 1000
    src, customer_no = head
    for slot, (v, tz, rev, tie) in events.rows(batch.columns):
        yield (
            slot,
            (tie, src, customer_no, slot, device_no, rev, received_s, v[1], v[2], tz, v[0], *v[3:]),
        )


def _all_inserted(stage: _Stage) -> list[Upserted]:
    """After a direct COPY every row is new; rows per week are counted where they were staged."""
    counts = dict.fromkeys(stage.weeks, 0)
    by_customer: dict[int, list[tuple[int, int, str]]] = {}
    for (customer_no, name), week in stage.weeks.items():
        by_customer.setdefault(customer_no, []).append((week.start_slot, week.end_slot, name))
    for customer_no, slot, _ in stage.rows:
        for start, end, name in by_customer[customer_no]:
            if start <= slot < end:
                counts[(customer_no, name)] += 1
                break
    return [Upserted(no, name, count, 0) for (no, name), count in counts.items()]


def _bounds(
    weeks: dict[tuple[int, str], Week],
) -> tuple[list[int], list[str], list[int], list[int]]:
    return (
        [customer_no for customer_no, _ in weeks],
        [week.name for week in weeks.values()],
        [week.start_slot for week in weeks.values()],
        [week.end_slot for week in weeks.values()],
    )


async def _zones(db: Db, customers: set[int]) -> dict[int, Zones]:
    spans: dict[int, list[ZoneSpan]] = {}
    for row in await fetch(db, CustomerZone, "ledger.customer_zones", list(customers)):
        spans.setdefault(row.customer_no, []).append(ZoneSpan(row.from_week, row.zone))
    return {customer_no: tuple(found) for customer_no, found in spans.items()}


async def _mark(db: Db, stage: _Stage, changed: Sequence[Upserted]) -> None:
    """Raises dirty_seq of the weeks that changed and keeps the customers' counts."""
    if not changed:
        return
    touched = {(u.customer_no, u.week): stage.weeks[(u.customer_no, u.week)] for u in changed}
    await execute(db, "ledger.mark_weeks_dirty", *_bounds(touched))
    gained: dict[int, int] = {}
    for u in changed:
        gained[u.customer_no] = gained.get(u.customer_no, 0) + u.inserted
    await execute(db, "ledger.count_customers", list(gained), list(gained.values()))


async def _touch(
    db: Db, known: Sequence[tuple[int, SampleBatch]], refs: dict[str, DeviceRef]
) -> None:
    """Last contact, completeness and refused slots, from the envelopes."""
    latest: dict[int, SampleBatch] = {}
    through: dict[int, int] = {}
    rejects: list[tuple[int, int, int, str]] = []
    for _, batch in known:
        ref = refs[batch.device_id]
        latest[ref.device_no] = batch
        if batch.complete_through is not None:
            known_through = through.get(ref.device_no, 0)
            through[ref.device_no] = max(known_through, batch.complete_through)
        rejects += [
            (ref.customer_no, slot, ref.device_no, code)
            for slot, code in batch.rejects
            if slot is not None
        ]
    numbers = sorted(latest)
    await execute(
        db,
        "ledger.touch_devices",
        numbers,
        [_instant(latest[no].received_at) for no in numbers],
        [through.get(no) for no in numbers],
        [latest[no].app_version for no in numbers],
        [_skew(latest[no]) for no in numbers],
    )
    if rejects:
        columns = [list(column) for column in zip(*rejects, strict=True)]
        await execute(db, "ledger.insert_rejects", *columns)
    await _touch_customers(db, known, refs)


async def _touch_customers(
    db: Db, known: Sequence[tuple[int, SampleBatch]], refs: dict[str, DeviceRef]
) -> None:
    at: dict[int, int] = {}
    slots: dict[int, list[int]] = {}
    for _, batch in known:
        customer_no = refs[batch.device_id].customer_no
        at[customer_no] = max(at.get(customer_no, 0), batch.received_at)
        ends = slots.setdefault(customer_no, [])
        if batch.columns.slot:
            ends += [min(batch.columns.slot), max(batch.columns.slot)]
    numbers = sorted(at)
    await execute(
        db,
        "ledger.touch_customers",
        numbers,
        [_instant(at[no]) for no in numbers],
        [min(slots[no], default=None) for no in numbers],
        [max(slots[no], default=None) for no in numbers],
    )


async def _move(db: Db, chunk: Chunk, written: Written) -> None:
    newest = max((batch.received_at for _, batch in chunk.batches), default=None)
    moved = await execute(
        db,
        "ledger.move_progress",
        chunk.generation,
        chunk.partition,
        chunk.first,
        chunk.next,
        chunk.last_batch_id,
        len(chunk.batches),
        written.samples,
        written.inserted,
        written.updated,
        None if newest is None else _instant(newest),
    )
    if not moved:
        text = f"partition {chunk.partition} is not at {chunk.first} any more"
        raise Conflict("stale_consumer", text)


def _skew(batch: SampleBatch) -> float | None:
    """Seconds the device's clock is ahead of ours, as far as its post tells."""
    return None if batch.sent_at is None else (batch.sent_at - batch.received_at) / 1000


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
