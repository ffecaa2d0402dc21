"""Accounts against the running system: registration, links in mails, passwords, addresses."""

import asyncio
from uuid import uuid4

import pytest

from fitstream.client import Client
from fitstream.errors import Conflict, NotFound, Rejected
from fitstream.mail import written
from fitstream.repo.database import open_repo
from fitstream.store import open_store
from tests.conftest import RunningStack
from tests.mails import mail_to, token_of
from tests.real import eventually, new_wearer

pytestmark = pytest.mark.stack
PASSWORD = "a quiet long walk"
OTHER = "another quiet walk"


def new_address() -> str:
    return f"{uuid4().hex[:12]}@example.org"


@pytest.fixture(scope="module")
def nobody(admin: Client) -> Client:
    """A caller without a credential."""
    return admin.as_who("")


@pytest.fixture(scope="module")
async def is_open(admin: Client) -> None:
    """The default programme takes whoever registers."""
    await admin.open_registration("default", True)


async def registered(nobody: Client, stack: RunningStack, email: str) -> None:
    await nobody.register(email, PASSWORD, "Europe/Berlin", name="Ada")
    mail = await mail_to(stack.folder, email, "Confirm your registration")
    assert (await nobody.verify(token_of(mail))).email == email


@pytest.mark.usefixtures("is_open")
async def test_a_registration_makes_a_customer_once_its_link_is_used(
    admin: Client, nobody: Client, stack: RunningStack
) -> None:
    email = new_address()
    await nobody.register(email, PASSWORD, "Europe/Berlin", name="Ada")
    mail = await mail_to(stack.folder, email, "Confirm your registration")
    assert "Ada" not in mail.text  # a stranger may have typed it, and more
    assert (await admin.customers(email)).items == []
    with pytest.raises(Rejected):
        await nobody.login(email, PASSWORD)
    assert (await nobody.link(token_of(mail))).purpose == "register"
    await nobody.verify(token_of(mail))
    with pytest.raises(NotFound):  # it works once
        await nobody.verify(token_of(mail))
    me = await admin.as_who((await nobody.login(email, PASSWORD)).token).me()
    assert me.customer is not None
    assert (me.customer.name, me.customer.zone) == ("Ada", "Europe/Berlin")
    assert not any(me.customer.consents.values())
    assert me.account.role == "customer"


@pytest.mark.usefixtures("is_open")
async def test_every_customer_gets_a_folder_however_they_came(
    admin: Client, nobody: Client, stack: RunningStack
) -> None:
    email = new_address()
    await registered(nobody, stack, email)
    one = (await admin.customers(email)).items[0].id
    other = (await new_wearer(admin)).customer.id
    async with open_store(stack.settings) as store:
        for customer in (one, other):

            async def is_there(customer: str = customer) -> bool:
                return await store.exists(f"keys/{customer}")

            await eventually(is_there)
            assert await store.exists(f"users/{customer}/folder.json")


@pytest.mark.usefixtures("is_open")
async def test_a_known_address_gets_the_same_answer_and_another_mail(
    admin: Client, nobody: Client, stack: RunningStack
) -> None:
    known, unknown = await _with_login(admin), new_address()
    answers = [await nobody.register(email, OTHER, "UTC") for email in (known, unknown)]
    assert answers[0] == answers[1]
    mail = await mail_to(stack.folder, known, "already have an account")
    assert "token=" not in mail.text
    await nobody.login(known, PASSWORD)  # and the account is as it was


async def test_a_closed_programme_and_a_weak_password_take_nobody(
    admin: Client, nobody: Client
) -> None:
    programme = await admin.create_programme(f"p-{uuid4().hex[:8]}", "By invitation")
    with pytest.raises(Rejected) as error:
        await nobody.register(new_address(), PASSWORD, "UTC", programme=programme.id)
    assert (error.value.status, error.value.code) == (403, "registration_closed")
    assert not (await nobody.registration(programme.id)).is_open
    await admin.open_registration(programme.id, True)
    with pytest.raises(Rejected) as error:
        await nobody.register(new_address(), "password123", "UTC", programme=programme.id)
    assert error.value.code == "weak_password"


async def test_a_reset_ends_every_session_and_its_link_works_once(
    admin: Client, nobody: Client, stack: RunningStack
) -> None:
    email = await _with_login(admin)
    me = admin.as_who((await nobody.login(email, PASSWORD)).token)
    await nobody.ask_reset(email.upper())
    token = token_of(await mail_to(stack.folder, email, "Choose a new password"))
    await nobody.reset(token, OTHER)
    for attempt in (nobody.reset(token, PASSWORD), nobody.verify(token), nobody.link(token)):
        with pytest.raises(NotFound):
            await attempt
    with pytest.raises(Rejected):
        await me.me()
    with pytest.raises(Rejected):
        await nobody.login(email, PASSWORD)
    await nobody.login(email, OTHER)
    await mail_to(stack.folder, email, "Your password was changed")


async def test_a_link_that_was_not_good_enough_for_a_password_still_works(
    admin: Client, nobody: Client, stack: RunningStack
) -> None:
    email = await _with_login(admin)
    await nobody.ask_reset(email)
    token = token_of(await mail_to(stack.folder, email, "Choose a new password"))
    with pytest.raises(Rejected, match="must not be common"):
        await nobody.reset(token, "password123")
    await nobody.reset(token, OTHER)


async def test_of_two_uses_of_a_link_at_once_one_wins(
    admin: Client, nobody: Client, stack: RunningStack
) -> None:
    email = await _with_login(admin)
    await nobody.ask_reset(email)
    token = token_of(await mail_to(stack.folder, email, "Choose a new password"))
    both = (nobody.reset(token, OTHER), nobody.reset(token, PASSWORD + "!"))
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {type(None), NotFound}


async def test_an_unknown_address_gets_the_answer_of_a_known_one_and_no_mail(
    admin: Client, nobody: Client, stack: RunningStack
) -> None:
    known, unknown = await _with_login(admin), new_address()
    assert await nobody.ask_reset(known) == await nobody.ask_reset(unknown)
    await mail_to(stack.folder, known, "Choose a new password")
    jobs = (await admin.jobs(kind="mail")).items
    assert all("sealed" not in job.payload for job in jobs if job.state == "succeeded")
    assert unknown not in str([job.payload for job in jobs])


async def test_a_new_password_needs_the_old_one_and_ends_other_sessions(
    admin: Client, nobody: Client
) -> None:
    email = await _with_login(admin)
    mine, other = [admin.as_who((await nobody.login(email, PASSWORD)).token) for _ in range(2)]
    with pytest.raises(Rejected) as error:
        await mine.change_password("not the old one", OTHER)
    assert error.value.code == "wrong_password"
    await mine.change_password(PASSWORD, OTHER)
    assert (await mine.me()).account.email == email
    with pytest.raises(Rejected):
        await other.me()
    with pytest.raises(Rejected):
        await nobody.login(email, PASSWORD)


async def test_another_address_counts_once_it_has_answered_and_the_old_one_is_told(
    admin: Client, nobody: Client, stack: RunningStack
) -> None:
    old, new, taken = await _with_login(admin), new_address(), await _with_login(admin)
    me = admin.as_who((await nobody.login(old, PASSWORD)).token)
    assert await me.change_email(new, PASSWORD) == await me.change_email(taken, PASSWORD)
    await mail_to(stack.folder, taken, "already have an account")
    token = token_of(await mail_to(stack.folder, new, "Confirm your new address"))
    await nobody.login(old, PASSWORD)
    assert (await nobody.verify(token)).email == new
    with pytest.raises(Rejected):
        await me.me()  # every session and token ends with the address
    with pytest.raises(Rejected):
        await nobody.login(old, PASSWORD)
    await nobody.login(new, PASSWORD)
    await mail_to(stack.folder, old, "Your address was changed")


async def test_log_out_everywhere_ends_every_session(admin: Client, nobody: Client) -> None:
    email = await _with_login(admin)
    mine, other = [admin.as_who((await nobody.login(email, PASSWORD)).token) for _ in range(2)]
    assert [session.is_current for session in await mine.sessions()].count(True) == 1
    await mine.log_out_everywhere()
    for client in (mine, other):
        with pytest.raises(Rejected) as error:
            await client.me()
        assert error.value.status == 401


async def test_an_address_gets_few_mails_whoever_asks(
    admin: Client, nobody: Client, stack: RunningStack
) -> None:
    email = await _with_login(admin)
    for _ in range(5):
        await nobody.ask_reset(email)
    last = await _with_login(admin)
    await nobody.ask_reset(last)
    await mail_to(stack.folder, last, "Choose a new password")
    mails = [mail for mail in written(stack.folder / "mail") if mail.to == email]
    assert len(mails) <= 3


async def test_an_invited_customer_chooses_a_password(
    admin: Client, nobody: Client, stack: RunningStack
) -> None:
    email = new_address()
    customer = await admin.create_customer("UTC", email=email, name="Grace")
    await admin.invite(customer.id)
    token = token_of(await mail_to(stack.folder, email, "Your access to"))
    assert (await nobody.link(token)).purpose == "invite"
    assert (await nobody.accept(token, PASSWORD)).email == email
    me = await admin.as_who((await nobody.login(email, PASSWORD)).token).me()
    assert me.customer is not None
    assert me.customer.id == customer.id
    with pytest.raises(Conflict):
        await admin.invite(customer.id)


async def test_an_invitation_ends_when_the_address_it_went_to_is_no_more_the_customers(
    admin: Client, nobody: Client, stack: RunningStack
) -> None:
    wrong = new_address()
    customer = await admin.create_customer("UTC", email=wrong)
    await admin.invite(customer.id)
    token = token_of(await mail_to(stack.folder, wrong, "Your access to"))
    await admin.change_customer(customer.id, name="Ada", email=wrong)  # nothing of it is new
    assert (await nobody.link(token)).purpose == "invite"
    right = new_address()
    await admin.change_customer(customer.id, email=right)
    with pytest.raises(NotFound):
        await nobody.accept(token, PASSWORD)
    await admin.invite(customer.id)
    token = token_of(await mail_to(stack.folder, right, "Your access to"))
    async with open_repo(stack.settings) as repo, repo.connection() as db:
        moved = "UPDATE customer SET email = $2 WHERE id = $1"  # behind the back of what ends links
        await db.execute(moved, customer.id, new_address())
        with pytest.raises(Conflict, match="withdrawn"):
            await nobody.accept(token, PASSWORD)
        await db.execute(moved, customer.id, right.upper())
    assert (await nobody.accept(token, PASSWORD)).email == right.upper()


async def test_a_login_that_an_administrator_sets_ends_mailed_links_and_its_owner_is_told(
    admin: Client, nobody: Client, stack: RunningStack
) -> None:
    old, new = new_address(), new_address()
    customer = await admin.create_customer("UTC", email=old)
    await admin.invite(customer.id)
    invitation = token_of(await mail_to(stack.folder, old, "Your access to"))
    await admin.set_login(customer.id, old, PASSWORD)
    await nobody.ask_reset(old)
    reset = token_of(await mail_to(stack.folder, old, "Choose a new password"))
    await nobody.reset(reset, PASSWORD)  # and so the address has answered
    await nobody.ask_reset(old)

    async def another() -> bool:
        found = token_of(await mail_to(stack.folder, old, "Choose a new password"))
        return found != reset

    await eventually(another)
    again = token_of(await mail_to(stack.folder, old, "Choose a new password"))
    me = admin.as_who((await nobody.login(old, PASSWORD)).token)
    assert (await me.profile(customer.id)).email_verified_at is not None
    await admin.set_login(customer.id, new, OTHER)
    for link in (invitation, again):
        with pytest.raises(NotFound):
            await nobody.link(link)
    me = admin.as_who((await nobody.login(new, OTHER)).token)
    assert (await me.profile(customer.id)).email_verified_at is None
    await mail_to(stack.folder, old, "Your address was changed")
    await mail_to(stack.folder, old, "Your password was changed")


async def _with_login(admin: Client) -> str:
    """The address of a customer who can log in."""
    wearer = await new_wearer(admin)
    email = new_address()
    await admin.set_login(wearer.customer.id, email, PASSWORD)
    return email
