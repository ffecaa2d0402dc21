"""What the supervisor runs: a command with its log, its readiness and how it is stopped."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

Ready = Callable[[], Coroutine[Any, Any, bool]]


@dataclass(frozen=True)
class Program:
    """One process of a stack.

    `stage` orders start and stop: services are 0, what serves people is last to start and first to
    stop. `dies_by` is the signal that the kernel sends when the supervisor is killed.
    """

    name: str
    command: list[str]
    log: Path
    ready: Ready
    stage: int
    environ: Mapping[str, str] = field(default_factory=dict)
    user: str = "-"
    stops_by: signal.Signals = signal.SIGTERM
    dies_by: signal.Signals = signal.SIGKILL

    def launched_by(self, parent: int) -> list[str]:
        """The command as a child that dies with process `parent`."""
        launcher = [sys.executable, "-m", "fitstream.stack.launch"]
        return [*launcher, str(parent), str(int(self.dies_by)), self.user, *self.command]


def listens(port: int) -> Ready:
    """Ready when something on this machine accepts connections at `port`."""

    async def ready() -> bool:
        try:
            async with asyncio.timeout(2):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    return ready


def answers(port: int, path: str = "/readyz") -> Ready:
    """Ready when `path` at `port` answers 200."""

    async def ready() -> bool:
        try:
            async with (
                ClientSession(timeout=ClientTimeout(total=5)) as session,
                session.get(f"http://127.0.0.1:{port}{path}") as response,
            ):
                return response.status == 200
        except (ClientError, OSError, TimeoutError):
            return False

    return ready
