"""Devices on their way to a customer: which code stands for what. Knows hashes of codes only."""

from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from fitstream.repo.database import Db, UniqueViolation, execute, fetch_one, fetch_value

Decision = Literal["approved", "denied"]


class Pairing(msgspec.Struct, frozen=True):
    """A device that waits (`pending`), a customer's offer, or what a person decided."""

    code_sha: bytes
    kind: str
    name: str
    app_version: str | None
    customer_no: int | None
    state: str
    interval_s: int
    polled_at: datetime | None
    created_at: datetime
    expires_at: datetime


class Codes(NamedTuple):
    """Hashes of the code a person types and of the one a device polls with."""

    code_sha: bytes
    device_sha: bytes | None = None


async def begin(db: Db, codes: Codes, new: Pairing) -> bool:
    """Stores a pairing; False when its code is taken and another is needed."""
    about = (new.kind, new.name, new.app_version, new.customer_no, new.state, new.interval_s)
    try:
        async with db.transaction():
            await execute(
                db, "pairing.insert_pairing", *codes, *about, new.created_at, new.expires_at
            )
    except UniqueViolation:
        return False
    return True


async def count_open(db: Db, now: datetime) -> int:
    """How many are under way, after those that expired are forgotten."""
    await execute(db, "pairing.forget_expired", now)
    count: int = await fetch_value(db, "pairing.count_open")
    return count


async def find_pending(db: Db, code_sha: bytes, now: datetime) -> Pairing | None:
    """The device that shows this code; locked until the transaction ends."""
    return await fetch_one(db, Pairing, "pairing.find_pending", code_sha, now)


async def settle(db: Db, pairing: Pairing, decision: Decision, customer_no: int, name: str) -> None:
    """Notes what the person decided, for whom, and what they call the device."""
    await execute(db, "pairing.settle", pairing.code_sha, decision, customer_no, name)


async def find_polled(db: Db, device_sha: bytes) -> Pairing | None:
    """The pairing of a device that asks; locked until the transaction ends."""
    return await fetch_one(db, Pairing, "pairing.find_polled", device_sha)


async def note_poll(db: Db, pairing: Pairing, now: datetime, interval_s: int) -> None:
    """Notes that the device asked."""
    await execute(db, "pairing.note_poll", pairing.code_sha, now, interval_s)


async def take_offer(db: Db, code_sha: bytes, now: datetime) -> Pairing | None:
    """The customer's offer behind a code, used up."""
    return await fetch_one(db, Pairing, "pairing.take_offer", code_sha, now)


async def forget(db: Db, pairing: Pairing) -> None:
    """Ends a pairing."""
    await execute(db, "pairing.forget", pairing.code_sha)


async def is_active(db: Db, customer_no: int) -> bool:
    """Whether a customer may get another device."""
    return bool(await fetch_value(db, "pairing.is_active", customer_no))
