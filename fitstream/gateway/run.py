"""The gateway as a process, or as several that share a port."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType

from fitstream.gateway.app import make_app
from fitstream.gateway.serve import serve
from fitstream.logs import get
from fitstream.settings import Settings

log = get(__name__)
_LOOK_S = 0.2


async def run_gateway(
    settings: Settings, port: int | None, stop: asyncio.Event, *, is_shared: bool = False
) -> None:
    """Serves until `stop`; `is_shared` is for one of several processes on one port."""
    await serve(make_app(settings), settings, port or settings.port, stop, is_shared=is_shared)


def run_many(port: int | None, processes: int, environ: dict[str, str]) -> int:
    """Starts `processes` gateways on one port; ends all of them with the first that ends."""
    command = [sys.executable, "-m", "fitstream", "gateway", "--shared", str(os.getpid())]
    command += ["--port", str(port)] if port else []
    asked = threading.Event()

    def end(_: int, __: FrameType | None) -> None:
        asked.set()

    signal.signal(signal.SIGTERM, end)  # before the first child, which would outlive us otherwise
    signal.signal(signal.SIGINT, end)
    children = [
        subprocess.Popen(command, env=environ)  # noqa: S603  our own command
        for _ in range(processes)
    ]
    while all(child.poll() is None for child in children) and not asked.is_set():
        time.sleep(_LOOK_S)
    for child in children:
        child.terminate()  # once: a second signal would meet a child without its handlers
    return max(_exit_code(child.wait()) for child in children)


def _exit_code(code: int) -> int:
    """A child that SIGTERM met while it was still starting has ended as it was asked to."""
    if code == -signal.SIGTERM:
        return 0
    return 128 - code if code < 0 else code
