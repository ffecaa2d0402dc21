"""Values that no column can hold are refused with 4xx, never with an error of ours."""

import pytest
from aiohttp import ClientSession

from fitstream.client import Client
from fitstream.errors import Conflict, NotFound, Rejected, TooMany
from fitstream.gateway.api.answers import cursor
from tests.conftest import RunningStack
from tests.real import new_wearer

pytestmark = pytest.mark.stack
NUL = "%00"
PATHS = [
    f"/v1/customers?search={NUL}",
    f"/v1/customers?after={cursor(2**40)}",
    f"/v1/customers/{NUL}",
    f"/v1/customers/{{customer}}/devices?x={NUL}",
    f"/v1/customers/{{customer}}/samples?after={cursor((2**40, 1))}",
    f"/v1/customers/{{customer}}/samples?device={NUL}",
    "/v1/customers/{customer}/samples?from=0001-01-01T00:00:00Z",
    "/v1/customers/{customer}/samples?to=9999-12-31T23:59:59Z",
    "/v1/customers/{customer}/days?from=0001-01-01&to=0001-01-02",
    "/v1/customers/{customer}/days?to=9999-12-31",
    "/v1/customers/{customer}/hours?day=9999-12-31",
    "/v1/customers/{customer}/weeks/9999-W52",
    f"/v1/customers/{{customer}}/weeks?after={cursor(NUL)}",
    "/v1/customers/{customer}/weeks/2026-W47/versions/99999999999/file",
    f"/v1/jobs?state={NUL}",
    f"/v1/jobs/{NUL}",
    f"/v1/dead-letters?reason={NUL}",
    f"/v1/dead-letters?after={cursor(2**70)}",
    f"/v1/dead-letters/{NUL}",
    "/v1/dead-letters/99999999999999999999",
    f"/v1/models/{NUL}",
    f"/v1/training-runs/{NUL}",
]


@pytest.mark.parametrize("path", PATHS)
async def test_a_read_with_an_impossible_value_is_4xx(
    stack: RunningStack, admin: Client, http: ClientSession, path: str
) -> None:
    customer = (await new_wearer(admin)).customer.id
    headers = {"Authorization": f"Bearer {stack.admin_key}"}
    from yarl import URL

    url = URL(path.format(customer=customer), encoded=True)
    async with http.get(url, headers=headers) as answer:
        assert answer.status in (200, 400, 404, 422), await answer.text()


async def test_a_login_with_nul_is_refused(http: ClientSession) -> None:
    body = {"email": "a\x00@x.org", "password": "whatever it is"}
    async with http.post("/v1/auth/login", json=body) as answer:
        assert answer.status in (401, 422)


@pytest.mark.parametrize("header", ["Basic é", "Basic !!", "Bearer é", "Digest x", "Basic"])
async def test_a_garbled_authorization_is_401(http: ClientSession, header: str) -> None:
    async with http.get("/v1/customers", headers={"Authorization": header}) as answer:
        assert answer.status == 401


async def test_a_login_cannot_take_another_accounts_address(admin: Client) -> None:
    one, other = await new_wearer(admin), await new_wearer(admin)
    await admin.set_login(one.customer.id, f"{one.customer.id}@x.org", "a quiet long walk")
    await admin.set_login(other.customer.id, f"{other.customer.id}@x.org", "a quiet long walk")
    with pytest.raises(Conflict):
        await admin.set_login(other.customer.id, f"{one.customer.id}@x.org", "a quiet long walk")


async def test_a_deactivated_customers_session_ends(admin: Client) -> None:
    wearer = await new_wearer(admin)
    email = f"{wearer.customer.id}@x.org"
    await admin.set_login(wearer.customer.id, email, "a quiet long walk")
    me = admin.as_who((await admin.as_who("").login(email, "a quiet long walk")).token)
    await me.me()
    await admin.change_customer(wearer.customer.id, deactivated=True)
    with pytest.raises(Rejected) as error:
        await me.me()
    assert error.value.status == 401
    with pytest.raises(Rejected):
        await admin.as_who("").login(email, "a quiet long walk")


async def test_who_guesses_passwords_is_slowed_down_and_the_owner_is_not(
    admin: Client, http: ClientSession
) -> None:
    wearer = await new_wearer(admin)
    email = f"{wearer.customer.id}@x.org"
    await admin.set_login(wearer.customer.id, email, "a quiet long walk")
    thief = admin.as_who("", forwarded="203.0.113.9")
    for _ in range(10):
        with pytest.raises(Rejected):
            await thief.login(email, "a wrong password")
    with pytest.raises(TooMany):
        await thief.login(email, "a wrong password")
    owner = admin.as_who("", forwarded="203.0.113.10")
    assert (await owner.login(email, "a quiet long walk")).account.email == email


async def test_a_roll_of_a_week_without_data_is_404(admin: Client) -> None:
    wearer = await new_wearer(admin)
    with pytest.raises(NotFound):
        await admin.roll_week(wearer.customer.id, "2026-W40")
