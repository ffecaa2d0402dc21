"""The administrators' pages against the running system, in Chromium."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from fitstream.repo import jobs
from fitstream.repo.database import open_repo
from fitstream.repo.jobs import NewJob
from tests.browser.conftest import People
from tests.browser.visits import LOOKS, Look, Visit, visiting
from tests.conftest import RunningStack

# The first test waits for the whole system to start, and for its first training.
pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.timeout(360)]

PAGES = [
    ("/admin", "Overview", "The way of a sample"),
    ("/admin/customers", "Customers", "Register a customer"),
    ("/admin/customers?search=B-100", "Customers", "B-100"),
    ("/admin/customers?search=nobody-at-all", "Customers", "Nobody matches"),
    ("/admin/customers?sort=-external_id", "Customers", "External id, from Z"),
    ("/admin/customers/new", "Register a customer", "Home zone"),
    ("/admin/customers/{walker}", "Customer B-100", "Steps per day"),
    ("/admin/customers/{newcomer}", "Customer B-0001", "No device yet"),
    ("/admin/customers/{walker}/explore?metric=heart_rate_bpm", "Customer B-100", "Distribution"),
    ("/admin/customers/{newcomer}/explore", "Customer B-0001", "Nothing measured"),
    ("/admin/customers/{walker}/weeks", "Customer B-100", "Rolled"),
    ("/admin/customers/{newcomer}/weeks", "Customer B-0001", "No weeks yet"),
    ("/admin/customers/{walker}/weeks/{week}", "Customer B-100", "Gaps, and how to close them"),
    ("/admin/customers/{walker}/forecast", "Customer B-100", "steps expected"),
    ("/admin/customers/{walker}/forecast?target=heart_rate_bpm", "Customer B-100", "rests on"),
    ("/admin/customers/{walker}/forecast?horizon=672", "Customer B-100", "per day"),
    ("/admin/customers/{newcomer}/forecast", "Customer B-0001", "No forecast of steps yet"),
    ("/admin/customers/{walker}/devices", "Customer B-100", "Watch"),
    ("/admin/customers/{walker}/account", "Customer B-100", "Login for their own pages"),
    ("/admin/models", "Models", "Weighted climatology"),
    ("/admin/jobs", "Jobs", "Cohort training"),
    ("/admin/jobs?state=failed", "Jobs", ""),
    ("/admin/dead-letters?state=any", "Dead letters", "Their bytes are kept"),
    ("/admin/dead-letters?reason=no_key", "Dead letters", "No such records"),
    ("/admin/people?sort=email", "Administration", "E-mail, from A"),
    ("/admin/people?search=nobody-at-all", "Administration", "Nobody matches"),
    ("/admin/keys?sort=-expires_at", "Administration", "Make a key"),
    ("/admin/clients", "Administration", "Register a client"),
    ("/admin/audit?action=customer.created", "Administration", "Customer: created"),
]


def address(path: str, people: People) -> str:
    """A path with the people in it."""
    return path.format(walker=people.walker.id, newcomer=people.newcomer.id, week=people.week)


async def enter(visit: Visit, stack: RunningStack) -> None:
    """Logs in as the first administrator."""
    assert stack.run.admin is not None
    await visit.log_in("/admin/login", stack.run.admin.email, stack.run.admin.password)
    assert await visit.heading() == "Overview"


@pytest.fixture(scope="module", params=LOOKS)
async def looking(
    request: pytest.FixtureRequest, browser: Browser, stack: RunningStack
) -> AsyncIterator[Visit]:
    """An administrator's window in each look."""
    look: Look = request.param
    async with visiting(browser, stack.gateway, look) as visit:
        await enter(visit, stack)
        yield visit


@pytest.fixture
async def plain(browser: Browser, stack: RunningStack) -> AsyncIterator[Visit]:
    """An administrator's window without JavaScript."""
    async with visiting(browser, stack.gateway, script=False) as visit:
        await enter(visit, stack)
        yield visit


@pytest.mark.parametrize(("path", "heading", "text"), PAGES)
async def test_page_shows_what_it_promises(
    looking: Visit, people: People, path: str, heading: str, text: str
) -> None:
    response = await looking.open(address(path, people))
    assert response.status == 200
    assert await looking.heading() == heading
    await expect(looking.page.locator("main")).to_contain_text(text)
    await looking.check_sound()


async def test_a_page_that_is_none_says_so(looking: Visit) -> None:
    response = await looking.open("/admin/nowhere")
    assert response.status == 404
    assert await looking.heading() == "Not found"
    looking.complaints.clear()  # the browser itself reports the 404
    await looking.check_sound()


async def test_the_front_door_leads_to_the_login_and_back(
    browser: Browser, stack: RunningStack
) -> None:
    async with visiting(browser, stack.gateway) as visit:
        await visit.open("/")
        assert visit.page.url.endswith("/admin/login?next=%2Fadmin")
        await visit.check_sound()
        await enter(visit, stack)


async def test_a_wrong_password_is_told_and_nothing_more(
    browser: Browser, stack: RunningStack
) -> None:
    async with visiting(browser, stack.gateway) as visit:
        await visit.log_in("/admin/login", "admin@fitstream.invalid", "not-the-password")
        await expect(visit.page.get_by_role("alert")).to_have_text("E-mail or password is wrong.")
        wrong = await visit.page.inner_text("main")
        await visit.log_in("/admin/login", "nobody@fitstream.invalid", "not-the-password")
        assert await visit.page.inner_text("main") == wrong


async def test_a_customers_login_opens_no_administrators_page(
    browser: Browser, stack: RunningStack, people: People
) -> None:
    async with visiting(browser, stack.gateway) as visit:
        await visit.log_in("/admin/login", people.walker.email, "walking-slowly-1")
        await expect(visit.page.get_by_role("alert")).to_contain_text("no administrator's role")


async def test_a_form_without_its_token_is_refused(
    plain: Visit, stack: RunningStack, people: People
) -> None:
    cookies = {c["name"]: c["value"] for c in await plain.page.context.cookies()}
    week = f"{stack.gateway}/admin/customers/{people.walker.id}/weeks/{people.week}/roll"
    for fields in ({}, {"csrf": "made-up"}):
        async with (
            aiohttp.ClientSession(cookies=cookies) as session,
            session.post(week, data=fields, allow_redirects=False) as answer,
        ):
            assert answer.status == 403
            assert "expired" in await answer.text()


async def test_a_form_from_another_site_is_refused(plain: Visit, stack: RunningStack) -> None:
    cookies = {c["name"]: c["value"] for c in await plain.page.context.cookies()}
    token = await plain.page.locator("input[name=csrf]").first.get_attribute("value")
    async with (
        aiohttp.ClientSession(cookies=cookies) as session,
        session.post(
            f"{stack.gateway}/admin/logout",
            data={"csrf": token or ""},
            headers={"Sec-Fetch-Site": "cross-site"},
            allow_redirects=False,
        ) as answer,
    ):
        assert answer.status == 403


async def test_a_customer_and_a_device_are_added_without_javascript(
    plain: Visit, people: People
) -> None:
    page = plain.page
    await plain.open("/admin/customers/new")
    await page.fill("#external_id", people.walker.external_id)
    await page.click("main form button")
    await expect(page.get_by_role("alert")).to_contain_text("exists already")
    plain.complaints.clear()  # of the refusal's status
    await page.fill("#external_id", "B-0777 <b>&")
    await page.click("main form button")
    assert await plain.heading() == "Customer B-0777 <b>&"
    await page.fill("#device-name", "Left wrist")
    await page.get_by_role("button", name="Add and show its key").click()
    key = await page.input_value("#key")
    assert key.startswith("fs_")
    await page.get_by_role("link", name="Devices").click()
    assert await page.locator("#key").count() == 0
    assert key not in await page.content()
    await page.get_by_role("link", name="Left wrist").click()
    await page.fill("#interval", "3600")
    await page.check("input[name=paused]")
    await page.get_by_role("button", name="Change").click()
    await expect(page.get_by_role("status")).to_contain_text("hears of it")
    await plain.check_sound()
    await page.select_option("#overlap", "3600")
    await page.get_by_role("button", name="Make a key and show it").click()
    assert (await page.input_value("#key")).startswith("fs_")
    assert await page.input_value("#interval") == "3600"
    await plain.check_sound()


async def test_a_login_is_set_and_a_weak_password_refused(plain: Visit, people: People) -> None:
    page = plain.page
    await plain.open(f"/admin/customers/{people.newcomer.id}/account")
    await page.fill("#login-email", people.newcomer.email)
    await page.fill("#login-password", "1234567890")
    await page.get_by_role("button", name="Set the login").click()
    await expect(page.get_by_role("alert")).to_contain_text("must not be common")
    await page.fill("#login-password", "walking-slowly-1")
    await page.get_by_role("button", name="Set the login").click()
    await expect(page.get_by_role("status")).to_contain_text("The login is set")


async def test_a_week_is_rolled_by_hand_and_downloaded(
    plain: Visit, people: People, tmp_path: Path
) -> None:
    page = plain.page
    await plain.open(f"/admin/customers/{people.walker.id}/weeks/{people.week}")
    await page.get_by_role("button", name="Roll now").click()
    await expect(page.get_by_role("status")).to_contain_text("on its list")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download").click()
    file = tmp_path / "week.parquet"
    await (await download.value).save_as(file)
    assert file.read_bytes()[:4] == b"PAR1"


async def test_a_training_is_started_by_hand(
    browser: Browser, stack: RunningStack, people: People
) -> None:
    async with visiting(browser, stack.gateway) as visit:
        await enter(visit, stack)
        await visit.open("/admin/models")
        await visit.page.select_option("#budget", "30")
        await visit.page.get_by_role("button", name="Train now").click()
        assert "/admin/models/runs/" in visit.page.url
        assert (await visit.heading()).startswith("Training run")
        await visit.check_sound()


async def test_a_job_is_cancelled_tried_again_and_followed_to_its_end(
    browser: Browser, stack: RunningStack
) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    new = NewJob(kind="upkeep", queue="light", dedupe_key="by-the-browser", run_after=later)
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        job_id = await jobs.insert_job(db, new)
    async with visiting(browser, stack.gateway) as visit:
        await enter(visit, stack)
        await visit.open(f"/admin/jobs/{job_id}")
        state = visit.page.locator(".card .tag")
        await expect(state).to_have_text("Queued")
        await visit.page.get_by_role("button", name="Cancel").click()
        await expect(state).to_have_text("Cancelled")
        await visit.page.get_by_role("button", name="Retry").click()
        await expect(state).to_have_text("Succeeded", timeout=60_000)  # without a reload
        await visit.check_sound()


async def test_the_overview_keeps_itself_fresh(browser: Browser, stack: RunningStack) -> None:
    async with visiting(browser, stack.gateway) as visit:
        await enter(visit, stack)
        async with visit.page.expect_response("**/admin/live", timeout=10_000) as fresh:
            pass
        assert (await fresh.value).ok
        await visit.page.get_by_role("link", name="Pause updates").click()
        assert await visit.page.locator("[hx-get]").count() == 0
        await visit.check_sound()


async def test_logging_out_ends_the_session_everywhere(
    browser: Browser, stack: RunningStack
) -> None:
    async with visiting(browser, stack.gateway) as visit:
        await enter(visit, stack)
        cookies = {c["name"]: c["value"] for c in await visit.page.context.cookies()}
        await visit.page.get_by_role("button", name="Log out").last.click()
        assert visit.page.url.endswith("/admin/login")
        async with (
            aiohttp.ClientSession(cookies=cookies) as session,
            session.get(f"{stack.gateway}/admin", allow_redirects=False) as answer,
        ):
            assert answer.status == 303
