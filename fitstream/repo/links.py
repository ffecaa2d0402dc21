"""Links in mails: single-use, of limited life, known by the hash of their token only."""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from fitstream.errors import NotFound
from fitstream.ids import hashed
from fitstream.repo.database import Db, execute, fetch_one

Purpose = Literal["register", "reset", "email", "invite"]


class Link(msgspec.Struct, frozen=True):
    """What a link stands for; `data` is sealed, of an invitation the mark of its address."""

    purpose: str
    account_no: int | None
    customer_no: int | None
    expires_at: datetime
    data: bytes | None


async def insert_link(db: Db, token: str, link: Link) -> None:
    """Stores a link under its token's hash; a repeat changes nothing."""
    about = (link.purpose, link.account_no, link.customer_no, link.data, link.expires_at)
    await execute(db, "links.insert_link", hashed(token), *about)


async def use_link(db: Db, token: str, now: datetime, *purposes: Purpose) -> Link:
    """The link, used up in the caller's transaction. Raises NotFound(link)."""
    found = await fetch_one(db, Link, "links.use_link", hashed(token), now, list(purposes))
    if found is None:
        raise _gone()
    return found


def address_mark(token: str, email: str) -> bytes:
    """Which address a link went to, for who has the link; it tells nobody else, and needs no key
    that may be gone when the link is used."""
    return hashed(f"{token} {email.strip().lower()}")


async def find_link(db: Db, token: str, now: datetime) -> Link:
    """The link, left as it is. Raises NotFound(link)."""
    found = await fetch_one(db, Link, "links.find_link", hashed(token), now)
    if found is None:
        raise _gone()
    return found


async def end_links(db: Db, account_no: int | None, customer_no: int | None) -> None:
    """Ends every link of an account and of its customer."""
    await execute(db, "links.end_links", account_no, customer_no)


async def forget_links(db: Db, now: datetime) -> None:
    """Forgets what expired links hold, and links that nobody can send again."""
    await execute(db, "links.forget_links", now)


def expiry(now: datetime, lifetime_s: float) -> datetime:
    """When a link made `now` stops working."""
    return now + timedelta(seconds=lifetime_s)


def _gone() -> NotFound:
    return NotFound("this link (it has expired or was used already; ask for a new one)")
