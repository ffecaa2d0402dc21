"""A forecast in words: its fan, its total and range, and how it did."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from fitstream.client.data import BasedOn, Day, DayTotal, Forecast, Quantiles, Quarter
from fitstream.gateway.view.forecasting import (
    certainty,
    forecast_view,
    rests_on,
    total_of,
    truth_of,
)

START = datetime(2026, 11, 23, tzinfo=UTC)
FORECAST = Forecast(
    target="steps",
    issued_at=START,
    model_id="mod_1",
    model_kind="weighted_climatology",
    basis="own history",
    based_on=BasedOn("2026-W47", 2),
    data_through=START,
    items=[Quantiles(START + timedelta(minutes=15 * i), 0.0, 50.0, 200.0, 80.0) for i in range(96)],
)


def past_days(count: int, steps: float = 8000) -> list[Day]:
    return [
        Day(
            day=date(2026, 11, 1) + timedelta(days=i),
            measured=96,
            slots=96,
            worn=True,
            steps=steps * (1 + i / 10),
        )
        for i in range(count)
    ]


def measured(values: list[float]) -> list[Quarter]:
    return [
        Quarter(slot=START + timedelta(minutes=15 * i), steps=value)
        for i, value in enumerate(values)
    ]


def test_what_was_measured_stands_beside_the_fan() -> None:
    quarters = measured([100, 500])
    view = forecast_view(FORECAST, quarters, [], "UTC", START + timedelta(minutes=40))
    assert view is not None
    assert [series.name for series in view.chart.series] == ["80 % range", "Median", "Measured"]
    assert view.chart.series[2].values[:3] == [100, 500, None]
    assert not view.is_past


def test_labels_stand_on_full_hours() -> None:
    view = forecast_view(FORECAST, [], [], "Asia/Kathmandu", START)  # begins at 05:45
    assert view is not None
    assert view.chart.x[view.chart.first] == "08:00"


def test_without_truth_there_is_no_third_line() -> None:
    view = forecast_view(FORECAST, [], [], "UTC", START)
    assert view is not None
    assert len(view.chart.series) == 2
    assert view.truth is None


def test_a_forecast_that_is_over_says_so() -> None:
    view = forecast_view(FORECAST, [], [], "UTC", START + timedelta(days=1))
    assert view is not None
    assert view.is_past


def test_an_empty_forecast_shows_nothing() -> None:
    empty = msgspec.structs.replace(FORECAST, items=[])
    assert forecast_view(empty, [], [], "UTC", START) is None


def test_the_truth_counts_slots_inside_the_range() -> None:
    truth = truth_of("steps", FORECAST.items, measured([100, 500, 0]))
    assert truth is not None
    assert (truth.slots, truth.inside, truth.measured, truth.expected) == (3, 2, 600, 240)


def test_a_heart_rate_has_a_mean_and_no_sum() -> None:
    beats = [Quarter(slot=START, heart_rate_bpm=60), Quarter(
        slot=START + timedelta(minutes=15), heart_rate_bpm=80)]  # fmt: skip
    truth = truth_of("heart_rate_bpm", FORECAST.items, beats)
    assert truth is not None
    assert truth.measured == 70


def told(*slots: int, own_days: int = 20, **fields: Any) -> Forecast:
    totals = [
        DayTotal(
            day=START.date() + timedelta(days=i), slots=n, own_days=own_days,
            low=5000.0, mean=8000.0 + i, high=11000.0,
        )
        for i, n in enumerate(slots)
    ]  # fmt: skip
    return msgspec.structs.replace(FORECAST, totals=totals, **fields)


def test_the_total_is_that_of_the_day_of_which_most_is_told() -> None:
    assert total_of(FORECAST) is None
    total = total_of(told(40, 56))
    assert total is not None
    assert (total.day, total.expected) == (START.date() + timedelta(days=1), 8001)
    assert (total.low, total.high) == (5000, 11000)


def test_few_days_are_told_of_and_many_are_not() -> None:
    assert certainty(told(96)) == ""
    assert "only 3 days of your own" in certainty(told(96, own_days=3))
    assert "their own days" in certainty(told(96, own_days=0, basis="cohort"), "their")


def test_a_week_is_shown_by_its_days_with_what_was_measured_of_them() -> None:
    days = [msgspec.structs.replace(past_days(1)[0], day=START.date())]
    view = forecast_view(told(*[96] * 7, horizon="672"), [], days, "UTC", START)
    assert view is not None
    assert [series.name for series in view.chart.series] == ["80 % range", "Expected", "Measured"]
    assert view.chart.series[2].values == [8000, *[None] * 6]
    assert view.chart.series[0].low == [5000] * 7
    assert "most on Sunday" in view.chart.summary
    assert view.truth is None


def test_what_it_rests_on_speaks_to_who_reads_it() -> None:
    assert rests_on(FORECAST).startswith("It rests on your own history, Week 47 included")
    assert "their own history" in rests_on(FORECAST, "their")
    cohort = msgspec.structs.replace(FORECAST, basis="cohort")
    assert "everyone who consented" in rests_on(cohort)
