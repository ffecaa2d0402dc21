"""How often one caller may ask the API, over all gateways together; posts of samples apart.

The shared bucket lies in Postgres. A gateway takes tokens from it by the dozen and spends them by
itself, so that most calls ask nobody; what it holds unspent is all by which the sum can be off.
"""

import time
from collections import OrderedDict
from hashlib import sha256

from fitstream.errors import TooMany
from fitstream.gateway.principal import Principal, caller_of
from fitstream.repo import throttle
from fitstream.repo.database import Repo
from fitstream.repo.throttle import Bucket
from fitstream.settings import Settings

_CALLERS_MAX = 50_000
_KEPT_S = 10.0


class ApiRates:
    """Tokens of callers that this gateway has fetched and not spent."""

    def __init__(self, repo: Repo, settings: Settings) -> None:
        self._repo = repo
        self._burst, self._per_s = float(settings.api_burst), settings.api_rate_per_s
        self._step = max(1, min(settings.api_burst // 20, 25))
        self._held: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def take(self, principal: Principal, now: float | None = None) -> None:
        """One call of `principal`; raises TooMany when it has asked too often, anywhere."""
        who = caller_of(principal)
        if who:  # a stranger is slowed down by address where it matters
            await self.take_as(who, now)

    async def take_as(self, who: str, now: float | None = None) -> None:
        """One call of whoever is called so; raises TooMany."""
        now = time.monotonic() if now is None else now
        left, until = self._held.get(who, (0, 0.0))
        if left <= 0 or now > until:
            left, until = await self._fetch(who), now + _KEPT_S
        self._held[who] = (left - 1, until)
        self._held.move_to_end(who)
        if len(self._held) > _CALLERS_MAX:
            self._held.popitem(last=False)

    async def _fetch(self, who: str) -> int:
        """Tokens from the shared bucket, the last ones singly."""
        bucket = Bucket(sha256(f"api {who}".encode()).digest(), self._burst, self._per_s)
        async with self._repo.transaction() as db:
            taken = await throttle.take_many(db, bucket, self._step)
        if taken < 1:
            raise TooMany(1 / self._per_s)
        return taken
