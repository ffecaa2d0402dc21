"""Reading cohort parts: cells, clock changes, wear days, duplicates."""

from datetime import date, datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fitstream.trainer.data import (
    TARGETS,
    empty_series,
    fingerprint,
    from_wearers,
    load,
    wear_days,
)

WEARERS = Path(__file__).parents[2] / "dataset" / "wearers_15min.parquet"
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local wall time has no zone


def part(rows: list[tuple[str, int, datetime, int | None]]) -> bytes:
    """One Parquet part of (customer, slot, local, steps), with a column that nobody reads."""
    names, slots, local, steps = zip(*rows, strict=True)
    table = pa.table(
        {
            "customer_id": pa.array(names, pa.string()),
            "slot": pa.array(slots, pa.int32()),
            "local": pa.array(local, pa.timestamp("ms")),
            "steps": pa.array(steps, pa.int32()),
            "calories_kcal": pa.array([1.5] * len(rows), pa.float32()),
            "heart_rate_bpm": pa.array([None] * len(rows), pa.float32()),
            "floors": pa.array([3] * len(rows), pa.int32()),
        }
    )
    sink = BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def day_rows(customer: str, day: date, steps: int, slots: int = 96) -> list[tuple]:
    start = datetime(day.year, day.month, day.day)  # noqa: DTZ001
    first = int((start - EPOCH) / timedelta(minutes=15))
    return [(customer, first + q, start + timedelta(minutes=15 * q), steps) for q in range(slots)]


def test_rows_become_local_days_and_gaps_stay_not_measured():
    rows = day_rows("a", date(2026, 11, 3), 10) + day_rows("a", date(2026, 11, 5), 20, slots=40)
    series = load([part(rows[:50]), part(rows[50:])])["a"]
    assert series.first_day == date(2026, 11, 3)
    assert series.days == 3
    assert series.values["steps"][0].tolist() == [10.0] * 96
    assert np.isnan(series.values["steps"][1]).all()
    assert np.isfinite(series.values["steps"][2]).sum() == 40
    assert np.isnan(series.values["heart_rate_bpm"]).all()
    assert series.wear.tolist() == [True, False, False]


def test_doubled_quarter_hour_of_a_clock_change_counts_once_with_the_mean():
    rows = day_rows("a", date(2026, 10, 25), 10)
    doubled = [(name, slot + 96, local, 30) for name, slot, local, _ in rows[4:8]]
    series = load([part(rows + doubled)])["a"]
    assert series.values["steps"][0, 3:9].tolist() == [10, 20, 20, 20, 20, 10]


def test_slot_that_comes_twice_counts_once_and_the_last_part_wins():
    rows = day_rows("a", date(2026, 11, 3), 10)
    again = [(name, slot, local, 50) for name, slot, local, _ in rows[:1]]
    assert load([part(rows), part(again)])["a"].values["steps"][0, 0] == 50


def test_rows_of_many_customers_may_be_mixed_over_the_parts() -> None:
    names = [f"c{i}" for i in range(50)]
    day = date(2026, 11, 3)
    rows = [row for each in zip(*(day_rows(n, day, 7) for n in names), strict=True) for row in each]
    again = [(name, *day_rows(name, day, number)[5][1:]) for number, name in enumerate(names)]
    found = load([part(rows[::-1]), part(again)])
    assert list(found) == sorted(names)
    for number, name in enumerate(names):
        expected = [7.0] * 96
        expected[5] = float(number)
        assert found[name].values["steps"].tolist() == [expected]


def test_no_parts_make_no_customers():
    assert load([]) == {}


@pytest.mark.parametrize(
    ("steps", "worn"),
    [
        ([10] * 96, True),
        ([10] * 89 + [None] * 7, False),
        ([200] * 7 + [0] * 89, False),
        ([5] * 96, False),
    ],
)
def test_wear_day_needs_slots_steps_and_activity(steps: list, worn: bool):
    rows = np.array([[np.nan if each is None else each for each in steps]], np.float32)
    assert wear_days(rows).tolist() == [worn]


def test_wear_rule_agrees_with_the_shared_data():
    series = from_wearers(WEARERS)
    assert len(series) == 22
    for each in series.values():
        assert (wear_days(each.values["steps"]) == each.wear).all()


def test_series_before_a_day_knows_nothing_after():
    series = load([part(day_rows("a", date(2026, 11, 3), 10))])["a"]
    assert series.before(0).days == 0
    assert series.before(-3).days == 0
    assert series.before(9).days == 1
    assert empty_series("b", date(2026, 1, 1)).measured_days("steps").tolist() == []


def test_fingerprint_changes_with_one_value():
    one = load([part(day_rows("a", date(2026, 11, 3), 10))])
    two = load([part(day_rows("a", date(2026, 11, 3), 11))])
    assert fingerprint(one) == fingerprint(load([part(day_rows("a", date(2026, 11, 3), 10))]))
    assert fingerprint(one) != fingerprint(two)
    assert set(one["a"].values) == set(TARGETS)


@pytest.mark.parametrize(
    ("wearers", "known"),
    [
        ([1.0, 2.0, None], ["1", "2"]),
        ([1.0, float("nan"), 2.0], ["1", "2"]),
        ([1.5, 2.0, None], ["1.5", "2.0"]),
        ([None, None, None], []),
    ],
)
def test_wearers_that_became_floats_keep_their_names(
    tmp_path: Path, wearers: list[float | None], known: list[str]
) -> None:
    columns = {
        "wearer": pa.array(wearers, pa.float64()),
        "slot_local": pa.array([EPOCH] * 3, pa.timestamp("us")),
        "steps": pa.array([1.0] * 3),
    }
    pq.write_table(pa.table(columns), tmp_path / "w.parquet")
    assert sorted(from_wearers(tmp_path / "w.parquet")) == known
