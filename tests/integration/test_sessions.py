"""Log-in through the API: one answer for all that is wrong, sessions that end."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import Parameters, extract_parameters

from fitstream.client import Client
from fitstream.errors import Rejected
from fitstream.gateway import passwords, second_factor, sessions
from fitstream.gateway.passwords import hash_password
from fitstream.ids import hashed
from fitstream.repo import accounts, factors, people
from fitstream.repo.accounts import Account
from fitstream.repo.database import Repo
from fitstream.repo.sessions import revoke_for
from fitstream.settings import Settings
from tests.conftest import RunningStack
from tests.real import new_wearer

pytestmark = pytest.mark.stack
PASSWORD = "a quiet long walk"


async def test_a_customer_logs_in_sees_themselves_and_logs_out(admin: Client) -> None:
    wearer = await new_wearer(admin)
    email = f"{wearer.customer.id}@example.org"
    await admin.set_login(wearer.customer.id, email, PASSWORD)
    session = await admin.as_who("").login(email.upper(), PASSWORD)
    me = admin.as_who(session.token)
    found = (await me.me()).customer
    assert found is not None
    assert found.id == wearer.customer.id
    await me.logout()
    with pytest.raises(Rejected) as error:
        await me.me()
    assert error.value.status == 401


async def test_a_customer_sees_nobody_else_and_may_not_administer(admin: Client) -> None:
    one, other = await new_wearer(admin), await new_wearer(admin)
    email = f"{one.customer.id}@example.org"
    await admin.set_login(one.customer.id, email, PASSWORD)
    me = admin.as_who((await admin.as_who("").login(email, PASSWORD)).token)
    assert (await me.customer(one.customer.id)).id == one.customer.id
    with pytest.raises(Exception, match="was not found"):
        await me.customer(other.customer.id)
    with pytest.raises(Rejected) as error:
        await me.customers()
    assert error.value.status == 403


async def test_an_unknown_address_and_a_wrong_password_get_the_same_answer(
    admin: Client, stack: RunningStack
) -> None:
    assert stack.run.admin is not None
    answers = []
    for email in (stack.run.admin.email, "nobody@example.org"):
        with pytest.raises(Rejected) as error:
            await admin.as_who("").login(email, "wrong password")
        answers.append((error.value.status, error.value.code, error.value.message))
    assert answers[0] == answers[1] == (401, "wrong_credentials", "e-mail or password is wrong")


async def test_an_unknown_address_costs_the_work_of_a_wrong_password(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same hash with the same parameters is looked at: what takes time, takes it for both."""
    email = f"known-{datetime.now(UTC).timestamp()}@example.org"
    async with repo.transaction() as db:
        await accounts.create_account(db, email, await hash_password(PASSWORD), "analyst", None)
    looked_at: list[Parameters] = []
    hasher = passwords._hasher

    class Watched:
        hash = hasher.hash

        def verify(self, stored: str, password: str) -> bool:
            looked_at.append(extract_parameters(stored))
            return hasher.verify(stored, password)

    monkeypatch.setattr(passwords, "_hasher", Watched())
    for one in (email, "nobody-at-all@example.org"):
        with pytest.raises(Rejected):
            await sessions.authenticate(repo, one, "a wrong long walk")
    assert len(looked_at) == 2
    assert looked_at[0] == looked_at[1]


async def test_a_weak_password_is_refused(admin: Client) -> None:
    wearer = await new_wearer(admin)
    for weak in ("short", "password123"):
        with pytest.raises(Rejected) as error:
            await admin.set_login(wearer.customer.id, f"{wearer.customer.id}@x.org", weak)
        assert error.value.code == "weak_password"


async def test_a_new_password_ends_every_session(admin: Client) -> None:
    wearer = await new_wearer(admin)
    email = f"{wearer.customer.id}@example.org"
    await admin.set_login(wearer.customer.id, email, PASSWORD)
    me = admin.as_who((await admin.as_who("").login(email, PASSWORD)).token)
    await admin.set_login(wearer.customer.id, email, PASSWORD + "!")
    with pytest.raises(Rejected):
        await me.me()


async def test_sessions_idle_out_and_expire(repo: Repo, services: Settings) -> None:
    now = datetime.now(UTC)
    email = f"idle-{now.timestamp()}@example.org"
    async with repo.transaction() as db:
        stored = await hash_password(PASSWORD)
        await accounts.create_account(db, email, stored, "admin", None)
    token = (await sessions.login(repo, email, PASSWORD, now, services)).token
    idle = timedelta(seconds=services.admin_idle_s)
    assert await sessions.find_session(repo, token, now + idle * 0.9, services)
    assert await sessions.find_session(repo, token, now + idle * 1.8, services)
    assert await sessions.find_session(repo, token, now + idle * 3, services) is None
    absolute = timedelta(seconds=services.admin_absolute_s)
    assert await sessions.find_session(repo, token, now + absolute, services) is None


async def test_a_password_that_changes_during_a_log_in_opens_no_session(
    repo: Repo, services: Settings
) -> None:
    now = datetime.now(UTC)
    password_hash = await hash_password(PASSWORD)
    async with repo.transaction() as db:
        email = f"race-{now.timestamp()}@example.org"
        number = await accounts.create_account(db, email, password_hash, "analyst", None)
        await factors.begin(db, number, b"sealed")
        await factors.confirm(db, number, 1, now)
    account = await sessions.authenticate(repo, email, PASSWORD)
    async with repo.transaction() as db:
        await people.change_password(db, number, await hash_password("another quiet walk"))
        await revoke_for(db, "password_changed", account_no=number)
        opening = asyncio.create_task(sessions.open_session(repo, account, now, services))
        challenging = asyncio.create_task(_challenge(repo, account, now))
        await asyncio.wait({opening, challenging}, timeout=0.2)
        assert not opening.done()  # whoever comes second waits for the first
    for late in (opening, challenging):
        with pytest.raises(Rejected):
            await late


async def test_a_log_in_that_waits_for_its_code_ends_with_the_password(
    repo: Repo, services: Settings
) -> None:
    now = datetime.now(UTC)
    async with repo.transaction() as db:
        email = f"waits-{now.timestamp()}@example.org"
        number = await accounts.create_account(
            db, email, await hash_password(PASSWORD), "admin", None
        )
        await factors.begin(db, number, b"sealed")
        await factors.confirm(db, number, 1, now)
    account = await sessions.authenticate(repo, email, PASSWORD)
    waiting = await _challenge(repo, account, now)
    assert waiting is not None
    async with repo.transaction() as db:
        assert await second_factor.answered_by(db, waiting.token, now) == number
        await revoke_for(db, "password_changed", account_no=number)
        with pytest.raises(Rejected):
            await second_factor.answered_by(db, waiting.token, now)
        with pytest.raises(Rejected):
            await second_factor.end_challenge(db, waiting.token)


async def _challenge(repo: Repo, account: Account, now: datetime) -> second_factor.Challenge | None:
    async with repo.transaction() as db:
        return await second_factor.challenge(db, account, now)


async def test_no_token_is_stored_as_it_is(repo: Repo, services: Settings) -> None:
    now = datetime.now(UTC)
    email = f"hash-{now.timestamp()}@example.org"
    async with repo.transaction() as db:
        stored = await hash_password(PASSWORD)
        await accounts.create_account(db, email, stored, "admin", None)
    token = (await sessions.login(repo, email, PASSWORD, now, services)).token
    async with repo.connection() as db:
        kept = [row["token_sha"] for row in await db.fetch("SELECT token_sha FROM session")]
    assert hashed(token) in kept
    assert token.encode() not in kept
