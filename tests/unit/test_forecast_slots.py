"""A forecast's rows stand at the quarter hours that the customer's clock will show."""

from datetime import UTC, datetime

import pytest

from fitstream.clock import DAY_SLOTS as HORIZON
from fitstream.clock import slot_of
from fitstream.tasks.history import wall_clock

BERLIN = "Europe/Berlin"


def at(*instant: int) -> int:
    return slot_of(datetime(*instant, tzinfo=UTC))  # type: ignore[misc, arg-type]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", BERLIN])
def test_on_any_other_day_each_slot_is_the_next_quarter_hour(zone: str) -> None:
    assert wall_clock(at(2026, 11, 24, 9, 15), HORIZON, zone) == list(range(HORIZON))


def test_the_hour_that_spring_leaves_out_is_left_out() -> None:
    start = at(2026, 3, 28, 23, 0)  # midnight in Berlin; at 2:00 it becomes 3:00
    places = wall_clock(start, HORIZON, BERLIN)
    assert places == [*range(8), *range(12, HORIZON + 4)]


def test_the_hour_that_autumn_repeats_is_told_twice() -> None:
    start = at(2026, 10, 24, 22, 0)  # midnight in Berlin; at 3:00 it becomes 2:00
    places = wall_clock(start, HORIZON, BERLIN)
    assert places == [*range(12), *range(8, HORIZON - 4)]


def test_a_forecast_that_begins_within_the_repeated_hour_never_looks_back() -> None:
    places = wall_clock(at(2026, 10, 25, 0, 45), HORIZON, BERLIN)  # 2:45, and 2:00 follows
    assert min(places) == 0
    assert len(places) == HORIZON


def test_half_an_hour_of_change_is_half_an_hour() -> None:
    start = at(2026, 10, 3, 13, 30)  # midnight on Lord Howe; at 2:00 it becomes 2:30
    assert wall_clock(start, HORIZON, "Australia/Lord_Howe")[7:10] == [7, 10, 11]
