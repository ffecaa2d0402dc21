"""A body that is read by a bound of its own can be read again, and never beyond the bound."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fitstream.errors import Rejected
from fitstream.gateway.body import read_bounded
from fitstream.gateway.keys import SETTINGS
from fitstream.settings import load
from tests.factories import SETTINGS as ENVIRON


@pytest.fixture
async def client() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async def twice(request: web.Request) -> web.Response:
        try:
            first = await read_bounded(request, 10)
            assert await read_bounded(request, 10) == first
        except Rejected as error:
            return web.Response(status=error.status, text=error.code)
        return web.Response(body=first)

    app = web.Application()
    app[SETTINGS] = load(ENVIRON)
    app.router.add_post("/", twice)
    async with TestClient(TestServer(app)) as opened:
        yield opened


async def test_who_asks_again_gets_the_same_bytes(
    client: TestClient[web.Request, web.Application],
) -> None:
    async with client.post("/", data=b"0123456789") as answer:
        assert (answer.status, await answer.read()) == (200, b"0123456789")


async def test_a_byte_more_than_allowed_is_refused_also_without_a_length(
    client: TestClient[web.Request, web.Application],
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"01234"
        yield b"567890"

    for body in (b"01234567890", pieces()):
        async with client.post("/", data=body) as answer:
            assert (answer.status, await answer.text()) == (413, "body_too_large")
