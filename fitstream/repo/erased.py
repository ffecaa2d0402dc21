"""Who was erased on request: hashes of public ids, so that what comes again of them is dropped."""

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from fitstream.repo.database import Db, execute, fetch


class Erased(msgspec.Struct, frozen=True):
    """The hash of an erased id."""

    id_sha256: bytes


async def remember(db: Db, ids: Iterable[str]) -> None:
    """Erases public ids of customers and devices for good, in the caller's transaction."""
    await execute(db, "erased.remember", [_hash(public_id) for public_id in set(ids)])


async def among(db: Db, ids: Iterable[str]) -> set[str]:
    """Those of `ids` that were erased."""
    by_hash = {_hash(public_id): public_id for public_id in ids}
    if not by_hash:
        return set()
    found = await fetch(db, Erased, "erased.among", list(by_hash))
    return {by_hash[row.id_sha256] for row in found}


def _hash(public_id: str) -> bytes:
    return sha256(public_id.encode(errors="replace")).digest()
