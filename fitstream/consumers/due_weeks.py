"""Which weeks are rolled next: shared by the rollers of one process, claimed a few at a time."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from fitstream.repo.weeks import Claim

_CLAIMED_S = 5.0  # then weeks that have ended meanwhile are looked for, however many are due


class DueWeeks:
    """Weeks to roll: who finds few left claims the next while the others roll those, so that nobody
    waits for a claim or for the slowest of a round."""

    def __init__(
        self,
        claim: Callable[[], Awaitable[list[Claim]]],
        few: int,
        stop: asyncio.Event | None = None,
    ) -> None:
        self._claim = claim
        self._few = few
        self._stop = stop
        self._until = time.monotonic() + _CLAIMED_S
        self._claimed: deque[Claim] = deque()
        self._claiming = asyncio.Lock()
        self._is_over = False
        self.were_any = False

    async def next(self) -> Claim | None:
        """One more, or None where there is none and nobody shall claim any."""
        if not self._claimed or (self._has_few() and not self._claiming.locked()):
            async with self._claiming:
                if self._has_few() and not self._ends():
                    await self._claim_more()
        return self._claimed.popleft() if self._claimed else None

    async def _claim_more(self) -> None:
        self._is_over = True  # unless there are some; after an error it stays so
        found = await self._claim()
        self._is_over = not found
        self.were_any |= bool(found)
        self._claimed.extend(found)

    def _has_few(self) -> bool:
        return len(self._claimed) <= self._few

    def _ends(self) -> bool:
        is_told = self._stop is not None and self._stop.is_set()
        return self._is_over or is_told or time.monotonic() > self._until
