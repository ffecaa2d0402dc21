"""Sessions as their owners see them, and the end of everything that stood for somebody.

`revoke_for` is called in the transaction that is the reason for it: sessions and OAuth tokens are
looked up in the database at every use, so they fail on every process with its commit; keys are
cached, and the counter it raises makes every process read them again.

What could still become a token or key ends first, in this order: sessions, so that it waits for
decisions that hold theirs; then log-ins that wait for a code, OAuth codes and pairings, so that it
waits for exchanges that hold those; then the grants, those exchanges' among them.
"""

from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from fitstream.errors import NotFound
from fitstream.repo.database import Db, execute, fetch, fetch_one, fetch_value

_PAGE = 100

Reason = Literal[
    "refresh_reuse", "code_reuse", "password_changed", "email_changed", "logged_out_everywhere",
    "withdrawn", "consent_withdrawn", "deactivated", "disabled", "role_changed", "device_removed",
    "client_disabled", "client_revoked", "erased",
]  # fmt: skip


class OwnSession(msgspec.Struct, frozen=True):
    """A live session in the list of its owner; `token_sha` tells which one is asking."""

    id: str
    token_sha: bytes
    agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


async def revoke_for(
    db: Db,
    reason: Reason,
    *,
    account_no: int | None = None,
    customer_no: int | None = None,
    device_no: int | None = None,
    keep: bytes | None = None,
) -> int:
    """Ends all sessions and OAuth tokens of whom is named; how many sessions and grants ended.

    What waits to become one ends with them: log-ins without their second factor, codes, and
    devices that were approved and have not fetched their key.

    An account's and a customer's keys are read again by every process. `keep` is the hash of a
    session token that may go on. A device has no sessions: its keys are revoked by whoever removes
    it. Repeats change nothing.
    """
    ended = 0
    if account_no is None and customer_no is not None:
        account_no = await fetch_value(db, "sessions.account_of_customer", customer_no)
    if account_no is not None:
        ended += await execute(db, "sessions.end_sessions", account_no, keep)
        await execute(db, "sessions.end_log_ins", account_no)
    ended += await _revoke_grants(db, (account_no, customer_no, device_no), reason)
    changed = await fetch_value(db, "keys.raise_counter")
    await execute(db, "sessions.touch_keys", account_no, customer_no, device_no, changed)
    return ended


async def revoke_grants(db: Db, customer_no: int, reason: Reason) -> int:
    """Ends what a customer granted to programs and devices that wait; their sessions go on."""
    return await _revoke_grants(db, (None, customer_no, None), reason)


async def hold_session(db: Db, token_sha: bytes) -> bool:
    """Keeps a session until the caller's transaction ends; False when it is over.

    Whoever stores what outlives a session holds it: then what ends the session finds that, too.
    """
    return bool(await fetch_value(db, "sessions.hold_session", token_sha))


async def _revoke_grants(
    db: Db, whose: tuple[int | None, int | None, int | None], reason: Reason
) -> int:
    """Grants of an account, a customer or a device, after what could still become one."""
    for name in ("sessions.end_codes", "sessions.end_device_codes", "sessions.end_pairings"):
        await execute(db, name, *whose)
    return await execute(db, "sessions.revoke_grants", *whose, reason)


class Living(NamedTuple):
    """Which sessions are live: at an instant, with seconds of idleness for staff and customers."""

    now: datetime
    staff_idle_s: float
    customer_idle_s: float


async def list_sessions(
    db: Db,
    account_no: int,
    living: Living,
    after: tuple[datetime, str] | None = None,
    limit: int = _PAGE,
) -> list[OwnSession]:
    """Live sessions of an account after (last seen, id), the one used last first."""
    asked = (account_no, *living, *(after or (None, None)), None, limit)
    return await fetch(db, OwnSession, "sessions.list_sessions", *asked)


async def get_session(db: Db, account_no: int, living: Living, session_id: str) -> OwnSession:
    """One live session of an account; raises NotFound."""
    asked = (account_no, *living, None, None, session_id, 1)
    found = await fetch_one(db, OwnSession, "sessions.list_sessions", *asked)
    if found is None:
        raise NotFound(f"session {session_id}")
    return found


async def end_sessions(db: Db, account_no: int, keep: bytes) -> int:
    """Ends all sessions of an account but the one with this hash; how many."""
    return await execute(db, "sessions.end_sessions", account_no, keep)


async def end_session(db: Db, account_no: int, session_id: str) -> bool:
    """Ends one session of an account; whether there was one."""
    return await execute(db, "sessions.end_session", account_no, session_id) > 0
