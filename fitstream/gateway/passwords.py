"""Passwords: which are good enough, their argon2id hashes, and the check of one. Never on the loop.

At most two hashes run at once: each takes 19 MiB, and a flood of log-ins must not take the machine.
"""

import asyncio
import re
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from fitstream.errors import Rejected
from fitstream.ids import new_secret

PASSWORD_MIN = 10
PASSWORD_MAX = 256
_LIST = Path(__file__).parent / "common_passwords.txt"
_DISTINCT_MIN = 4
_OWN_MIN, _OWN_REST = 5, 5
_TAIL = re.compile(r"[\d\W_]+$")
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_at_once = asyncio.Semaphore(2)


async def hash_password(password: str, email: str = "") -> str:
    """Argon2id hash. Raises Rejected(weak_password), as `check_strength` says."""
    check_strength(password, email)
    async with _at_once:
        return await asyncio.to_thread(_hasher.hash, password)


async def is_right(stored: str | None, password: str) -> bool:
    """Whether `password` is the one of `stored`; takes the same time when nothing is stored."""
    async with _at_once:
        try:
            await asyncio.to_thread(_hasher.verify, stored or _decoy(), password)
        except (VerificationError, InvalidHashError):
            return False
    return stored is not None


def check_strength(password: str, email: str = "") -> None:
    """Raises Rejected(weak_password) for one that is too short, too long or easily guessed."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX or is_common(password, email):
        text = (
            f"a password needs {PASSWORD_MIN} to {PASSWORD_MAX} characters and must not be common:"
            " a few words that nobody else puts together are good"
        )
        raise Rejected("weak_password", text, 422)


def is_common(password: str, email: str = "") -> bool:
    """Whether guessers try it early: a listed password, alone, twice or with digits behind it, few
    different characters, or little more than one's own name."""
    plain = password.lower()
    half = plain[: len(plain) // 2]
    own = email.lower().partition("@")[0]
    is_own = len(own) >= _OWN_MIN and own in plain and len(plain) - len(own) <= _OWN_REST
    listed = {plain, half if half * 2 == plain else plain, _TAIL.sub("", plain)}
    return is_own or len(set(plain)) < _DISTINCT_MIN or bool(listed & _common())


@cache
def _common() -> frozenset[str]:
    return frozenset(_LIST.read_text().split())


@cache
def _decoy() -> str:
    """What is compared with when there is nothing to compare with: the time gives nothing away."""
    return _hasher.hash(new_secret())
