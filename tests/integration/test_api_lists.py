"""Lists as pages, filters that are refused, and changes that heed what was read before."""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientSession

from fitstream.client import Client, each
from fitstream.client.data import Items
from fitstream.errors import NotFound, Rejected
from fitstream.gateway.app import api_routes
from fitstream.gateway.parameters import QUERY
from fitstream.gateway.policy import POLICY
from tests.conftest import RunningStack
from tests.oauth import BACK, CODE_GRANTS, Program, call, logged_in
from tests.real import new_wearer, with_device

pytestmark = pytest.mark.stack


async def by_pages(http: ClientSession, path: str, token: str, limit: int) -> list[dict[str, Any]]:
    """Every item, read `limit` at a time; each page but the last is full."""
    found: list[dict[str, Any]] = []
    following = ""
    while True:
        answer = await call(http, "GET", f"{path}?limit={limit}&after={following}", token)
        assert answer.status == 200, answer
        assert len(answer.body["items"]) <= limit
        found += answer.body["items"]
        if answer.body["next"] is None:
            return found
        assert len(answer.body["items"]) == limit
        following = answer.body["next"]


async def test_devices_are_read_by_pages_in_their_order(
    http: ClientSession, admin: Client, stack: RunningStack
) -> None:
    wearer = await new_wearer(admin)
    for kind in ("phone", "watch", "other", "watch"):
        await with_device(admin, wearer.customer, kind)
    path = f"/v1/customers/{wearer.customer.id}/devices"
    found = await by_pages(http, path, stack.admin_key, 2)
    assert [one["id"] for one in found] == [
        one.id for one in await admin.devices(wearer.customer.id)
    ]
    assert [one["priority"] for one in found] == [10, 10, 10, 20, 30]
    page = await admin.devices_after(wearer.customer.id, limit=3)
    assert len(page.items) == 3
    assert [one.id async for one in each(_devices(admin, wearer.customer.id))] == [
        one["id"] for one in found
    ]


def _devices(admin: Client, customer_id: str) -> Callable[[str], Awaitable[Items[Any]]]:
    return lambda after: admin.devices_after(customer_id, after, 2)


async def test_sessions_and_grants_are_read_by_pages_and_one_by_one(
    http: ClientSession, admin: Client
) -> None:
    who = await logged_in(admin)
    for _ in range(3):
        await admin.as_who("").login(who.email, "a quiet long walk")
    me = admin.as_who(who.token)
    found = await by_pages(http, "/v1/me/sessions", who.token, 2)
    assert len({each["id"] for each in found}) == len(found) == len(await me.sessions()) == 4
    assert (await me.session(found[-1]["id"])).id == found[-1]["id"]
    made = await admin.create_oauth_client(
        "Coach", is_confidential=False, grants=CODE_GRANTS,
        scopes=["data:read", "customers:read"], redirect_uris=[BACK],
    )  # fmt: skip
    program = Program(http, {"id": made.id, "client_secret": None})
    for _ in range(3):
        await program.tokens(who)
    grants = await by_pages(http, "/v1/me/grants", who.token, 2)
    assert [each["id"] for each in grants] == [one.id for one in await me.grants()]
    assert len(grants) == 3
    assert (await me.grant(grants[1]["id"])).client_id == made.id
    other = admin.as_who((await logged_in(admin)).token)
    for asked in (other.session(found[0]["id"]), other.grant(grants[0]["id"])):
        with pytest.raises(NotFound):
            await asked


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/jobs?state=done", "succeeded"),
        ("/v1/jobs?kind=dance", "cohort_prepare"),
        ("/v1/dead-letters?state=open", "parked"),
        ("/v1/dead-letters?reason=dance", "undecodable"),
        ("/v1/customers?filter=happy", "silent"),
        ("/v1/uploads?state=done", "ingested"),
        ("/v1/audit?action=staff.danced", "staff.created"),
        ("/v1/customers/{customer}/samples?combined=yes", "0, 1"),
        ("/v1/customers/{customer}/uploads?state=x", "ingested"),
    ],
)
async def test_a_filter_that_is_none_is_refused_with_those_there_are(
    http: ClientSession, admin: Client, stack: RunningStack, path: str, named: str
) -> None:
    path = path.replace("{customer}", (await new_wearer(admin)).customer.id)
    answer = await call(http, "GET", path, stack.admin_key)
    assert (answer.status, answer.body["code"]) == (400, "bad_filter")
    assert named in answer.body["detail"]


async def test_a_parameter_that_the_route_does_not_have_is_refused(
    http: ClientSession, stack: RunningStack
) -> None:
    """Before anything is done; what only others may call is refused to this caller as such."""
    refused = 0
    for route in api_routes():
        if route.is_tolerant:
            continue
        path = re.sub(r"{\w+}", "x", route.path)
        answer = await call(http, route.method, f"{path}?colour=blue", stack.admin_key)
        if answer.status == 403:
            assert not POLICY[route.name].who & {"admin", "anyone"}, route.name
            continue
        assert (answer.status, answer.body["code"]) == (400, "bad_filter"), route.name
        assert answer.body["detail"].startswith("this route has no parameter `colour`; it takes ")
        assert all(QUERY[name].name in answer.body["detail"] for name in route.query)
        refused += 1
    assert refused > 90


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs"])
async def test_what_probes_and_people_add_is_passed_over(http: ClientSession, path: str) -> None:
    async with http.get(f"{path}?_=17&_=18") as answer:
        assert answer.status == 200


def test_only_oauth_probes_and_the_page_for_people_pass_unknown_parameters_over() -> None:
    tolerant = {route.name for route in api_routes() if route.is_tolerant}
    assert tolerant == {
        "oauth_token", "oauth_revoke", "oauth_introspect", "oauth_device", "oauth_authorize",
        "healthz", "readyz", "metrics", "docs",
    }  # fmt: skip


async def test_a_parameter_that_comes_twice_is_refused(
    http: ClientSession, stack: RunningStack
) -> None:
    answer = await call(http, "GET", "/v1/jobs?limit=1&limit=2", stack.admin_key)
    assert (answer.status, answer.body["code"]) == (400, "bad_filter")
    assert "more than once" in answer.body["detail"]


async def test_clients_of_the_predecessor_may_add_what_they_like(
    http: ClientSession, admin: Client
) -> None:
    who = await logged_in(admin)
    answer = await call(http, "GET", "/auth/status?date=2026-11-23&v=2&_=17", who.token)
    assert answer.status == 200


async def test_every_change_of_what_was_read_before_is_refused(
    http: ClientSession, admin: Client, stack: RunningStack
) -> None:
    wearer = await new_wearer(admin)
    own = f"/v1/customers/{wearer.customer.id}"
    device = f"{own}/devices/{wearer.device.id}"
    programme = await admin.create_programme(f"p-{uuid4().hex[:12]}", "A study")
    key = await admin.create_key("a program", ["data:read"])
    client = await admin.create_oauth_client(
        "Report", is_confidential=True, grants=["client_credentials"], scopes=["data:read"]
    )
    headers = {"Authorization": f"Bearer {stack.admin_key}", "If-Match": '"of before"'}
    changes: list[tuple[str, str, object]] = [
        ("PATCH", own, {"name": "x"}),
        ("PUT", f"{own}/account", {"email": "x@example.org", "password": "a quiet long walk"}),
        ("PUT", f"{own}/profile", {"zone": "UTC"}),
        ("PATCH", device, {"name": "x"}),
        ("POST", f"{device}/keys", {}),
        ("DELETE", device, None),
        ("PATCH", f"/v1/programmes/{programme.id}", {"open_registration": True}),
        ("DELETE", f"/v1/keys/{key.id}", None),
        ("PATCH", f"/v1/oauth/clients/{client.id}", {"disabled": True}),
        ("POST", f"/v1/oauth/clients/{client.id}/secret", None),
    ]
    for method, path, body in changes:
        async with http.request(method, path, json=body, headers=headers) as answer:
            found = await answer.json()
            assert (answer.status, found["code"]) == (412, "changed"), path
    assert (await admin.device(wearer.customer.id, wearer.device.id)).removed_at is None
    assert not (await admin.programme(programme.id)).open_registration
    assert (await admin.key(key.id)).revoked_at is None
    async with http.post("/v1/customers", json={"zone": "UTC"}, headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, "no_condition")


async def test_a_careful_client_changes_only_what_it_has_seen(admin: Client) -> None:
    wearer = await new_wearer(admin)
    mine = (wearer.customer.id, wearer.device.id)
    careful, other = admin.careful(), admin.careful()
    await careful.device(*mine)
    await other.device(*mine)
    await careful.change_device(*mine, name="first")
    with pytest.raises(Rejected) as caught:
        await other.change_device(*mine, name="second")
    assert (caught.value.status, caught.value.code) == (412, "changed")
    await other.device(*mine)
    await other.change_device(*mine, name="third")
    assert (await admin.device(*mine)).name == "third"


async def test_a_file_with_a_key_is_taken_once(
    http: ClientSession, admin: Client, stack: RunningStack
) -> None:
    own = f"/v1/customers/{(await new_wearer(admin)).customer.id}/uploads?name=a.csv"
    keyed = {"Authorization": f"Bearer {stack.admin_key}", "Idempotency-Key": uuid4().hex}
    answers = []
    for body in (b"slot,steps\n", b"slot,steps\n", b"slot,floors\n"):
        async with http.post(own, data=body, headers=keyed) as answer:
            answers.append((answer.status, await answer.json()))
    (first, made), (second, again), (third, refused) = answers
    assert (first, second, third) == (201, 201, 422)
    assert again == made
    assert refused["code"] == "key_reused"
    listed = await call(http, "GET", own.partition("?")[0], stack.admin_key)
    assert [one["id"] for one in listed.body["items"]] == [made["id"]]


async def test_a_list_of_customers_with_a_key_is_taken_once(
    http: ClientSession, stack: RunningStack
) -> None:
    keyed = {
        "Authorization": f"Bearer {stack.admin_key}",
        "Idempotency-Key": uuid4().hex,
        "Content-Type": "text/csv",
    }
    rows = f"external_id,zone\nrow-{uuid4()},UTC\n".encode()
    found = []
    for _ in range(2):
        async with http.post("/v1/customers/import", data=rows, headers=keyed) as answer:
            assert answer.status == 200
            found.append(await answer.json())
    assert found[0] == found[1]
    assert found[0]["new"] == 1
