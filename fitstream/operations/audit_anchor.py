"""Entries of the audit log older than it is kept for go, and the chain still verifies.

First an anchor is written: an HMAC under the secret key over the newest link whose entries are old
enough. Then the entries up to it are deleted; the links stay, each with an HMAC of its own. So what
was dropped on purpose can be told from what somebody took out.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from fitstream.logs import get
from fitstream.operations.audit_keys import fault, key_id, mac_of
from fitstream.repo import audit
from fitstream.repo.audit import Anchor, Seal, Subject
from fitstream.repo.database import Db, Repo

log = get(__name__)
_AT_ONCE = 10_000


class Dropped(NamedTuple):
    """Up to which link entries were dropped on purpose, and what is wrong with saying so."""

    seal_no: int
    problems: list[str]


async def drop_old(repo: Repo, masters: Sequence[bytes], keep_days: int, now: datetime) -> int:
    """Drops entries that were sealed more than `keep_days` ago; how many. 0 keeps them for ever.

    A repeat goes on with what is left, also after a death in between.
    """
    if keep_days:
        await _anchor(repo, masters[0], now - timedelta(days=keep_days))
    async with repo.connection() as db:
        anchor = await audit.newest_anchor(db)
    if anchor is None:
        return 0
    dropped = 0
    while True:
        async with repo.transaction() as db:
            done = await audit.drop_entries(db, anchor.last_no, _AT_ONCE)
        dropped += done
        if done < _AT_ONCE:
            break
    if dropped:
        log.info("audit_dropped", entries=dropped)
    return dropped


async def dropped_until(db: Db, masters: Sequence[bytes]) -> Dropped:
    """What the newest anchor says, if our secret key made it."""
    anchor = await audit.newest_anchor(db)
    if anchor is None:
        return Dropped(0, [])
    where = f"anchor {anchor.seal_no}"
    found = fault(masters, anchor.key_id, _digest(anchor.seal_no, anchor.last_no), anchor.mac)
    if found is not None:
        return Dropped(0, [f"{where}: {found}"])
    return Dropped(anchor.seal_no, [])


async def _anchor(repo: Repo, master: bytes, before: datetime) -> None:
    """Writes an anchor at the newest link from before then, unless there is one."""
    async with repo.transaction() as db:
        link = await audit.seal_before(db, before)
        there = await audit.newest_anchor(db)
        if link is None or (there is not None and there.seal_no >= link.seal_no):
            return
        await audit.insert_anchor(db, _made(link, master))
        subject = Subject("seal", str(link.seal_no))
        await audit.record(db, audit.SYSTEM, "audit.entries_dropped", subject)
    log.info("audit_anchored", seal=link.seal_no)


def _made(link: Seal, master: bytes) -> Anchor:
    mac = mac_of(master, _digest(link.seal_no, link.last_no))
    return Anchor(link.seal_no, link.last_no, mac, key_id(master))


def _digest(seal_no: int, last_no: int) -> bytes:
    """What an anchor's HMAC is over: its own words, so that no link's can stand for it."""
    return sha256(b"fitstream audit anchor\n%d\n%d\n" % (seal_no, last_no)).digest()
