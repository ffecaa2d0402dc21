"""Answers that cost much and change little: computed once for all who ask within a while.

What is cheap to make is never older than `keep_s`. What is dear is made at a share of the time
at most, and who asks gets the last one at once while the next is made.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
_KEYS_MAX = 100
QUICK_S = 0.1  # who asks waits for what takes no longer than this
SHARE = 20.0  # what took a second is not begun anew within so many
STALE_S = 60.0  # nobody gets anything older, nor than twice the pause where that is longer


class _Made(NamedTuple, Generic[T]):
    value: T
    began: float
    took: float


class Recent(Generic[T]):
    """Keeps what `make` gave, by key; who asks while it is made waits for the same."""

    def __init__(self, keep_s: float, share: float = SHARE) -> None:
        self._keep_s = keep_s
        self._share = share
        self._made: dict[Hashable, _Made[T]] = {}
        self._making: dict[Hashable, asyncio.Task[T]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` gives, or gave lately. An error is told to who waits and not kept."""
        last = self._made.get(key)
        age = time.monotonic() - last.began if last else 0.0
        pause_s = self._share * last.took if last else 0.0
        if last and age < max(self._keep_s, pause_s):
            return last.value
        making = self._making.get(key) or self._begin(key, make)
        if last and last.took > QUICK_S and age < max(STALE_S, 2 * pause_s):
            return last.value
        return await asyncio.shield(making)

    def _begin(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> "asyncio.Task[T]":
        if len(self._made) >= _KEYS_MAX:
            self._made.clear()
        making = asyncio.create_task(self._make(key, make))
        self._making[key] = making
        making.add_done_callback(_seen)
        return making

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        began = time.monotonic()
        try:
            value = await make()
            self._made[key] = _Made(value, began, time.monotonic() - began)
            return value
        finally:
            del self._making[key]


def _seen(making: "asyncio.Task[T]") -> None:
    """An error for which nobody waited is no news: the next who has to wait will be told."""
    if not making.cancelled():
        making.exception()
