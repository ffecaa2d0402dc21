"""The audit log: who did what to whom, in the transaction that does it; and its seals.

Must never hold a name, an e-mail address or a value: people are numbers that are never used again,
and a change names the fields that changed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from fitstream.repo.database import Db, execute, fetch, fetch_one, fetch_value
from fitstream.repo.paging import Listed, Slice, fetch_page

ACTIONS = (
    "audit.entries_dropped",
    "account.accepted", "account.email_changed", "account.factor_off", "account.factor_on",
    "account.logged_out_everywhere",
    "account.password_changed", "account.password_reset", "account.recovery_codes",
    "account.registered", "client.created", "client.disabled", "client.enabled",
    "client.secret_changed", "consent.given", "consent.withdrawn", "customer.activated",
    "customer.changed", "customer.created", "customer.deactivated", "customer.invited",
    "customer.login_set", "customers.exported", "daily_summary.stored",
    "dead_letter.discarded", "dead_letter.replayed", "device.added", "device.changed",
    "device.key_rotated", "device.paired", "device.removed", "grant.given", "grant.reused",
    "grant.revoked", "grant.token_revoked", "grant.withdrawn",
    "job.cancelled", "job.retried", "key.created", "key.revoked", "mapping.saved",
    "model.promoted", "model.retired", "model.rolled_back", "pairing.approved", "pairing.denied",
    "profile.changed", "programme.changed",
    "programme.created", "session.ended", "session.opened", "session.others_ended",
    "staff.created", "staff.disabled", "staff.enabled", "staff.rights_changed",
    "training.started", "upload.cancelled", "upload.checking", "upload.deleted",
    "upload.ingesting", "upload.undoing", "week.roll_asked",
)  # fmt: skip
"""What can be done, as a filter may name it; what a later version wrote may be asked for, too."""


class Actor(NamedTuple):
    """Who acts. `no` numbers an account (staff), a customer or a device; `via` is a key's or
    OAuth client's public id."""

    kind: str
    no: int | None = None
    via: str = ""


class Subject(NamedTuple):
    """To whom: `kind` and `ref` name a thing by number or by an id that tells nothing of a person.

    The customer it is about, and the programme, say who may read the entry.
    """

    kind: str = ""
    ref: str = ""
    customer_no: int | None = None
    programme_no: int | None = None


class Entry(msgspec.Struct, frozen=True):
    """One line of the log."""

    audit_no: int
    at: datetime
    actor: str
    actor_no: int | None
    via: str
    action: str
    subject: str
    customer_no: int | None
    programme_no: int | None
    fields: list[str]


class Seal(msgspec.Struct, frozen=True):
    """A link of the chain: the hash over the one before it and the entries up to `last_no`."""

    seal_no: int
    last_no: int
    entries: int
    hash: bytes
    mac: bytes
    key_id: str


class Anchor(msgspec.Struct, frozen=True):
    """The entries up to this link were dropped, as they were older than the log is kept for."""

    seal_no: int
    last_no: int
    mac: bytes
    key_id: str


class Only(NamedTuple):
    """Which entries to list; None does not filter. `programmes` are numbers."""

    programmes: Sequence[int] | None = None
    action: str | None = None
    customer_id: str | None = None


SYSTEM = Actor("system")
NOBODY = Subject()


async def record(
    db: Db, actor: Actor, action: str, subject: Subject = NOBODY, fields: Sequence[str] = ()
) -> None:
    """Adds an entry in the caller's transaction; `action` is `thing.what_happened`.

    `fields` are the names of what changed, never the values.
    """
    what = f"{subject.kind}:{subject.ref}" if subject.kind else ""
    about = (what, subject.customer_no, subject.programme_no, list(fields))
    await execute(db, "audit.insert_entry", actor.kind, actor.no, actor.via, action, *about)


async def list_entries(db: Db, only: Only, asked: Slice) -> Listed[Entry]:
    """A page of entries."""
    return await fetch_page(db, Entry, "audit.list_entries", asked, *only)


async def lock_log(db: Db) -> None:
    """Waits until every transaction that has written an entry is over, and keeps others waiting.

    Numbers are given out in another order than transactions commit: only now is the log without
    gaps that may still be filled. Raises Unavailable when a transaction takes too long.
    """
    await execute(db, "audit.set_lock_timeout")
    await execute(db, "audit.lock_log")


async def last_seal(db: Db) -> Seal | None:
    """The newest link."""
    return await fetch_one(db, Seal, "audit.last_seal")


async def seals_after(db: Db, seal_no: int, limit: int) -> list[Seal]:
    """Links in order."""
    return await fetch(db, Seal, "audit.seals_after", seal_no, limit)


async def entries_after(db: Db, audit_no: int, last_no: int | None, limit: int) -> list[Entry]:
    """Entries in order, up to `last_no` where it is given."""
    return await fetch(db, Entry, "audit.entries_after", audit_no, last_no, limit)


async def oldest_unsealed(db: Db) -> datetime | None:
    """When the first entry that no link covers was written."""
    found: datetime | None = await fetch_value(db, "audit.oldest_unsealed")
    return found


async def insert_seal(db: Db, seal: Seal) -> None:
    """Adds a link."""
    await execute(db, "audit.insert_seal", *msgspec.structs.astuple(seal))


async def newest_anchor(db: Db) -> Anchor | None:
    """Up to which link entries were dropped."""
    return await fetch_one(db, Anchor, "audit.newest_anchor")


async def seal_before(db: Db, at: datetime) -> Seal | None:
    """The newest link that was made before a time."""
    return await fetch_one(db, Seal, "audit.seal_before", at)


async def insert_anchor(db: Db, anchor: Anchor) -> None:
    """Lets the entries up to a link go; a repeat changes nothing."""
    await execute(db, "audit.insert_anchor", *msgspec.structs.astuple(anchor))


async def drop_entries(db: Db, last_no: int, limit: int) -> int:
    """Deletes the oldest entries up to a number that an anchor covers; how many."""
    return await execute(db, "audit.drop_entries", last_no, limit)
