"""The verdict on rows: what is rounded, what is refused with which code, and what it leaves."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream import samples
from fitstream.clock import slot_of
from fitstream.events import encode_columns, rows
from fitstream.merge import METRICS
from fitstream.posts import decode_json
from fitstream.samples import Checked, Verdict
from tests.factories import NOW, SLOT, post_json, post_row, slot_text

WINDOW = samples.window(NOW, 400)
_TIED = ("heart_rate_min_bpm", "heart_rate_max_bpm", "light_min", "moderate_min", "vigorous_min")
FREE = {  # values of the metrics that no other metric of the row bounds
    metric.name: (st.integers if metric.scale == 1 else st.floats)(metric.low, metric.high)
    for metric in METRICS
    if metric.name not in _TIED
}


def judge(*made: dict[str, Any]) -> Checked:
    return samples.check(decode_json(post_json(made), 2000), WINDOW)


def verdict_on(**fields: Any) -> Verdict:
    """The verdict on one bad row between two good ones, which must stay."""
    checked = judge(post_row(SLOT - 1), post_row(**({"slot": SLOT} | fields)), post_row(SLOT + 1))
    assert checked.columns.slot == [SLOT - 1, SLOT + 1]
    assert checked.accepted == 2
    (verdict,) = checked.rejected
    assert verdict.index == 1
    return verdict


@pytest.mark.parametrize(
    "text",
    ["2026-11-23T11:07:30Z", "2026-11-23T11:00:01Z", "2026-11-23T11:00:00.5Z"],
)
def test_a_slot_off_the_quarter_hour_is_misaligned(text: str) -> None:
    checked = judge({"slot": text, "steps": 1}, post_row())
    assert [(v.index, v.code) for v in checked.rejected] == [(0, "slot_misaligned")]
    assert checked.columns.slot == [SLOT]


@pytest.mark.parametrize(
    "text", ["2026-11-23T11:00:00+00:00", "2026-11-23T16:45:00+05:45", "2026-11-23T11:00:00.000Z"]
)
def test_a_slot_may_be_written_in_any_zone(text: str) -> None:
    assert judge({"slot": text, "steps": 1}).columns.slot == [SLOT]


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:45:00-14:00"])
def test_a_slot_at_the_ends_of_the_calendar_is_refused(text: str) -> None:
    (verdict,) = judge({"slot": text, "steps": 1}, post_row()).rejected
    assert verdict.code in ("too_old", "future_slot", "wrong_type")


def test_a_slot_more_than_twenty_minutes_ahead_may_be_sent_again_later() -> None:
    verdict = verdict_on(slot=slot_of(NOW) + 2)
    assert (verdict.code, verdict.retry, verdict.slot) == ("future_slot", True, slot_of(NOW) + 2)


def test_a_slot_twenty_minutes_ahead_is_accepted() -> None:
    assert judge(post_row(slot_of(NOW + timedelta(minutes=20)))).accepted == 1


def test_a_slot_older_than_the_programme_accepts_is_refused_for_good() -> None:
    oldest = slot_of(NOW) - 400 * 96
    verdict = verdict_on(slot=oldest - 1)
    assert (verdict.code, verdict.retry) == ("too_old", False)
    assert judge(post_row(oldest)).accepted == 1


@pytest.mark.parametrize(
    "heart",
    [
        {"heart_rate_bpm": 60, "heart_rate_min_bpm": 61},
        {"heart_rate_bpm": 60, "heart_rate_max_bpm": 59},
        {"heart_rate_min_bpm": 61, "heart_rate_max_bpm": 60},
        {"heart_rate_bpm": 60, "heart_rate_min_bpm": 50, "heart_rate_max_bpm": 59.9},
    ],
)
def test_heart_rates_out_of_order_are_refused(heart: dict[str, float]) -> None:
    assert verdict_on(**heart).code == "heart_rate_order"


def test_equal_heart_rates_and_ones_that_rounding_makes_equal_are_accepted() -> None:
    checked = judge(
        post_row(SLOT, heart_rate_bpm=60, heart_rate_min_bpm=60, heart_rate_max_bpm=60),
        post_row(SLOT + 1, heart_rate_bpm=60.02, heart_rate_min_bpm=60.04),
    )
    assert checked.rejected == []


def test_minutes_that_exceed_the_slot_are_refused() -> None:
    verdict = verdict_on(light_min=10, sedentary_min=5.1)
    assert verdict.code == "minutes_exceed_slot"


def test_minutes_are_summed_after_rounding() -> None:
    rounded_down = {"light_min": 5.04, "moderate_min": 5.04, "sedentary_min": 4.94}
    assert judge(post_row(**rounded_down)).accepted == 1
    rounded_up = {
        "light_min": 4.96,
        "moderate_min": 4.96,
        "vigorous_min": 4.96,
        "sedentary_min": 0.16,
    }
    assert verdict_on(**rounded_up).code == "minutes_exceed_slot"


def test_sleep_is_no_activity_and_may_fill_the_slot_beside_it() -> None:
    assert judge(post_row(sedentary_min=15, sleep_min=15)).accepted == 1


def test_the_first_complaint_about_a_row_is_the_one_that_counts() -> None:
    verdict = verdict_on(slot=slot_of(NOW) + 9, heart_rate_bpm=60, heart_rate_min_bpm=61)
    assert verdict.code == "future_slot"


def test_values_that_round_to_the_same_have_the_same_hash() -> None:
    one = judge(
        post_row(heart_rate_bpm=65.04, distance_m=10.04, calories_kcal=2.004, light_min=1.04)
    )
    other = judge(post_row(heart_rate_bpm=65, distance_m=10, calories_kcal=2, light_min=1))
    assert encode_columns(one.columns) == encode_columns(other.columns)


@given(st.fixed_dictionaries({}, optional=FREE))
def test_what_was_accepted_is_what_is_stored_to_the_contracts_precision(
    measured: dict[str, float],
) -> None:
    columns = judge({"slot": slot_text(), **measured}).columns
    ((slot, row),) = rows(columns)
    assert slot == SLOT
    for metric, value in zip(METRICS, row.values, strict=True):
        if metric.name in measured:
            assert value is not None
            assert abs(value / metric.scale - measured[metric.name]) <= 0.5001 / metric.scale
            assert metric.low * metric.scale <= value <= metric.high * metric.scale
        else:
            assert value is None


def test_absent_stays_absent_and_zero_stays_zero() -> None:
    columns = judge(post_row(SLOT, steps=0), post_row(SLOT + 1, floors=0)).columns
    assert (columns.steps, columns.floors, columns.distance_m) == ([0, None], [None, 0], None)


def test_a_row_without_any_metric_is_accepted_as_not_worn() -> None:
    checked = judge({"slot": slot_text()})
    assert checked.accepted == 1
    assert set(next(rows(checked.columns))[1].values) == {None}


def test_a_tombstone_is_accepted_and_carries_no_metric() -> None:
    checked = judge(post_row(SLOT), post_row(SLOT + 1, deleted=True, rev=2))
    assert checked.columns.deleted == [1]
    assert checked.columns.rev == [0, 2]
    assert [row.deleted for _, row in rows(checked.columns)] == [False, True]


def test_refused_rows_leave_no_trace_in_the_accepted_ones() -> None:
    good = post_row(SLOT, steps=5)
    bad = {"rev": 3, "tz_offset_min": 60, "deleted": True, "floors": 4, "steps": 1}
    alone = judge(good)
    beside = judge(post_row(SLOT + 500, **bad), good, post_row(SLOT + 501, **bad))
    assert encode_columns(beside.columns) == encode_columns(alone.columns)


def test_a_post_of_refused_rows_alone_accepts_nothing() -> None:
    checked = judge(post_row(SLOT + 500), {"slot": "nonsense"}, {"slot": "2026-11-23T11:07:00Z"})
    assert (checked.accepted, checked.columns) == (0, samples.SampleColumns(slot=[]))
    assert [v.code for v in checked.rejected] == ["future_slot", "wrong_type", "slot_misaligned"]


def test_verdicts_stand_in_the_order_of_the_post_whoever_gave_them() -> None:
    checked = judge(post_row(SLOT + 500), {"slot": 5}, post_row(SLOT), {}, post_row(SLOT + 501))
    assert [v.index for v in checked.rejected] == [0, 1, 3, 4]
    assert checked.accepted == 1


def test_the_same_slot_twice_in_one_post_is_left_to_the_merge_rule() -> None:
    assert judge(post_row(SLOT, steps=1), post_row(SLOT, steps=2)).columns.slot == [SLOT, SLOT]


@given(st.lists(st.sampled_from(["good", "future", "old", "odd", "text"]), max_size=8))
def test_every_row_is_either_accepted_or_refused(kinds: list[str]) -> None:
    texts = {
        "good": slot_text(SLOT),
        "future": slot_text(SLOT + 500),
        "old": slot_text(SLOT - 400 * 96 - 9),
        "odd": "2026-11-23T11:07:00Z",
        "text": "nonsense",
    }
    checked = judge(*({"slot": texts[kind], "steps": 1} for kind in kinds))
    assert [v.index for v in checked.rejected] == [i for i, k in enumerate(kinds) if k != "good"]
    assert checked.accepted == len(checked.columns.slot) == kinds.count("good")
