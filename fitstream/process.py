"""One process from settings to exit code: logs, event loop, signals, and what its end means."""

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable

import uvloop

from fitstream import crash, logs
from fitstream.errors import FitstreamError, Halted, Unavailable
from fitstream.settings import Settings, SettingsError, load

EXIT_UNAVAILABLE = 75  # a service is away: start me again later
EXIT_HALTED = 70  # a person must decide
EXIT_SETTINGS = 78
EXIT_FAILED = 1
_YOUNG = 20_000  # new objects between two looks for cycles: a post or a row makes hundreds of them

Main = Callable[[Settings, asyncio.Event], Awaitable[None]]


def run(name: str, main: Main, environ: dict[str, str] | None = None) -> int:
    """Runs `main(settings, stop)` until it returns; the exit code. SIGTERM and SIGINT set stop."""
    log = logs.get("fitstream.process")
    try:
        settings = load(dict(os.environ) if environ is None else environ)
        logs.configure(settings.log_level, settings.log_format, name)
        crash.arm(settings.crash_at)
        _look_for_cycles_seldom()
        uvloop.run(_supervised(settings, main))
    except SettingsError as error:
        logs.configure("info", "json", name)
        log.error("settings_wrong", detail=str(error))
        return EXIT_SETTINGS
    except Unavailable as error:
        log.error("service_away", service=error.service, detail=str(error))
        return EXIT_UNAVAILABLE
    except Halted as error:
        log.error("halted", code=error.code, detail=str(error))
        return EXIT_HALTED
    except FitstreamError as error:
        log.error("failed", detail=str(error))
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_FAILED
    return 0


def _look_for_cycles_seldom() -> None:
    """What is imported stays for ever, and nearly nothing we make later is a cycle: the default
    of a look every 700 objects takes 7 % of a gateway's time."""
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)


async def _supervised(settings: Settings, main: Main) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await main(settings, stop)
    except BaseExceptionGroup as group:
        raise _telling(group) from group


def _telling(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error of a group of tasks that says how to end: a bug as the group it came in, else a
    halt before an outage before a refusal."""
    known, bugs = group.split(FitstreamError)
    if known is None or bugs is not None:
        return group
    errors = sorted(_leaves(known), key=lambda error: not isinstance(error, Halted))
    return errors[0]


def _leaves(group: BaseExceptionGroup[FitstreamError]) -> list[FitstreamError]:
    found: list[FitstreamError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
