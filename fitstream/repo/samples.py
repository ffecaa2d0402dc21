"""Reading the ledger: rows of one customer in a range of slots."""

import msgspec

from fitstream.combined import LedgerRow
from fitstream.repo.database import Db, fetch


class SlotReject(msgspec.Struct, frozen=True):
    """A slot that the gateway refused, and why."""

    slot: int
    code: str


async def rows_of(db: Db, customer_no: int, span: tuple[int, int]) -> list[LedgerRow]:
    """Every row of [from, to), tombstones too, by slot and best device first."""
    return await fetch(db, LedgerRow, "samples.range_of_customer", customer_no, *span)


async def page_of(
    db: Db,
    customer_no: int,
    span: tuple[int, int],
    after: tuple[int, int],
    only: tuple[int | None, int],
) -> list[LedgerRow]:
    """Live rows of [from, to) after (slot, device number); `only` is (device number, limit)."""
    args = (customer_no, *span, *after, *only)
    return await fetch(db, LedgerRow, "samples.page_of_customer", *args)


async def rejects_of(db: Db, customer_no: int, span: tuple[int, int]) -> list[SlotReject]:
    """Refused slots of [from, to)."""
    return await fetch(db, SlotReject, "samples.rejects_of_customer", customer_no, *span)
