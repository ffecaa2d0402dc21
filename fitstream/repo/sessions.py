"""Sessions as their owners see them, and the end of everything that stood for somebody.

`revoke_for` is called in the transaction that is the reason for it: sessions and OAuth tokens are
looked up in the database at every use, so they fail on every process with its commit; keys are
cached, and the counter it raises makes every process read them again.
"""

from datetime import datetime
from typing import Literal

import msgspec

from fitstream.repo.database import Db, execute, fetch, fetch_value

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

    An account's and a customer's keys are read again by every process. `keep` is the hash of a
    session token that may go on. A device has no sessions: its keys are revoked by whoever removes
    it. Repeats change nothing.
    """
    ended = 0
    if account_no is None and customer_no is not None:
        account_no = await fetch_value(db, "sessions.account_of_customer", customer_no)
    if account_no is not None:
        ended += await execute(db, "sessions.end_sessions", account_no, keep)
    ended += await execute(db, "sessions.revoke_grants", account_no, customer_no, device_no, reason)
    changed = await fetch_value(db, "keys.raise_counter")
    await execute(db, "sessions.touch_keys", account_no, customer_no, device_no, changed)
    return ended


async def revoke_grants(db: Db, customer_no: int, reason: Reason) -> int:
    """Ends what a customer granted to other programs; their own sessions go on."""
    return await execute(db, "sessions.revoke_grants", None, customer_no, None, reason)


async def list_sessions(
    db: Db, account_no: int, now: datetime, idle_s: tuple[float, float]
) -> list[OwnSession]:
    """Live sessions of an account, the one used last first; `idle_s` is for (staff, customers)."""
    return await fetch(db, OwnSession, "sessions.list_sessions", account_no, now, *idle_s)


async def end_sessions(db: Db, account_no: int, keep: bytes) -> int:
    """Ends all sessions of an account but the one with this hash; how many."""
    return await execute(db, "sessions.end_sessions", account_no, keep)


async def end_session(db: Db, account_no: int, session_id: str) -> bool:
    """Ends one session of an account; whether there was one."""
    return await execute(db, "sessions.end_session", account_no, session_id) > 0
