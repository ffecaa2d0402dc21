"""Two gateways on one database: what one is told holds on the other, within five seconds."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
from aiohttp import ClientSession
from msgspec.structs import replace

from fitstream.client import Client
from fitstream.errors import TooMany
from fitstream.gateway.api_rates import ApiRates
from fitstream.gateway.principal import Principal
from fitstream.repo.database import open_repo
from fitstream.settings import Settings
from tests.conftest import RunningStack, clean_environ
from tests.oauth import PASSWORD, call, logged_in, register
from tests.real import day_of_samples, last_monday, new_wearer

pytestmark = pytest.mark.stack
WITHIN_S = 5.0
POSTS_AT_ONCE = 60  # of one device, at the second gateway


@pytest.fixture(scope="module")
async def second(stack: RunningStack) -> AsyncIterator[ClientSession]:
    """HTTP against another gateway process on the same database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"FITSTREAM_METRICS_PORT": "0", "FITSTREAM_INGEST_BURST": str(POSTS_AT_ONCE)}
    environ = clean_environ(**stack.run.settings | own)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fitstream", "gateway", "--port", str(port), env=environ
    )
    async with ClientSession(f"http://127.0.0.1:{port}") as session:
        try:
            await answering(session)
            yield session
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()


async def answering(session: ClientSession) -> None:
    """Waits until the gateway is up."""
    for _ in range(300):
        try:
            async with session.get("/readyz") as response:
                if response.status == 200:
                    return
        except OSError:
            pass
        await asyncio.sleep(0.2)
    pytest.fail("the second gateway did not start")


async def refused(ask: Callable[[], Awaitable[int]]) -> None:
    """Passes when the answer becomes 401 within the promised time."""
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while (status := await ask()) != 401:
        assert asyncio.get_running_loop().time() < deadline, status
        await asyncio.sleep(0.1)


async def test_a_login_here_is_a_login_there_and_so_is_its_end(
    http: ClientSession, second: ClientSession, admin: Client
) -> None:
    who = await logged_in(admin)
    assert (await call(second, "GET", "/v1/me", who.token)).status == 200
    assert (await call(second, "POST", "/v1/auth/logout", who.token)).status == 204
    assert (await call(http, "GET", "/v1/me", who.token)).status == 401


async def test_a_stolen_refresh_token_used_twice_ends_the_family_on_both(
    http: ClientSession, second: ClientSession, admin: Client, stack: RunningStack
) -> None:
    who = await logged_in(admin)
    here = await register(http, stack.admin_key)
    first = await here.tokens(who)
    stolen = first["refresh_token"]
    one = (await here.refresh(stolen)).body
    two = (await here.refresh(one["refresh_token"])).body
    path = f"/v1/customers/{who.customer.id}"
    assert (await call(second, "GET", path, two["access_token"])).status == 200
    form = {"client_id": here.id, "grant_type": "refresh_token", "refresh_token": stolen}
    async with second.post("/v1/oauth/token", data=form) as response:
        assert (response.status, (await response.json())["error"]) == (400, "invalid_grant")
    for session in (http, second):
        for tokens in (first, one, two):
            assert (await call(session, "GET", path, tokens["access_token"])).status == 401
    assert (await here.refresh(two["refresh_token"])).body["error"] == "invalid_grant"


@pytest.mark.parametrize("why", ["password", "device", "consent"])
async def test_what_ends_tokens_here_ends_them_there(
    http: ClientSession, second: ClientSession, admin: Client, stack: RunningStack, why: str
) -> None:
    who = await logged_in(admin, consents={"training": True})
    devices = f"/v1/customers/{who.customer.id}/devices"
    device = (await call(http, "GET", devices, who.token)).body["items"][0]["id"]
    program = await register(http, stack.admin_key)
    tokens = await program.tokens(who, device_id=device)
    token = tokens["access_token"]
    elsewhere = (await admin.as_who("").login(who.email, PASSWORD)).token
    assert (await call(second, "GET", devices, token)).status == 200
    if why == "password":
        body = {"old": PASSWORD, "new": "another quiet walk"}
        assert (await call(http, "PUT", "/v1/me/password", who.token, body)).status == 204
    elif why == "device":
        assert (await call(http, "DELETE", f"{devices}/{device}", stack.admin_key)).status == 204
    else:
        await admin.change_customer(who.customer.id, consents={"training": False})

    async def ask() -> int:
        return (await call(second, "GET", devices, token)).status

    await refused(ask)
    form = {"client_id": program.id, "grant_type": "refresh_token"}
    form["refresh_token"] = tokens["refresh_token"]
    async with second.post("/v1/oauth/token", data=form) as response:
        assert (await response.json())["error"] == "invalid_grant"
    session_is_over = (await call(second, "GET", "/v1/me", elsewhere)).status == 401
    assert session_is_over == (why == "password")


async def test_a_key_that_is_revoked_here_fails_there(
    http: ClientSession, second: ClientSession, admin: Client, stack: RunningStack
) -> None:
    wanted = {"name": "two", "scopes": ["models:read"]}
    made = (await call(http, "POST", "/v1/keys", stack.admin_key, wanted)).body
    wearer = await new_wearer(admin)

    async def as_program() -> int:
        return (await call(second, "GET", "/v1/models", made["key"])).status

    async def as_device() -> int:
        body = wearer.envelope([])
        return (await call(second, "POST", "/v1/samples", wearer.device.key, body)).status

    assert await as_program() == 200
    assert await as_device() != 401
    await call(http, "DELETE", f"/v1/keys/{made['id']}", stack.admin_key)
    path = f"/v1/customers/{wearer.customer.id}/devices/{wearer.device.id}"
    await call(http, "DELETE", path, stack.admin_key)
    await refused(as_program)
    await refused(as_device)


async def test_guesses_here_count_there(
    http: ClientSession, second: ClientSession, admin: Client
) -> None:
    who = await logged_in(admin)
    wrong = {"email": who.email, "password": "not the password"}
    statuses = []
    for i in range(24):
        session = (http, second)[i % 2]
        statuses.append((await call(session, "POST", "/v1/auth/login", "", wrong)).status)
        if statuses[-1] == 429:
            break
    assert statuses[-1] == 429
    assert 8 <= statuses.count(401) <= 14
    for session in (http, second):
        assert (await call(session, "POST", "/v1/auth/login", "", wrong)).status == 429


async def test_one_callers_rate_holds_over_both(stack: RunningStack, admin: Client) -> None:
    caller = Principal("program", (await new_wearer(admin)).customer.id)
    settings: Settings = stack.settings
    small = {"api_burst": 40, "api_rate_per_s": 0.001}
    async with open_repo(settings) as repo:
        two = [ApiRates(repo, replace(settings, **small)) for _ in range(2)]
        taken = 0
        with suppress(TooMany):
            while taken < 100:
                await two[taken % 2].take(caller)
                taken += 1
        assert taken == 40
        for rates in two:
            with pytest.raises(TooMany):
                await rates.take(caller)


async def test_a_device_that_posts_too_fast_is_told_when_to_come_back_and_slows_nobody_else(
    http: ClientSession, second: ClientSession, admin: Client
) -> None:
    fast, other = await new_wearer(admin), await new_wearer(admin)
    own, row = {"Authorization": f"Bearer {fast.device.key}"}, day_of_samples(last_monday())[:1]

    async def post(_: int) -> tuple[int, str | None]:
        async with second.post("/v1/samples", json=fast.envelope(row), headers=own) as answer:
            if answer.status == 429:
                assert (await answer.json())["code"] == "too_many_requests"
            return answer.status, answer.headers.get("Retry-After")

    # Tokens come back while the posts are sent, so there are many more posts than tokens.
    answers = await asyncio.gather(*(post(number) for number in range(8 * POSTS_AT_ONCE)))
    assert {status for status, _ in answers} == {202, 429}
    waits = {after for status, after in answers if status == 429}
    assert all(after and int(after) >= 1 for after in waits), waits
    assert sum(status == 202 for status, _ in answers) >= POSTS_AT_ONCE
    for session, who in ((second, other), (http, fast)):  # a process counts what it is asked
        post_one = call(session, "POST", "/v1/samples", who.device.key, who.envelope(row))
        assert (await post_one).status == 202
