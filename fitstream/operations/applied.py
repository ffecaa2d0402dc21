"""What the ledger made of one record: a verdict on each of its rows, by the merge rule."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from fitstream import events
from fitstream.combined import LedgerRow
from fitstream.events import SampleBatch
from fitstream.merge import Row, wins
from fitstream.repo import erased, progress, trace
from fitstream.repo.database import Db
from fitstream.repo.trace import Owner, ParkedAt

State = Literal["current", "superseded", "waiting", "parked", "erased", "missing"]


class Place(NamedTuple):
    """Where a record stands."""

    generation: int
    partition: int
    offset: int


class Verdict(NamedTuple):
    """A row of the record, what became of it, and what the ledger holds under its key."""

    slot: int
    row: Row
    state: State
    held: LedgerRow | None


class Applied(NamedTuple):
    """A record as the ledger knows it; `is_read` once the ledger is past it."""

    owner: Owner | None
    parked: ParkedAt | None
    is_read: bool
    verdicts: list[Verdict]


async def applied(db: Db, topic: str, place: Place, batch: SampleBatch) -> Applied:
    """Compares the rows of a record with the ledger; reads only."""
    # The position first: what the ledger had read by then must be among the rows.
    at = await progress.progress_of(db, place.generation, place.partition)
    is_read = at is not None and at.next_offset > place.offset
    is_past = place.generation < await progress.current_generation(db, topic)
    parked = await trace.parked_at(db, topic, place.generation, place[1:])
    owner = await trace.owner_of(db, batch.device_id)
    held: dict[int, LedgerRow] = {}
    if owner is not None and owner.customer_id == batch.customer_id:
        slots = batch.columns.slot
        rows = await trace.rows_at(db, owner.customer_no, slots, owner.device_no)
        held = {row.slot: row for row in rows}
    # Nobody reads a generation that another was adopted for.
    is_parked = parked is not None and parked.state != "replayed"  # that one has to be there
    lacking: State = "parked" if is_parked else "missing" if is_read or is_past else "waiting"
    if lacking == "missing" and await was_erased(db, batch.customer_id, batch.device_id):
        lacking = "erased"
    return Applied(owner, parked, is_read, judged(events.rows(batch.columns), held, lacking))


async def was_erased(db: Db, *ids: str) -> bool:
    """Whether what is kept of a customer or device was taken out on request: they were erased, or
    the upload that the device stands for was undone."""
    return bool(await erased.among(db, ids)) or await trace.was_undone(db, ids)


def judged(
    rows: Iterable[tuple[int, Row]], held: Mapping[int, LedgerRow], lacking: State
) -> list[Verdict]:
    """Each row against what is held; `lacking` is what a row is called that should be there."""
    verdicts = []
    for slot, row in rows:
        there = held.get(slot)
        if there is None or wins(row, there):
            state = lacking
        else:
            state = "superseded" if wins(there, row) else "current"
        verdicts.append(Verdict(slot, row, state, there))
    return verdicts
