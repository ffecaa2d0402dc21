"""Accounts in Chromium: from a registration to a reset, profiles, and staff's second factor."""

from collections.abc import AsyncIterator
from io import BytesIO
from uuid import uuid4

import pyotp
import pytest
from PIL import Image
from playwright.async_api import Browser, Page, expect

from fitstream.client import Client
from fitstream.gateway.passwords import hash_password
from fitstream.repo import accounts
from fitstream.repo.database import open_repo
from tests.browser.visits import LOOKS, PASSWORD, Look, Visit, visiting
from tests.conftest import RunningStack
from tests.mails import link_of, mail_to
from tests.real import new_wearer

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.timeout(360)]
OTHER = "another quiet walk"


async def press(page: Page, name: str) -> None:
    """Presses the button of that name and waits for what comes."""
    await page.get_by_role("button", name=name, exact=True).click()
    await page.wait_for_load_state()


async def sound(visit: Visit) -> None:
    """As `check_sound`; that the browser reports a refusal's status is no complaint."""
    visit.complaints[:] = [text for text in visit.complaints if "status of 4" not in text]
    await visit.check_sound()


@pytest.fixture(params=LOOKS)
async def visit(
    request: pytest.FixtureRequest, browser: Browser, stack: RunningStack
) -> AsyncIterator[Visit]:
    """A window on the customers' pages."""
    look: Look = request.param
    async with visiting(browser, stack.pages, look) as opened:
        yield opened


@pytest.fixture
async def customer(admin: Client) -> str:
    """The address of a customer with a log-in."""
    wearer = await new_wearer(admin, "Europe/Berlin", name="Ada")
    await admin.set_login(wearer.customer.id, f"{wearer.customer.id}@example.org", PASSWORD)
    return f"{wearer.customer.id}@example.org"


async def test_from_a_registration_to_a_reset(
    visit: Visit, admin: Client, stack: RunningStack
) -> None:
    email = f"{uuid4().hex[:12]}@example.org"
    await admin.open_registration("default", True)
    await register(visit, email)
    await verify(visit, stack, email)
    await visit.log_in("/login", email, PASSWORD)
    await change_password(visit, PASSWORD, OTHER)
    await press(visit.page, "Log out everywhere")
    await visit.open("/profile")
    assert await visit.heading() == "Log in"
    await reset(visit, stack, email)
    await visit.log_in("/login", email, PASSWORD)
    assert visit.page.url.endswith("/today")


async def register(visit: Visit, email: str) -> None:
    """Fills in the form, at first with a weak password."""
    page = visit.page
    await visit.open("/")
    await page.get_by_role("link", name="Register").click()
    await page.fill("#name", "Ada")
    await page.fill("#email", email)
    await page.fill("#password", "password123")
    await page.fill("#zone", "Europe/Berlin")
    await press(page, "Register")
    await expect(page.get_by_role("alert")).to_contain_text("must not be common")
    await sound(visit)
    await page.fill("#password", PASSWORD)
    await press(page, "Register")
    assert await visit.heading() == "Look into your mail"
    await sound(visit)


async def verify(visit: Visit, stack: RunningStack, email: str) -> None:
    """Opens the link, which changes nothing, and presses its button, which works once."""
    page = visit.page
    link = link_of(await mail_to(stack.folder, email, "Confirm your registration"))
    assert link.startswith(stack.pages)
    for _ in range(2):
        await page.goto(link)
        assert await visit.heading() == "Confirm your registration"
    await sound(visit)
    await press(page, "Yes, this is my address")
    await expect(page.get_by_role("status")).to_contain_text("Your address is confirmed")
    await page.goto(link)
    assert await visit.heading() == "This link does not work any more"
    await sound(visit)


async def change_password(visit: Visit, old: str, new: str) -> None:
    """At first with a wrong old one."""
    page = visit.page
    await visit.open("/security")
    await sound(visit)
    for given, role, said in (
        ("not the password", "alert", "The password is wrong"),
        (old, "status", "Your password is changed"),
    ):
        await page.fill("#old", given)
        await page.fill("#new", new)
        await press(page, "Change the password")
        await expect(page.get_by_role(role)).to_contain_text(said)  # type: ignore[arg-type]


async def reset(visit: Visit, stack: RunningStack, email: str) -> None:
    """By the link of the login page and the one in the mail."""
    page = visit.page
    await page.get_by_role("link", name="Lost your password?").click()
    await sound(visit)
    await page.fill("#email", email)
    await press(page, "Send me a link")
    await page.goto(link_of(await mail_to(stack.folder, email, "Choose a new password")))
    assert await visit.heading() == "Choose a new password"
    await page.fill("#password", PASSWORD)
    await press(page, "Set the password")


async def test_a_profile_with_its_picture(visit: Visit, customer: str) -> None:
    page = visit.page
    await visit.log_in("/login", customer, PASSWORD)
    await visit.open("/profile")
    await sound(visit)
    await page.fill("#height_cm", "20")
    await press(page, "Store")
    await expect(page.get_by_role("alert")).to_contain_text("between 50 and 260")
    await page.fill("#height_cm", "168,5")
    await page.fill("#birth_date", "1985-12-10")
    await press(page, "Store")
    assert await page.input_value("#height_cm") == "168.5"
    out = BytesIO()
    Image.new("RGB", (600, 600), "teal").save(out, "PNG")
    for content, outcome in (
        (b"hello", "alert"),
        (b"x" * 6_000_000, "other"),
        (out.getvalue(), ""),
    ):
        await visit.open("/profile")
        file = {"name": "me.png", "mimeType": "image/png", "buffer": content}
        await page.set_input_files("#picture", file)  # type: ignore[arg-type]
        await press(page, "Store the picture")
        if outcome == "alert":
            await expect(page.get_by_role("alert")).to_contain_text("cannot be taken")
        elif outcome == "other":
            await expect(page.locator("main")).to_contain_text("larger than allowed")
    shown = page.get_by_alt_text("Your picture")
    await expect(shown).to_have_js_property("naturalWidth", 512)
    await sound(visit)
    await press(page, "Remove the picture")
    await expect(page.get_by_role("status")).to_have_text("Your picture is gone.")


async def test_another_session_is_listed_and_ended(
    browser: Browser, visit: Visit, stack: RunningStack, customer: str
) -> None:
    await visit.log_in("/login", customer, PASSWORD)
    async with visiting(browser, stack.pages) as other:
        await other.log_in("/login", customer, PASSWORD)
        await visit.open("/security")
        await expect(visit.page.get_by_text("this one")).to_have_count(1)
        await visit.page.get_by_role("button", name="Log out Chrome on Linux").click()
        await expect(visit.page.get_by_role("status")).to_have_text("The session has ended.")
        await other.open("/today")
        assert await other.heading() == "Log in"


async def test_mails_of_a_development_machine_are_shown(
    browser: Browser, stack: RunningStack, admin: Client, customer: str
) -> None:
    await admin.as_who("").ask_reset(customer)
    await mail_to(stack.folder, customer, "Choose a new password")
    async with visiting(browser, stack.gateway) as visit:
        await visit.open("/dev/mail")
        await visit.page.get_by_text(customer).first.click()
        await visit.page.get_by_role("link", name="reset?token=").click()
        assert await visit.heading() == "Choose a new password"


@pytest.fixture(params=LOOKS)
async def staff(
    request: pytest.FixtureRequest, browser: Browser, stack: RunningStack
) -> AsyncIterator[tuple[Visit, str]]:
    """A new administrator's window, logged in, and their address."""
    email = f"{uuid4().hex[:12]}@example.org"
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        stored = await hash_password(PASSWORD)
        await accounts.create_account(db, email, stored, "admin", None)
    look: Look = request.param
    async with visiting(browser, stack.gateway, look) as opened:
        await opened.log_in("/admin/login", email, PASSWORD)
        yield opened, email


async def test_staff_sets_up_a_second_factor_and_logs_in_with_it(
    staff: tuple[Visit, str],
) -> None:
    visit, email = staff
    page = visit.page
    await visit.open("/admin/own")
    await sound(visit)
    await page.fill("#factor-password", PASSWORD)
    await press(page, "Set up a second factor")
    secret = await page.locator("main code").inner_text()
    await expect(page.get_by_alt_text("QR code for an authenticator app")).to_be_visible()
    await sound(visit)
    await page.fill("#code", pyotp.TOTP(secret).now())
    await press(page, "Put it in force")
    codes = await page.locator(".codes li").all_inner_texts()
    assert len(codes) == 10
    await sound(visit)
    await press(page, "Log out everywhere")
    await visit.log_in("/admin/login", email, PASSWORD)
    assert await visit.heading() == "Your code"
    await sound(visit)
    await page.fill("#code", "000000")
    await press(page, "Log in")
    await expect(page.get_by_role("alert")).to_contain_text("The code is wrong")
    await page.fill("#code", codes[0])
    await press(page, "Log in")
    assert await visit.heading() == "Overview"


async def test_a_list_is_looked_at_then_taken_in_and_its_people_invited(
    staff: tuple[Visit, str], stack: RunningStack
) -> None:
    visit, _ = staff
    page, mark = visit.page, uuid4().hex[:8]
    table = f"external_id,email\n{mark}-1,{mark}@example.org\n{mark}-2,\n,\n{mark}-1,\n".encode()
    await visit.open("/admin/customers/import")
    await sound(visit)
    file = {"name": "list.csv", "mimeType": "text/csv", "buffer": table}
    await page.set_input_files("#list", file)  # type: ignore[arg-type]
    await press(page, "See what would happen")
    await expect(page.locator("main")).to_contain_text("stands in the list already")
    await sound(visit)
    await page.check("input[name=invite]")
    await press(page, "Create 2 customers")
    await expect(page.locator("main")).to_contain_text("Invited by mail")
    await sound(visit)
    await page.goto(link_of(await mail_to(stack.folder, f"{mark}@example.org", "Your access to")))
    assert await visit.heading() == "Welcome"
    await sound(visit)
    await visit.open(f"/admin/customers?search={mark}-2")
    await page.get_by_role("link", name=f"{mark}-2").click()
    await page.get_by_role("link", name="Account").click()
    await expect(page.locator("main")).to_contain_text("They have none yet")
    await sound(visit)
