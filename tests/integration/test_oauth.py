"""OAuth 2.0 against a running gateway: every grant, what is refused, and what ends."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from yarl import URL

from fitstream import csrf
from fitstream.client import Client
from fitstream.errors import NotFound, Rejected
from fitstream.gateway.app import make_app
from fitstream.gateway.policy import SCOPES
from fitstream.ids import hashed
from fitstream.repo import oauth, sessions
from fitstream.repo.database import Repo, open_repo
from fitstream.repo.oauth import NewFamily
from tests.conftest import RunningStack
from tests.oauth import (
    BACK,
    CODE_GRANTS,
    DEVICE_GRANT,
    PASSWORD,
    LoggedIn,
    Program,
    back,
    call,
    challenge_of,
    logged_in,
    register,
    send,
)
from tests.real import eventually

pytestmark = pytest.mark.stack
VERIFIER = "v" * 50


@pytest.fixture(scope="module")
async def program(http: ClientSession, stack: RunningStack) -> Program:
    """A public client."""
    return await register(http, stack.admin_key)


@pytest.fixture(scope="module")
async def anybody(admin: Client) -> LoggedIn:
    """A customer for tests after which they are logged in as before."""
    return await logged_in(admin)


async def status_of(http: ClientSession, who: LoggedIn, token: str) -> int:
    """What the customer's own record answers to a token."""
    return (await call(http, "GET", f"/v1/customers/{who.customer.id}", token)).status


async def test_a_customer_lets_a_program_read_their_data_and_nothing_else(
    http: ClientSession, admin: Client, program: Program
) -> None:
    who, other = await logged_in(admin), await logged_in(admin)
    shown = await call(http, "GET", f"/v1/oauth/authorize?{program.query('c' * 43)}", who.token)
    assert shown.body["client_name"] == "Coach"
    assert sorted(shown.body["scopes"]) == ["customers:read", "data:read"]
    tokens = await program.tokens(who)
    access = tokens["access_token"]
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
    assert await status_of(http, who, access) == 200
    assert (await call(http, "GET", f"/v1/customers/{who.customer.id}/days", access)).status == 200
    assert await status_of(http, other, access) == 404
    for method, path, body in (
        ("GET", "/v1/me", None),
        ("GET", "/v1/me/sessions", None),
        ("GET", "/v1/customers", None),
        ("PUT", "/v1/me/password", {"old": PASSWORD, "new": "another long walk"}),
    ):
        assert (await call(http, method, path, access, body)).status == 403, path


async def test_the_code_comes_back_with_state_and_issuer_and_works_once(
    http: ClientSession, anybody: LoggedIn, program: Program
) -> None:
    who = anybody
    wanted = {"query": program.query(challenge_of(VERIFIER)), "approve": True}
    said = await call(http, "POST", "/v1/oauth/authorize", who.token, wanted)
    assert said.body["redirect_to"].startswith(f"{BACK}?")
    found = back(said.body["redirect_to"])
    metadata = await call(http, "GET", "/.well-known/oauth-authorization-server")
    assert (found["state"], found["iss"]) == ("x y/z", metadata.body["issuer"])
    form = {
        "grant_type": "authorization_code", "code": found["code"], "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    }  # fmt: skip
    first = await program.send("token", **form)
    assert first.status == 200
    again = await program.send("token", **form)
    assert (again.status, again.body["error"]) == (400, "invalid_grant")
    assert await status_of(http, who, first.body["access_token"]) == 401


async def test_who_refuses_is_obeyed(
    http: ClientSession, anybody: LoggedIn, program: Program
) -> None:
    who = anybody
    wanted = {"query": program.query("c" * 43), "approve": False}
    said = await call(http, "POST", "/v1/oauth/authorize", who.token, wanted)
    assert back(said.body["redirect_to"])["error"] == "access_denied"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"code_challenge": "too-short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "data:read customers:write"}, "invalid_scope"),
        ({"scope": "everything"}, "invalid_scope"),
    ],
    ids=str,
)
async def test_a_bad_request_goes_back_to_the_program_with_its_error(
    http: ClientSession, anybody: LoggedIn, program: Program, change: dict[str, str], error: str
) -> None:
    who = anybody
    query = program.query(challenge_of(VERIFIER), **change)
    shown = await call(http, "GET", f"/v1/oauth/authorize?{query}", who.token)
    assert shown.status == 200, shown
    assert shown.body["redirect_to"].startswith(f"{BACK}?")
    assert back(shown.body["redirect_to"])["error"] == error
    wanted = {"query": query, "approve": True}
    said = await call(http, "POST", "/v1/oauth/authorize", who.token, wanted)
    assert back(said.body["redirect_to"])["error"] == error


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": "https://coach.example.org/back/"},
        {"redirect_uri": "https://coach.example.org/back?x=1"},
        {"redirect_uri": "https://thief.example.org/back"},
        {"redirect_uri": 'https://coach.example.org/back"><script>'},
        {"redirect_uri": ""},
        {"client_id": "cli_unknown"},
        {"client_id": ""},
        {"client_id": "\N{SNOWMAN}"},
    ],
    ids=str,
)
async def test_no_browser_is_sent_to_an_address_that_is_not_registered(
    http: ClientSession, anybody: LoggedIn, program: Program, change: dict[str, str]
) -> None:
    who = anybody
    query = program.query(challenge_of(VERIFIER), **change)
    for approve in (True, False):
        wanted = {"query": query, "approve": approve}
        said = await call(http, "POST", "/v1/oauth/authorize", who.token, wanted)
        assert (said.status, said.body["code"]) == (422, "bad_authorization"), said
    shown = await call(http, "GET", f"/v1/oauth/authorize?{query}", who.token)
    assert shown.status == 422


async def test_a_parameter_that_is_there_twice_is_refused(
    http: ClientSession, anybody: LoggedIn, program: Program
) -> None:
    who = anybody
    query = f"{program.query(challenge_of(VERIFIER))}&redirect_uri=https://thief.example.org"
    shown = await call(http, "GET", f"/v1/oauth/authorize?{query}", who.token)
    assert (shown.status, shown.body["code"]) == (400, "unreadable")


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "w" * 50},
        {"code_verifier": ""},
        {"redirect_uri": "https://coach.example.org/other"},
        {"redirect_uri": ""},
        {"code": "fsc_unknown"},
        {"code": ""},
    ],
    ids=str,
)
async def test_a_code_is_worth_nothing_without_all_that_belongs_to_it(
    anybody: LoggedIn, program: Program, change: dict[str, str]
) -> None:
    who = anybody
    code = await program.code(who, VERIFIER)
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    } | change  # fmt: skip
    given = await program.send("token", **form)
    assert given.status == 400
    assert given.body["error"] in ("invalid_grant", "invalid_request")


async def test_a_code_of_another_client_is_refused(
    http: ClientSession, anybody: LoggedIn, stack: RunningStack, program: Program
) -> None:
    who, thief = anybody, await register(http, stack.admin_key)
    code = await program.code(who, VERIFIER)
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    }  # fmt: skip
    assert (await thief.send("token", **form)).body["error"] == "invalid_grant"
    assert (await program.send("token", **form)).status == 200


async def test_a_confidential_client_needs_its_secret_and_pkce_too(
    http: ClientSession, anybody: LoggedIn, stack: RunningStack
) -> None:
    who = anybody
    program = await register(http, stack.admin_key, is_confidential=True)
    code = await program.code(who, VERIFIER)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
    proof = {"code_verifier": VERIFIER}
    wrong = await send(http, "token", (program.id, "fsk_wrong"), **form, **proof)
    assert (wrong.status, wrong.body["error"]) == (401, "invalid_client")
    bare = await send(http, "token", None, client_id=program.id, **form, **proof)
    assert bare.body["error"] == "invalid_client"
    assert (await program.send("token", **form)).body["error"] == "invalid_request"
    assert (await program.send("token", **form, **proof)).status == 200


async def test_a_client_acts_for_itself_within_its_scopes_and_programmes(
    http: ClientSession, stack: RunningStack, admin: Client
) -> None:
    program = await register(
        http, stack.admin_key, is_confidential=True, grants=["client_credentials"],
        redirect_uris=[], scopes=["customers:read", "models:read"], programmes=["default"],
    )  # fmt: skip
    given = await program.send("token", grant_type="client_credentials", scope="customers:read")
    assert given.status == 200
    assert "refresh_token" not in given.body
    token = given.body["access_token"]
    assert (await call(http, "GET", "/v1/customers", token)).status == 200
    refused = await call(http, "GET", "/v1/models", token)
    assert (refused.status, refused.body["code"]) == (403, "insufficient_scope")
    too_much = await program.send("token", grant_type="client_credentials", scope="data:read")
    assert too_much.body["error"] == "invalid_scope"


async def test_a_public_client_cannot_act_for_itself(
    http: ClientSession, stack: RunningStack, program: Program
) -> None:
    wanted = {
        "name": "x", "is_confidential": False, "grants": ["client_credentials"],
        "scopes": ["data:read"],
    }  # fmt: skip
    made = await call(http, "POST", "/v1/oauth/clients", stack.admin_key, wanted)
    assert (made.status, made.body["code"]) == (422, "bad_client")
    given = await program.send("token", grant_type="client_credentials")
    assert given.body["error"] == "invalid_client"


async def test_each_refresh_token_works_once_and_a_second_tab_is_no_thief(
    http: ClientSession, anybody: LoggedIn, program: Program
) -> None:
    who = anybody
    first = await program.tokens(who)
    second = await program.refresh(first["refresh_token"])
    assert second.status == 200
    assert second.body["refresh_token"] != first["refresh_token"]
    tab = await program.refresh(first["refresh_token"])
    assert (tab.status, tab.body["error"]) == (400, "invalid_grant")
    assert await status_of(http, who, second.body["access_token"]) == 200
    assert (await program.refresh(second.body["refresh_token"])).status == 200


async def test_a_refresh_token_that_comes_back_after_its_successor_ends_the_family(
    http: ClientSession, admin: Client, program: Program
) -> None:
    who = await logged_in(admin)
    first = await program.tokens(who)
    second = (await program.refresh(first["refresh_token"])).body
    third = (await program.refresh(second["refresh_token"])).body
    assert (await program.refresh(first["refresh_token"])).body["error"] == "invalid_grant"
    for tokens in (first, second, third):
        assert await status_of(http, who, tokens["access_token"]) == 401
    assert (await program.refresh(third["refresh_token"])).body["error"] == "invalid_grant"


async def test_the_parent_is_a_thief_after_ten_seconds(
    http: ClientSession, admin: Client, stack: RunningStack, program: Program
) -> None:
    who = await logged_in(admin)
    first = await program.tokens(who)
    second = (await program.refresh(first["refresh_token"])).body
    async with open_repo(stack.settings) as repo, repo.connection() as db:
        await db.execute(
            "UPDATE oauth_token SET used_at = used_at - interval '11 s' WHERE used_at IS NOT NULL"
            " AND family_no = (SELECT family_no FROM oauth_family f JOIN customer c"
            " USING (customer_no) WHERE c.id = $1)",
            who.customer.id,
        )
    assert (await program.refresh(first["refresh_token"])).body["error"] == "invalid_grant"
    assert await status_of(http, who, second["access_token"]) == 401


async def test_scopes_only_ever_shrink(anybody: LoggedIn, program: Program) -> None:
    first = await program.tokens(anybody)
    less = await program.refresh(first["refresh_token"], scope="data:read")
    assert less.body["scope"] == "data:read"
    more = await program.refresh(less.body["refresh_token"], scope="profile")
    assert more.body["error"] == "invalid_scope"


async def test_a_device_waits_for_its_person(
    http: ClientSession, anybody: LoggedIn, stack: RunningStack
) -> None:
    who = anybody
    program = await register(http, stack.admin_key, grants=[DEVICE_GRANT, "refresh_token"])
    codes = (await program.send("device", scope="data:read")).body
    form = {"grant_type": DEVICE_GRANT, "device_code": codes["device_code"]}
    assert (await program.send("token", **form)).body["error"] == "authorization_pending"
    assert (await program.send("token", **form)).body["error"] == "slow_down"
    typed = codes["user_code"].replace("-", "").lower()
    shown = await call(http, "GET", f"/v1/oauth/device?user_code={typed}", who.token)
    assert list(shown.body["scopes"]) == ["data:read"]
    wanted = {"user_code": typed, "approve": True}
    said = await call(http, "POST", "/v1/oauth/device/decision", who.token, wanted)
    assert said.status == 204
    again = await call(http, "POST", "/v1/oauth/device/decision", who.token, wanted)
    assert again.status == 404
    given = await program.send("token", **form)
    assert given.status == 200, given
    days = f"/v1/customers/{who.customer.id}/days"
    assert (await call(http, "GET", days, given.body["access_token"])).status == 200
    assert (await program.send("token", **form)).status == 400


async def test_a_device_that_is_turned_away_gets_nothing(
    http: ClientSession, anybody: LoggedIn, stack: RunningStack
) -> None:
    who = anybody
    program = await register(http, stack.admin_key, grants=[DEVICE_GRANT])
    codes = (await program.send("device")).body
    wanted = {"user_code": codes["user_code"], "approve": False}
    await call(http, "POST", "/v1/oauth/device/decision", who.token, wanted)
    form = {"grant_type": DEVICE_GRANT, "device_code": codes["device_code"]}
    assert (await program.send("token", **form)).body["error"] == "access_denied"


async def test_a_client_ends_its_tokens_and_nobody_elses(
    http: ClientSession, anybody: LoggedIn, stack: RunningStack, program: Program
) -> None:
    who, other = anybody, await register(http, stack.admin_key)
    tokens = await program.tokens(who)
    assert (await program.send("revoke", token="fst_unknown")).status == 200
    foreign = await other.send("revoke", token=tokens["refresh_token"])
    assert foreign.body["error"] == "invalid_grant"
    assert (await program.send("revoke", token=tokens["access_token"])).status == 200
    assert await status_of(http, who, tokens["access_token"]) == 401
    again = (await program.refresh(tokens["refresh_token"])).body
    assert (await program.send("revoke", token=again["refresh_token"])).status == 200
    assert await status_of(http, who, again["access_token"]) == 401


async def test_a_client_looks_into_its_own_tokens(
    http: ClientSession, anybody: LoggedIn, stack: RunningStack
) -> None:
    who = anybody
    program = await register(http, stack.admin_key, is_confidential=True)
    other = await register(http, stack.admin_key, is_confidential=True)
    tokens = await program.tokens(who)
    found = (await program.send("introspect", token=tokens["access_token"])).body
    assert found["active"]
    assert (found["sub"], found["client_id"]) == (who.customer.id, program.id)
    inactive = {"active": False}
    assert (await other.send("introspect", token=tokens["access_token"])).body == inactive
    await program.refresh(tokens["refresh_token"])
    assert (await program.send("introspect", token=tokens["refresh_token"])).body == inactive


Ending = Callable[[ClientSession, Client, LoggedIn], Awaitable[Any]]


async def new_password(http: ClientSession, _: Client, who: LoggedIn) -> Any:
    body = {"old": PASSWORD, "new": "another quiet walk"}
    return await call(http, "PUT", "/v1/me/password", who.token, body)


async def logout_everywhere(http: ClientSession, _: Client, who: LoggedIn) -> Any:
    return await call(http, "POST", "/v1/me/logout-everywhere", who.token)


async def consent_withdrawn(_: ClientSession, admin: Client, who: LoggedIn) -> Any:
    return await admin.change_customer(who.customer.id, consents={"sharing": False})


async def deactivated(_: ClientSession, admin: Client, who: LoggedIn) -> Any:
    return await admin.change_customer(who.customer.id, deactivated=True)


async def grant_withdrawn(http: ClientSession, _: Client, who: LoggedIn) -> Any:
    grants = await call(http, "GET", "/v1/me/grants", who.token)
    (grant,) = grants.body["items"]
    return await call(http, "DELETE", f"/v1/me/grants/{grant['id']}", who.token)


@pytest.mark.parametrize(
    "ending",
    [new_password, logout_everywhere, consent_withdrawn, deactivated, grant_withdrawn],
    ids=lambda ending: ending.__name__,
)
async def test_tokens_end_with_what_they_rest_on(
    http: ClientSession, admin: Client, program: Program, ending: Ending
) -> None:
    who = await logged_in(admin, consents={"sharing": True})
    tokens = await program.tokens(who)
    assert await status_of(http, who, tokens["access_token"]) == 200
    await ending(http, admin, who)
    assert await status_of(http, who, tokens["access_token"]) == 401
    assert (await program.refresh(tokens["refresh_token"])).body["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "ending",
    [new_password, logout_everywhere, consent_withdrawn],
    ids=lambda ending: ending.__name__,
)
async def test_what_was_agreed_to_and_not_fetched_ends_too(
    http: ClientSession, admin: Client, stack: RunningStack, ending: Ending
) -> None:
    who = await logged_in(admin, consents={"sharing": True})
    program = await register(http, stack.admin_key, grants=[*CODE_GRANTS, DEVICE_GRANT])
    code = await program.code(who, VERIFIER)
    codes = (await program.send("device")).body
    wanted = {"user_code": codes["user_code"], "approve": True}
    await call(http, "POST", "/v1/oauth/device/decision", who.token, wanted)
    nobody, me = admin.as_who(""), admin.as_who(who.token)
    begun = await nobody.begin_pairing("phone", "Not theirs")
    await me.decide_pairing(begun.user_code)
    offer = await me.offer_pairing("phone", "Nor this")
    await ending(http, admin, who)
    for form in (
        {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK,
         "code_verifier": VERIFIER},
        {"grant_type": DEVICE_GRANT, "device_code": codes["device_code"]},
    ):  # fmt: skip
        given = await program.send("token", **form)
        assert given.status == 400, given
        assert given.body["error"] in ("invalid_grant", "invalid_request")  # it never was
    with pytest.raises(Rejected, match="expired"):
        await nobody.poll_pairing(begun.device_code)
    with pytest.raises(NotFound, match="not known"):
        await nobody.redeem_code(offer.code)


async def test_a_revocation_waits_for_an_exchange_under_way_and_ends_what_it_gave(
    admin: Client, http: ClientSession, stack: RunningStack, program: Program
) -> None:
    who = await logged_in(admin)
    code = await program.code(who, VERIFIER)
    async with open_repo(stack.settings) as repo:
        async with repo.transaction() as db:  # an exchange that has locked its code
            row = await oauth.lock_code(db, hashed(code))
            assert row is not None
            ending = asyncio.create_task(new_password(http, admin, who))
            await _waits_for_a_lock(repo)
            at = datetime.now(UTC)
            new = NewFamily(
                client_no=row.client_no, account_no=row.account_no, customer_no=row.customer_no,
                scopes=row.scopes, created_at=at, expires_at=at + timedelta(days=1),
            )  # fmt: skip
            family = await oauth.insert_family(db, new)
            await oauth.use_code(db, hashed(code), at, family)
        assert (await ending).status == 204
        async with repo.connection() as db:
            found = "SELECT revoked_at IS NOT NULL FROM oauth_family WHERE family_no = $1"
            assert await db.fetchval(found, family)


async def test_a_session_that_ends_while_it_agrees_agrees_to_nothing(
    admin: Client, stack: RunningStack, program: Program
) -> None:
    who = await logged_in(admin)
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        assert await sessions.hold_session(db, hashed(who.token))
        ending = asyncio.create_task(admin.as_who(who.token).log_out_everywhere())
        await _waits_for_a_lock(repo)
        assert not ending.done()
    await ending
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        assert not await sessions.hold_session(db, hashed(who.token))


async def _waits_for_a_lock(repo: Repo) -> None:
    """Until somebody waits for what a transaction of this test holds."""

    async def check() -> bool:
        async with repo.connection() as db:
            text = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            return bool(await db.fetchval(text))

    await eventually(check, 10)


async def test_a_grant_for_a_device_ends_with_the_device(
    http: ClientSession, admin: Client, stack: RunningStack, program: Program
) -> None:
    who = await logged_in(admin)
    path = f"/v1/customers/{who.customer.id}/devices"
    (device,) = (await call(http, "GET", path, who.token)).body["items"]
    tied, free = await program.tokens(who, device_id=device["id"]), await program.tokens(who)
    code = await program.code(who, VERIFIER, device_id=device["id"])
    assert (await call(http, "DELETE", f"{path}/{device['id']}", stack.admin_key)).status == 204
    assert await status_of(http, who, tied["access_token"]) == 401
    assert await status_of(http, who, free["access_token"]) == 200
    late = await program.send(
        "token", grant_type="authorization_code", code=code, redirect_uri=BACK,
        code_verifier=VERIFIER,
    )  # fmt: skip
    assert (late.status, late.body["error"]) == (400, "invalid_grant")


async def test_a_disabled_client_is_refused_with_all_it_has(
    http: ClientSession, admin: Client, stack: RunningStack
) -> None:
    who, program = await logged_in(admin), await register(http, stack.admin_key)
    tokens = await program.tokens(who)
    code = await program.code(who, VERIFIER)
    path = f"/v1/oauth/clients/{program.id}"
    assert (await call(http, "PATCH", path, stack.admin_key, {"disabled": True})).status == 200
    assert await status_of(http, who, tokens["access_token"]) == 401
    assert (await program.refresh(tokens["refresh_token"])).body["error"] == "invalid_client"
    assert (await call(http, "PATCH", path, stack.admin_key, {"disabled": False})).status == 200
    late = await program.send(
        "token", grant_type="authorization_code", code=code, redirect_uri=BACK,
        code_verifier=VERIFIER,
    )  # fmt: skip
    assert (late.status, late.body["error"]) == (400, "invalid_grant")


async def test_no_secret_of_oauth_is_stored_as_it_is(
    http: ClientSession, anybody: LoggedIn, stack: RunningStack
) -> None:
    who = anybody
    program = await register(http, stack.admin_key, is_confidential=True)
    tokens = await program.tokens(who)
    assert program.secret is not None
    known = [tokens["access_token"], tokens["refresh_token"], program.secret[1]]
    async with open_repo(stack.settings) as repo, repo.connection() as db:
        for table in ("oauth_client", "oauth_token", "oauth_code", "oauth_family", "audit"):
            rows = await db.fetch(f"SELECT t::text FROM {table} t")
            stored = "\n".join(row["t"] for row in rows)
            assert not any(text in stored or text.encode().hex() in stored for text in known)


async def test_an_app_on_the_persons_machine_comes_back_to_the_port_that_it_got(
    http: ClientSession, admin: Client
) -> None:
    made = await admin.create_oauth_client(
        "Desktop", is_confidential=False, grants=CODE_GRANTS, scopes=["data:read"],
        redirect_uris=["http://127.0.0.1/back"],
    )  # fmt: skip
    app = Program(http, {"id": made.id, "client_secret": None})
    who, here = await logged_in(admin), "http://127.0.0.1:49215/back"
    query = app.query(challenge_of(VERIFIER), redirect_uri=here, scope="data:read")
    said = await call(
        http, "POST", "/v1/oauth/authorize", who.token, {"query": query, "approve": True}
    )
    assert said.body["redirect_to"].startswith(f"{here}?")
    form = {
        "grant_type": "authorization_code",
        "code": back(said.body["redirect_to"])["code"],
        "code_verifier": VERIFIER,
    }
    elsewhere = await app.send("token", **form, redirect_uri="http://127.0.0.1:49216/back")
    assert (elsewhere.status, elsewhere.body["error"]) == (400, "invalid_grant")
    given = await app.send("token", **form, redirect_uri=here)
    assert given.status == 200


async def test_a_token_that_has_ended_is_called_invalid_and_one_too_narrow_insufficient(
    http: ClientSession, admin: Client, program: Program
) -> None:
    who = await logged_in(admin)
    tokens = await program.tokens(who)
    own = f"/v1/customers/{who.customer.id}"

    async def challenge(path: str, status: int, headers: dict[str, str]) -> list[str]:
        async with http.get(path, headers=headers) as response:
            assert response.status == status
            return response.headers.getall("WWW-Authenticate")

    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    (narrow,) = await challenge("/v1/me", 403, bearer)
    assert 'error="insufficient_scope"' in narrow
    assert 'scope="profile"' in narrow
    for wrong in ("fsa_nonsense", "fs_a_b", "fst_x", tokens["refresh_token"]):
        found = await challenge(own, 401, {"Authorization": f"Bearer {wrong}"})
        assert found[0].startswith("Digest ")
        assert 'error="invalid_token"' in found[1]
    assert not any("error=" in one for one in await challenge(own, 401, {}))


async def test_a_browser_that_comes_to_the_api_is_sent_to_the_page(
    http: ClientSession, program: Program
) -> None:
    query = program.query(secrets.token_urlsafe(48))
    async with http.get(f"/v1/oauth/authorize?{query}", allow_redirects=False) as response:
        assert response.status == 302
        assert "/oauth/authorize?response_type=code" in response.headers["Location"]


async def test_a_customer_agrees_on_the_page_and_takes_it_back_there(
    http: ClientSession, admin: Client, stack: RunningStack, program: Program
) -> None:
    who = await logged_in(admin)
    cookie = {"Cookie": f"fs_me={who.token}"}
    proof = csrf.token(stack.settings.secret_key, who.token)
    query = program.query(challenge_of(VERIFIER))
    page = f"{stack.pages}/oauth/authorize?{query}"
    async with http.get(page, allow_redirects=False) as response:
        assert response.status == 303
        assert response.headers["Location"].startswith("/login?next=%2Foauth%2Fauthorize")
    async with http.get(page, headers=cookie) as response:
        text, rules = await response.text(), response.headers["Content-Security-Policy"]
    assert "Coach asks" in text
    assert "form-action 'self' https://coach.example.org;" in rules
    form = {"query": query, "answer": "yes", csrf.FIELD: proof}
    where = f"{stack.pages}/oauth/authorize"
    bare = form | {csrf.FIELD: ""}
    async with http.post(where, data=bare, headers=cookie, allow_redirects=False) as response:
        assert response.status == 403
    async with http.post(where, data=form, headers=cookie, allow_redirects=False) as response:
        assert response.status == 303
        code = back(response.headers["Location"])["code"]
    given = await program.send(
        "token", grant_type="authorization_code", code=code, redirect_uri=BACK,
        code_verifier=VERIFIER,
    )  # fmt: skip
    token = given.body["access_token"]
    assert await status_of(http, who, token) == 200
    async with http.get(f"{stack.pages}/programs", headers=cookie) as response:
        assert "Coach" in await response.text()
    (grant,) = (await call(http, "GET", "/v1/me/grants", who.token)).body["items"]
    async with http.post(
        f"{stack.pages}/programs/{grant['id']}/withdraw",
        data={csrf.FIELD: proof},
        headers=cookie,
        allow_redirects=False,
    ) as response:
        assert response.status == 303
    assert await status_of(http, who, token) == 401


async def test_what_stands_encoded_in_a_parameter_is_never_read_as_another(
    http: ClientSession, anybody: LoggedIn, stack: RunningStack, program: Program
) -> None:
    state = "a&scope=profile&client_id=cli_x%26 +y"
    query = program.query(challenge_of(VERIFIER), state=state)
    shown = await call(
        http, "GET", URL(f"/v1/oauth/authorize?{query}", encoded=True), anybody.token
    )
    assert sorted(shown.body["scopes"]) == ["customers:read", "data:read"]
    page = URL(f"{stack.pages}/oauth/authorize?{query}", encoded=True)
    async with http.get(page, headers={"Cookie": f"fs_me={anybody.token}"}) as response:
        assert escape(query) in await response.text()
    wanted = {"query": query, "approve": True}
    said = await call(http, "POST", "/v1/oauth/authorize", anybody.token, wanted)
    assert back(said.body["redirect_to"])["state"] == state
    async with http.get(
        URL(f"/v1/oauth/authorize?{query}", encoded=True), allow_redirects=False
    ) as response:
        assert parse_qs(urlsplit(response.headers["Location"]).query)["state"] == [state]


async def test_the_page_sends_nobody_to_an_address_that_is_not_registered(
    http: ClientSession, anybody: LoggedIn, stack: RunningStack, program: Program
) -> None:
    who = anybody
    query = program.query(challenge_of(VERIFIER), redirect_uri="https://thief.example.org/")
    async with http.get(
        f"{stack.pages}/oauth/authorize?{query}",
        headers={"Cookie": f"fs_me={who.token}"},
        allow_redirects=False,
    ) as response:
        assert response.status == 422
        assert "thief.example.org" not in response.headers["Content-Security-Policy"]


async def test_the_metadata_says_what_is_so(
    http: ClientSession, stack: RunningStack, program: Program
) -> None:
    found = (await call(http, "GET", "/.well-known/oauth-authorization-server")).body
    assert found["issuer"] == stack.gateway
    for name, text in found.items():
        if name.endswith("_endpoint") and name != "authorization_endpoint":
            path = text.removeprefix(stack.gateway)
            async with http.post(path, data={"token": "x"}) as response:
                assert response.status in (400, 401), name
                assert (await response.json())["error"]
    async with http.get(found["authorization_endpoint"], allow_redirects=False) as response:
        assert response.status == 303
    server = await register(http, stack.admin_key, is_confidential=True)
    assert server.secret is not None
    by_post = {"client_id": server.id, "client_secret": server.secret[1], "token": "x"}
    for route, name in (("revoke", "revocation"), ("introspect", "introspection")):
        methods = found[f"{name}_endpoint_auth_methods_supported"]
        assert {"client_secret_basic", "client_secret_post"} <= set(methods)
        assert (await server.send(route, token="x")).status == 200
        assert (await send(http, route, None, **by_post)).status == 200
        is_open = (await program.send(route, token="x")).status == 200
        assert is_open == ("none" in methods)
    for grant in (*found["grant_types_supported"], "password", "implicit"):
        error = (await server.send("token", grant_type=grant, code="x")).body["error"]
        assert (error == "unsupported_grant_type") == (grant in ("password", "implicit")), grant
    assert set(found["scopes_supported"]) == set(SCOPES)
    assert found["code_challenge_methods_supported"] == ["S256"]


async def test_a_program_of_other_programmes_gets_no_device_of_this_one(
    http: ClientSession, admin: Client, anybody: LoggedIn, stack: RunningStack
) -> None:
    other = await admin.create_programme(f"p-{secrets.token_hex(4)}", "Elsewhere")
    program = await register(
        http, stack.admin_key, grants=[DEVICE_GRANT], programmes=[other.id], redirect_uris=[]
    )
    codes = (await program.send("device")).body
    typed = codes["user_code"]
    shown = await call(http, "GET", f"/v1/oauth/device?user_code={typed}", anybody.token)
    assert (shown.status, shown.body["code"]) == (422, "bad_authorization")
    wanted = {"user_code": typed, "approve": True}
    said = await call(http, "POST", "/v1/oauth/device/decision", anybody.token, wanted)
    assert (said.status, said.body["code"]) == (422, "bad_authorization")
    form = {"grant_type": DEVICE_GRANT, "device_code": codes["device_code"]}
    assert (await program.send("token", **form)).body["error"] == "authorization_pending"


async def test_what_a_client_ends_or_a_thief_gives_away_is_in_the_audit_log(
    http: ClientSession, admin: Client, program: Program
) -> None:
    who = await logged_in(admin)
    ended, alone, stolen = [await program.tokens(who) for _ in range(3)]
    for _ in range(2):  # a repeat ends nothing, and is no entry
        await program.send("revoke", token=ended["refresh_token"])
    await program.send("revoke", token=alone["access_token"])
    second = (await program.refresh(stolen["refresh_token"])).body
    await program.refresh(second["refresh_token"])
    for _ in range(2):
        await program.refresh(stolen["refresh_token"])
    entries = (await admin.audit(customer=who.customer.id)).items
    found = [entry for entry in reversed(entries) if entry.action.startswith("grant.")]
    assert [entry.action for entry in found] == [
        *["grant.given"] * 3, "grant.revoked", "grant.token_revoked", "grant.reused",
    ]  # fmt: skip
    assert {(entry.actor, entry.via) for entry in found[3:]} == {("program", program.id)}


async def test_a_grant_and_its_entry_are_one_transaction(
    http: ClientSession, admin: Client, stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise Rejected("full", "no entry can be written", 422)

    monkeypatch.setattr("fitstream.gateway.api.oauth.record", fails)
    who = await logged_in(admin)
    program = await register(http, stack.admin_key, grants=[*CODE_GRANTS, DEVICE_GRANT])
    code = (await program.send("device")).body["user_code"]
    async with (
        TestServer(make_app(stack.settings)) as server,
        ClientSession(server.make_url("/")) as session,
    ):
        query = program.query(challenge_of(VERIFIER))
        for path, wanted in (
            ("/v1/oauth/authorize", {"query": query, "approve": True}),
            ("/v1/oauth/device/decision", {"user_code": code, "approve": True}),
        ):
            said = await call(session, "POST", path, who.token, wanted)
            assert (said.status, said.body["code"]) == (422, "full")
    async with open_repo(stack.settings) as repo, repo.connection() as db:
        codes = "SELECT count(*) FROM oauth_code JOIN customer USING (customer_no) WHERE id = $1"
        assert await db.fetchval(codes, who.customer.id) == 0
        state = "SELECT state FROM oauth_device_code WHERE user_code = $1"
        assert await db.fetchval(state, code) == "pending"
