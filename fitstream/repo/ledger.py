"""The ledger's one write: a chunk of one partition in one transaction; a repeat changes nothing.

Shared by the ledger consumer and by replays, which leave the consumer's progress alone. Must not
commit anything to Kafka.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from fitstream import events
from fitstream.clock import Week, ZoneSpan
from fitstream.errors import Conflict, Rejected
from fitstream.events import SampleBatch
from fitstream.repo import erased
from fitstream.repo.contacts import Contact, instant_of, touch_customers, touch_devices
from fitstream.repo.database import (
    ConstraintViolation,
    DataError,
    Db,
    UniqueViolation,
    execute,
    fetch,
)
from fitstream.repo.queries import sql
from fitstream.repo.staging import COLUMNS, Clash, Device, Stage, stage

# What values that no row can hold raise, where they meet merge rule, calendar and driver.
UNFIT = (ValueError, IndexError, OverflowError, struct.error)


class DeviceZone(msgspec.Struct, frozen=True):
    """The numbers behind a device's public id, with one span of its customer's home zones."""

    device_id: str
    device_no: int
    customer_id: str
    customer_no: int
    from_week: str
    zone: str
    is_upload: bool


class Undone(msgspec.Struct, frozen=True):
    """A device of an upload that was undone: its rows stay out of the ledger."""

    device_id: str


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
    """What a chunk did: rows carried, new, replaced; offsets whose device is unknown.

    `erased` counts the records of customers and devices that were erased: they are dropped.
    """

    samples: int
    inserted: int
    updated: int
    unknown: list[int]
    erased: int = 0


class LedgerWriter:
    """Writes chunks, straight into `sample` while keys are new, else by stage and upsert."""

    def __init__(self, retry_direct_after: int = 16) -> None:
        self._retry_direct_after = retry_direct_after
        self._skip_direct = 0

    async def write(self, db: Db, chunk: Chunk) -> Written:
        """Applies `chunk` within the caller's transaction.

        Raises Conflict(stale_consumer) when progress is not where the chunk begins.
        """
        written = await self.merge(db, chunk.generation, chunk.batches)
        await _move(db, chunk, written)
        return written

    async def merge(
        self, db: Db, generation: int, batches: Sequence[tuple[int, SampleBatch]]
    ) -> Written:
        """The same for batches by offset that are read again: progress stays where it is.

        Raises Rejected(unwritable) when a batch holds what no table can; any other error is a bug.
        """
        try:
            return await self._merge(db, generation, batches)
        except (*DataError, *UNFIT) as error:
            if (refusal := _refusal(error, batches)) is None:
                raise
            raise refusal from error

    async def _merge(
        self, db: Db, generation: int, batches: Sequence[tuple[int, SampleBatch]]
    ) -> Written:
        refs = await _devices(db, {batch.device_id for _, batch in batches})
        undone = await _undone(db, refs)
        living = [(offset, batch) for offset, batch in batches if batch.device_id not in undone]
        known = [(offset, batch) for offset, batch in living if _belongs(batch, refs)]
        strange = {offset: batch for offset, batch in living if not _belongs(batch, refs)}
        unknown = await _not_erased(db, strange)
        staged = stage(generation, known, refs)
        changed = await self._apply(db, staged) if staged.keys else []
        if staged.conflicts:
            await execute(db, "ledger.note_conflicts", *_columns(staged.conflicts))
        contacts = [_contact(batch, refs[batch.device_id]) for _, batch in known]
        await touch_devices(db, contacts)
        await touch_customers(db, contacts, _gained(changed))
        await _mark(db, staged, changed)
        return Written(
            staged.samples,
            sum(week.inserted for week in changed),
            sum(week.updated for week in changed),
            unknown,
            len(strange) - len(unknown),
        )

    async def _apply(self, db: Db, staged: Stage) -> list[Upserted]:
        if self._skip_direct == 0:
            try:
                async with db.transaction():
                    await _copy(db, "sample", staged.copied)
                return [Upserted(*place, count, 0) for place, count in staged.keys.items()]
            except UniqueViolation:
                self._skip_direct = self._retry_direct_after
        self._skip_direct -= 1
        await db.execute(sql("ledger.create_stage"))
        await _copy(db, "stage", staged.copied)
        await execute(db, "ledger.find_conflicts")
        return await fetch(db, Upserted, "ledger.upsert_stage", *_bounds(staged.weeks))


def _refusal(error: Exception, batches: Sequence[tuple[int, SampleBatch]]) -> Rejected | None:
    """The error as the data's fault, None where the data is sound and the program is not."""
    if isinstance(error, ConstraintViolation):
        return Rejected("unwritable", f"{type(error).__name__}: {error}")
    found = next((text for _, batch in batches if (text := events.misfit(batch))), "")
    return Rejected("unwritable", f"{found}: {type(error).__name__}") if found else None


def _columns(rows: Sequence[Clash]) -> list[list[int]]:
    return [list(column) for column in zip(*rows, strict=True)]


async def _copy(db: Db, table: str, rows: bytearray) -> None:
    """Rows in the order of keys, one order everywhere: no deadlocks."""
    await db.copy_to_table(table, source=rows, columns=COLUMNS, format="binary")


def _belongs(batch: SampleBatch, refs: dict[str, Device]) -> bool:
    ref = refs.get(batch.device_id)
    return ref is not None and ref.customer_id == batch.customer_id


def _contact(batch: SampleBatch, ref: Device) -> Contact:
    return Contact(ref.device_no, ref.customer_no, batch)


def _gained(changed: Iterable[Upserted]) -> dict[int, int]:
    """New rows by customer."""
    gained: dict[int, int] = {}
    for week in changed:
        gained[week.customer_no] = gained.get(week.customer_no, 0) + week.inserted
    return gained


def _bounds(
    weeks: dict[tuple[int, str], Week],
) -> tuple[list[int], list[str], list[int], list[int]]:
    return (
        [customer_no for customer_no, _ in weeks],
        [week.name for week in weeks.values()],
        [week.start_slot for week in weeks.values()],
        [week.end_slot for week in weeks.values()],
    )


async def _devices(db: Db, ids: set[str]) -> dict[str, Device]:
    """Devices by public id, their customers' zones in order, which cannot change meanwhile."""
    await execute(db, "ledger.hold_zones", list(ids))
    found: dict[str, Device] = {}
    for row in await fetch(db, DeviceZone, "ledger.device_zones", list(ids)):
        before = found[row.device_id].zones if row.device_id in found else ()
        zones = (*before, ZoneSpan(row.from_week, row.zone))
        found[row.device_id] = Device(
            row.device_no, row.customer_id, row.customer_no, zones, row.is_upload
        )
    return found


async def _undone(db: Db, refs: dict[str, Device]) -> set[str]:
    """Devices whose upload was undone; none of them can be while this chunk is written.

    Asked for only where a chunk has rows of an upload, so that other chunks pay nothing.
    """
    uploads = [device_id for device_id, ref in refs.items() if ref.is_upload]
    if not uploads:
        return set()
    await execute(db, "ledger.hold_uploads", uploads)
    return {row.device_id for row in await fetch(db, Undone, "ledger.undone_devices", uploads)}


async def _not_erased(db: Db, strange: Mapping[int, SampleBatch]) -> list[int]:
    """Offsets of those that were not erased; asked only where a device is not known (any more)."""
    ids = {public_id for batch in strange.values() for public_id in _ids(batch)}
    gone = await erased.among(db, ids)
    return [offset for offset, batch in strange.items() if gone.isdisjoint(_ids(batch))]


def _ids(batch: SampleBatch) -> tuple[str, str]:
    return batch.customer_id, batch.device_id


async def _mark(db: Db, staged: Stage, changed: Sequence[Upserted]) -> None:
    """Raises dirty_seq of the weeks that changed."""
    if not changed:
        return
    touched = {(u.customer_no, u.week): staged.weeks[(u.customer_no, u.week)] for u in changed}
    await execute(db, "ledger.mark_weeks_dirty", *_bounds(touched))


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
        None if newest is None else instant_of(newest),
    )
    if not moved:
        text = f"partition {chunk.partition} is not at {chunk.first} any more"
        raise Conflict("stale_consumer", text)
