"""Who is due next, and what time it is: for the servers, and for the wearers."""

import asyncio
import heapq
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol


class Clock(Protocol):
    """Time as the fleet sees it; tests bring their own."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    async def wait(self, changed: asyncio.Event, seconds: float) -> None:
        """Returns after `seconds`, or when `changed` is set."""
        ...


class RealClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    async def wait(self, changed: asyncio.Event, seconds: float) -> None:
        """Returns after `seconds`, or when `changed` is set."""
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            return


class Schedule:
    """A heap of (due, device number): 10^5 devices wait in a few megabytes, without a task each."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, due: float, number: int) -> None:
        """The device's next turn."""
        heapq.heappush(self._heap, (due, number))

    def pop_due(self, now: float) -> int | None:
        """The device that has been due longest, None when it is nobody's turn."""
        if not self._heap or self._heap[0][0] > now:
            return None
        return heapq.heappop(self._heap)[1]

    def keep(self, wanted: Callable[[int], bool]) -> None:
        """Drops the turns of all other devices."""
        self._heap = [(due, number) for due, number in self._heap if wanted(number)]
        heapq.heapify(self._heap)

    def wait_s(self, now: float) -> float | None:
        """Seconds until somebody is due, None when nobody will be."""
        return max(0.0, self._heap[0][0] - now) if self._heap else None


class Pace(NamedTuple):
    """The wearers' time: from `days` before `started` on, `speed` times as fast as real time, until
    it catches up with the present. At speed 1 it is the present."""

    started: float
    days: float
    speed: float

    def wearers_now(self, now: float) -> float:
        """The wearers' time, in seconds since 1970, at the real time `now`."""
        if self.speed == 1:
            return now
        lived_s = (now - self.started) * self.speed
        return min(now, self.started - self.days * 86_400 + lived_s)

    def wait_s(self, asked_s: float, now: float) -> float:
        """Real seconds for an interval between posts that the server asked for."""
        return asked_s if self.wearers_now(now) >= now else asked_s / self.speed
