"""Which weeks are rolled next: shared by the rollers of one process, claimed a few at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from fitstream.repo.weeks import Claim

_CLAIMED_S = 5.0  # then weeks that have ended meanwhile are looked for, however many are due


class DueWeeks:
    """Weeks to roll: whoever finds none left claims the next, so that nobody waits for the slowest
    of a round."""

    def __init__(
        self, claim: Callable[[], Awaitable[list[Claim]]], stop: asyncio.Event | None
    ) -> None:
        self._claim = claim
        self._stop = stop
        self._until = time.monotonic() + _CLAIMED_S
        self._claimed: list[Claim] = []
        self._claiming = asyncio.Lock()
        self._is_over = False
        self.were_any = False

    async def next(self) -> Claim | None:
        """One more, or None where nobody shall claim any more."""
        async with self._claiming:
            if not self._claimed and not self._ends():
                self._is_over = True  # unless there are some; after an error it stays so
                self._claimed = await self._claim()
                self._is_over = not self._claimed
                self.were_any |= bool(self._claimed)
            return self._claimed.pop(0) if self._claimed else None

    def _ends(self) -> bool:
        is_told = self._stop is not None and self._stop.is_set()
        return self._is_over or is_told or time.monotonic() > self._until
