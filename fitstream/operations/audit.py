"""Sealing of the audit log into a hash chain, and the proof that it still is what was sealed.

A link is SHA-256 over the link before it and the entries since, and an HMAC of that under a key
made from the secret key: whoever can write the database, but has no secret key, cannot make a
chain that holds. The newest link also stands in the log of the process that made it: a log that
was cut off at its end shows when compared with that.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

from fitstream.errors import Rejected
from fitstream.logs import get
from fitstream.operations.audit_anchor import Dropped, dropped_until
from fitstream.operations.audit_keys import fault, key_id, mac_of
from fitstream.repo import audit
from fitstream.repo.audit import Entry, Seal
from fitstream.repo.database import Db, Repo

log = get(__name__)
_PAGE = 1000
_LINK_ENTRIES = 10_000
_START = bytes(32)


class Head(NamedTuple):
    """A link that somebody has noted elsewhere."""

    seal_no: int
    hash: bytes


class Verified(msgspec.Struct, frozen=True):
    """What a look at the chain found: nothing in `problems` means that it holds."""

    seals: int
    entries: int
    dropped: int
    unsealed: int
    head: str
    problems: list[str]


async def seal(repo: Repo, masters: Sequence[bytes]) -> int:
    """Adds a link over the entries since the last one; how many. A repeat adds nothing.

    Raises Unavailable while a transaction holds the log for longer than a second.
    """
    async with repo.transaction() as db:
        if await audit.oldest_unsealed(db) is None:
            return 0
        await audit.lock_log(db)
        before = await audit.last_seal(db)
        entries = await audit.entries_after(db, _last_no(before), None, _LINK_ENTRIES)
        if not entries:
            return 0
        link = _link(before, entries, masters[0])
        await audit.insert_seal(db, link)
    log.info("audit_sealed", seal=link.seal_no, entries=link.entries, hash=link.hash.hex())
    return len(entries)


async def verify(repo: Repo, masters: Sequence[bytes], noted: Head | None = None) -> Verified:
    """Reads the whole chain in one snapshot and computes it again."""
    problems: list[str] = []
    before: Seal | None = None
    entries, dropped, is_noted = 0, 0, noted is None
    async with repo.transaction("repeatable_read", readonly=True) as db:
        gone = await dropped_until(db, masters)
        problems += gone.problems
        while seals := await audit.seals_after(db, before.seal_no if before else 0, _PAGE):
            for link in seals:
                found = await _covered(db, before, link, gone)
                problems += _differences(before, link, found, masters)
                is_noted = is_noted or (noted == Head(link.seal_no, link.hash))
                entries += 0 if found is None else len(found)
                dropped += link.entries if found is None else 0
                before = link
        unsealed = await _count_after(db, _last_no(before))
    if noted is not None and not is_noted:
        problems.append(f"the noted link {noted.seal_no}:{noted.hash.hex()} is not in the chain")
    head = f"{before.seal_no}:{before.hash.hex()}" if before else ""
    seals_read = before.seal_no if before else 0
    return Verified(seals_read, entries, dropped, unsealed, head, problems)


async def _covered(
    db: Db, before: Seal | None, link: Seal, gone: Dropped
) -> Sequence[Entry] | None:
    """The entries of a link, None where they were dropped on purpose."""
    if link.seal_no <= gone.seal_no:
        return None
    return await audit.entries_after(db, _last_no(before), link.last_no, _LINK_ENTRIES + 1)


def parse_head(text: str) -> Head:
    """`NUMBER:HASH` as `verify` prints it. Raises Rejected(bad_head)."""
    number, _, digest = text.partition(":")
    try:
        return Head(int(number), bytes.fromhex(digest))
    except ValueError as error:
        raise Rejected("bad_head", "write a link as NUMBER:HASH") from error


def _differences(
    before: Seal | None, link: Seal, entries: Sequence[Entry] | None, masters: Sequence[bytes]
) -> list[str]:
    """What does not fit between a link and what it covers; of dropped entries (None) the link is
    left, which only our secret key can have made."""
    where = f"link {link.seal_no}"
    expected_no = (before.seal_no if before else 0) + 1
    if link.seal_no != expected_no:
        return [f"{where}: link {expected_no} is missing before it"]
    if entries is None:
        return _faults(where, link, masters)
    if len(entries) != link.entries:
        return [f"{where}: it covers {link.entries} entries, {len(entries)} are there"]
    if _hash(before, link.last_no, entries) != link.hash:
        return [f"{where}: its entries, or the link before it, were changed"]
    return _faults(where, link, masters)


def _faults(where: str, link: Seal, masters: Sequence[bytes]) -> list[str]:
    found = fault(masters, link.key_id, link.hash, link.mac)
    return [f"{where}: {found}"] if found else []


def _link(before: Seal | None, entries: Sequence[Entry], master: bytes) -> Seal:
    last_no = entries[-1].audit_no
    digest = _hash(before, last_no, entries)
    seal_no = (before.seal_no if before else 0) + 1
    return Seal(seal_no, last_no, len(entries), digest, mac_of(master, digest), key_id(master))


def _hash(before: Seal | None, last_no: int, entries: Sequence[Entry]) -> bytes:
    """Each entry as one line of JSON, in order, behind the link before."""
    digest = sha256(before.hash if before else _START)
    digest.update(b"%d\n" % last_no)
    for entry in entries:
        digest.update(msgspec.json.encode(entry) + b"\n")
    return digest.digest()


def _last_no(link: Seal | None) -> int:
    return link.last_no if link else 0


async def _count_after(db: Db, last_no: int) -> int:
    """How many entries no link covers yet."""
    count = 0
    while entries := await audit.entries_after(db, last_no, None, _PAGE):
        count += len(entries)
        last_no = entries[-1].audit_no
    return count
