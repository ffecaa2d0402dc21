"""Answers that cost much and change little: computed once for all who ask within a few seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")
_KEYS_MAX = 100


class _Kept(NamedTuple):
    at: float
    task: "asyncio.Task[Any]"


class Recent(Generic[T]):
    """Keeps what `make` gave for `keep_s`, by key; who asks meanwhile waits for the same."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._kept: dict[Hashable, _Kept] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` gives, or gave lately. An error is told to who waits and not kept."""
        kept = self._kept.get(key)
        if kept is None or not self._is_good(kept):
            if len(self._kept) >= _KEYS_MAX:
                self._kept.clear()
            kept = _Kept(time.monotonic(), asyncio.ensure_future(_made(make)))
            self._kept[key] = kept
        found: T = await asyncio.shield(kept.task)
        return found

    def _is_good(self, kept: _Kept) -> bool:
        if not kept.task.done():
            return True
        failed = kept.task.cancelled() or kept.task.exception() is not None
        return not failed and time.monotonic() - kept.at < self._keep_s


async def _made(make: Callable[[], Awaitable[T]]) -> T:
    return await make()
