"""Numbers, times and states in the words of the pages."""

from datetime import UTC, date, datetime, timedelta

import pytest

from fitstream.errors import Conflict, NotFound, Rejected, TooMany, Unavailable
from fitstream.gateway.view import words
from fitstream.gateway.view.problems import bug, problem_of
from fitstream.gateway.view.work import KINDS

NOW = datetime(2026, 11, 23, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0, "0"), (7.5, "7.5"), (7.0, "7"), (12_345.6, "12,346"), (-3, "−3")],
)
def test_numbers_read_well(value: float | None, shown: str) -> None:
    assert words.number(value) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "–"),
        (0, 8, "0"),
        (655, 672, "97.5"),
        (99_999, 100_000, "99.9"),
        (5, 5, "100"),
        (6, 5, "100"),
    ],
)
def test_a_share_is_never_whole_while_anything_is_missing(
    part: int, whole: int, shown: str
) -> None:
    assert words.share(part, whole).removesuffix(f"{words.NBSP}%") == shown


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (2, "just now"),
        (45, "45 seconds ago"),
        (60, "1 minute ago"),
        (3600, "1 hour ago"),
        (47 * 3600, "47 hours ago"),
        (72 * 3600, "3 days ago"),
    ],
)
def test_ages_are_rounded_to_one_unit(seconds: int, said: str) -> None:
    assert words.ago(NOW - timedelta(seconds=seconds), NOW) == said


def test_never_is_a_word() -> None:
    assert words.ago(None, NOW) == "never"


def test_days_of_one_month_are_not_named_twice() -> None:
    assert words.days_between(date(2026, 11, 16), date(2026, 11, 22)) == "16–22 Nov 2026"
    assert words.days_between(date(2026, 11, 30), date(2026, 12, 6)) == "30 Nov – 6 Dec 2026"
    across = words.days_between(date(2026, 12, 28), date(2027, 1, 3))
    assert across == "28 Dec 2026 – 3 Jan 2027"


def test_times_are_shown_in_the_zone_of_the_customer() -> None:
    assert words.clock_of(NOW, "America/New_York") == "Mon 23 Nov 15:30"
    assert words.clock_of(NOW, "Nowhere/Land") == "Mon 23 Nov 20:30"
    assert words.in_utc(NOW) == "2026-11-23 20:30 UTC"


def test_every_kind_of_job_has_words_of_its_own() -> None:
    said = [words.job_kind(kind) for kind in KINDS]
    assert len(set(said)) == len(KINDS)
    assert words.job_kind("train_cohort") == "Cohort training"


def test_a_kind_that_is_new_is_still_readable() -> None:
    assert words.job_kind("scan_stores") == "Scan stores"


@pytest.mark.parametrize(
    ("error", "status", "part"),
    [
        (NotFound("customer x"), 404, "Customer x was not found"),
        (Rejected("weak_password", "a password needs 10", 422), 422, "A password needs 10."),
        (Conflict("done", "the job has already ended"), 409, "The job has already ended."),
        (TooMany(0.2), 429, "tried too often; wait 1 second, then try again."),
        (TooMany(2.1), 429, "wait 3 seconds,"),
        (TooMany(119.5), 429, "wait 2 minutes,"),
        (Rejected("forbidden", "this key may not call this route", 403), 403, "This account may"),
        (Rejected("bad_filter", "`sort` is one of x", 400), 400, "Open the list anew."),
        (Unavailable("postgres"), 503, "The database does not answer"),
        (Unavailable("the API"), 503, "Our service does not answer"),
    ],
)
def test_every_kind_of_error_is_a_page_with_its_status(
    error: Exception, status: int, part: str
) -> None:
    problem = problem_of(error, "/admin")  # type: ignore[arg-type]  # all are kinds of ours
    assert problem.status == status
    assert part in problem.page.text
    assert problem.page.home == "/admin"


def test_a_wait_is_said_to_programs_too() -> None:
    assert problem_of(Unavailable("kafka", "", 7), "/").headers == {"Retry-After": "7"}


def test_a_bug_names_the_number_in_the_log_and_nothing_else() -> None:
    assert bug("/", "req_1").page.request_id == "req_1"
