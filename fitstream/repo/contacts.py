"""What the envelopes of a chunk say: last contact, completeness, refused slots, counts.

Must not touch the samples themselves; the ledger calls this in the transaction that writes them.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from fitstream.events import SampleBatch
from fitstream.repo.database import Db, execute


class Contact(NamedTuple):
    """One post of a device that is known."""

    device_no: int
    customer_no: int
    batch: SampleBatch


async def touch_devices(db: Db, contacts: Sequence[Contact]) -> None:
    """Last contact, completeness and refused slots, from the envelopes."""
    latest: dict[int, SampleBatch] = {}
    through: dict[int, int] = {}
    rejects: list[tuple[int, int, int, str]] = []
    for device_no, customer_no, batch in contacts:
        latest[device_no] = batch
        if batch.complete_through is not None:
            through[device_no] = max(through.get(device_no, 0), batch.complete_through)
        rejects += [
            (customer_no, slot, device_no, code) for slot, code in batch.rejects if slot is not None
        ]
    numbers = sorted(latest)
    await execute(
        db,
        "contacts.touch_devices",
        numbers,
        [instant_of(latest[no].received_at) for no in numbers],
        [through.get(no) for no in numbers],
        [latest[no].app_version for no in numbers],
        [_skew(latest[no]) for no in numbers],
    )
    if rejects:
        columns = [list(column) for column in zip(*rejects, strict=True)]
        await execute(db, "contacts.insert_rejects", *columns)


async def touch_customers(db: Db, contacts: Sequence[Contact], gained: Mapping[int, int]) -> None:
    """Last contact, reach and count of the customers; `gained` are their new rows."""
    at: dict[int, int] = {}
    slots: dict[int, list[int]] = {}
    for _, customer_no, batch in contacts:
        at[customer_no] = max(at.get(customer_no, 0), batch.received_at)
        ends = slots.setdefault(customer_no, [])
        if batch.columns.slot:
            ends += [min(batch.columns.slot), max(batch.columns.slot)]
    numbers = sorted(at)
    await execute(
        db,
        "contacts.touch_customers",
        numbers,
        [instant_of(at[no]) for no in numbers],
        [min(slots[no], default=None) for no in numbers],
        [max(slots[no], default=None) for no in numbers],
        [gained.get(no, 0) for no in numbers],
    )


def instant_of(ms: int) -> datetime:
    """The instant of milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def _skew(batch: SampleBatch) -> float | None:
    """Seconds the device's clock is ahead of ours, as far as its post tells."""
    return None if batch.sent_at is None else (batch.sent_at - batch.received_at) / 1000
