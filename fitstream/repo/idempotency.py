"""Answers to calls that carried an `Idempotency-Key`, so that a repeat gets the first one's."""

from struct import Struct

import msgspec

from fitstream.repo.database import Db, execute, fetch_one, fetch_value

KEPT_S = 86_400
_LOCK = Struct(">ii")


class KeptAnswer(msgspec.Struct, frozen=True):
    """What was answered, sealed, and the hash of the call that it answered."""

    call_sha: bytes
    answer: bytes


async def take(db: Db, key_sha: bytes) -> bool:
    """Whether no other transaction works under this key; holds it until this one ends."""
    return bool(await fetch_value(db, "idempotency.take", *_LOCK.unpack(key_sha[: _LOCK.size])))


async def kept_answer(db: Db, key_sha: bytes) -> KeptAnswer | None:
    """The answer of the last day to a call with this key."""
    return await fetch_one(db, KeptAnswer, "idempotency.kept_answer", key_sha, KEPT_S)


async def keep_answer(db: Db, key_sha: bytes, call_sha: bytes, answer: bytes) -> None:
    """Keeps an answer in the transaction that did what it says."""
    await execute(db, "idempotency.keep_answer", key_sha, call_sha, answer)


async def forget_answers(db: Db) -> int:
    """Removes answers older than a day; how many."""
    return await execute(db, "idempotency.forget_answers", KEPT_S)
