"""The customer's pages: a device is approved by its code, or redeems the one the page shows."""

import html
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession, CookieJar

from fitstream.client import Client
from fitstream.client.data import Customer
from tests.conftest import RunningStack

pytestmark = pytest.mark.stack
PASSWORD = "a quiet long walk"
TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


class Visitor:
    """A browser without scripts."""

    def __init__(self, http: ClientSession) -> None:
        self._http = http

    async def see(self, path: str) -> tuple[int, str]:
        """Status and page."""
        async with self._http.get(path) as response:
            return response.status, html.unescape(await response.text())

    async def send(self, page: str, path: str, **fields: str) -> tuple[int, str]:
        """Sends a form of `page`, with its token."""
        found = TOKEN.search((await self.see(page))[1])
        assert found is not None, page
        async with self._http.post(path, data={"csrf": found[1], **fields}) as response:
            return response.status, html.unescape(await response.text())


@pytest.fixture
async def customer(admin: Client) -> Customer:
    made = await admin.create_customer("UTC")
    await admin.set_login(made.id, f"{made.id}@example.org", PASSWORD)
    return made


@pytest.fixture
async def visitor(stack: RunningStack, customer: Customer) -> AsyncIterator[Visitor]:
    async with ClientSession(stack.pages, cookie_jar=CookieJar(unsafe=True)) as http:
        visitor = Visitor(http)
        login = {"email": f"{customer.id}@example.org", "password": PASSWORD}
        assert (await visitor.send("/login", "/login", **login))[0] == 200
        yield visitor


async def test_a_device_is_compared_and_approved(
    admin: Client, customer: Customer, visitor: Visitor
) -> None:
    begun = await admin.as_who("").begin_pairing("watch", "<b>Band</b>", "3.1")
    status, page = await visitor.see(f"/devices/add?code={begun.user_code}")
    assert (status, "“<b>Band</b>”" in page, "app 3.1" in page) == (200, True, True)
    status, page = await visitor.send(
        f"/devices/add?code={begun.user_code}", "/devices/add/decide",
        code=begun.user_code, answer="yes", name="Left wrist",
    )  # fmt: skip
    assert (status, "The device is yours" in page) == (200, True)
    paired = await admin.as_who("").poll_pairing(begun.device_code)
    assert paired.name == "Left wrist"
    assert "Left wrist" in (await visitor.see("/devices"))[1]


async def test_an_unknown_code_is_said_to_be_one(visitor: Visitor) -> None:
    for code in ("BBBB-BBBB", "x", "%00"):
        status, page = await visitor.see(f"/devices/add?code={code}")
        assert (status, "This code is not known" in page) == (404, True)


async def test_the_page_shows_a_code_that_a_phone_redeems(admin: Client, visitor: Visitor) -> None:
    status, page = await visitor.send(
        "/devices/add", "/devices/add/code", name="My phone", kind="phone"
    )
    assert (status, '<svg class="qr"' in page) == (201, True)
    found = re.search(r'id="offered">([A-Z-]+)<', page)
    assert found is not None
    assert (await admin.as_who("").redeem_code(found[1])).name == "My phone"
    status, page = await visitor.send("/devices/add", "/devices/add/code", name="", kind="phone")
    assert (status, "Give the device a name" in page) == (422, True)


async def test_summaries_of_days_are_shown_though_no_week_was_ever_measured(
    admin: Client, stack: RunningStack, customer: Customer, visitor: Visitor
) -> None:
    device = await admin.create_device(customer.id, "phone", "old phone")
    day = datetime.now(UTC)
    body = f"date,steps\n{day:%a %b %d %H:%M:%S} UTC {day:%Y},8123\n"
    auth = {"Authorization": f"Bearer {device.key}"}
    async with (
        ClientSession(stack.gateway) as http,
        http.put("/compat/s3/day.csv", data=body, headers=auth) as response,
    ):
        assert response.status == 200
    page = (await visitor.see("/weeks"))[1]
    assert "8,123" in page
    assert "legacy-daily" in page
