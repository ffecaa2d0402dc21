"""Accounts of people and their sessions. Knows hashes only: neither passwords nor tokens."""

from datetime import datetime

import msgspec

from fitstream.errors import Conflict
from fitstream.ids import new_id
from fitstream.repo import links, sessions
from fitstream.repo.database import Db, UniqueViolation, execute, fetch_one, fetch_value


class Account(msgspec.Struct, frozen=True):
    """A person who logs in."""

    account_no: int
    id: str
    email: str
    password_hash: str
    role: str
    customer_id: str | None
    customer_no: int | None


class SessionRow(msgspec.Struct, frozen=True):
    """A live session and whose it is."""

    account_id: str
    email: str
    role: str
    customer_id: str | None
    expires_at: datetime
    last_seen_at: datetime
    account_no: int
    customer_no: int | None
    programmes: list[int] | None
    session_id: str


async def create_account(
    db: Db, email: str, password_hash: str, role: str, customer_no: int | None
) -> int:
    """Number of the new account. Raises Conflict(exists) when the address is taken."""
    values = (new_id("acc"), email, password_hash, role, customer_no)
    try:
        async with db.transaction():
            number: int = await fetch_value(db, "accounts.insert_account", *values)
    except UniqueViolation as error:
        raise Conflict("exists", "an account with this e-mail exists") from error
    return number


async def set_customer_login(
    db: Db, customer_no: int, email: str, password_hash: str
) -> Account | None:
    """Gives a customer a login, or a new password; the account as it was, None for a new one.

    A change ends every session, token and mailed link, and another address has not answered yet.
    Raises Conflict(exists) when the address is another account's.
    """
    found = await fetch_one(db, Account, "accounts.account_of_customer", customer_no)
    await links.end_links(db, found.account_no if found else None, customer_no)
    if found is None:
        await create_account(db, email, password_hash, "customer", customer_no)
        return None
    try:
        async with db.transaction():
            await execute(db, "accounts.set_password", found.account_no, password_hash, email)
    except UniqueViolation as error:
        raise Conflict("exists", "an account with this e-mail exists") from error
    await sessions.revoke_for(
        db, "password_changed", account_no=found.account_no, customer_no=customer_no
    )
    return found


async def find_account(db: Db, email: str) -> Account | None:
    """An account that may log in."""
    return await fetch_one(db, Account, "accounts.account_by_email", email)


async def has_admin(db: Db) -> bool:
    """Whether any administrator exists."""
    return bool(await fetch_value(db, "accounts.count_admins"))


async def insert_session(
    db: Db, token_sha: bytes, account: Account, expires_at: datetime, agent: str = ""
) -> bool:
    """A session that ends at `expires_at` at the latest; `agent` is the browser, as it says.

    False when the account may not log in any more, or not with the password that was looked at:
    a change of it waits for this, or this for the change.
    """
    asked = (token_sha, account.account_no, expires_at, agent, account.password_hash)
    return await execute(db, "accounts.insert_session", *asked) > 0


async def find_session(
    db: Db, token_sha: bytes, now: datetime, idle_s: tuple[float, float]
) -> SessionRow | None:
    """A live session; `idle_s` is how long one may idle: (staff, customers)."""
    return await fetch_one(db, SessionRow, "accounts.find_session", token_sha, now, *idle_s)


async def touch_session(db: Db, token_sha: bytes, now: datetime) -> None:
    """Notes that the session was used."""
    await execute(db, "accounts.touch_session", token_sha, now)


async def delete_session(db: Db, token_sha: bytes) -> None:
    """Ends a session; one that is gone is no error."""
    await execute(db, "accounts.delete_session", token_sha)
