"""A chart and its table say the same; figures count what was measured."""

from datetime import UTC, date, datetime, timedelta

import pytest

from fitstream.client.data import Day, Hour, Quarter
from fitstream.gateway.view.charts import Chart, Series, spark
from fitstream.gateway.view.figures import distribution, figures_of, quarter_chart
from fitstream.gateway.view.weekly import (
    change_words,
    compared,
    days_chart,
    hours_chart,
    report,
    week_chart,
)

MONDAY = date(2026, 11, 16)


def day(offset: int, steps: float | None = 8000, **fields: float) -> Day:
    worn = steps is not None
    base = {"measured": 96 if worn else 0, "slots": 96, "worn": worn, "steps": steps, **fields}
    return Day(day=MONDAY + timedelta(days=offset), **base)  # type: ignore[arg-type]


def quarters(values: list[float | None]) -> list[Quarter]:
    start = datetime(2026, 11, 16, tzinfo=UTC)
    return [
        Quarter(slot=start + timedelta(minutes=15 * i), steps=value)
        for i, value in enumerate(values)
    ]


def test_the_table_has_a_row_per_x_and_a_column_per_series() -> None:
    chart = Chart(
        id="c",
        summary="s",
        x_name="Hour",
        x=["0", "1"],
        unit="bpm",
        series=[
            Series("Range", "band", "band", [9, None], [3, None]),
            Series("Mean", "line", "heart", [6.5, None]),
        ],
    )
    assert chart.columns == ["Hour", "Range (bpm)", "Mean (bpm)"]
    assert chart.rows == [["0", "3 – 9", "6.5"], ["1", "–", "–"]]


def test_gaps_stay_gaps_in_what_the_script_reads() -> None:
    chart = days_chart([day(0), day(1, None)], "steps", "steps")
    assert chart.spec["series"][0]["values"] == [8000, None]
    assert "low" not in chart.spec["series"][0]


def test_a_rate_is_a_line_and_what_adds_up_are_bars() -> None:
    days = [day(0, heart_rate_bpm=70.0)]
    assert days_chart(days, "heart_rate_bpm", "heart").series[0].kind == "line"
    assert days_chart(days, "steps", "steps").series[0].kind == "bar"


def test_hours_without_values_are_absent_and_not_zero() -> None:
    chart = hours_chart([Hour(hour=7, steps=100)], [], "Monday", "steps", "steps")
    assert chart.series[0].values[7] == 100
    assert chart.series[0].values[8] is None
    assert len(chart.series) == 1


def test_the_week_before_lies_on_the_same_weekdays() -> None:
    before = [day(-7, 100), day(-6, 200)]
    chart = week_chart([day(0), day(1)], before)
    assert list(chart.series[1].values) == [100, 200]


def test_a_spark_breaks_where_nothing_was_measured() -> None:
    assert spark([1, None, 2]).path.count("M") == 2
    assert spark([None]).path == ""
    assert spark([5, 5]).path.startswith("M0.0 19.0")


def test_figures_count_measured_and_missing_and_do_not_sum_heart_rates() -> None:
    found = figures_of(quarters([0, 10, None, 20]), 8)
    assert [(f.metric, f.slots, f.missing, f.total) for f in found] == [("steps", 3, 5, 30)]
    beats = [Quarter(slot=datetime(2026, 11, 16, tzinfo=UTC), heart_rate_bpm=60)]
    assert figures_of(beats, 1)[0].total is None


@pytest.mark.parametrize("values", [[0, 0], [0.2], [1, 5, 900], [60.0, 60.0], [1e-3, 5000]])
def test_a_distribution_loses_no_value(values: list[float]) -> None:
    chart = distribution(values, "steps", "steps")
    assert sum(value or 0 for value in chart.series[0].values) == len(values)
    assert len(chart.x) == len(chart.series[0].values) <= 14


def test_a_range_of_quarters_has_a_place_for_every_one() -> None:
    chart = quarter_chart(quarters([1]), "steps", "steps", (MONDAY, MONDAY), "UTC")
    assert len(chart.x) == 96
    assert chart.series[0].values[0] == 1
    assert chart.series[0].values[1] is None


@pytest.mark.parametrize(
    ("value", "said"),
    [(50, "Well below"), (80, "A little below"), (100, "Close to"), (130, "A little above"),
     (200, "Well above")],
)  # fmt: skip
def test_a_day_is_compared_in_words(value: float, said: str) -> None:
    assert compared(value, 100, "usual Monday") == f"{said} your usual Monday"


def test_nothing_is_compared_with_nothing() -> None:
    assert "Nothing to compare" in compared(10, 0, "usual Monday")


def test_a_report_compares_the_same_days_of_the_week_before() -> None:
    before = [day(-7, 4000), day(-2, 90_000)]  # the Saturday must not count against a Monday
    said = report([day(0, 8000)], before)
    assert said[0] == "8,000 steps on Monday."
    assert said[1] == "That is 100 % more than on the same days of the week before."


def test_a_report_of_nothing_says_so() -> None:
    assert report([day(0, None)], []) == ["Nothing was measured in this week."]


def test_changes_of_a_version_are_counted_and_located() -> None:
    changed = {
        "added": 12,
        "corrected": 1,
        "removed": 0,
        "slots": [
            {"from": "2026-11-16T21:00:00Z", "to": "2026-11-17T00:00:00Z", "change": "added"}
        ],
    }
    assert change_words(changed, "America/New_York") == [
        "12 slots added",
        "1 slot corrected",
        "Mon 16 Nov 16:00–19:00 added",
    ]
    assert change_words({"added": 0, "slots": []}, "UTC") == []


@pytest.mark.parametrize(
    ("change", "why", "said"),
    [
        ("added", "late", "added"),
        ("corrected", "corrected", "corrected"),
        ("removed", "deleted", "removed"),
        ("corrected", "late", "corrected: late data"),
        ("corrected", "device_priority", "corrected: device priority"),
        ("corrected", "deleted", "corrected: a deletion"),
    ],
)
def test_a_change_says_why_where_that_is_not_plain(change: str, why: str, said: str) -> None:
    times = {"from": "2026-11-16T00:00:00+00:00", "to": "2026-11-16T01:00:00+00:00"}
    changed = {"slots": [times | {"change": change, "why": why}]}
    assert change_words(changed, "UTC")[0].endswith(f"00:00–01:00 {said}")
