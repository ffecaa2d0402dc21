"""The customers' pages against the running system, in Chromium."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest
from aiohttp import web
from playwright.async_api import Browser, expect

from fitstream.client import Client
from fitstream.gateway.pages.app import make_app
from fitstream.settings import Settings
from tests.browser.conftest import People
from tests.browser.visits import LOOKS, PASSWORD, Look, Visit, visiting
from tests.conftest import RunningStack

# The first test waits for the whole system to start, and for its first training.
pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.timeout(360)]

PAGES = [
    ("/today", "Good", "Steps by hour"),
    ("/today?day=yesterday", "", "above|below|Close"),
    ("/weeks", "Weeks", "Your weeks"),
    ("/weeks/{week}", "Weeks", "Your best day was"),
    ("/forecast", "Forecast", "steps expected"),
    ("/forecast?target=heart_rate_bpm", "Forecast", "What it rests on"),
    ("/forecast?horizon=672", "Forecast", "looks most like"),
    ("/profile", "Profile", "How the programme knows you"),
    ("/devices", "Devices", "Watch"),
    ("/devices/add", "Add a device", "The device shows a code"),
]
EMPTY = [
    ("/today", "Good", "No device is paired with you yet"),
    ("/weeks", "Weeks", "No weeks yet"),
    ("/forecast", "Forecast", "No forecast of steps yet"),
    ("/devices", "Devices", "No device yet"),
]


@pytest.fixture(scope="module", params=LOOKS)
async def walker(
    request: pytest.FixtureRequest, browser: Browser, stack: RunningStack, people: People
) -> AsyncIterator[Visit]:
    """The window of somebody with weeks of data."""
    look: Look = request.param
    async with visiting(browser, stack.pages, look) as visit:
        await visit.log_in("/login", people.walker.email, PASSWORD)
        yield visit


@pytest.mark.parametrize(("path", "heading", "text"), PAGES)
async def test_page_shows_what_it_promises(
    walker: Visit, people: People, path: str, heading: str, text: str
) -> None:
    await walker.open("/today")
    yesterday = await walker.page.get_by_role("link", name="Day before").get_attribute("href")
    address = path.format(week=people.week).replace("/today?day=yesterday", yesterday or "")
    response = await walker.open(address)
    assert response.status == 200
    assert (await walker.heading()).startswith(heading)
    if "|" not in text:
        await expect(walker.page.locator("main")).to_contain_text(text)
    await walker.check_sound()


@pytest.mark.parametrize(("path", "heading", "text"), EMPTY)
async def test_a_newcomer_is_told_what_comes_next(
    browser: Browser, stack: RunningStack, people: People, path: str, heading: str, text: str
) -> None:
    async with visiting(browser, stack.pages, Look(390, "light")) as visit:
        await visit.log_in("/login", people.newcomer.email, PASSWORD)
        await visit.open(path)
        assert (await visit.heading()).startswith(heading)
        await expect(visit.page.locator("main")).to_contain_text(text)
        await visit.check_sound()


async def test_a_code_to_scan_is_shown_and_a_code_that_was_typed_is_compared(
    browser: Browser, stack: RunningStack, people: People, admin: Client
) -> None:
    begun = await admin.as_who("").begin_pairing("phone", "Pixel")
    async with visiting(browser, stack.pages, Look(390, "dark"), script=False) as visit:
        await visit.log_in("/login", people.newcomer.email, PASSWORD)
        await visit.open("/devices/add")
        await visit.page.fill("#name", "My phone")
        await visit.page.get_by_role("button", name="Show a code").click()
        await expect(visit.page.get_by_role("img", name="QR code for the app")).to_be_visible()
        await visit.check_sound()
        await visit.open("/devices/add")
        await visit.page.fill("#code", begun.user_code.lower())
        await visit.page.get_by_role("button", name="Show the device").click()
        await expect(visit.page.locator("main")).to_contain_text("calls itself “Pixel”")
        await visit.check_sound()
        await visit.page.get_by_role("button", name="No").click()
        await expect(visit.page.get_by_role("status")).to_contain_text("turned away")


async def test_every_chart_has_its_table_without_javascript(
    browser: Browser, stack: RunningStack, people: People
) -> None:
    async with visiting(browser, stack.pages, script=False) as visit:
        await visit.log_in("/login", people.walker.email, PASSWORD)
        await visit.open("/forecast")
        assert await visit.page.locator(".chart").is_visible() is False
        rows = visit.page.locator("details.data tbody tr")
        assert await rows.count() == 96
        assert await rows.first.is_visible()


async def test_charts_are_drawn_where_javascript_runs(walker: Visit) -> None:
    await walker.open("/forecast")
    await expect(walker.page.locator(".chart svg")).to_be_visible()
    assert await walker.page.locator("details.data tbody").is_visible() is False
    await walker.page.get_by_text("Show as table").click()
    assert await walker.page.locator("details.data tbody").is_visible()


async def test_pages_are_behind_a_login_that_leads_back(
    browser: Browser, stack: RunningStack, people: People
) -> None:
    async with visiting(browser, stack.pages) as visit:
        await visit.open("/")
        await visit.check_sound()
        await visit.open("/weeks")
        assert await visit.heading() == "Log in"
        await visit.check_sound()
        await visit.page.fill("#email", people.walker.email)
        await visit.page.fill("#password", "not-the-password")
        await visit.page.click("main form button")
        await expect(visit.page.get_by_role("alert")).to_have_text("E-mail or password is wrong.")
        await visit.page.fill("#password", PASSWORD)
        await visit.page.click("main form button")
        assert await visit.heading() == "Weeks"


async def test_an_administrators_login_opens_no_customers_page(
    browser: Browser, stack: RunningStack
) -> None:
    assert stack.run.admin is not None
    async with visiting(browser, stack.pages) as visit:
        await visit.log_in("/login", stack.run.admin.email, stack.run.admin.password)
        await expect(visit.page.get_by_role("alert")).to_contain_text("administrator")


async def test_logging_out_needs_its_token_and_ends_the_session(
    browser: Browser, stack: RunningStack, people: People
) -> None:
    async with visiting(browser, stack.pages, script=False) as visit:
        await visit.log_in("/login", people.walker.email, PASSWORD)
        cookies = {c["name"]: c["value"] for c in await visit.page.context.cookies()}
        async with aiohttp.ClientSession(cookies=cookies) as session:
            async with session.post(f"{stack.pages}/logout", allow_redirects=False) as answer:
                assert answer.status == 403
            await visit.open("/profile")
            await visit.page.get_by_role("button", name="Log out").click()
            assert await visit.heading() == "Your days, as your wearable measured them"
            async with session.get(f"{stack.pages}/today", allow_redirects=False) as answer:
                assert answer.headers["Location"].startswith("/login")


async def test_the_cookie_is_out_of_reach_of_scripts(walker: Visit) -> None:
    await walker.open("/today")
    (cookie,) = [c for c in await walker.page.context.cookies() if c["name"] == "fs_me"]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    assert await walker.page.evaluate("document.cookie") == ""


async def test_without_the_api_the_page_says_so_and_is_not_ready(
    browser: Browser, stack: RunningStack
) -> None:
    settings = msgspec.structs.replace(stack.settings, gateway_url="http://127.0.0.1:9")
    async with serving(settings) as base, visiting(browser, base) as visit:
        await visit.page.context.add_cookies([{"name": "fs_me", "value": "fss_x", "url": base}])
        response = await visit.open("/today")
        assert response.status == 503
        assert response.headers["retry-after"]
        assert await visit.heading() == "Not available just now"
        visit.complaints.clear()  # the browser itself reports the 503
        await visit.check_sound()
        async with aiohttp.ClientSession(base) as session:
            async with session.get("/readyz") as answer:
                assert answer.status == 503
            async with session.get("/healthz") as answer:
                assert answer.status == 200
            async with session.get("/metrics") as answer:
                assert "fitstream_http_responses" in await answer.text()


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    """The pages in this process."""
    runner = web.AppRunner(make_app(settings))
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    try:
        await web.SockSite(runner, listening).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        await runner.cleanup()
