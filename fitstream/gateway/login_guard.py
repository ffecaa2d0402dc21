"""Slows down who guesses: per address, per address and account, and per account; never a lock.

All gateways share the counts. Only failures count. An account alone is never refused, because then
anybody could lock out its owner: who tries it after many failures waits a few seconds instead.
"""

import asyncio
from typing import NamedTuple

from fitstream.boxes import mark
from fitstream.errors import TooMany
from fitstream.repo import throttle
from fitstream.repo.database import Repo
from fitstream.repo.throttle import Bucket
from fitstream.settings import Settings

_PURPOSE = "throttle"
_PAIR_BURST, _PAIR_PER_S = 10, 1 / 6
_ACCOUNT_BURST, _ACCOUNT_PER_S = 1000, 1 / 30
_CALM_ABOVE = 980  # so many failures fewer than the burst: the owner mistyping, and a few more
_WAIT_PER_FAILURE_S, _WAIT_MAX_S = 0.1, 4.0
_MAIL_BURST, _MAIL_PER_S = 3, 1 / 300
_FACTOR_BURST, _FACTOR_PER_S = 10, 1 / 300


class Guess(NamedTuple):
    """A try that counts until it turns out to be right."""

    buckets: tuple[Bucket, ...]


class LoginGuard:
    """Failures that an address, and an account, still have."""

    def __init__(self, repo: Repo, masters: list[bytes], settings: Settings) -> None:
        self._repo = repo
        self._masters = masters
        self._settings = settings

    async def take(self, address: str, email: str, typed: str = "") -> Guess:
        """One try, taken before the password is looked at: many at once get no further.

        `typed` is what was typed in place of the address. Raises TooMany when the address has
        failed too often; waits when the account has.
        """
        account = self._bucket("account", email, _ACCOUNT_BURST, _ACCOUNT_PER_S)
        names = dict.fromkeys(name.strip().lower() for name in (email, typed or email))
        pairs = [
            self._bucket("pair", f"{address} {name}", _PAIR_BURST, _PAIR_PER_S) for name in names
        ]
        buckets = (self._address(address), *pairs)
        async with self._repo.connection() as db:
            for bucket in buckets:
                await throttle.take(db, bucket)
            left = await throttle.take_some(db, account)
        await asyncio.sleep(wait_s(left))
        return Guess((*buckets, account))

    async def give_back(self, guess: Guess) -> None:
        """A try that was right counts for nothing."""
        async with self._repo.connection() as db:
            for bucket in guess.buckets:
                await throttle.give_back(db, bucket)

    async def take_request(self, address: str) -> None:
        """One registration or request for a mail of an address. Raises TooMany."""
        async with self._repo.connection() as db:
            await throttle.take(db, self._address(address))

    async def may_mail(self, email: str) -> bool:
        """Whether a stranger may have one more mail sent to `email`; the same for every address."""
        bucket = self._bucket("mail", email, _MAIL_BURST, _MAIL_PER_S)
        try:
            async with self._repo.connection() as db:
                await throttle.take(db, bucket)
        except TooMany:
            return False
        return True

    async def take_code(self, account_no: int) -> None:
        """One try of a second factor, which only who knows the password has. Raises TooMany."""
        bucket = self._bucket("factor", str(account_no), _FACTOR_BURST, _FACTOR_PER_S)
        async with self._repo.connection() as db:
            await throttle.take(db, bucket)

    def _address(self, address: str) -> Bucket:
        settings = self._settings
        return self._bucket("address", address, settings.auth_burst, settings.auth_rate_per_s)

    def _bucket(self, kind: str, about: str, burst: float, per_s: float) -> Bucket:
        key = mark(self._masters, _PURPOSE, f"{kind} {about.strip().lower()}")
        return Bucket(key, burst, per_s)


def wait_s(left: float) -> float:
    """How long a try of an account waits that has `left` failures left."""
    return min(max(0.0, (_CALM_ABOVE - left) * _WAIT_PER_FAILURE_S), _WAIT_MAX_S)
