"""Behind an https address the gateway's every answer says so, and its cookies go nowhere else."""

import pytest
from aiohttp import ClientSession, DummyCookieJar
from aiohttp.test_utils import TestServer
from msgspec.structs import replace

from fitstream.gateway.app import make_app
from fitstream.gateway.hsts import HSTS
from tests.conftest import RunningStack

pytestmark = pytest.mark.stack


async def test_the_gateway_is_for_https_by_its_public_address(stack: RunningStack) -> None:
    settings = replace(stack.settings, public_url="https://wear.example.org")
    async with (
        TestServer(make_app(settings)) as server,
        ClientSession(server.make_url("/"), cookie_jar=DummyCookieJar()) as session,
    ):
        for method, path, status in (
            ("GET", "/healthz", 200),
            ("GET", "/v1/me", 401),
            ("GET", "/v1/nothing", 404),
            ("POST", "/v1/samples", 401),
            ("GET", "/admin", 303),
            ("GET", "/v1/oauth/authorize", 302),
            ("GET", "/admin/login", 200),
        ):
            async with session.request(method, path, allow_redirects=False) as answer:
                assert answer.status == status, path
                assert answer.headers["Strict-Transport-Security"] == HSTS, path
        assert "__Host-fs_admin_visitor=" in answer.headers["Set-Cookie"]
        assert "Secure" in answer.headers["Set-Cookie"]


async def test_over_plain_http_nobody_is_promised_anything(
    http: ClientSession,
) -> None:
    lies = {"X-Forwarded-Proto": "https", "Forwarded": "proto=https"}
    for path in ("/healthz", "/admin/login", "/admin"):
        async with http.get(path, headers=lies, allow_redirects=False) as answer:
            assert "Strict-Transport-Security" not in answer.headers
