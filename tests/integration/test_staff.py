"""Staff, programs' keys and sessions: who may give what to whom, and what ends with a change."""

import re
import secrets
from typing import Any

import pytest
from aiohttp import ClientSession

from fitstream import csrf
from fitstream.client import Client
from tests.conftest import RunningStack
from tests.oauth import PASSWORD, Answer, call, logged_in, register

pytestmark = pytest.mark.stack


class Person:
    """Somebody of the staff with a session."""

    def __init__(self, http: ClientSession, made: dict[str, Any], token: str) -> None:
        self._http = http
        self.id: str = made["id"]
        self.email: str = made["email"]
        self.token = token

    async def call(self, method: str, path: str, json: Any = None) -> Answer:
        """A call of theirs."""
        return await call(self._http, method, path, self.token, json)


async def person(http: ClientSession, by: str, role: str, programmes: Any = None) -> Person:
    """A new account of the staff that is logged in."""
    email = f"{role}-{secrets.token_hex(5)}@example.org"
    wanted = {"email": email, "role": role, "programmes": programmes}
    made = await call(http, "POST", "/v1/staff", by, wanted)
    assert made.status == 201, made
    body = {"email": email, "password": made.body["password"]}
    session = await call(http, "POST", "/v1/auth/login", "", body)
    return Person(http, made.body, session.body["token"])


@pytest.fixture
async def elsewhere(admin: Client) -> str:
    """Another programme."""
    return (await admin.create_programme(f"staff-{secrets.token_hex(4)}", "Elsewhere")).id


async def test_an_administrator_of_a_programme_manages_it_and_nothing_else(
    http: ClientSession, stack: RunningStack, elsewhere: str
) -> None:
    chief = await person(http, stack.admin_key, "admin", [elsewhere])
    inside = await person(http, chief.token, "analyst", [elsewhere])
    implied = await person(http, chief.token, "support")
    outside = await person(http, stack.admin_key, "support")
    shown = (await chief.call("GET", "/v1/staff")).body["items"]
    assert {each["id"] for each in shown} == {chief.id, inside.id, implied.id}
    assert {tuple(each["programmes"]) for each in shown} == {(elsewhere,)}
    for change in ({"role": "admin"}, {"disabled": True}):
        assert (await chief.call("PATCH", f"/v1/staff/{outside.id}", change)).status == 404
    for programmes in (["default"], [elsewhere, "default"]):
        wanted = {"email": "x@example.org", "role": "support", "programmes": programmes}
        assert (await chief.call("POST", "/v1/staff", wanted)).status == 404
        body = {"name": "x", "scopes": ["data:read"], "programmes": programmes}
        assert (await chief.call("POST", "/v1/keys", body)).status == 404
    widened = await chief.call("PATCH", f"/v1/staff/{inside.id}", {"programmes": None})
    assert widened.body["programmes"] == [elsewhere]
    key = await chief.call("POST", "/v1/keys", {"name": "x", "scopes": ["data:read"]})
    assert key.body["programmes"] == [elsewhere]
    foreign = await call(
        http, "POST", "/v1/keys", stack.admin_key, {"name": "x", "scopes": ["data:read"]}
    )
    assert (await chief.call("DELETE", f"/v1/keys/{foreign.body['id']}")).status == 404
    wide = {"zone": "UTC", "programme": "default"}
    assert (await chief.call("POST", "/v1/customers", wide)).status == 404
    own = {"zone": "UTC", "programme": elsewhere}
    assert (await chief.call("POST", "/v1/customers", own)).status == 201
    assert (await chief.call("POST", "/v1/programmes", {"name": "Mine"})).status == 403


async def test_nobody_changes_their_own_rights(http: ClientSession, stack: RunningStack) -> None:
    somebody = await person(http, stack.admin_key, "admin")
    for change in ({"role": "support"}, {"programmes": ["default"]}, {"disabled": True}):
        answer = await somebody.call("PATCH", f"/v1/staff/{somebody.id}", change)
        assert (answer.status, answer.body["code"]) == (409, "own_account")


@pytest.mark.parametrize("change", [{"role": "analyst"}, {"programmes": ["default"]},
                                    {"disabled": True}], ids=str)  # fmt: skip
async def test_a_session_ends_with_the_rights_it_was_opened_under(
    http: ClientSession, stack: RunningStack, change: dict[str, Any]
) -> None:
    somebody = await person(http, stack.admin_key, "admin")
    assert (await somebody.call("GET", "/v1/me")).status == 200
    path = f"/v1/staff/{somebody.id}"
    assert (await call(http, "PATCH", path, stack.admin_key, change)).status == 200
    assert (await somebody.call("GET", "/v1/me")).status == 401


async def test_sessions_are_listed_and_ended_one_by_one(http: ClientSession, admin: Client) -> None:
    who, other = await logged_in(admin), await logged_in(admin)
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    body = {"email": who.email, "password": PASSWORD}
    async with http.post("/v1/auth/login", json=body, headers={"User-Agent": agent}) as response:
        second = (await response.json())["token"]
    listed = (await call(http, "GET", "/v1/me/sessions", who.token)).body["items"]
    assert {each["is_current"] for each in listed} == {True, False}
    (there,) = [each for each in listed if not each["is_current"]]
    assert there["agent"] == agent
    path = f"/v1/me/sessions/{there['id']}"
    assert (await call(http, "DELETE", path, other.token)).status == 404
    assert (await call(http, "DELETE", path, who.token)).status == 204
    assert (await call(http, "GET", "/v1/me", second)).status == 401
    third = await call(http, "POST", "/v1/auth/login", "", body)
    ended = await call(http, "DELETE", "/v1/me/sessions", who.token)
    assert ended.body == {"ended": 1}
    assert (await call(http, "GET", "/v1/me", third.body["token"])).status == 401
    assert (await call(http, "GET", "/v1/me", who.token)).status == 200


async def test_what_staff_do_is_in_the_audit_log_without_names(
    http: ClientSession, stack: RunningStack, admin: Client
) -> None:
    chief = await person(http, stack.admin_key, "admin")
    other = await person(http, chief.token, "support")
    await chief.call("PATCH", f"/v1/staff/{other.id}", {"role": "analyst", "disabled": True})
    program = await register(http, chief.token)
    who = await logged_in(admin)
    await program.tokens(who)
    log = (await chief.call("GET", "/v1/audit?limit=200")).body["items"]
    own = [each["action"] for each in log if each["actor"] == "admin" and each["actor_no"]]
    for action in ("staff.created", "staff.rights_changed", "staff.disabled", "client.created"):
        assert action in own
    about = (await chief.call("GET", f"/v1/audit?customer={who.customer.id}")).body["items"]
    assert "grant.given" in [each["action"] for each in about]
    assert who.email not in str(log)
    assert other.email not in str(log)
    numbers = [each["id"] for each in log]
    assert numbers == sorted(numbers, reverse=True)


async def test_the_page_of_people_adds_changes_and_disables(
    http: ClientSession, stack: RunningStack
) -> None:
    chief = await person(http, stack.admin_key, "admin")
    cookie = {"Cookie": f"fs_admin={chief.token}"}
    proof = {csrf.FIELD: csrf.token(stack.settings.secret_key, chief.token)}
    email = f"page-{secrets.token_hex(4)}@example.org"

    async def post(path: str, **fields: str) -> tuple[int, str]:
        async with http.post(
            path, data=proof | fields, headers=cookie, allow_redirects=False
        ) as response:
            return response.status, await response.text()

    none = await post("/admin/people", email=email, role="support")
    assert none[0] == 422
    assert "hoose programmes" in none[1]
    status, text = await post("/admin/people", email=email, role="support", programme="default")
    assert status == 200
    assert f"Password of {email}" in text
    items = (await call(http, "GET", "/v1/staff?limit=500", stack.admin_key)).body["items"]
    (made,) = [each for each in items if each["email"] == email]
    assert (made["role"], made["programmes"]) == ("support", ["default"])
    path = f"/admin/people/{made['id']}"
    assert (await post(path, role="analyst", programme="all"))[0] == 303
    assert (await post(f"{path}/standing", disabled="1"))[0] == 303
    now = (await call(http, "GET", f"/v1/staff/{made['id']}", stack.admin_key)).body
    assert (now["role"], now["programmes"]) == ("analyst", None)
    assert now["disabled_at"] is not None
    assert (await post(f"/admin/people/{chief.id}", role="analyst", programme="all"))[0] == 422
    path, text = "/admin/people", ""
    while path and email not in text:
        async with http.get(path, headers=cookie) as response:
            text = await response.text()
        found = re.search(r'"(/admin/people\?after=[^"]+)"', text)
        path = found[1] if found else ""
    assert email in text
