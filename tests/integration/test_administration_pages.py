"""Administration without scripts: keys and clients are made, used and ended; the log tells."""

import re
import secrets
from collections.abc import AsyncIterator

import pyotp
import pytest
from aiohttp import ClientSession

from fitstream.client import Client
from fitstream.errors import Rejected
from fitstream.repo.database import open_repo
from fitstream.setup import create_admin, new_admin
from tests.conftest import RunningStack
from tests.integration.test_offered_links import PASSWORD, logged_in
from tests.integration.test_pairing_pages import TOKEN, Visitor
from tests.real import eventually

pytestmark = pytest.mark.stack
SECRET = re.compile(r'id="made" class="mono" readonly value="([^"]+)"')


@pytest.fixture
async def http(admin: Client, stack: RunningStack) -> AsyncIterator[ClientSession]:
    email = f"admin-{secrets.token_hex(4)}@example.org"
    await admin.create_staff(email, "admin", password=PASSWORD)
    async with logged_in(stack, email) as opened:
        yield opened


@pytest.fixture
def visitor(http: ClientSession) -> Visitor:
    return Visitor(http)


async def sent(visitor: Visitor, path: str, *fields: tuple[str, str]) -> tuple[int, str]:
    """Sends a form in which a name may come several times, as ticked boxes do."""
    found = TOKEN.search((await visitor.see(path))[1])
    assert found is not None
    data = [("csrf", found[1]), *fields]
    async with visitor._http.post(path, data=data) as answer:
        return answer.status, await answer.text()


async def test_a_key_is_made_shown_once_and_ended(
    admin: Client, stack: RunningStack, visitor: Visitor
) -> None:
    name = f"report {secrets.token_hex(3)}"
    every = ("programme", "all")
    status, page = await sent(
        visitor, "/admin/keys", ("name", name), ("scope", "customers:read"), every
    )
    found = SECRET.search(page)
    assert status == 200
    assert found is not None
    assert found[1] not in (await visitor.see("/admin/keys"))[1]
    program = admin.as_who(found[1])
    assert (await program.programmes()).items
    with pytest.raises(Rejected, match="scope"):
        await program.jobs()
    key_id = found[1].split("_")[1]
    status, page = await visitor.send("/admin/keys", f"/admin/keys/{key_id}/end")
    assert "The key has ended" in page

    async def is_refused() -> bool:
        try:
            await program.programmes()
        except Rejected as error:
            return error.status == 401
        return False

    await eventually(is_refused, 10)
    log = (await visitor.see("/admin/audit?action=key.revoked"))[1]
    assert f"key {key_id}" in log


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([("name", "x"), ("programme", "all")], "Choose what it may do"),
        ([("name", "x"), ("scope", "data:read")], "Choose programmes, or all of them"),
        ([("name", ""), ("scope", "data:read"), ("programme", "all")], "Give the key a name"),
        (
            [("name", "x"), ("scope", "data:read"), ("programme", "all"), ("until", "2001-01-01")],
            "lies ahead",
        ),
        (
            [("name", "x"), ("scope", "data:read"), ("programme", "nowhere")],
            "nowhere was not found",
        ),
    ],
)
async def test_a_key_that_lacks_something_comes_back_with_a_sentence(
    visitor: Visitor, fields: list[tuple[str, str]], said: str
) -> None:
    status, page = await sent(visitor, "/admin/keys", *fields)
    assert (status, said in page) == (422, True)


async def test_a_client_is_registered_gets_another_secret_and_is_disabled(
    visitor: Visitor,
) -> None:
    name = f"Coach {secrets.token_hex(3)}"
    fields = [
        ("name", name), ("confidential", "1"), ("grant", "client_credentials"),
        ("scope", "data:read"), ("programme", "all"),
    ]  # fmt: skip
    status, page = await sent(visitor, "/admin/clients", *fields)
    first, client_id = SECRET.search(page), re.search(r"<code>(cli_\w+)</code>", page)
    assert status == 200
    assert first is not None
    assert client_id is not None
    home = f"/admin/clients/{client_id[1]}"
    second = SECRET.search((await visitor.send("/admin/clients", f"{home}/secret"))[1])
    assert second is not None
    assert second[1] != first[1]
    page = (await visitor.send("/admin/clients", f"{home}/standing", disabled="1"))[1]
    assert "The client is disabled" in page
    page = (await visitor.send("/admin/clients", f"{home}/standing", disabled="0"))[1]
    assert "may ask again" in page


async def test_a_client_that_cannot_work_comes_back_filled_in(visitor: Visitor) -> None:
    fields = [
        ("name", "Nowhere"), ("confidential", "0"), ("grant", "authorization_code"),
        ("scope", "data:read"), ("programme", "all"), ("uris", "http://far.example.org"),
    ]  # fmt: skip
    status, page = await sent(visitor, "/admin/clients", *fields)
    assert status == 422
    assert "An address to go back to is https" in page
    assert 'value="http://far.example.org"' in page
    assert 'value="data:read" checked' in page


async def test_a_lost_second_factor_is_taken_away(admin: Client, visitor: Visitor) -> None:
    email = f"support-{secrets.token_hex(4)}@example.org"
    made = await admin.create_staff(email, "support", password=PASSWORD)
    logged = admin.as_who((await admin.as_who("").login(email, PASSWORD)).token)
    begun = await logged.begin_second_factor(PASSWORD)
    await logged.confirm_second_factor(pyotp.TOTP(begun.secret).now())
    with pytest.raises(Rejected):
        await admin.as_who("").login(email, PASSWORD)
    page = (await visitor.send("/admin/people", f"/admin/people/{made.id}/factor"))[1]
    assert "with their password alone" in page
    assert (await admin.as_who("").login(email, PASSWORD)).token


async def test_the_log_is_searched_by_customer(admin: Client, visitor: Visitor) -> None:
    made = await admin.create_customer("UTC")
    page = (await visitor.see(f"/admin/audit?customer={made.id}"))[1]
    assert page.count("Customer: created") == 2  # in the list of actions, and once in the log
    page = (await visitor.see("/admin/audit?customer=cus_nobody"))[1]
    assert "Nothing of that kind" in page


async def test_a_session_that_is_ended_on_the_own_page_is_in_the_log(
    admin: Client, stack: RunningStack
) -> None:
    email = f"two-{secrets.token_hex(4)}@example.org"
    account = (await admin.create_staff(email, "support", password=PASSWORD)).id
    other = await admin.as_who("").login(email, PASSWORD)
    (session,) = await admin.as_who(other.token).sessions()
    async with logged_in(stack, email) as opened:
        page = (await Visitor(opened).send("/admin/own", f"/admin/own/sessions/{session.id}/end"))[
            1
        ]
    assert "The session has ended" in page
    with pytest.raises(Rejected):
        await admin.as_who(other.token).me()
    entry = (await admin.audit(action="session.ended")).items[0]
    assert (entry.subject, entry.actor) == (f"session:{session.id}", "support")
    async with open_repo(stack.settings) as repo, repo.connection() as db:
        number = await db.fetchval("SELECT account_no FROM account WHERE id = $1", account)
    assert entry.actor_no == number


async def test_the_first_administrator_is_in_the_log_of_the_system(
    admin: Client, stack: RunningStack
) -> None:
    new = new_admin(f"made-{secrets.token_hex(4)}@example.org", PASSWORD)
    async with open_repo(stack.settings) as repo:
        await create_admin(repo, new)
        async with repo.connection() as db:
            number = await db.fetchval("SELECT account_no FROM account WHERE email = $1", new.email)
    entry = (await admin.audit(action="staff.created")).items[0]
    assert (entry.actor, entry.subject) == ("system", f"account:{number}")
