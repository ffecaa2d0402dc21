"""The gateway's keys in memory: a look-up never undoes what a refresh has learned meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fitstream.gateway import credentials
from fitstream.gateway.credentials import KeyCache
from fitstream.repo.keys import KeyRow
from fitstream.settings import load
from tests.factories import SETTINGS


class NoRepo:
    """A database whose answers are the patched functions'."""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[None]:
        yield None


def row(*, revoked: bool) -> KeyRow:
    given: dict[str, Any] = dict.fromkeys(KeyRow.__struct_fields__)
    return KeyRow(**given | {"id": "k", "kind": "device", "revoked": revoked, "scopes": []})


async def test_a_key_that_is_revoked_while_it_is_looked_up_stays_revoked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def find_key(_: object, __: str) -> KeyRow:
        asked.set()
        await answer.wait()
        return row(revoked=False)  # as it was when the query began

    async def keys_since(_: object, __: int) -> Sequence[KeyRow]:
        return [row(revoked=True)]

    async def number(*_: object) -> int:
        return 1

    monkeypatch.setattr(credentials.keys, "find_key", find_key)
    monkeypatch.setattr(credentials.keys, "keys_since", keys_since)
    monkeypatch.setattr(credentials.keys, "counter", number)
    monkeypatch.setattr(credentials.progress, "current_generation", number)
    cache = KeyCache(NoRepo(), load(SETTINGS))  # type: ignore[arg-type]
    looking = asyncio.create_task(cache._look_up("k"))
    await asked.wait()
    await cache.refresh()
    answer.set()
    found = await looking
    assert found is not None
    assert found.revoked
    assert cache._known["k"].revoked
