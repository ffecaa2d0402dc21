"""Every route of the router as every role, as another customer, as staff of another programme, and
with credentials that have ended or never were: the answers of a running gateway against the policy.

What is allowed is called with bodies and inner ids that lead nowhere, so that a call that passes
the guard changes nothing. What must be refused names things that are there: were they not, a 404
would say nothing about the guard.
"""

import asyncio
import re
import secrets
from collections.abc import Collection
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession
from aiohttp.hdrs import METH_GET

from fitstream import csrf
from fitstream.client import Client
from fitstream.gateway import policy, scoping
from fitstream.gateway.app import LEGACY, api_routes
from fitstream.gateway.openapi import takes_body
from fitstream.gateway.policy import Rule
from fitstream.repo.database import Db, open_repo
from tests.conftest import RunningStack
from tests.oauth import Answer, Program, call, logged_in, register
from tests.real import new_wearer
from tests.unit.test_policy import routes

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
PAGES = "admin:"
ROUTES = {each.name: each for each in (*api_routes(), *(r for m in LEGACY for r in m.ROUTES))}
STAFF = ("admin", "analyst", "support")
SECRET_NAME = "Zora Unmistakable"
# What ends the credential that calls it, or starts work: called by nobody who may.
LEFT_OUT = frozenset({"logout", "log_out_everywhere", "end_other_sessions", "legacy_logout",
                      "admin:log_out", "admin:own_everywhere", "create_run", "admin:train",
                      "invite", "admin:invite", "pair_offer"})  # fmt: skip
# Asked with a session only: a key cannot tell that its owner is there.
SESSION_ONLY = frozenset({"second_factor"})
NOWHERE = {
    "device": "dev_none", "week": "2020-W01", "version": "1", "session": "ses_none",
    "grant": "grt_none", "account": "acc_none", "client": "cli_none", "key": "none",
    "job": "job_none", "run": "job_none", "model": "mod_none", "letter": "999999999",
    "upload": "upl_none", "mapping": "none", "programme": "none", "rest": "nowhere",
    "path": "nowhere", "way": "check", "mail": "none", "uid": "none", "token": "none",
    "object": "none", "forecast": "fct_none",
}  # fmt: skip


class Caller(NamedTuple):
    """A credential and what the policy knows of it."""

    name: str
    token: str
    role: str = "anonymous"
    scopes: frozenset[str] | None = None
    is_person: bool = False
    is_own: bool = False
    sees: bool = True
    """Whether the walked customer's programme is one of its own."""
    is_over: bool = False

    def expected(self, rule: Rule, names: list[str], managed: Collection[str] = ()) -> str:
        """401, 403, 404, or `passed`: what the policy says to a route with such a path.

        `managed` are names that the handler looks up before anything else.
        """
        if rule.who & {"client"}:
            return "passed"
        if self.is_over:
            return "401"
        if "anyone" in rule.who:
            return "passed"
        if self.role == "anonymous":
            return "401"
        is_person = "person" in rule.who and self.is_person
        is_customer = self.role == "customer" and bool(rule.who & {"own", "customer"})
        if not (self.role in rule.who or is_person or is_customer):
            return "403"
        if self.scopes is not None and rule.scope not in self.scopes:
            return "403"
        if self.role == "customer" and "own" in rule.who and not self.is_own:
            return "404"
        is_foreign = not self.sees and any(name in names for name in (*scoping.LOOKUPS, *managed))
        return "404" if is_foreign else "passed"


class World(NamedTuple):
    """Who calls, and the ids of what belongs to the customer they call about."""

    callers: list[Caller]
    ids: dict[str, str]
    secret_key: str


@pytest.fixture(scope="module")
async def world(http: ClientSession, admin: Client, stack: RunningStack) -> World:
    """Made once: everybody who could call, and one of everything that can be asked for."""
    who = await logged_in(admin, name=SECRET_NAME)
    other = await logged_in(admin)
    mark = secrets.token_hex(4)
    await admin.create_programme(f"walk-{mark}", "Another programme")
    program = await register(http, stack.admin_key)
    ids = {"customer": who.customer.id, "client": program.id}
    key = {"name": "walk", "scopes": ["data:read"]}
    ids["key"] = (await call(http, "POST", "/v1/keys", stack.admin_key, key)).body["id"]
    async with open_repo(stack.settings) as repo, repo.transaction() as db:
        ids |= await one_of_everything(db, who.customer.id, mark)
    callers = [
        Caller("nobody", ""),
        Caller("admin key", stack.admin_key, "admin", is_person=True),
        Caller("customer", who.token, "customer", is_person=True, is_own=True),
        Caller("another customer", other.token, "customer", is_person=True),
        *await staff(http, stack.admin_key, f"walk-{mark}", ids),
        *await programs(http, stack.admin_key, f"walk-{mark}"),
        *await granted(program, who),
        *await ended(http, admin, stack, program),
    ]
    device = await new_wearer(admin)
    callers.append(Caller("a device", device.device.key, "device"))
    return World(callers, ids, stack.settings.secret_key)


async def one_of_everything(db: Db, customer_id: str, mark: str) -> dict[str, str]:
    """A job, a run, a model, an upload and a dead letter of the customer's programme."""
    job_id, model_id = f"job_{mark}", f"mod_{mark}"
    await db.execute(
        "INSERT INTO job (id, kind, queue, dedupe_key, programme_no, customer_no, state)"
        " SELECT $1, 'walk', 'none', $1, programme_no, customer_no, 'succeeded'"
        " FROM customer WHERE id = $2", job_id, customer_id,
    )  # fmt: skip
    await db.execute(
        "INSERT INTO training_run (job_id, programme_no, scope, recipe, recipe_hash, dataset_hash,"
        " customers, weeks) SELECT $1, programme_no, 'cohort', '{}', $1, $1, 1, 1"
        " FROM customer WHERE id = $2", job_id, customer_id,
    )  # fmt: skip
    await db.execute(
        "INSERT INTO model (id, programme_no, kind, stage, job_id, dataset_hash, metrics,"
        " object_key, sha256) SELECT $1, programme_no, 'walk', 'retired', $2, $2, '{}', $1, $1"
        " FROM customer WHERE id = $3", model_id, job_id, customer_id,
    )  # fmt: skip
    await db.execute(
        "INSERT INTO upload (id, programme_no, customer_no, created_by, name, format, size,"
        " sha256, object_key, priority, phase) SELECT $1, programme_no, customer_no, 'x',"
        " 'walk.csv', 'csv', 1, $1, $1, 1000, 'unmapped' FROM customer WHERE id = $2",
        f"upl_{mark}", customer_id,
    )  # fmt: skip
    letter = await db.fetchval(
        "INSERT INTO dead_letter (topic, partition, record_offset, generation, reason, key, value)"
        " VALUES ($1, 0, 0, 1, 'walk', $2, 'x') RETURNING id",
        mark, customer_id.encode(),
    )  # fmt: skip
    return {
        "job": job_id, "run": job_id, "model": model_id, "letter": str(letter),
        "upload": f"upl_{mark}",
    }  # fmt: skip


async def staff(http: ClientSession, key: str, elsewhere: str, ids: dict[str, str]) -> list[Caller]:
    """A session of each role for all programmes, and for another programme only.

    One account for all programmes is what nobody of another programme may manage.
    """
    found = []
    for role in STAFF:
        for programmes, where in ((None, ""), ([elsewhere], " elsewhere")):
            email = f"{role}-{secrets.token_hex(4)}@example.org"
            wanted = {"email": email, "role": role, "programmes": programmes}
            made = await call(http, "POST", "/v1/staff", key, wanted)
            ids.setdefault("account", made.body["id"])
            token = await log_in(http, email, made.body["password"])
            found.append(
                Caller(f"{role}{where}", token, role, is_person=True, sees=programmes is None)
            )
    return found


async def programs(http: ClientSession, key: str, elsewhere: str) -> list[Caller]:
    """Keys with every scope, with one, and for another programme only."""
    found = []
    for scopes, programmes in (
        (policy.SCOPES, None), (("models:read",), None), (policy.SCOPES, [elsewhere]),
    ):  # fmt: skip
        wanted = {"name": "walk", "scopes": scopes, "programmes": programmes}
        made = await call(http, "POST", "/v1/keys", key, wanted)
        name = f"program {len(scopes)} {programmes or 'everywhere'}"
        sees = programmes is None
        found.append(Caller(name, made.body["key"], "program", frozenset(scopes), sees=sees))
    return found


async def granted(program: Program, who: Any) -> list[Caller]:
    """An access token of the customer."""
    token = (await program.tokens(who))["access_token"]
    scopes = frozenset({"customers:read", "data:read"})
    return [Caller("granted", token, "customer", scopes, is_person=True, is_own=True)]


async def ended(
    http: ClientSession, admin: Client, stack: RunningStack, program: Program
) -> list[Caller]:
    """Credentials that are over, or never were."""
    out, gone, old = [await logged_in(admin) for _ in range(3)]
    token = (await program.tokens(old))["access_token"]
    assert (await call(http, "POST", "/v1/auth/logout", out.token)).status == 204
    await admin.change_customer(gone.customer.id, deactivated=True)
    wanted = {"name": "walk", "scopes": ["data:read"]}
    made = (await call(http, "POST", "/v1/keys", stack.admin_key, wanted)).body
    assert (await call(http, "DELETE", f"/v1/keys/{made['id']}", stack.admin_key)).status == 204
    past = {**wanted, "expires_at": "2020-01-01T00:00:00Z"}
    expired = (await call(http, "POST", "/v1/keys", stack.admin_key, past)).body
    async with open_repo(stack.settings) as repo, repo.connection() as db:
        await db.execute(
            "UPDATE oauth_token SET expires_at = now() WHERE family_no IN (SELECT family_no"
            " FROM oauth_family JOIN customer c USING (customer_no) WHERE c.id = $1)",
            old.customer.id,
        )
    key_id = stack.admin_key.split("_")[1]
    texts = {
        "logged out": out.token,
        "deactivated": gone.token,
        "revoked key": made["key"],
        "expired key": expired["key"],
        "expired token": token,
        "wrong secret": f"fs_{key_id}_{secrets.token_hex(32)}",
        "unknown key": f"fs_{'0' * 16}_{secrets.token_hex(32)}",
        "unknown session": f"fss_{secrets.token_hex(32)}",
        "unknown token": f"fst_{secrets.token_hex(32)}",
        "a refresh token": f"fsr_{secrets.token_hex(32)}",
        "no key at all": "hello",
    }
    await asyncio.sleep(2 * stack.settings.keys_poll_s)
    return [Caller(name, text, is_over=True) for name, text in texts.items()]


WALKING = frozenset({"logged out", "revoked key", "expired token", "wrong secret"})
"""Of what is over, who walks the whole way; the others are turned away by the same line."""


async def log_in(http: ClientSession, email: str, password: str) -> str:
    """The token of a new session."""
    body = {"email": email, "password": password}
    made = await call(http, "POST", "/v1/auth/login", "", body)
    assert made.status == 201, made
    return str(made.body["token"])


def walked() -> list[tuple[str, str, str]]:
    """(method, path, name) of all that is no page."""
    return [each for each in routes() if not each[2].startswith(PAGES) and each[0] != "HEAD"]


def address(path: str, method: str, ids: dict[str, str], *, is_refused: bool = False) -> str:
    """The path about the walked customer and what is theirs; what is changed by a call that is not
    refused is something that is not there."""
    is_safe = method == METH_GET or is_refused
    known = ids if is_safe else {"customer": ids["customer"]}
    return re.sub(r"{(\w+)[^}]*}", lambda found: (NOWHERE | known)[found[1]], path)


def outcome(answer: Answer) -> str:
    """What a caller met: the guard, nothing there, or the route itself."""
    code = answer.body.get("code", "") if isinstance(answer.body, dict) else ""
    if answer.status == 401:
        return "401" if code == "unauthorized" else "passed"
    if answer.status == 403:
        return "403" if code in ("forbidden", "insufficient_scope") else "passed"
    return "404" if answer.status == 404 else "passed"


async def ask(http: ClientSession, method: str, path: str, token: str) -> Answer:
    """A call with a body that no route takes."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers["Content-Type"] = "text/walk"
    data = None if method == METH_GET else b"walk"
    async with http.request(
        method, path, headers=headers, data=data, allow_redirects=False
    ) as response:
        raw = await response.read()
        is_json = "json" in response.content_type
        return Answer(response.status, await response.json() if is_json else {"text": raw})


async def test_every_route_answers_every_caller_as_the_policy_says(
    http: ClientSession, world: World
) -> None:
    callers = [each for each in world.callers if not each.is_over or each.name in WALKING]
    wrong = await asyncio.gather(*(walk(http, world, caller) for caller in callers))
    assert not [line for lines in wrong for line in lines]


async def test_what_has_ended_or_never_was_opens_nothing(http: ClientSession, world: World) -> None:
    over = [caller for caller in world.callers if caller.is_over]
    assert len(over) > len(WALKING)
    for caller in over:
        for path in ("/v1/me", "/v1/customers", f"/v1/customers/{world.ids['customer']}"):
            answer = await ask(http, METH_GET, path, caller.token)
            assert (answer.status, answer.body["code"]) == (401, "unauthorized"), caller.name


async def walk(http: ClientSession, world: World, caller: Caller) -> list[str]:
    """What one caller was answered that the policy does not say."""
    wrong = []
    for method, path, name in walked():
        rule = policy.POLICY.get(name)
        if rule is None:
            wrong.append(f"{name} has no policy")
            continue
        route = ROUTES.get(name)
        managed = () if route is None or takes_body(route) else scoping.MANAGED
        expected = caller.expected(rule, re.findall(r"{(\w+)", path), managed)
        if expected == "passed" and name in LEFT_OUT:
            continue
        if expected == "passed" and name in SESSION_ONLY and caller.token.startswith("fs_"):
            expected = "403"
        where = address(path, method, world.ids, is_refused=expected != "passed")
        answer = await ask(http, method, where, caller.token)
        met = outcome(answer)
        is_right = met == expected or (expected == "passed" and met == "404")
        if not is_right or answer.status >= 500:
            wrong.append(f"{caller.name}: {method} {path}: {answer.status}, not {expected}")
    return wrong


async def test_who_may_read_a_customer_reads_them(http: ClientSession, world: World) -> None:
    for caller in world.callers:
        may = caller.expected(policy.POLICY["days"], ["customer"]) == "passed"
        for part in ("", "/devices", "/samples", "/days", "/hours", "/weeks"):
            path = f"/v1/customers/{world.ids['customer']}{part}"
            answer = await ask(http, METH_GET, path, caller.token)
            assert (answer.status == 200) == may, (caller.name, path, answer)


async def test_nobody_of_another_programme_is_shown_anything_of_this_one(
    http: ClientSession, world: World
) -> None:
    secrets_of = [world.ids[name] for name in ("customer", "job", "model")] + [SECRET_NAME]
    for caller in world.callers:
        if caller.role in ("anonymous", "device") or caller.sees:
            continue
        for method, path, _ in walked():
            if method == METH_GET and "{" not in path:
                shown = str((await ask(http, method, path, caller.token)).body)
                assert not [text for text in secrets_of if text in shown], (caller.name, path)


async def test_an_analyst_is_told_nobodys_name(http: ClientSession, world: World) -> None:
    customer = world.ids["customer"]
    (analyst,) = [caller for caller in world.callers if caller.name == "analyst"]
    (admin,) = [caller for caller in world.callers if caller.name == "admin"]
    own = await ask(http, METH_GET, f"/v1/customers/{customer}", admin.token)
    persons = [SECRET_NAME, own.body["external_id"], f"{customer}@example.org"]
    for method, path, _ in walked():
        if method == METH_GET:
            where = address(path, method, world.ids)
            shown = str((await ask(http, method, where, analyst.token)).body)
            assert not [text for text in persons if text in shown], path
    for text in ("Zora", own.body["external_id"][:12], customer[:10]):
        found = await ask(http, METH_GET, f"/v1/customers?search={text}", analyst.token)
        assert found.body["items"] == [], text
    found = await ask(http, METH_GET, f"/v1/customers?search={customer}", analyst.token)
    assert [each["id"] for each in found.body["items"]] == [customer]


async def test_every_page_answers_staff_as_the_policy_says(
    http: ClientSession, world: World
) -> None:
    callers = [caller for caller in world.callers if caller.role in ("anonymous", *STAFF)]
    people = [caller for caller in callers if not caller.token.startswith("fs_")]
    wrong = await asyncio.gather(*(visit(http, world, caller) for caller in people))
    assert not [line for lines in wrong for line in lines]


async def visit(http: ClientSession, world: World, caller: Caller) -> list[str]:
    """What one person was shown that the policy does not say."""
    wrong = []
    for method, path, name in routes():
        is_page = name.startswith(PAGES) and method != "HEAD"
        if not is_page or "anyone" in policy.POLICY[name].who:
            continue
        managed = scoping.MANAGED if method == METH_GET else ()
        expected = caller.expected(policy.POLICY[name], re.findall(r"{(\w+)", path), managed)
        if expected == "passed" and name in LEFT_OUT:
            continue
        where = address(path, method, world.ids, is_refused=expected != "passed")
        status, text = await show(http, world, caller, (method, where))
        is_refused = "Not for this account" in text
        met = {303: "401", 404: "404"}.get(status, "403" if is_refused else "passed")
        if expected == "passed" and status in (303, 404):
            met = "passed"  # a form that has done its work, or a thing that is not there
        if expected == "401" and status in (204, 303):
            met = "401"
        if met != expected or status >= 500:
            wrong.append(f"{caller.name}: {method} {path}: {status}, not {expected}")
        if caller.role == "analyst" and SECRET_NAME in text:
            wrong.append(f"{caller.name}: {path} names somebody")
        if not caller.sees and (world.ids["customer"] in text) and status == 200:
            wrong.append(f"{caller.name}: {path} shows a customer of another programme")
    return wrong


async def show(
    http: ClientSession, world: World, caller: Caller, page: tuple[str, str]
) -> tuple[int, str]:
    """Status and text of a page as a person sees it; forms with their token and nothing else."""
    method, where = page
    data = None if method == METH_GET else {csrf.FIELD: csrf.token(world.secret_key, caller.token)}
    cookie = {"Cookie": f"fs_admin={caller.token}"} if caller.token else {}
    async with http.request(
        method, where, data=data, headers=cookie, allow_redirects=False
    ) as response:
        return response.status, await response.text(errors="replace")
