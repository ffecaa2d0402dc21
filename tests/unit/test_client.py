"""How calls travel: what is repeated and how long it waits, and errors as our kinds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from fitstream.client import Client, open_api
from fitstream.errors import Conflict, NotFound, Rejected, TooMany, Unavailable

RECEIPT = {
    "batch_id": "b", "device_id": "dev_1", "generation": 1, "partition": 0, "offset": 7,
    "accepted": 1, "content_sha": "00", "rejected": [],
    "server_time": datetime.now(UTC).isoformat(), "next_post_at": datetime.now(UTC).isoformat(),
}  # fmt: skip
POST: dict[str, Any] = {"device_id": "dev_1", "sent_at": RECEIPT["server_time"], "samples": []}


def problem(status: int, code: str = "", after: str = "", **more: Any) -> web.Response:
    """An answer as the API gives it when it refuses."""
    body = {"code": code, "detail": f"because of {code}", **more}
    headers = {"Retry-After": after} if after else {}
    return web.json_response(
        body, status=status, headers=headers, content_type="application/problem+json"
    )


class Gateway:
    """Answers from a list, the last one for ever; keeps what it was asked."""

    def __init__(self, *answers: Callable[[], web.Response]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str]] = []
        self.slept: list[float] = []
        self.keys: list[str | None] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path))
        self.keys.append(request.headers.get("Idempotency-Key"))
        make = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return make()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@asynccontextmanager
async def client_of(gateway: Gateway) -> AsyncIterator[Client]:
    """A client that speaks to this gateway over a real socket, and never waits in real time."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", gateway.answer)
    async with TestServer(app) as server:
        base = str(server.make_url("/"))
        async with open_api(base, "fs_key", sleep=gateway.sleep) as api:
            yield Client(api)


def accepted() -> web.Response:
    return web.json_response(RECEIPT, status=202)


async def test_a_post_is_sent_again_until_it_is_acknowledged() -> None:
    gateway = Gateway(lambda: problem(503, after="2"), lambda: problem(503, after="2"), accepted)
    async with client_of(gateway) as client:
        receipt = await client.post_samples(POST)
    assert receipt.offset == 7
    assert gateway.asked == [("POST", "/v1/samples")] * 3


@pytest.mark.parametrize(("status", "after_s"), [(503, 17), (429, 30)])
async def test_no_wait_is_shorter_than_the_server_asked_for(status: int, after_s: int) -> None:
    gateway = Gateway(lambda: problem(status, after=str(after_s)), accepted)
    async with client_of(gateway) as client:
        await client.post_samples(POST)
    (slept,) = gateway.slept
    assert after_s <= slept <= after_s * 1.5


@pytest.mark.parametrize("after", ["nan", "soon", "1e999", "-7"])
async def test_a_wait_that_is_no_number_is_a_short_one(after: str) -> None:
    gateway = Gateway(lambda: problem(429, after=after), accepted)
    async with client_of(gateway) as client:
        await client.post_samples(POST)
    (slept,) = gateway.slept
    assert 0 < slept <= 90


async def test_waits_grow_and_differ_when_the_server_names_none() -> None:
    gateway = Gateway(*[lambda: problem(503, after="0")] * 6, accepted)
    async with client_of(gateway) as client:
        await client.post_samples(POST)
    assert gateway.slept[0] < 1
    assert gateway.slept[5] > gateway.slept[0] * 5
    assert len(set(gateway.slept)) == 6


async def test_attempts_are_bounded() -> None:
    gateway = Gateway(lambda: problem(503, after="1"))
    async with client_of(gateway) as client:
        with pytest.raises(Unavailable):
            await client.post_samples(POST)
    assert 2 <= len(gateway.asked) <= 20


async def test_patience_outlasts_any_number_of_attempts_and_ends() -> None:
    gateway = Gateway(lambda: problem(503, after="5"))
    async with client_of(gateway) as client:
        with pytest.raises(Unavailable):
            await client.post_samples(POST, patience_s=180)
    assert 150 < sum(gateway.slept) <= 180
    assert len(gateway.asked) == len(gateway.slept) + 1


async def test_a_refused_connection_is_tried_again_soon() -> None:
    gateway = Gateway(accepted)
    async with open_api(f"http://127.0.0.1:{unused_port()}", sleep=gateway.sleep) as api:
        with pytest.raises(Unavailable):
            await Client(api).post_samples(POST, patience_s=20)
    assert gateway.slept[0] < 1


async def test_a_change_is_repeated_under_one_key_so_that_it_is_done_once() -> None:
    gateway = Gateway(lambda: problem(503, after="1"))
    async with client_of(gateway) as client:
        for call in (
            lambda: client.create_customer("UTC"),
            lambda: client.create_device("cus_1", "watch", "w"),
            client.train,
            lambda: client.set_login("cus_1", "a@b", "p"),
        ):
            gateway.keys.clear()
            with pytest.raises(Unavailable):
                await call()
            assert len(gateway.keys) == 3
            assert len(set(gateway.keys)) == 1
            assert gateway.keys[0]


async def test_what_has_no_key_is_never_repeated() -> None:
    gateway = Gateway(lambda: problem(503, after="1"))
    async with client_of(gateway) as client:
        for call in (client.logout, lambda: client.as_who("").login("a@b", "p")):
            with pytest.raises(Unavailable):
                await call()
    assert gateway.keys == [None, None]
    assert not gateway.slept


async def test_a_call_that_is_under_way_elsewhere_is_asked_for_again() -> None:
    made = {"id": "cus_1", "zone": "UTC", "created_at": "2026-11-23T00:00:00Z"}
    gateway = Gateway(lambda: problem(409, after="1"), lambda: web.json_response(made, status=201))
    async with client_of(gateway) as client:
        assert (await client.create_customer("UTC")).id == "cus_1"
    assert len(gateway.slept) == 1


async def test_reads_are_repeated() -> None:
    gateway = Gateway(lambda: problem(500), lambda: web.json_response({"items": [], "next": None}))
    async with client_of(gateway) as client:
        assert (await client.customers()).items == []
    assert len(gateway.asked) == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Rejected), (401, Rejected), (404, NotFound), (409, Conflict), (413, Rejected),
     (422, Rejected), (429, TooMany), (500, Unavailable), (503, Unavailable)],
)  # fmt: skip
async def test_a_problem_becomes_its_kind(status: int, kind: type[Exception]) -> None:
    async with client_of(Gateway(lambda: problem(status, "some_code"))) as client:
        with pytest.raises(kind) as error:
            await client.create_customer("UTC")
    if isinstance(error.value, Rejected):
        assert (error.value.code, error.value.status) == ("some_code", status)


async def test_a_conflict_names_what_is_there() -> None:
    async with client_of(Gateway(lambda: problem(409, "exists", id="cus_9"))) as client:
        with pytest.raises(Conflict) as error:
            await client.create_customer("UTC", external_id="x")
    assert (error.value.code, error.value.existing_id) == ("exists", "cus_9")


async def test_a_post_without_one_good_row_says_why() -> None:
    rows = [{"index": 0, "code": "too_old", "message": "m", "retry": False}]
    refusal = Gateway(lambda: problem(422, "nothing_acceptable", rejected=rows))
    async with client_of(refusal) as client:
        with pytest.raises(Rejected) as error:
            await client.post_samples(POST)
    assert error.value.extra["rejected"] == rows
    assert len(refusal.asked) == 1


async def test_an_answer_that_is_no_json_is_still_a_kind() -> None:
    def page() -> web.Response:
        return web.Response(status=502, text="<html>bad gateway")

    async with client_of(Gateway(page)) as client:
        with pytest.raises(Unavailable, match="502"):
            await client.create_customer("UTC")


async def test_a_cancelled_call_ends_at_once() -> None:
    gateway = Gateway(lambda: problem(503, after="60"))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", gateway.answer)
    async with TestServer(app) as server, open_api(str(server.make_url("/"))) as api:
        task = asyncio.create_task(Client(api).post_samples(POST, patience_s=600))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("address", ["localhost:8080", "", "ftp://host", "http://", "http://[x"])
async def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Rejected, match="address"):
        async with open_api(address):
            pass
