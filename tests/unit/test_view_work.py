"""Jobs, runs and the overview: progress, verdicts, and what needs a person."""

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from fitstream.client.operations import (
    Job,
    Kafka,
    Ledger,
    Models,
    People,
    Pipeline,
    Run,
    Weeks,
)  # fmt: skip
from fitstream.gateway.admin.overview import (
    attention_of,
    chart_of,
    headline,
    parts_of,
    stops_of,
)  # fmt: skip
from fitstream.gateway.admin.throughput import LOOKS, Look, per_minute, throughput_chart
from fitstream.gateway.principal import PRINCIPAL, Principal
from fitstream.gateway.view.leaderboard import boards_of
from fitstream.gateway.view.work import job_view, run_said, share_of

NOW = datetime(2026, 11, 23, 20, 30, tzinfo=UTC)


def job(**fields: Any) -> Job:
    base: dict[str, Any] = {
        "id": "job_1", "kind": "forecast", "queue": "forecast", "state": "queued",
        "created_at": NOW,
    }  # fmt: skip
    return Job(**base | fields)


def found(**fields: Any) -> Pipeline:
    base: dict[str, Any] = {
        "at": NOW,
        "counted_at": NOW,
        "customers": People(22, 20, 22),
        "devices": {"total": 22},
        "kafka": Kafka(500, 0, {"ledger": {"lag": 0}}),
        "ledger": Ledger(records=1, samples=1, inserted=1, updated=0, unchanged=0, rows=1),
        "weeks": Weeks(22, 0, 80, 0, 80),
        "jobs": {},
        "dead_letters": 0,
        "models": Models(1, None),
        "training_runs": 1,
        "forecasts": 66,
        "forecast_customers": 22,
    }
    return Pipeline(**base | fields)


@pytest.mark.parametrize(
    ("progress", "share"),
    [
        ({"epoch": 7, "epochs": 20}, 35),
        ({"weeks": 10, "of": 40}, 25),
        ({"customers": 50, "of": 50}, 100),
        ({"phase": "dataset"}, None),
        ({"epoch": 1, "epochs": 0}, None),
        ({"epoch": "x", "epochs": 3}, None),
    ],
)
def test_progress_is_read_from_what_tasks_tell(progress: dict[str, Any], share: int | None) -> None:
    assert share_of(progress) == share


@pytest.mark.parametrize(
    ("state", "cancel", "retry"),
    [("queued", True, False), ("running", True, False), ("failed", False, True),
     ("succeeded", False, False), ("cancelled", False, True)],
)  # fmt: skip
def test_only_what_can_be_done_is_offered(state: str, cancel: bool, retry: bool) -> None:
    view = job_view(job(state=state), NOW)
    assert (view.can_cancel, view.can_retry) == (cancel, retry)


def test_a_cancel_is_asked_for_once() -> None:
    view = job_view(job(state="running", cancel_requested=True), NOW)
    assert not view.can_cancel
    assert view.is_stopping


def test_a_failed_job_says_the_last_line_of_its_trace() -> None:
    error = "Traceback (most recent call last):\n  File x\nValueError: too short"
    assert job_view(job(state="failed", error=error), NOW).said == "ValueError: too short"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"verdict": "no model yet"}, "no model yet"),
        ({"forecasts": 66, "customers": 22}, "66 forecasts for 22 customers"),
        ({"changed": True, "version": 2}, "version 2"),
        ({"changed": False, "version": 2}, "nothing had changed"),
        ({"model": "mod_1"}, "made a new model"),
        ({"run": "job_2"}, "led to a training run"),
        ({}, ""),
    ],
)
def test_results_are_said_in_words(result: dict[str, Any], said: str) -> None:
    assert job_view(job(state="succeeded", result=result), NOW).said == said


def test_a_run_that_waits_says_so() -> None:
    run = Run(id="job_1", scope="cohort", state="queued", created_at=NOW)
    assert run_said(run) == "waiting for a worker"


def test_all_is_well_while_nothing_needs_a_person() -> None:
    calm = found(weeks=Weeks(22, 0, 0, 0, 0))
    assert attention_of(calm) == []
    assert headline([]) == "All is well"


def test_what_is_wrong_is_named_with_where_to_go() -> None:
    items = attention_of(
        found(kafka=None, jobs={"failed": 2}, dead_letters=1, customers=People(22, 1, 20))
    )
    assert [item.tag for item in items] == ["Kafka", "Jobs", "Dead letters", "Silent", "Model"]
    assert headline(items) == "3 things are wrong"
    assert items[1].href == "/admin/jobs?state=failed"


def test_a_consumer_far_behind_is_a_warning() -> None:
    behind = found(kafka=Kafka(9000, 5000, {"ledger": {"lag": 5000}}))
    assert attention_of(behind)[0].tag == "Lag"
    assert stops_of(behind, NOW)[1].tone == "warn"


def test_the_bar_of_weeks_is_a_hundred_wide() -> None:
    parts = parts_of(Weeks(10, 20, 60, 10, 0))
    assert [part.x for part in parts] == [0, 60, 70, 90]
    assert all(part.width > 0 for part in parts)
    assert parts_of(Weeks(0, 0, 0, 0, 0))[0].width == 0


def test_rates_are_between_looks_and_never_negative() -> None:
    looks = [
        Look(NOW + timedelta(seconds=30 * i), samples)
        for i, samples in enumerate([0, 60, 60, 10, 40])
    ]
    assert [rate for _, rate in per_minute(looks)] == [120, 0, 0, 60]
    chart = throughput_chart(looks, NOW + timedelta(minutes=2))
    assert chart is not None
    assert chart.x[-1] == "now"
    assert throughput_chart(looks[:2], NOW) is None


def test_who_sees_some_programmes_is_not_shown_what_all_of_them_send() -> None:
    app = web.Application()
    app[LOOKS] = deque(Look(NOW + timedelta(seconds=30 * i), 60 * i) for i in range(5))
    request = make_mocked_request("GET", "/admin", app=app)
    for programmes, is_shown in ((None, True), (frozenset({7}), False)):
        request[PRINCIPAL] = Principal("admin", programmes=programmes)
        assert (chart_of(request, NOW) is not None) == is_shown


def test_a_leaderboard_marks_the_champion_and_survives_what_is_missing() -> None:
    metrics = {
        "leaderboard": [
            {"model": "transformer", "target": "steps", "wql": 0.5, "champion": True},
            {"model": "naive_day", "target": "steps", "wql": None, "champion": False},
        ]
    }
    (board,) = boards_of(metrics)
    assert [entry.is_champion for entry in board.entries] == [True, False]
    assert board.entries[0].figures[0] == "0.500"
    assert board.entries[1].figures[0] == "–"
    assert boards_of({}) == []
