"""The dispatcher's loop: one thing that fails does not keep the others from being done."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import pytest

from fitstream.consumers.dispatcher import Dispatcher
from fitstream.errors import Unavailable
from fitstream.settings import load
from tests.factories import SETTINGS


@pytest.mark.parametrize("broken", ["plan", "ring_due"])
async def test_what_fails_every_time_keeps_the_other_from_nothing(broken: str) -> None:
    settings = msgspec.structs.replace(load(SETTINGS), dispatch_poll_s=0.001)
    stop, done = asyncio.Event(), {"plan": 0, "ring_due": 0}

    def doing(name: str) -> Callable[..., Any]:
        async def do(*_: datetime) -> int:
            done[name] += 1
            if min(done.values()) >= 3:
                stop.set()
            if name == broken:
                raise Unavailable("postgres", "too slow, as always")
            return 0

        return do

    dispatcher = Dispatcher(None, None, settings)  # type: ignore[arg-type]
    for name in done:
        setattr(dispatcher, name, doing(name))
    async with asyncio.timeout(20):
        await dispatcher.run(stop)
    assert min(done.values()) >= 3
