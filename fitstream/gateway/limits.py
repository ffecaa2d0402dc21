"""Bounds of the hot path: bytes waiting for Kafka, and posts per key and second.

Per process on purpose: nothing here asks anybody.
"""

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from fitstream.errors import TooMany, Unavailable
from fitstream.metrics import set_in_flight

_BUCKETS_MAX = 200_000


class Take(Protocol):
    """Counts more bytes for as long as the block runs that it was given to."""

    def __call__(self, size: int) -> None:
        """Raises Unavailable when there is no room."""
        ...


class InFlight:
    """Bytes of bodies that are being read or wait for an acknowledgement; more than the limit is
    refused."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0

    @contextmanager
    def holding(self) -> Iterator[Take]:
        """What is taken is counted while the block runs."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if self._bytes + size > self._max_bytes:
                raise Unavailable("kafka", "too much is waiting for its acknowledgement", 10.0)
            self._bytes += size
            taken += size
            set_in_flight(self._bytes)

        try:
            yield take
        finally:
            self._bytes -= taken
            set_in_flight(self._bytes)


class RateLimiter:
    """A token bucket per key."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float | None = None) -> None:
        """Takes one token; raises TooMany with the seconds until there is one again.

        `now` is a monotonic time in seconds, by default the present.
        """
        now = time.monotonic() if now is None else now
        self.peek(key, now)
        self._keep(key, self._tokens(key, now) - 1, now)

    def peek(self, key: str, now: float | None = None) -> None:
        """Raises TooMany unless there is a token; takes none."""
        tokens = self._tokens(key, time.monotonic() if now is None else now)
        if tokens < 1:
            raise TooMany((1 - tokens) / self._per_s)

    def give_back(self, key: str, now: float | None = None) -> None:
        """Puts a token back."""
        now = time.monotonic() if now is None else now
        self._keep(key, min(self._tokens(key, now) + 1, float(self._burst)), now)

    def _keep(self, key: str, tokens: float, now: float) -> None:
        self._buckets[key] = (tokens, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > _BUCKETS_MAX:
            self._buckets.popitem(last=False)

    def _tokens(self, key: str, now: float) -> float:
        tokens, at = self._buckets.get(key, (float(self._burst), now))
        return min(self._burst, tokens + (now - at) * self._per_s)
