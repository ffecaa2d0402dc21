"""The pages of uploads in Chromium, against the running system: to the ledger and back."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from fitstream.client import Client
from tests.browser.test_admin_pages import enter
from tests.browser.visits import LOOKS, Visit, visiting
from tests.conftest import RunningStack
from tests.real import last_monday, ledger_of, new_wearer, wait_for_rows

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.timeout(360)]
WAIT_MS = 60_000


@pytest.fixture(params=LOOKS)
async def visit(
    request: pytest.FixtureRequest, browser: Browser, stack: RunningStack
) -> AsyncIterator[Visit]:
    """An administrator's window in each look."""
    async with visiting(browser, stack.gateway, request.param) as opened:
        await enter(opened, stack)
        yield opened


async def test_the_columns_of_a_file_are_named_with_a_preview_beside(
    visit: Visit, admin: Client, tmp_path: Path
) -> None:
    wearer = await new_wearer(admin, zone="Europe/Berlin")
    page, main = visit.page, visit.page.locator("main")
    await visit.open(f"/admin/customers/{wearer.customer.id}/pipeline")
    await expect(main).to_contain_text("No files yet")
    await page.set_input_files("#file", clinic_file(tmp_path))
    await page.get_by_role("button", name="Upload and check").click()
    assert await visit.heading() == "clinic.csv"
    link = page.get_by_role("link", name="Map the columns")
    await expect(link).to_be_visible(timeout=WAIT_MS)
    await link.click()
    await edit_the_mapping(visit)


@pytest.mark.slow
async def test_a_file_is_checked_brought_in_and_taken_back(
    visit: Visit, admin: Client, tmp_path: Path
) -> None:
    wearer = await new_wearer(admin, zone="Europe/Berlin")
    page, main = visit.page, visit.page.locator("main")
    uploads = admin.uploads(wearer.customer.id)
    upload = await uploads.wait((await uploads.send(clinic_file(tmp_path))).id)
    await visit.open(f"/admin/uploads/{upload.id}/mapping")
    await page.get_by_label("Keep it as").fill(f"clinic {wearer.customer.id}")
    await page.get_by_role("button", name="Check the whole file").click()

    bring = page.get_by_role("button", name="Bring in 1 row")
    await expect(bring).to_be_visible(timeout=WAIT_MS)
    await expect(page.locator("#rows")).to_contain_text("Heart rate (bpm) must be at least 20")
    await visit.check_sound()
    await bring.click()
    await expect(main).to_contain_text("is in the ledger", timeout=WAIT_MS)
    (row,) = await wait_for_rows(wearer, 1)
    assert (row["distance_m"], row["heart_rate_bpm"]) == (400, 71)
    await page.get_by_role("button", name="Undo").click()
    await expect(main).to_contain_text("Taken back", timeout=WAIT_MS)
    assert await ledger_of(wearer) == []


def clinic_file(folder: Path) -> Path:
    """Two rows of last week; the names of their columns say little, and one pulse is too low."""
    day = f"{last_monday(1):%d.%m.%Y}"
    path = folder / "clinic.csv"
    path.write_text(f"Since;Walked (km);Pulse\n{day} 08:15;0,4;71\n{day} 08:30;0,1;9\n")
    return path


async def edit_the_mapping(visit: Visit) -> None:
    """What is guessed, what is refused, and what holds for every row; each with its preview."""
    page = visit.page
    rows = page.get_by_role("region", name="First rows", exact=True)
    show = page.get_by_role("button", name="Show the first rows")
    await expect(rows).to_contain_text("400.0")  # guessed from the unit and from the times
    await page.get_by_label("What Walked (km) is").select_option("steps")
    await show.click()
    await expect(page.get_by_role("alert")).to_contain_text("steps has no unit km")
    await expect(page.locator("#preview")).to_contain_text("steps has no unit km")
    await expect(page.locator("tr.wrong")).to_contain_text("0,4 · 0,1")
    visit.complaints.clear()  # the console tells of the status of a refused form
    await page.get_by_label("What Walked (km) is").select_option("distance_m")
    await page.get_by_label("Value 1").select_option("floors")
    await page.get_by_label("is always").first.fill("2")
    await show.click()
    await expect(rows).to_contain_text("Floors")
    await expect(page.get_by_label("Value 2")).to_have_value("")
    await visit.check_sound()


async def test_a_file_without_its_token_is_refused_before_it_is_kept(
    visit: Visit, stack: RunningStack
) -> None:
    cookies = {c["name"]: c["value"] for c in await visit.page.context.cookies()}
    for token in ("", "wrong"):
        form = aiohttp.FormData({"csrf": token})
        form.add_field("file", b"slot,steps\n", filename="unsent.csv")
        async with (
            aiohttp.ClientSession(cookies=cookies) as session,
            session.post(f"{stack.gateway}/admin/uploads", data=form) as answer,
        ):
            assert answer.status == 403
    await visit.open("/admin/uploads")
    await expect(visit.page.get_by_role("link", name="unsent.csv")).to_have_count(0)
    await visit.check_sound()


async def test_a_form_that_is_wrong_comes_back_with_a_sentence(visit: Visit) -> None:
    await visit.open("/admin/uploads?state=undoing")
    await expect(visit.page.locator("main")).to_contain_text("No such uploads")
    await visit.check_sound()
    await visit.page.fill("#priority", "2000")
    await visit.page.evaluate("document.querySelector('#file').required = false")
    await visit.page.get_by_role("button", name="Upload and check").click()
    await expect(visit.page.get_by_role("alert")).to_contain_text("Choose a file")
    empty = {"name": "none.csv", "mimeType": "text/csv", "buffer": b""}
    await visit.page.set_input_files("#file", [empty])  # type: ignore[list-item]
    await visit.page.get_by_role("button", name="Upload and check").click()
    await expect(visit.page.get_by_role("alert")).to_contain_text("The file is empty")
