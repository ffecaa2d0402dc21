"""The activity score: a formula that absent data does not lower."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fitstream.score import WEIGHTS, score
from tests.factories import day_entry

days = st.fixed_dictionaries(
    {
        "measured": st.integers(0, 96),
        "slots": st.just(96),
        "worn": st.booleans(),
    },
    optional={
        "steps": st.integers(0, 60_000),
        "moderate_min": st.integers(0, 1440),
        "vigorous_min": st.integers(0, 1440),
    },
)


@given(st.lists(days, max_size=7))
def test_a_score_stays_between_0_and_100(week: list[dict[str, Any]]) -> None:
    found = score(week)
    if found is None:
        assert not any(day["worn"] and "steps" in day for day in week)
    else:
        assert 0 <= found.value <= 100
        assert 0 <= found.confidence <= 1
        assert all(0 <= part <= WEIGHTS[name] for name, part in found.parts.items())


def test_a_week_at_its_goals_has_the_whole_score() -> None:
    found = score([day_entry() for _ in range(7)])
    assert found is not None
    assert (found.value, found.confidence) == (100, 1.0)
    assert found.parts == {"steps": 40, "active": 40, "regularity": 20}


def test_half_of_every_goal_is_half_of_its_part() -> None:
    day = day_entry(steps=4000, moderate_min=0, vigorous_min=150 / 7 / 4)
    found = score([day, day | {"steps": 3999}])
    assert found is not None
    assert found.parts == {"steps": 20.0, "active": 20.0, "regularity": 10.0}
    assert found.value == 50


def test_a_vigorous_minute_counts_twice() -> None:
    moderate = score([day_entry(moderate_min=10)])
    vigorous = score([day_entry(moderate_min=0, vigorous_min=5)])
    assert moderate is not None
    assert moderate == vigorous


def test_a_day_that_was_not_worn_lowers_the_confidence_and_not_the_value() -> None:
    worn = [day_entry() for _ in range(3)]
    absent = {"day": "2026-11-17", "measured": 0, "slots": 96, "worn": False}
    found = score([*worn, *[absent] * 3])
    assert found is not None
    assert (found.value, found.confidence) == (100, 0.5)


def test_minutes_that_no_device_measures_do_not_lower_the_value() -> None:
    without = {name: v for name, v in day_entry().items() if name != "moderate_min"}
    found = score([without])
    assert found is not None
    assert found.value == 100
    assert "active" not in found.parts
    assert score([day_entry(), without]) == score([day_entry()])


def test_minutes_measured_as_zero_do_count() -> None:
    found = score([day_entry(moderate_min=0)])
    assert found is not None
    assert found.value == 60


def test_no_worn_day_has_no_score() -> None:
    assert score([]) is None
    assert score([day_entry(worn=False)]) is None
