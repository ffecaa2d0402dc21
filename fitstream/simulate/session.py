"""A command that talks to an API until it is done, or until Ctrl-C or SIGTERM asks it to stop."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from fitstream.errors import FitstreamError

EXIT_FAILED = 1

Main = Callable[[asyncio.Event], Awaitable[int]]


def run_session(name: str, main: Main) -> int:
    """The exit code of `main(stop)`; an error of ours ends it with its sentence."""
    try:
        return uvloop.run(_until_stopped(main))
    except FitstreamError as error:
        sys.stderr.write(f"fitstream {name}: {error}\n")
        return EXIT_FAILED


async def _until_stopped(main: Main) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await main(stop)


async def until_stopped(stop: asyncio.Event, tasks: "list[asyncio.Task[None]]") -> bool:
    """Waits for all tasks, or cancels them when `stop` is set first; whether all were done.

    Raises the first error of a task that is not a cancellation.
    """
    working = asyncio.gather(*tasks)
    stopping = asyncio.create_task(stop.wait())
    both: list[asyncio.Future[Any]] = [working, stopping]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        working.result()
        return True
    finally:
        for each in (*tasks, *both):
            each.cancel()
        await asyncio.gather(*tasks, *both, return_exceptions=True)
