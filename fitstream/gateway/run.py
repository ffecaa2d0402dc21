"""The gateway as a process, or as several that share a port."""

import asyncio
import os
import signal
import subprocess
import sys
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
    children = [
        subprocess.Popen(command, env=environ)  # noqa: S603  our own command
        for _ in range(processes)
    ]

    def end(_: int, __: FrameType | None) -> None:
        for child in children:
            child.terminate()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    codes = [child.poll() for child in children]
    while None in codes:
        time.sleep(_LOOK_S)
        codes = [child.poll() for child in children]
        if any(code is not None for code in codes):
            end(0, None)
    return max(code or 0 for code in codes)
