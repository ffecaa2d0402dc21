"""Dead letters as rows: what is parked, why, and what became of it. Nothing is ever deleted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from fitstream.errors import Conflict, NotFound
from fitstream.repo.database import Db, execute, fetch, fetch_one, fetch_value
from fitstream.repo.paging import Listed, Slice, fetch_page

REASONS = ("undecodable", "unknown_device", "unwritable", "no_key")
Settled = Literal["replayed", "discarded"]


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that could not be applied, without its bytes."""

    id: int
    topic: str
    generation: int
    partition: int
    record_offset: int
    reason: str
    detail: str
    key: bytes | None
    size: int
    state: str
    at: datetime
    settled_at: datetime | None
    settled_by: str | None


class ReasonCount(msgspec.Struct, frozen=True):
    """How many records were parked for a reason."""

    reason: str
    count: int


class Only(NamedTuple):
    """Which of them a list shows; None means any."""

    state: str | None = None
    reason: str | None = None
    within: Sequence[int] | None = None
    """Numbers of the programmes whose customers' records they are."""


async def list_dead_letters(db: Db, only: Only, asked: Slice) -> Listed[DeadLetter]:
    """A page of them."""
    return await fetch_page(db, DeadLetter, "dead_letters.list_dead_letters", asked, *only, None)


async def reason_counts(db: Db, only: Only) -> list[ReasonCount]:
    """How many of each reason, most first."""
    values = (only.state, only.within)
    return await fetch(db, ReasonCount, "dead_letters.reason_counts", *values)


async def get_dead_letter(db: Db, letter_id: int) -> DeadLetter:
    """One; raises NotFound."""
    only = (None, None, None, letter_id)
    found = await fetch_one(db, DeadLetter, "dead_letters.list_dead_letters", *only)
    if found is None:
        raise NotFound(f"dead letter {letter_id}")
    return found


async def value_of(db: Db, letter_id: int) -> bytes:
    """The original bytes; raises NotFound."""
    found = await fetch_value(db, "dead_letters.value_of", letter_id)
    if found is None:
        raise NotFound(f"dead letter {letter_id}")
    return bytes(found)


async def lock_parked(db: Db, letter_id: int) -> None:
    """Holds one until the transaction ends. Raises NotFound, Conflict(not_parked)."""
    state = await fetch_value(db, "dead_letters.lock_state", letter_id)
    if state is None:
        raise NotFound(f"dead letter {letter_id}")
    if state != "parked":
        raise Conflict("not_parked", f"dead letter {letter_id} is {state} already")


async def settle(db: Db, letter_id: int, state: Settled, by: str) -> None:
    """Marks one that the caller has locked; `by` is an account's id, or a key's."""
    await execute(db, "dead_letters.settle", letter_id, state, by)


async def keep_parked(db: Db, letter_id: int, reason: str, detail: str) -> None:
    """It stays, with what was wrong this time."""
    await execute(db, "dead_letters.keep_parked", letter_id, reason, detail)
