"""Second factors of staff: set up, asked for at the log-in, each code once, recovery codes."""

from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import pyotp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from fitstream.client import Client
from fitstream.client.people import FactorMade
from fitstream.errors import Rejected
from fitstream.gateway.app import make_app
from fitstream.gateway.passwords import hash_password
from fitstream.repo import accounts
from fitstream.repo.database import open_repo
from tests.conftest import RunningStack

pytestmark = pytest.mark.stack
PASSWORD = "a quiet long walk"


@pytest.fixture
async def email(stack: RunningStack) -> str:
    """The address of a new administrator."""
    address = f"{uuid4().hex[:12]}@example.org"
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        stored = await hash_password(PASSWORD)
        await accounts.create_account(db, address, stored, "admin", None)
    return address


async def enrolled(me: Client) -> tuple[FactorMade, list[str]]:
    """The factor in force, by the code of the step before: the present one is left to use."""
    made = await me.begin_second_factor(PASSWORD)
    codes = await me.confirm_second_factor(code_of(made, -1))
    return made, codes.codes


def code_of(made: FactorMade, steps: int = 0) -> str:
    return pyotp.TOTP(made.secret).at(datetime.now(UTC), counter_offset=steps)


async def challenged(nobody: Client, email: str) -> str:
    with pytest.raises(Rejected) as error:
        await nobody.login(email, PASSWORD)
    assert (error.value.status, error.value.code) == (401, "second_factor_required")
    return str(error.value.extra["challenge"])


async def test_a_password_alone_is_not_enough_once_the_factor_is_in_force(
    admin: Client, email: str
) -> None:
    nobody = admin.as_who("")
    me, other = [admin.as_who((await nobody.login(email, PASSWORD)).token) for _ in range(2)]
    assert not (await me.second_factor()).is_on
    with pytest.raises(Rejected):
        await me.begin_second_factor("not the password")
    made = await me.begin_second_factor(PASSWORD)
    assert "<svg" in made.qr_svg
    await nobody.login(email, PASSWORD)  # not before its first code
    with pytest.raises(Rejected):
        await me.confirm_second_factor("000000")
    codes = (await me.confirm_second_factor(code_of(made, -1))).codes
    assert len(set(codes)) == 10
    with pytest.raises(Rejected):  # a session that never showed it
        await other.me()
    session = await nobody.answer_challenge(await challenged(nobody, email), code_of(made))
    assert (await admin.as_who(session.token).me()).account.email == email


async def test_a_code_works_once_and_an_older_one_no_more(admin: Client, email: str) -> None:
    nobody = admin.as_who("")
    made, _ = await enrolled(admin.as_who((await nobody.login(email, PASSWORD)).token))
    with pytest.raises(Rejected):  # the one that put it in force
        await nobody.answer_challenge(await challenged(nobody, email), code_of(made, -1))
    code = code_of(made)
    await nobody.answer_challenge(await challenged(nobody, email), code)
    with pytest.raises(Rejected) as error:
        await nobody.answer_challenge(await challenged(nobody, email), code)
    assert (error.value.status, error.value.code) == (401, "wrong_code")


async def test_a_recovery_code_works_once_and_new_ones_end_the_old(
    admin: Client, email: str
) -> None:
    nobody = admin.as_who("")
    me = admin.as_who((await nobody.login(email, PASSWORD)).token)
    _, codes = await enrolled(me)
    typed = codes[0].upper().replace("-", " ")
    await nobody.answer_challenge(await challenged(nobody, email), typed)
    assert (await me.second_factor()).recovery_codes_left == 9
    with pytest.raises(Rejected):
        await nobody.answer_challenge(await challenged(nobody, email), codes[0])
    newer = (await me.renew_recovery_codes(PASSWORD)).codes
    with pytest.raises(Rejected):
        await nobody.answer_challenge(await challenged(nobody, email), codes[1])
    await nobody.answer_challenge(await challenged(nobody, email), newer[0])


async def test_a_challenge_has_few_tries(admin: Client, email: str) -> None:
    nobody = admin.as_who("")
    _, codes = await enrolled(admin.as_who((await nobody.login(email, PASSWORD)).token))
    challenge = await challenged(nobody, email)
    for _ in range(5):
        with pytest.raises(Rejected):
            await nobody.answer_challenge(challenge, "000000")
    with pytest.raises(Rejected):
        await nobody.answer_challenge(challenge, codes[0])
    await nobody.answer_challenge(await challenged(nobody, email), codes[0])


async def test_removing_it_needs_password_and_code(admin: Client, email: str) -> None:
    nobody = admin.as_who("")
    me = admin.as_who((await nobody.login(email, PASSWORD)).token)
    made, codes = await enrolled(me)
    with pytest.raises(Rejected):
        await me.remove_second_factor(PASSWORD, "000000")
    with pytest.raises(Rejected):
        await me.remove_second_factor("not the password", codes[0])
    await me.remove_second_factor(PASSWORD, code_of(made))
    await nobody.login(email, PASSWORD)


async def test_an_administrator_removes_the_factor_of_who_lost_it_but_never_their_own(
    admin: Client, email: str
) -> None:
    nobody = admin.as_who("")
    me = admin.as_who((await nobody.login(email, PASSWORD)).token)
    await enrolled(me)
    account = (await me.me()).account.id or ""
    with pytest.raises(Rejected) as error:
        await me.take_second_factor(account)
    assert error.value.status == 403
    await admin.take_second_factor(account)
    with pytest.raises(Rejected):
        await me.me()
    await nobody.login(email, PASSWORD)


async def test_no_secret_and_no_code_stands_in_the_database(
    admin: Client, email: str, stack: RunningStack
) -> None:
    nobody = admin.as_who("")
    made, codes = await enrolled(admin.as_who((await nobody.login(email, PASSWORD)).token))
    async with open_repo(stack.settings) as repo, repo.connection() as db:
        kept = [bytes(row[0]) for row in await db.fetch("SELECT secret FROM second_factor")]
        kept += [bytes(row[0]) for row in await db.fetch("SELECT code_sha FROM recovery_code")]
    assert kept
    for text in (made.secret, *codes):
        assert not any(text.encode() in value for value in kept)


async def test_where_it_is_required_staff_without_one_can_only_set_it_up(
    email: str, stack: RunningStack
) -> None:
    settings = msgspec.structs.replace(stack.settings, second_factor_required=True)
    async with TestClient(TestServer(make_app(settings))) as gateway:
        login = {"email": email, "password": PASSWORD}
        async with gateway.post("/v1/auth/login", json=login) as answer:
            token = {"Authorization": f"Bearer {(await answer.json())['token']}"}
        async with gateway.get("/v1/customers", headers=token) as answer:
            assert (answer.status, (await answer.json())["code"]) == (403, "second_factor_missing")
        async with gateway.get("/v1/me/second-factor", headers=token) as answer:
            assert (await answer.json())["is_required"] is True
        key = {"Authorization": f"Bearer {stack.admin_key}"}
        async with gateway.get("/v1/customers", headers=key) as answer:
            assert answer.status == 200
        path = "/v1/me/second-factor"
        async with gateway.post(path, json={"password": PASSWORD}, headers=token) as answer:
            secret = (await answer.json())["secret"]
        body = {"code": pyotp.TOTP(secret).now()}
        async with gateway.post(f"{path}/confirm", json=body, headers=token) as answer:
            assert answer.status == 200
        async with gateway.get("/v1/customers", headers=token) as answer:
            assert answer.status == 200
