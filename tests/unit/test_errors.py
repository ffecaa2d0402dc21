"""Every kind of error has one answer: a status, a stable code, and a way to find it in the log."""

import asyncio
import json
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from fitstream.errors import (
    Conflict,
    FitstreamError,
    Halted,
    NotFound,
    Rejected,
    TooMany,
    Unavailable,
)
from fitstream.gateway import away_log, policy
from fitstream.gateway.api import trace
from fitstream.gateway.api_rates import ApiRates
from fitstream.gateway.credentials import Principal
from fitstream.gateway.keys import API_RATES, REPO, SETTINGS, STORE
from fitstream.gateway.middlewares import guard, problem

KINDS = [
    (Rejected("bad_week", "write it like 2026-W47"), 400, "bad_week"),
    (Rejected("device_mismatch", "another device", 403), 403, "device_mismatch"),
    (Rejected("unauthorized", "who are you", 401), 401, "unauthorized"),
    (NotFound("customer c"), 404, "not_found"),
    (Conflict("exists", "it exists", "cus_9"), 409, "exists"),
    (TooMany(1.2), 429, "too_many_requests"),
    (Unavailable("kafka", "no ack", 7.5), 503, "unavailable"),
    (Halted("lost a topic"), 500, "internal"),
]


def body_of(response: web.Response) -> dict[str, Any]:
    assert isinstance(response.body, bytes)
    found: dict[str, Any] = json.loads(response.body)
    return found


@pytest.mark.parametrize(("error", "status", "code"), KINDS, ids=str)
def test_a_kind_of_error_is_a_problem_with_its_status_and_code(
    error: FitstreamError, status: int, code: str
) -> None:
    response = problem(error)
    found = body_of(response)
    assert (response.status, found["status"], found["code"]) == (status, status, code)
    assert response.content_type == "application/problem+json"
    assert found["type"] == f"urn:fitstream:{code}"
    assert found["title"] == code.replace("_", " ")
    assert found["request_id"].startswith("req_")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_who_meets_an_outage_is_told_to_keep_the_data_and_for_how_long_to_wait() -> None:
    told = body_of(problem(Unavailable("kafka", "no ack", 7.5)))["detail"]
    assert told.startswith("kafka is not available: no ack")
    assert "keep your data, wait 8 s, then send the same again" in told


def test_what_another_program_said_is_for_the_log_alone(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(away_log, "_last", {})
    refused = OSError("connect to 10.0.0.7:5432 failed")
    away = Unavailable("postgres", f"OSError: {refused}")
    away.__cause__ = refused
    assert "10.0.0.7" not in str(body_of(problem(away)))
    for _ in range(3):
        away_log.note_away(away, "days")
    away_log.note_away(Unavailable("s3", "AccessDenied"), "file")
    assert [("10.0.0.7" in text, "AccessDenied" in text) for text in caplog.messages] == [
        (True, False), (False, True)  # one for each service
    ]  # fmt: skip


def test_what_a_person_must_decide_is_not_told_to_strangers() -> None:
    assert "lost a topic" not in str(body_of(problem(Halted("lost a topic"))))


def test_a_taken_name_says_who_has_it() -> None:
    assert body_of(problem(Conflict("exists", "it exists", "cus_9")))["id"] == "cus_9"
    assert "id" not in body_of(problem(Conflict("exists", "it exists")))


def test_a_refusal_carries_its_details() -> None:
    refused = Rejected("nothing_acceptable", "see rejected", 422, {"rejected": [1, 2]})
    assert body_of(problem(refused))["rejected"] == [1, 2]


@pytest.mark.parametrize(("after_s", "header"), [(0.01, "1"), (1.0, "1"), (1.2, "2"), (7.5, "8")])
def test_retry_after_never_invites_too_early(after_s: float, header: str) -> None:
    for error in (TooMany(after_s), Unavailable("kafka", "", after_s)):
        assert problem(error).headers["Retry-After"] == header


def test_only_what_can_be_retried_says_when() -> None:
    for error, status, _ in KINDS:
        assert ("Retry-After" in problem(error).headers) == (status in (429, 503))


def test_an_unknown_caller_is_told_how_to_authenticate() -> None:
    for error, status, _ in KINDS:
        assert ("WWW-Authenticate" in problem(error).headers) == (status == 401)


def test_the_message_of_every_kind_says_what_is_the_matter() -> None:
    assert str(NotFound("customer c")) == "customer c was not found"
    assert str(Unavailable("kafka", "no ack")) == "kafka is not available: no ack"
    assert str(Unavailable("kafka")) == "kafka is not available"
    assert str(Rejected("code", "the message")) == "the message"


async def _answer(error: BaseException) -> tuple[int, dict[str, Any]]:
    """What a caller gets when the handler of an open route raises."""

    async def handler(_: web.Request) -> web.Response:
        raise error

    assert "anyone" in policy.POLICY["time"].who
    app = _guarded()
    app.router.add_get("/here", handler, name="time")
    async with TestClient(TestServer(app)) as client, client.get("/here") as response:
        return response.status, await response.json(content_type="application/problem+json")


async def test_an_error_of_a_handler_becomes_its_problem() -> None:
    status, found = await _answer(Conflict("stale", "it moved on"))
    assert (status, found["code"], found["detail"]) == (409, "stale", "it moved on")


async def test_a_bug_is_an_answer_with_a_request_id_and_no_details() -> None:
    status, found = await _answer(RuntimeError("secret detail"))
    assert (status, found["code"]) == (500, "internal")
    assert found["request_id"].startswith("req_")
    assert "secret detail" not in str(found)


async def test_a_body_that_is_too_slow_or_too_large_is_the_callers_problem() -> None:
    assert (await _answer(TimeoutError()))[0] == 408
    status, found = await _answer(web.HTTPRequestEntityTooLarge(max_size=1, actual_size=2))
    assert (status, found["code"]) == (413, "body_too_large")


async def test_an_unknown_path_and_a_wrong_method_are_problems_too() -> None:
    app = _guarded()
    app.router.add_get("/here", _never, name="time")
    async with TestClient(TestServer(app)) as client:
        async with client.get("/nowhere") as response:
            assert (response.status, response.content_type) == (404, "application/problem+json")
        async with client.post("/here") as response:
            found = await response.json(content_type="application/problem+json")
            assert (response.status, found["code"]) == (405, "method_not_allowed")
            assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD"}


async def test_a_redirect_is_an_answer_and_no_problem() -> None:
    async def away(_: web.Request) -> web.Response:
        raise web.HTTPSeeOther("/there")

    app = _guarded()
    app.router.add_get("/here", away, name="time")
    async with (
        TestClient(TestServer(app)) as client,
        client.get("/here", allow_redirects=False) as response,
    ):
        assert (response.status, response.headers["Location"]) == (303, "/there")


async def _never(_: web.Request) -> web.Response:
    raise AssertionError("must not be reached")


class _NoLimit:
    """Calls are not counted here."""

    async def take(self, _: Principal) -> None:
        return None


def _guarded() -> web.Application:
    app = web.Application(middlewares=[guard])
    app[API_RATES] = cast(ApiRates, _NoLimit())
    return app


async def test_a_trace_that_takes_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(trace, "_trace", never)
    monkeypatch.setattr(trace, "_DEADLINE_S", 0.01)
    app = web.Application()
    for key in (SETTINGS, REPO, STORE):
        app[key] = cast("Any", None)
    with pytest.raises(Unavailable) as error:
        await trace.show_trace(make_mocked_request("GET", "/v1/trace", app=app))
    assert "not found within" in body_of(problem(error.value))["detail"]
