"""Log-in and sessions of people; of a token only the hash is stored."""

from datetime import datetime, timedelta

import msgspec

from fitstream.errors import Rejected
from fitstream.gateway.passwords import is_right
from fitstream.gateway.principal import Principal, Role
from fitstream.ids import hashed, new_secret
from fitstream.repo import accounts
from fitstream.repo.accounts import Account
from fitstream.repo.audit import Actor, Subject, record
from fitstream.repo.database import Repo
from fitstream.settings import Settings

PREFIX = "fss_"
_AGENT_CHARS = 256
_TOUCH_AFTER = timedelta(minutes=1)


class Session(msgspec.Struct, frozen=True):
    """A live session; the token is known only to who holds it."""

    token: str
    account_id: str
    email: str
    role: str
    customer_id: str | None
    expires_at: datetime


async def login(
    repo: Repo, email: str, password: str, now: datetime, settings: Settings
) -> Session:
    """A new session by password alone. Raises Rejected(wrong_credentials)."""
    account = await authenticate(repo, email, password)
    return await open_session(repo, account, now, settings)


async def authenticate(repo: Repo, email: str, password: str) -> Account:
    """Whose password it is. Raises Rejected(wrong_credentials): the same for unknown and wrong."""
    async with repo.connection() as db:
        account = await accounts.find_account(db, email)
    stored = account.password_hash if account else None
    if not await is_right(stored, password) or account is None:
        raise wrong_credentials()
    return account


def wrong_credentials() -> Rejected:
    """The one answer for all that is wrong."""
    return Rejected("wrong_credentials", "e-mail or password is wrong", 401)


async def open_session(
    repo: Repo, account: Account, now: datetime, settings: Settings, agent: str = ""
) -> Session:
    """A new session of who has shown all that their account asks for; `agent` is the browser.

    Raises Rejected(wrong_credentials) when that changed meanwhile.
    """
    is_customer = account.role == "customer"
    lifetime_s = settings.customer_idle_s * 3 if is_customer else settings.admin_absolute_s
    expires_at = now + timedelta(seconds=lifetime_s)
    token = PREFIX + new_secret()
    async with repo.transaction() as db:
        told = "".join(char for char in agent if char.isprintable())[:_AGENT_CHARS]
        if not await accounts.insert_session(db, hashed(token), account, expires_at, told):
            raise wrong_credentials()
        if not is_customer:
            by = Actor(account.role, account.account_no)
            await record(db, by, "session.opened", Subject("account", str(account.account_no)))
    return Session(token, account.id, account.email, account.role, account.customer_id, expires_at)


async def find_session(
    repo: Repo, token: str, now: datetime, settings: Settings
) -> Principal | None:
    """Whose session it is, unless it idled out, expired or ended."""
    idle_s = (settings.admin_idle_s, settings.customer_idle_s)
    async with repo.connection() as db:
        row = await accounts.find_session(db, hashed(token), now, idle_s)
        if row is None:
            return None
        if now - row.last_seen_at > _TOUCH_AFTER:
            await accounts.touch_session(db, hashed(token), now)
    return Principal(
        role=msgspec.convert(row.role, Role),
        account_id=row.account_id,
        customer_id=row.customer_id,
        email=row.email,
        account_no=row.account_no,
        customer_no=row.customer_no,
        programmes=None if row.programmes is None else frozenset(row.programmes),
    )


async def logout(repo: Repo, token: str) -> None:
    """Ends the session; a repeat changes nothing."""
    async with repo.transaction() as db:
        await accounts.delete_session(db, hashed(token))
