"""The proxy of the fault tests does what its mode says."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.faults.proxy import Proxy, open_proxy


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """Before a server that says back what it hears."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65_536):
            writer.write(piece)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with open_proxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()


async def said(proxy: Proxy, text: bytes, timeout_s: float = 5.0) -> bytes:
    """What comes back; raises OSError or TimeoutError."""
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        try:
            writer.write(text)
            return await reader.readexactly(len(text))
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError from error
        finally:
            writer.close()


async def test_it_passes_everything(proxy: Proxy) -> None:
    text = bytes(range(256)) * 4096
    assert await said(proxy, text) == text


async def test_it_delays(proxy: Proxy) -> None:
    proxy.set("delay")
    started = time.monotonic()
    assert await said(proxy, b"x") == b"x"
    assert time.monotonic() - started > 0.35  # there and back


async def test_it_throttles(proxy: Proxy) -> None:
    proxy.set("throttle")
    started = time.monotonic()
    assert len(await said(proxy, b"x" * 30_000)) == 30_000
    assert time.monotonic() - started > 0.5


async def test_a_black_hole_holds_back_until_it_ends(proxy: Proxy) -> None:
    proxy.set("blackhole")
    with pytest.raises(TimeoutError):
        await said(proxy, b"x", 0.3)
    saying = asyncio.create_task(said(proxy, b"y"))
    await asyncio.sleep(0.2)
    assert not saying.done()
    proxy.set("pass")
    assert await saying == b"y"


async def test_a_cut_ends_what_is_open_and_refuses_what_is_new(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"x")
    assert await reader.readexactly(1) == b"x"
    proxy.set("cut")
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(OSError):  # noqa: PT011
        await said(proxy, b"x")
    proxy.set("pass")
    assert await said(proxy, b"x") == b"x"
