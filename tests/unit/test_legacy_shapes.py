"""Answers of old routes: 24 places a row, null where nothing was measured, never a password."""

import json

import pytest
from aiohttp import web

from fitstream.errors import Rejected, TooMany
from fitstream.gateway.legacy.shapes import hourly, rating, refusal, succeeded
from fitstream.gateway.problems import problem


def body_of(response: web.StreamResponse) -> dict[str, object]:
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    found: dict[str, object] = json.loads(response.body)
    return found


def test_hours_that_were_not_measured_are_null_and_zero_stays_zero() -> None:
    rows = hourly([{"hour": 3, "steps": 0}, {"hour": 23, "steps": 250, "heart_rate_bpm": 71.5}])
    assert all(len(row) == 24 for row in rows.values())
    assert (rows["steps"][3], rows["steps"][4], rows["steps"][23]) == (0, None, 250)
    assert (rows["heart_rate"][3], rows["heart_rate"][23]) == (None, 71.5)
    assert (rows["rating"][3], rows["rating"][4], rows["rating"][23]) == (0, None, 50)


@pytest.mark.parametrize(("steps", "stands"), [(None, None), (0, 0), (500, 100), (9000, 100)])
def test_an_hour_stands_by_its_share_of_the_goal(steps: float | None, stands: float | None) -> None:
    assert rating(steps) == stands


def test_a_problem_is_told_as_old_clients_read_it() -> None:
    shown = refusal(problem(Rejected("unauthorized", "who are you", 401)))
    found = body_of(shown)
    assert (shown.status, found["status"], found["message"]) == (401, "fail", "who are you")
    assert "WWW-Authenticate" in shown.headers
    assert refusal(problem(TooMany(3))).headers["Retry-After"] == "3"


def test_an_answer_that_is_no_problem_stays_as_it_is() -> None:
    response = succeeded("done", 201, user=None)
    assert refusal(response) is response
    assert body_of(response) == {"status": "success", "message": "done", "user": None}
