"""A TCP proxy that can misbehave: stands before a service and delays, throttles or cuts.

Runs in the caller's event loop. Must not look at what it carries.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

Mode = Literal["pass", "delay", "throttle", "blackhole", "cut"]
_PIECE_BYTES = 65_536


class Proxy:
    """Carries bytes between clients and one target, as its mode says; change it with `set`.

    `pass` at once · `delay` every piece after `delay_s` · `throttle` at `bytes_per_s` ·
    `blackhole` accepts and holds everything back until the mode changes · `cut` refuses.
    """

    def __init__(self, target: int, delay_s: float = 0.2, bytes_per_s: int = 100_000) -> None:
        self.port = 0
        self.mode: Mode = "pass"
        self._target = target
        self._delay_s = delay_s
        self._bytes_per_s = bytes_per_s
        self._server: asyncio.Server | None = None
        self._passes = asyncio.Event()
        self._passes.set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> None:
        """Listens at `port`, or at a free one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Drops every connection and listens no more."""
        if self._server is not None:
            self._server.close()
        self._drop_all()

    def set(self, mode: Mode) -> None:
        """From now on; `cut` also ends the connections that are open."""
        self.mode = mode
        if mode == "blackhole":
            self._passes.clear()
        else:
            self._passes.set()
        if mode == "cut":
            self._drop_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "cut":
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
        self._writers -= {writer, back}

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE_BYTES):
                await self._wait(len(piece))
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def _wait(self, size: int) -> None:
        """As long as the mode keeps a piece of so many bytes back."""
        await self._passes.wait()
        if self.mode == "delay":
            await asyncio.sleep(self._delay_s)
        elif self.mode == "throttle":
            await asyncio.sleep(size / self._bytes_per_s)

    def _drop_all(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()


@asynccontextmanager
async def open_proxy(target: int, port: int = 0) -> AsyncIterator[Proxy]:
    """A proxy before the local port `target`."""
    proxy = Proxy(target)
    await proxy.start(port)
    try:
        yield proxy
    finally:
        await proxy.stop()
