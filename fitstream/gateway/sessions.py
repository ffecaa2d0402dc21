"""Log-in and sessions of people: passwords as argon2id, tokens as hashes, both off the loop."""

import asyncio
from datetime import datetime, timedelta

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from fitstream.errors import Rejected
from fitstream.ids import hashed, new_secret
from fitstream.repo import accounts
from fitstream.repo.accounts import Account
from fitstream.repo.database import Repo
from fitstream.settings import Settings

PREFIX = "fss_"
PASSWORD_MIN = 10
PASSWORD_MAX = 256
_TOUCH_AFTER = timedelta(minutes=1)
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_at_once = asyncio.Semaphore(2)
_COMMON = frozenset(
    {"1234567890", "0123456789", "password123", "passwordpassword", "qwertyuiop", "1q2w3e4r5t"}
)


class Session(msgspec.Struct, frozen=True):
    """A live session; the token is known only to who holds it."""

    token: str
    account_id: str
    email: str
    role: str
    customer_id: str | None
    expires_at: datetime


async def hash_password(password: str) -> str:
    """Argon2id hash. Raises Rejected(weak_password) for one that is too short or too common."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX or password.lower() in _COMMON:
        text = (
            f"a password needs {PASSWORD_MIN} to {PASSWORD_MAX} characters and must not be common"
        )
        raise Rejected("weak_password", text, 422)
    async with _at_once:
        return await asyncio.to_thread(_hasher.hash, password)


async def login(
    repo: Repo, email: str, password: str, now: datetime, settings: Settings
) -> Session:
    """A new session. Raises Rejected(wrong_credentials): the same for unknown and wrong."""
    async with repo.connection() as db:
        account = await accounts.find_account(db, email)
    if not await _is_right(account, password) or account is None:
        raise Rejected("wrong_credentials", "e-mail or password is wrong", 401)
    is_customer = account.role == "customer"
    lifetime_s = settings.customer_idle_s * 3 if is_customer else settings.admin_absolute_s
    expires_at = now + timedelta(seconds=lifetime_s)
    token = PREFIX + new_secret()
    async with repo.transaction() as db:
        await accounts.insert_session(db, hashed(token), account.account_no, expires_at)
    return Session(token, account.id, account.email, account.role, account.customer_id, expires_at)


async def find_session(repo: Repo, token: str, now: datetime, settings: Settings) -> Session | None:
    """The session of a token, unless it idled out, expired or ended."""
    idle_s = (settings.admin_idle_s, settings.customer_idle_s)
    async with repo.connection() as db:
        row = await accounts.find_session(db, hashed(token), now, idle_s)
        if row is None:
            return None
        if now - row.last_seen_at > _TOUCH_AFTER:
            await accounts.touch_session(db, hashed(token), now)
    return Session(token, row.account_id, row.email, row.role, row.customer_id, row.expires_at)


async def logout(repo: Repo, token: str) -> None:
    """Ends the session; a repeat changes nothing."""
    async with repo.transaction() as db:
        await accounts.delete_session(db, hashed(token))


async def _is_right(account: Account | None, password: str) -> bool:
    """Takes the same time whether the account exists or not."""
    stored = account.password_hash if account else _decoy()
    async with _at_once:
        try:
            await asyncio.to_thread(_hasher.verify, stored, password)
        except (VerificationError, InvalidHashError):
            return False
    return account is not None


_decoys: list[str] = []


def _decoy() -> str:
    if not _decoys:
        _decoys.append(_hasher.hash(new_secret()))
    return _decoys[0]
