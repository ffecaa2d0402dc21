"""The pages of dead letters against the running system, in Chromium."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from fitstream import events
from fitstream.client import Client
from fitstream.repo.database import Repo
from tests.browser.test_admin_pages import enter
from tests.browser.visits import LOOKS, Visit, visiting
from tests.conftest import RunningStack
from tests.integration.test_dead_letters import batch, park, rows
from tests.real import ledger_of, new_wearer

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.timeout(360)]
__all__ = ["rows"]  # a fixture


@pytest.fixture(params=LOOKS)
async def visit(
    request: pytest.FixtureRequest, browser: Browser, stack: RunningStack
) -> AsyncIterator[Visit]:
    """An administrator's window in each look."""
    async with visiting(browser, stack.gateway, request.param) as opened:
        await enter(opened, stack)
        yield opened


async def test_a_record_is_found_from_the_overview_and_replayed(
    visit: Visit, admin: Client, rows: Repo
) -> None:
    wearer = await new_wearer(admin)
    one = batch(wearer.customer.id, wearer.device.id)
    letter = await park(rows, events.encode(one), "unwritable")
    await visit.open("/admin")
    await visit.page.get_by_role("link", name="Show: Dead letters").click()
    assert await visit.heading() == "Dead letters"
    await visit.check_sound()
    await visit.page.get_by_role("link", name=f"Record {letter}", exact=True).click()
    await expect(visit.page.locator("main")).to_contain_text(one.batch_id)
    await visit.check_sound()
    await visit.page.get_by_role("button", name="Replay").click()
    await expect(visit.page.locator("main")).to_contain_text("Replayed")
    await expect(visit.page.get_by_role("button", name="Discard")).to_have_count(0)
    assert [row["steps"] for row in await ledger_of(wearer)] == [7, 0]


async def test_one_that_still_cannot_be_applied_says_why_and_may_be_discarded(
    visit: Visit, rows: Repo
) -> None:
    letter = await park(rows, b"<script>alert(1)</script>", "no_key")
    await visit.open(f"/admin/dead-letters/{letter}")
    await visit.page.get_by_role("button", name="Replay").click()
    await expect(visit.page.get_by_role("status")).to_contain_text("stays parked")
    await expect(visit.page.locator("main")).to_contain_text("Undecodable")
    await visit.check_sound()
    await visit.page.get_by_role("button", name="Discard").click()
    await expect(visit.page.locator("main")).to_contain_text("Discarded")
    await visit.open("/admin/dead-letters?state=discarded&reason=undecodable")
    await expect(visit.page.locator("main")).to_contain_text(f"Record {letter}")
    await visit.check_sound()


async def test_a_replay_without_its_token_is_refused(
    visit: Visit, stack: RunningStack, rows: Repo, admin: Client
) -> None:
    letter = await park(rows, b"x", "undecodable")
    cookies = {c["name"]: c["value"] for c in await visit.page.context.cookies()}
    for way in ("replay", "discard"):
        address = f"{stack.gateway}/admin/dead-letters/{letter}/{way}"
        async with (
            aiohttp.ClientSession(cookies=cookies) as session,
            session.post(address, data={}, allow_redirects=False) as answer,
        ):
            assert answer.status == 403
    assert (await admin.dead_letter(letter)).detail == "at first"
