"""Second factors, recovery codes, and log-ins that wait for one. Knows sealed and hashed only."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from fitstream.repo.accounts import Account
from fitstream.repo.database import Db, execute, fetch_one, fetch_value


class Factor(msgspec.Struct, frozen=True):
    """A second factor; in force once it is confirmed."""

    secret: bytes
    confirmed_at: datetime | None
    last_step: int


async def begin(db: Db, account_no: int, secret: bytes) -> bool:
    """Stores a sealed secret to be confirmed; False when one is in force."""
    return await execute(db, "factors.begin", account_no, secret) > 0


async def find(db: Db, account_no: int) -> Factor | None:
    """The second factor of an account, in force or not."""
    return await fetch_one(db, Factor, "factors.find", account_no)


async def confirm(db: Db, account_no: int, step: int, now: datetime) -> bool:
    """Puts it in force; False when it is already."""
    return await execute(db, "factors.confirm", account_no, step, now) > 0


async def use_step(db: Db, account_no: int, step: int) -> bool:
    """Whether the step is newer than any that was used."""
    return await execute(db, "factors.use_step", account_no, step) > 0


async def remove(db: Db, account_no: int) -> bool:
    """Removes factor and recovery codes; whether there was one."""
    await execute(db, "factors.remove_recovery_codes", account_no)
    return await execute(db, "factors.remove", account_no) > 0


async def set_recovery_codes(db: Db, account_no: int, hashes: Sequence[bytes]) -> None:
    """Replaces the recovery codes."""
    await execute(db, "factors.remove_recovery_codes", account_no)
    await execute(db, "factors.insert_recovery_codes", account_no, list(hashes))


async def use_recovery_code(db: Db, account_no: int, code_sha: bytes, now: datetime) -> bool:
    """Whether the code was one that still worked; it does no more."""
    return await execute(db, "factors.use_recovery_code", account_no, code_sha, now) > 0


async def recovery_codes_left(db: Db, account_no: int) -> int:
    """How many still work."""
    left: int = await fetch_value(db, "factors.recovery_codes_left", account_no)
    return left


async def insert_challenge(
    db: Db, token_sha: bytes, account: Account, tries: int, expires_at: datetime
) -> bool:
    """A log-in that waits for its code; False when the password is another by now."""
    asked = (token_sha, account.account_no, tries, expires_at, account.password_hash)
    return await execute(db, "factors.insert_challenge", *asked) > 0


async def end_challenge(db: Db, token_sha: bytes) -> bool:
    """Ends one that was answered; False when something else has ended it."""
    return await execute(db, "factors.end_challenge", token_sha) > 0


async def try_challenge(db: Db, token_sha: bytes, now: datetime) -> int | None:
    """Whose challenge it is, with one try fewer; None when it is over."""
    number: int | None = await fetch_value(db, "factors.try_challenge", token_sha, now)
    return number


async def end_challenges(db: Db, account_no: int, now: datetime) -> None:
    """Ends an account's challenges, and those of everybody who took too long."""
    await execute(db, "factors.end_challenges", account_no, now)
