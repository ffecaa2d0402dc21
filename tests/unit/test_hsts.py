"""HSTS goes by the public address, and is on every answer."""

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fitstream.gateway.hsts import HSTS, add_hsts
from fitstream.gateway.pages.app import make_app as make_pages
from fitstream.gateway.view.templates import see
from fitstream.settings import load
from tests.factories import SETTINGS

PLAIN = load(SETTINGS)
HTTPS = msgspec.structs.replace(PLAIN, public_url="https://wear.example.org")
LIES = {"X-Forwarded-Proto": "https", "Forwarded": "proto=https"}


async def _redirect(_: web.Request) -> web.StreamResponse:
    return see("/elsewhere")


async def _found(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/elsewhere")


async def _streamed(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"x")
    return response


async def _bug(_: web.Request) -> web.StreamResponse:
    raise web.HTTPInternalServerError


@pytest.mark.parametrize("settings", [PLAIN, HTTPS], ids=["http", "https"])
async def test_each_answer_has_it_exactly_when_the_public_address_is_https(
    settings: object,
) -> None:
    app = web.Application()
    add_hsts(app, settings)  # type: ignore[arg-type]
    for path, handler in (("/a", _redirect), ("/b", _found), ("/c", _streamed), ("/d", _bug)):
        app.router.add_get(path, handler)
    expected = HSTS if settings is HTTPS else None
    async with TestClient(TestServer(app)) as client:
        for path in ("/a", "/b", "/c", "/d", "/none"):
            answer = await client.get(path, headers=LIES, allow_redirects=False)
            assert answer.headers.get("Strict-Transport-Security") == expected, path


@pytest.mark.parametrize("settings", [PLAIN, HTTPS], ids=["http", "https"])
async def test_customers_pages_have_it_on_redirects_files_and_refusals(settings: object) -> None:
    expected = HSTS if settings is HTTPS else None
    async with TestClient(TestServer(make_pages(settings))) as client:  # type: ignore[arg-type]
        for path in ("/login", "/today", "/healthz", "/none", "/metrics"):
            answer = await client.get(path, headers=LIES, allow_redirects=False)
            assert answer.headers.get("Strict-Transport-Security") == expected, path
