"""The way of a sample: record, ledger row, week and its versions, datasets, models, forecasts.

Reads only. Where a hop has nothing, it says why; a service that is away is such a reason too.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from fitstream import events
from fitstream.client.trace import Hop, Trace, TracedRecord, TracedRow, TracedWeek
from fitstream.clock import epoch_s, slot_start
from fitstream.combined import LedgerRow
from fitstream.errors import Rejected, Unavailable
from fitstream.events import SampleBatch
from fitstream.operations.applied import Applied, Place, Verdict, applied
from fitstream.operations.records import Records, open_records
from fitstream.operations.trace_weeks import Traced, traced_weeks
from fitstream.repo import customers, devices, samples, trace
from fitstream.repo.database import Db, Repo
from fitstream.settings import Settings
from fitstream.store import Store

_ROWS_SHOWN = 100
_OFFSET_BITS = 48
_ID_BYTES = 12
_SEARCH_S = 7


class Sources(NamedTuple):
    """What a trace reads from."""

    settings: Settings
    repo: Repo
    store: Store


async def trace_batch(sources: Sources, batch_id: str) -> Trace:
    """The way of one post. Raises Rejected(bad_batch) for what is no batch id."""
    sent_ms = _sent_ms(batch_id)
    try:
        async with _records(sources) as records:
            found = await _search(records, batch_id, sent_ms)
    except Unavailable as error:
        return _nowhere(str(error))
    if found is None:
        return _nowhere(_why_not_there(sources.settings, sent_ms))
    place, value = found
    batch = events.decode(value)
    record = _traced_record(sources.settings.topic, place, batch, "kafka")
    async with sources.repo.connection() as db:
        result = await applied(db, sources.settings.topic, place, batch)
        owner = result.owner
        rows = await _shown(db, owner.customer_no if owner else 0, batch, result)
    counts = dict(Counter(str(verdict.state) for verdict in result.verdicts))
    ledger = Hop(rows, None if rows else "the post has no samples, only complete_through")
    traced = [(verdict.slot, batch.device_id, verdict.row) for verdict in result.verdicts]
    weeks = await _weeks(sources, Traced(owner.customer_no if owner else 0, traced))
    return Trace(records=Hop([record]), rows=counts, ledger=ledger, weeks=weeks)


async def trace_slot(sources: Sources, customer_id: str, slot: int, device_id: str | None) -> Trace:
    """The way of one slot, of all devices or one. Raises NotFound(customer, device)."""
    async with sources.repo.connection() as db:
        customer_no = (await customers.get_customer(db, customer_id)).customer_no
        device_no = None
        if device_id is not None:
            device_no = (await devices.get_device(db, customer_no, device_id)).device_no
        held = await trace.rows_at(db, customer_no, [slot], device_no)
        rows = await _of_ledger(db, customer_no, held)
        refused = await samples.rejects_of(db, customer_no, (slot, slot + 1))
    if not held:
        why = f"refused: {refused[0].code}" if refused else "never sent, or not read yet"
        return _nowhere(f"the ledger has no row of this slot: {why}")
    traced = [(row.slot, row.device_id, row.row) for row in held]
    return Trace(
        records=await _records_of(sources, customer_id, held),
        rows={"current": len(rows)},
        ledger=Hop(rows),
        weeks=await _weeks(sources, Traced(customer_no, traced)),
    )


@asynccontextmanager
async def _records(sources: Sources) -> AsyncIterator[Records]:
    """The records, for a few seconds: the hops behind must not wait for a slow search."""
    try:
        async with asyncio.timeout(_SEARCH_S), open_records(*sources) as records:
            yield records
    except TimeoutError as error:
        text = f"the search took longer than {_SEARCH_S} s"
        raise Unavailable("the record", text) from error


async def _search(records: Records, batch_id: str, sent_ms: int) -> tuple[Place, bytes] | None:
    """A post by its id, which begins with the time at which the gateway made it."""
    wanted = batch_id.encode()
    async for record in records.reader.around(sent_ms):
        if record.headers.get("batch_id") == wanted:
            return Place(records.generation, record.partition, record.offset), record.value
    return None


def _sent_ms(batch_id: str) -> int:
    try:
        raw = bytes.fromhex(batch_id)
    except ValueError:
        raw = b""
    if len(raw) != _ID_BYTES:
        raise Rejected("bad_batch", "`batch` is the batch_id of a receipt: 24 hexadecimal digits")
    return int.from_bytes(raw[:6], "big")


def _why_not_there(settings: Settings, sent_ms: int) -> str:
    kept = timedelta(days=settings.topic_retention_days)
    if sent_ms < (datetime.now(UTC) - kept).timestamp() * 1000:
        return (
            f"Kafka keeps posts for {kept.days} days, and the archive has no index by batch:"
            " ask for a slot of it"
        )
    return "no post of that id is in the topic"


async def _records_of(
    sources: Sources, customer_id: str, held: Sequence[LedgerRow]
) -> Hop[TracedRecord]:
    """The records that the ledger's rows came from."""
    found: list[TracedRecord] = []
    try:
        async with _records(sources) as records:
            for src in sorted({row.src for row in held}):
                traced = await _record_of(records, customer_id, src)
                found += [traced] if traced else []
    except Unavailable as error:
        return Hop(found, str(error))
    return Hop(found, None if found else "neither Kafka nor the archive has the record (yet)")


async def _record_of(records: Records, customer_id: str, src: int) -> TracedRecord | None:
    generation, offset = src >> _OFFSET_BITS, src & ((1 << _OFFSET_BITS) - 1)
    placed = await records.find_of(customer_id, generation, offset)
    if placed is None or placed.found.value is None:
        return None
    batch = events.decode(placed.found.value)
    place = Place(generation, placed.partition, offset)
    return _traced_record(records.topic, place, batch, placed.found.where)


def _traced_record(topic: str, place: Place, batch: SampleBatch, where: str) -> TracedRecord:
    return TracedRecord(
        batch_id=batch.batch_id,
        topic=topic,
        generation=place.generation,
        partition=place.partition,
        offset=place.offset,
        found_in=where,
        customer_id=batch.customer_id,
        device_id=batch.device_id,
        received_at=datetime.fromtimestamp(batch.received_at / 1000, UTC),
        samples=len(batch.columns.slot),
        content_sha=sha256(events.encode_columns(batch.columns)).hexdigest(),
    )


async def _shown(db: Db, customer_no: int, batch: SampleBatch, result: Applied) -> list[TracedRow]:
    """The first rows of a post, with what the ledger holds under their keys."""
    first = result.verdicts[:_ROWS_SHOWN]
    conflicts = await _conflicts(db, customer_no, [verdict.slot for verdict in first])
    return [_traced_row(batch.device_id, verdict, conflicts) for verdict in first]


async def _of_ledger(db: Db, customer_no: int, held: Sequence[LedgerRow]) -> list[TracedRow]:
    conflicts = await _conflicts(db, customer_no, [row.slot for row in held])
    return [
        _traced_row(row.device_id, Verdict(row.slot, row.row, "current", row), conflicts)
        for row in held
    ]


async def _conflicts(
    db: Db, customer_no: int, slots: Sequence[int]
) -> dict[tuple[int, int, int], datetime]:
    found = await trace.conflicts_at(db, customer_no, slots)
    return {(each.slot, each.device_no, each.rev): each.at for each in found}


def _traced_row(
    device_id: str, verdict: Verdict, conflicts: dict[tuple[int, int, int], datetime]
) -> TracedRow:
    row = verdict.held
    if row is None:
        return TracedRow(slot=slot_start(verdict.slot), device_id=device_id, state=verdict.state)
    return TracedRow(
        slot=slot_start(row.slot),
        device_id=device_id,
        state=verdict.state,
        deleted=row.row.deleted,
        rev=row.rev,
        tie=str(row.tie),
        received_at=epoch_s(row.received_s),
        generation=row.src >> _OFFSET_BITS,
        offset=row.src & ((1 << _OFFSET_BITS) - 1),
        conflict_at=conflicts.get((row.slot, row.device_no, row.rev)),
    )


async def _weeks(sources: Sources, traced: Traced) -> Hop[TracedWeek]:
    found = await traced_weeks(sources.repo, sources.store, traced)
    return Hop(found, None if found else "the ledger knows no week of these rows (yet)")


def _nowhere(why: str) -> Trace:
    return Trace(records=Hop(unknown=why), rows={}, ledger=Hop(unknown=why), weeks=Hop(unknown=why))
