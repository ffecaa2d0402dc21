"""What HTTP asks for around every route: keys of calls, conditions, validators, packed answers."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from fitstream.client import Client
from fitstream.gateway.app import make_app
from tests.conftest import RunningStack
from tests.real import new_wearer

pytestmark = pytest.mark.stack
Answer = tuple[int, Mapping[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
async def other(stack: RunningStack) -> AsyncIterator[ClientSession]:
    """A second gateway on the same database."""
    async with (
        TestServer(make_app(stack.settings)) as server,
        ClientSession(str(server.make_url(""))) as session,
    ):
        yield session


@pytest.fixture
def bearer(stack: RunningStack) -> dict[str, str]:
    return {"Authorization": f"Bearer {stack.admin_key}"}


async def send(
    http: ClientSession, method: str, path: str, headers: dict[str, str], body: object = None
) -> Answer:
    async with http.request(method, path, headers=headers, json=body) as answer:
        raw = await answer.read()
        return answer.status, answer.headers, msgspec.json.decode(raw) if raw else {}


async def make(http: ClientSession, headers: dict[str, str], name: str = "one") -> Answer:
    return await send(http, "POST", "/v1/customers", headers, {"zone": "UTC", "name": name})


async def test_a_key_of_one_gateway_holds_on_the_other(
    http: ClientSession, other: ClientSession, bearer: dict[str, str]
) -> None:
    keyed = bearer | {"Idempotency-Key": str(uuid4())}
    status, headers, first = await make(http, keyed)
    assert (status, "Idempotency-Replayed" in headers) == (201, False)
    status, headers, second = await make(other, keyed)
    assert (status, headers["Idempotency-Replayed"], second) == (201, "true", first)


async def test_a_key_for_another_call_is_refused(
    http: ClientSession, other: ClientSession, bearer: dict[str, str]
) -> None:
    keyed = bearer | {"Idempotency-Key": str(uuid4())}
    await make(http, keyed, "one")
    status, _, found = await make(other, keyed, "two")
    assert (status, found["code"]) == (422, "key_reused")


async def test_calls_with_one_key_at_once_do_it_once(
    http: ClientSession, other: ClientSession, admin: Client, bearer: dict[str, str]
) -> None:
    customer = (await new_wearer(admin)).customer.id
    keyed = bearer | {"Idempotency-Key": str(uuid4())}
    path = f"/v1/customers/{customer}/devices"
    body = {"kind": "watch", "name": "left wrist"}
    answers = await asyncio.gather(
        *(send(http if i % 2 else other, "POST", path, keyed, body) for i in range(12))
    )
    for status, headers, found in answers:
        assert status in (201, 409)
        if status == 409:
            assert (found["code"], headers["Retry-After"]) == ("in_flight", "1")
    made = {found["key"] for status, _, found in answers if status == 201}
    assert len(made) == 1
    assert len(await admin.devices(customer)) == 2  # the wearer's own, and this one


async def test_what_is_refused_is_judged_anew_with_the_same_key(
    http: ClientSession, admin: Client, bearer: dict[str, str]
) -> None:
    keyed = bearer | {"Idempotency-Key": str(uuid4())}
    programme = f"p-{uuid4().hex[:12]}"
    body = {"zone": "UTC", "programme": programme}
    assert (await send(http, "POST", "/v1/customers", keyed, body))[0] == 404
    await admin.create_programme(programme, name="A study")
    assert (await send(http, "POST", "/v1/customers", keyed, body))[0] == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é"])
async def test_a_key_that_is_none_is_refused(
    http: ClientSession, bearer: dict[str, str], key: str
) -> None:
    status, _, found = await make(http, bearer | {"Idempotency-Key": key})
    assert (status, found["code"]) == (400, "bad_key")


async def test_keys_of_two_callers_are_two(
    http: ClientSession, stack: RunningStack, admin: Client, bearer: dict[str, str]
) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    first = (await make(http, bearer | key))[2]
    wearer = await new_wearer(admin)
    email = f"{wearer.customer.id}@example.org"
    await admin.set_login(wearer.customer.id, email, "a quiet long walk")
    token = (await admin.as_who("").login(email, "a quiet long walk")).token
    status, _, found = await make(http, key | {"Authorization": f"Bearer {token}"})
    assert (status, found["code"]) == (403, "forbidden")
    assert first["id"] not in str(found)


async def test_a_read_has_a_tag_and_is_not_sent_twice(
    http: ClientSession, admin: Client, bearer: dict[str, str]
) -> None:
    path = f"/v1/customers/{(await new_wearer(admin)).customer.id}"
    status, headers, _ = await send(http, "GET", path, bearer)
    known = bearer | {"If-None-Match": headers["ETag"]}
    status, again, body = await send(http, "GET", path, known)
    assert (status, again["ETag"], body) == (304, headers["ETag"], {})
    await send(http, "PATCH", path, bearer, {"name": "Another"})
    assert (await send(http, "GET", path, known))[0] == 200


async def test_a_change_of_what_was_read_before_is_refused(
    http: ClientSession, other: ClientSession, admin: Client, bearer: dict[str, str]
) -> None:
    path = f"/v1/customers/{(await new_wearer(admin)).customer.id}"
    etag = (await send(http, "GET", path, bearer))[1]["ETag"]
    matched = bearer | {"If-Match": etag}
    assert (await send(http, "PATCH", path, matched, {"name": "First"}))[0] == 200
    status, _, found = await send(other, "PATCH", path, matched, {"name": "Second"})
    assert (status, found["code"]) == (412, "changed")
    assert (await send(http, "GET", path, bearer))[2]["name"] == "First"


async def test_of_changes_at_once_with_one_tag_one_wins(
    http: ClientSession, other: ClientSession, admin: Client, bearer: dict[str, str]
) -> None:
    path = f"/v1/customers/{(await new_wearer(admin)).customer.id}"
    etag = (await send(http, "GET", path, bearer))[1]["ETag"]
    matched = bearer | {"If-Match": etag}
    answers = await asyncio.gather(
        *(
            send(http if i % 2 else other, "PATCH", path, matched, {"name": f"name {i}"})
            for i in range(8)
        )
    )
    assert sorted(status for status, *_ in answers) == [200] + [412] * 7
    won = next(i for i, (status, *_) in enumerate(answers) if status == 200)
    assert (await send(http, "GET", path, bearer))[2]["name"] == f"name {won}"


async def test_a_large_answer_is_packed_for_who_takes_it(
    stack: RunningStack, bearer: dict[str, str]
) -> None:
    async with ClientSession(stack.gateway, auto_decompress=False) as http:
        plain = bearer | {"Accept-Encoding": "identity"}
        async with http.get("/v1/openapi.json", headers=plain) as answer:
            body, etag = await answer.read(), answer.headers["ETag"]
            assert "Content-Encoding" not in answer.headers
            assert answer.headers["Vary"] == "Accept-Encoding"
        packed = bearer | {"Accept-Encoding": "gzip"}
        async with http.get("/v1/openapi.json", headers=packed) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert answer.headers["ETag"] != etag
            raw = await answer.read()
            assert len(raw) < len(body) / 4
            assert gzip.decompress(raw) == body
        known = packed | {"If-None-Match": etag}
        async with http.get("/v1/openapi.json", headers=known) as answer:
            assert answer.status == 304


async def test_who_takes_no_json_is_told_so(http: ClientSession, bearer: dict[str, str]) -> None:
    status, headers, found = await send(http, "GET", "/v1/jobs", bearer | {"Accept": "text/html"})
    assert (status, found["code"]) == (406, "not_acceptable")
    assert headers["Content-Type"] == "application/problem+json"
    for accept in ("*/*", "application/*;q=0.5, text/html", "application/json"):
        assert (await send(http, "GET", "/v1/jobs", bearer | {"Accept": accept}))[0] == 200


async def test_the_page_of_the_api_names_every_operation(http: ClientSession) -> None:
    async with http.get("/docs") as answer:
        page = await answer.text()
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    _, _, document = await send(http, "GET", "/v1/openapi.json", {})
    for methods in document["paths"].values():
        for operation in methods.values():
            assert f'id="call-{operation["operationId"]}"' in page
