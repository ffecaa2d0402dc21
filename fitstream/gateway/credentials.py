"""Who calls: keys from a cache that the database refreshes, session tokens from the database.

The hot path asks no database: every process reads what changed every two seconds, and honours
what it knows for a while when the database is away.
"""

import asyncio
import base64
import time
from datetime import UTC, datetime
from hmac import compare_digest

import msgspec

from fitstream.errors import Rejected, Unavailable
from fitstream.gateway.principal import Principal, Role
from fitstream.ids import hashed, split_key
from fitstream.logs import get
from fitstream.repo import keys, progress
from fitstream.repo.database import Repo
from fitstream.repo.keys import KeyRow
from fitstream.settings import Settings

log = get(__name__)

_REFUSED = "the key is unknown, wrong or revoked: send it whole, or have a new one made"
_UNKNOWN_TTL_S = 5.0
_UNKNOWN_MAX = 10_000
_LOOKUPS_AT_ONCE = 8
_BARE = ("fss_", "fs_")


class KeyCache:
    """All live keys in memory; `follow` keeps them fresh."""

    def __init__(self, repo: Repo, settings: Settings) -> None:
        self._repo = repo
        self._poll_s = settings.keys_poll_s
        self._offline_s = settings.keys_offline_s
        self._topic = settings.topic
        self.generation = 1
        self._known: dict[str, KeyRow] = {}
        self._counter = 0
        self._fresh_at = 0.0
        self._unknown: dict[str, float] = {}
        self._lookups = asyncio.Semaphore(_LOOKUPS_AT_ONCE)

    async def follow(self) -> None:
        """Refreshes for ever; a database that is away is tried again."""
        while True:
            try:
                await self.refresh()
            except Unavailable:
                pass  # cached keys are honoured for a while
            except Exception:  # whoever follows must not end: revocations would go unseen
                log.exception("keys_not_refreshed")
            await asyncio.sleep(self._poll_s)

    async def refresh(self) -> None:
        """Reads the keys that changed; all of them after a counter that went back."""
        async with self._repo.connection() as db:
            counter = await keys.counter(db)
            if counter != self._counter:
                since = self._counter if counter > self._counter else 0
                changed = await keys.keys_since(db, since)
                if since == 0:
                    self._known.clear()
                self._known.update((key.id, key) for key in changed)
                self._unknown.clear()
                self._counter = counter
            self.generation = await progress.current_generation(db, self._topic)
        self._fresh_at = time.monotonic()

    async def find(self, text: str) -> Principal:
        """The principal of a key's text. Raises Rejected(401), or Unavailable when too stale."""
        parts = split_key(text)
        if parts is None:
            raise _refused()
        key_id, secret = parts
        row = await self.live_key(key_id)
        if row is None or not compare_digest(row.secret_sha, hashed(secret)):
            raise _refused()
        return principal_of(row)

    async def live_key(self, key_id: str) -> KeyRow | None:
        """A key that is neither unknown nor revoked nor over; raises Unavailable when too stale."""
        if time.monotonic() - self._fresh_at > self._offline_s:
            raise Unavailable("postgres", "keys have not been refreshed for too long", 30.0)
        row = self._known.get(key_id) or await self._look_up(key_id)
        if row is None or row.revoked:
            return None
        is_over = row.expires_at is not None and row.expires_at <= datetime.now(UTC)
        return None if is_over else row

    def settings_of(self, key_id: str) -> tuple[int | None, bool]:
        """The post interval and pause of the device of this key, as the cache knows them."""
        row = self._known.get(key_id)
        return (None, False) if row is None else (row.post_interval_s, bool(row.paused))

    async def _look_up(self, key_id: str) -> KeyRow | None:
        """One bounded look-up for a key made a moment ago; misses are remembered briefly."""
        now = time.monotonic()
        if now - self._unknown.get(key_id, 0.0) < _UNKNOWN_TTL_S:
            return None
        async with self._lookups, self._repo.connection() as db:
            row = await keys.find_key(db, key_id)
        if row is None:
            if len(self._unknown) >= _UNKNOWN_MAX:
                self._unknown.clear()
            self._unknown[key_id] = now
            return None
        # What a refresh has put there meanwhile is newer: a revocation must not be undone by this.
        return self._known.setdefault(key_id, row)


def credential(authorization: str) -> str | None:
    """The key or token of an Authorization header: Bearer, or Basic with it as the password.

    Old clients send their token bare.
    """
    if authorization.startswith(_BARE):
        return authorization.strip()
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:  # no base64, or no text inside
        return None
    return password if password.startswith("fs_") else f"fs_{user}_{password}"


def principal_of(row: KeyRow) -> Principal:
    """Whom a live key stands for."""
    return Principal(
        role=_role(row),
        key_id=row.id,
        account_id=row.account_id,
        customer_id=row.customer_id,
        device_id=row.device_id,
        account_no=row.account_no,
        customer_no=row.customer_no,
        device_no=row.device_no,
        programmes=None if row.programmes is None else frozenset(row.programmes),
        scopes=frozenset(row.scopes) if row.kind == "program" else None,
    )


def _role(row: KeyRow) -> Role:
    """A person's key may what the person may by now."""
    name = (row.account_role or "admin") if row.kind == "admin" else row.kind
    role: Role = msgspec.convert(name, Role)
    return role


def _refused() -> Rejected:
    return Rejected("unauthorized", _REFUSED, 401)
