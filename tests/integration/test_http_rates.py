"""Rates over HTTP: two gateways on one database count together, and staff's pages count, too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import ClientSession, DummyCookieJar
from aiohttp.test_utils import TestServer
from msgspec.structs import replace

from fitstream.client import Client
from fitstream.gateway.app import make_app
from fitstream.gateway.oauth import desk
from fitstream.gateway.receiving import ROOM
from fitstream.repo.database import open_repo
from tests.conftest import RunningStack
from tests.oauth import DEVICE_GRANT, PASSWORD, LoggedIn, call, logged_in, register
from tests.real import eventually

pytestmark = pytest.mark.stack
BURST = 20


@pytest.fixture(scope="module")
async def two(stack: RunningStack) -> AsyncIterator[list[ClientSession]]:
    """Two gateways with a small rate that hardly refills."""
    settings = replace(stack.settings, api_burst=BURST, api_rate_per_s=0.001)
    async with AsyncExitStack() as opened:
        servers = [await opened.enter_async_context(TestServer(make_app(settings))) for _ in "ab"]
        yield [
            await opened.enter_async_context(
                ClientSession(server.make_url("/"), cookie_jar=DummyCookieJar())
            )
            for server in servers
        ]


async def test_calls_and_pages_of_one_caller_count_together_on_both_gateways(
    two: list[ClientSession], admin: Client
) -> None:
    email = f"rates-{id(two)}@example.org"
    await admin.create_staff(email, "analyst", password=PASSWORD)
    token = (await admin.as_who("").login(email, PASSWORD)).token
    cookie = {"Cookie": f"fs_admin={token}"}
    statuses = []
    for number in range(BURST + 2):
        if number % 2:
            statuses.append((await call(two[number % 4 // 2], "GET", "/v1/me", token)).status)
            continue
        async with two[number % 4 // 2].get("/admin/customers", headers=cookie) as page:
            statuses.append(page.status)
    assert statuses == [200] * BURST + [429] * 2
    for session in two:
        async with session.get("/admin/customers", headers=cookie) as page:
            assert (page.status, page.content_type) == (429, "text/html")
            assert int(page.headers["Retry-After"]) >= 1
        async with session.get("/v1/me", headers={"Authorization": f"Bearer {token}"}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (429, "too_many_requests")
            assert int(answer.headers["Retry-After"]) >= 1
    other = await logged_in(admin)
    assert (await call(two[0], "GET", "/v1/me", other.token)).status == 200


async def test_oauths_own_routes_count_by_client_and_strangers_by_address(
    two: list[ClientSession], http: ClientSession, stack: RunningStack
) -> None:
    program = await register(
        http, stack.admin_key, is_confidential=True, grants=["client_credentials"],
        redirect_uris=[],
    )  # fmt: skip
    assert program.secret is not None
    form = {"grant_type": "client_credentials", "client_id": program.id}
    stranger = form | {"client_secret": "fsk_guessed"}

    async def ask(number: int, path: str, fields: dict[str, str]) -> int:
        async with two[number % 2].post(f"/v1/oauth/{path}", data=fields) as answer:
            return answer.status

    guesses = [await ask(number, "token", stranger) for number in range(BURST + 2)]
    assert guesses == [401] * BURST + [429] * 2
    for path in ("revoke", "introspect", "device"):
        assert await ask(0, path, stranger | {"token": "x"}) == 429
    own = form | {"client_secret": program.secret[1]}  # not used up by who only names the client
    asked = [await ask(number, "token", own) for number in range(BURST + 1)]
    assert asked == [200] * BURST + [429]


async def test_no_more_devices_of_a_client_wait_than_it_may_have(
    http: ClientSession, stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = await register(http, stack.admin_key, grants=[DEVICE_GRANT], redirect_uris=[])
    other = await register(http, stack.admin_key, grants=[DEVICE_GRANT], redirect_uris=[])
    monkeypatch.setattr(desk, "WAITING_MAX", 2)
    async with (
        TestServer(make_app(stack.settings)) as server,
        ClientSession(server.make_url("/")) as session,
    ):
        for one, statuses in ((program, [200, 200, 429]), (other, [200])):
            for status in statuses:
                data = {"client_id": one.id}
                async with session.post("/v1/oauth/device", data=data) as answer:
                    assert answer.status == status
    async with open_repo(stack.settings) as repo, repo.connection() as db:
        count = (
            "SELECT count(*) FROM oauth_device_code JOIN oauth_client USING (client_no)"
            " WHERE id = $1"
        )
        assert await db.fetchval(count, program.id) == 2
        await db.execute("UPDATE oauth_device_code SET expires_at = now() - interval '11 min'")
    codes = await program.send("device")  # those that expired count no more, and are forgotten
    assert codes.status == 200
    async with open_repo(stack.settings) as repo, repo.connection() as db:
        assert await db.fetchval(count, program.id) == 1


async def test_wrong_codes_of_devices_run_out_for_an_account_but_right_ones_cost_nothing(
    http: ClientSession, admin: Client, stack: RunningStack
) -> None:
    who = await logged_in(admin)
    program = await register(http, stack.admin_key, grants=[DEVICE_GRANT], redirect_uris=[])
    code = (await program.send("device")).body["user_code"]
    for _ in range(12):
        shown = await call(http, "GET", f"/v1/oauth/device?user_code={code}", who.token)
        assert shown.status == 200
    wrong = {"user_code": "BBBB-BBBB", "approve": True}
    tries = [
        await call(http, "POST", "/v1/oauth/device/decision", who.token, wrong) for _ in range(11)
    ]
    assert [one.status for one in tries] == [404] * 10 + [429]
    right = await call(http, "GET", f"/v1/oauth/device?user_code={code}", who.token)
    assert right.status == 429


async def test_a_second_file_of_one_sender_waits_and_anothers_does_not(
    stack: RunningStack, admin: Client
) -> None:
    one, other = await logged_in(admin), await logged_in(admin)
    going = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"slot,steps\n"
        await going.wait()
        yield b"2026-11-16T00:00:00Z,1\n"

    app = make_app(stack.settings)
    async with TestServer(app) as server, ClientSession(server.make_url("/")) as session:

        async def send(who: LoggedIn, file: Any) -> int:
            headers = {"Authorization": f"Bearer {who.token}", "Content-Type": "text/csv"}
            path = f"/v1/customers/{who.customer.id}/uploads?name=a.csv"
            async with session.post(path, data=file, headers=headers) as answer:
                return answer.status

        first = asyncio.create_task(send(one, slow()))

        async def is_on_its_way() -> bool:
            return bool(app[ROOM].senders)

        await eventually(is_on_its_way, 10)
        assert await send(one, b"slot,steps\n") == 429
        assert await send(other, b"slot,steps\n") == 201
        going.set()
        assert await first == 201
        assert not app[ROOM].senders
