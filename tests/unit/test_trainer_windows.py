"""Windows and splits: a forecast is made from the past alone, and no day is on two sides."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream.trainer.cohort import make_cohort as cohort_of
from fitstream.trainer.data import SLOTS, Series
from fitstream.trainer.level import shifts
from fitstream.trainer.metrics import naive_scale
from fitstream.trainer.models.blend import Blend, Member
from fitstream.trainer.models.climatology import Climatology, PlainClimatology, pooled
from fitstream.trainer.models.kernel import START
from fitstream.trainer.models.naive import NoTimeOfDay, SeasonalNaive
from fitstream.trainer.models.network import make_network
from fitstream.trainer.models.shape import Shape
from fitstream.trainer.splits import day_counts, enough_data, first_days, split_target
from fitstream.trainer.windows import PARTS_PER_UNIT, Issue, Look, Reach, make_windows
from tests.unit.trainer_factories import make_cohort, make_series

REACH = Reach(10, 2)
TARGETS = tuple(PARTS_PER_UNIT)


def shuffled_from(series: Series, cut: int, seed: int = 9) -> Series:
    """The same customer with all values from row `cut` on shuffled, and other wear days."""
    rng = np.random.default_rng(seed)
    values = {}
    for target, rows in series.values.items():
        later = rows[cut:].copy().reshape(-1)
        rng.shuffle(later)
        values[target] = np.concatenate([rows[:cut], later.reshape(rows[cut:].shape) + 1])
    wear = np.concatenate([series.wear[:cut], rng.random(series.days - cut) < 0.5])
    return replace(series, values=values, wear=wear)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("ahead", [0, 3])
def test_values_after_the_issue_change_no_forecast(target: str, ahead: int) -> None:
    series = make_series(days=16, worn=0.9)
    cut = 12
    issues = [Issue("a", cut + ahead, cut)]
    pool = {target: pooled([(series, cut)], target)}
    others = {target: cohort_of([(make_series("b", seed=5), 20), (series, cut)], target)}
    base = Climatology(REACH, {target: START[target]}, pool, others)
    before = make_windows({"a": series}, base.look(target), issues)
    after = make_windows({"a": shuffled_from(series, cut)}, base.look(target), issues)
    models = [SeasonalNaive(7, REACH, pool), NoTimeOfDay(REACH, pool), base]
    models.append(PlainClimatology(REACH, pool))
    for kind in ("transformer", "convlstm"):
        shape = Shape(kind=kind)
        network = make_network(START[target], REACH, shape, seed=0)
        models.append(Blend(base, {target: (Member(shape, network, 0.7),)}))
    for model in models:
        forecast = model.predict(before)
        np.testing.assert_array_equal(forecast, model.predict(after))
        assert np.isfinite(forecast).all()


def test_a_window_holds_exactly_the_measured_values_around_each_past_slot() -> None:
    series = make_series(days=8, seed=3, worn=0.8)
    series.values["calories_kcal"][np.isnan(series.values["heart_rate_bpm"])] = np.nan
    issue = Issue("a", 7, 7)
    windows = make_windows({"a": series}, Look("calories_kcal", Reach(4, 2)), [issue])
    flat = series.worn("calories_kcal").reshape(-1)
    for slot in (0, 1, 50, 94, 95):
        expected = []
        for lag in range(1, 5):
            for offset in range(-2, 3):
                at = (7 - lag) * SLOTS + slot + offset
                if at < 7 * SLOTS and np.isfinite(flat[at]):
                    expected.append(round(float(flat[at]), 2))
        count = windows.count[0, slot]
        assert count == len(expected)
        found = windows.values[0, slot, :count]
        np.testing.assert_allclose(found, np.sort(np.array(expected)), atol=0.0051)


def test_every_key_keeps_its_lag_and_offset() -> None:
    values = np.arange(5 * SLOTS, dtype=np.float32).reshape(5, SLOTS)
    known = {"steps": values, "calories_kcal": values, "heart_rate_bpm": values}
    series = replace(make_series(days=5), values=known, wear=np.ones(5, bool))
    reach = Reach(3, 1)
    windows = make_windows({"a": series}, Look("steps", reach), [Issue("a", 4, 4)])
    for slot in range(1, SLOTS - 1):
        known = windows.count[0, slot]
        pairs = zip(windows.values[0, slot, :known], windows.order[0, slot, :known], strict=True)
        for value, order in pairs:
            lag, offset = order // reach.width + 1, order % reach.width - reach.slots
            assert value == (4 - lag) * SLOTS + slot + offset


@pytest.mark.parametrize("target", TARGETS)
def test_values_of_the_whole_contract_keep_their_precision(target: str) -> None:
    most = {"steps": 6000, "calories_kcal": 2000, "heart_rate_bpm": 260}[target]
    rows = np.tile(np.linspace(0, most, SLOTS, dtype=np.float32), (3, 1))  # no day is higher
    series = replace(make_series(days=3), values={target: rows}, wear=np.ones(3, bool))
    windows = make_windows({"a": series}, Look(target, Reach(3, 0)), [Issue("a", 3, 3)])
    found = np.sort(windows.values[0, :, :3].reshape(-1))
    np.testing.assert_allclose(found, np.sort(rows.reshape(-1)), atol=0.51 / PARTS_PER_UNIT[target])


def test_past_heart_rates_move_with_the_level_of_the_last_days() -> None:
    rows = np.repeat(np.float32([[60], [60], [60], [80]]), SLOTS, axis=1)
    series = replace(make_series(days=4), values={"heart_rate_bpm": rows}, wear=np.ones(4, bool))
    reach = Reach(3, 1)
    windows = make_windows({"a": series}, Look("heart_rate_bpm", reach), [Issue("a", 4, 4)])
    shift = shifts(rows, 4, 4, 3)  # (lag, slot)
    assert shift.max() > 5
    for slot in (5, 50):
        for value, order in zip(windows.values[0, slot], windows.order[0, slot], strict=True):
            if order < reach.keys:
                lag, offset = order // reach.width, order % reach.width - reach.slots
                expected = rows[3 - lag, slot] + shift[lag, slot + offset]
                assert value == pytest.approx(expected, abs=0.051)


def test_days_outside_the_data_and_days_not_worn_are_empty() -> None:
    series = replace(make_series(days=6), wear=np.array([1, 1, 0, 1, 1, 1], bool))
    issues = [Issue("a", day, day) for day in (-5, 0, 3, 6, 40)]
    windows = make_windows({"a": series}, Look("steps", Reach(5, 1)), issues)
    assert windows.history_days().tolist() == [0, 0, 2, 4, 0]
    assert np.isfinite(windows.truth).any(axis=1).tolist() == [False, True, True, False, False]
    assert np.isnan(windows.anchors[2, 0]).all()  # the day before was not worn


def test_windows_are_taken_row_by_row() -> None:
    series = make_series(days=8)
    issues = [Issue("a", day, day) for day in range(4, 8)]
    windows = make_windows({"a": series}, Look("steps", REACH), issues)
    taken = windows.take([3, 1])
    assert (len(taken), taken.issues) == (2, (issues[3], issues[1]))
    np.testing.assert_array_equal(taken.values, windows.values[[3, 1]])
    assert len(windows.take([])) == 0


@given(st.integers(0, 200), st.integers(1, 14))
def test_held_out_days_leave_most_of_the_history(measured: int, test_days: int) -> None:
    validation, test = day_counts(measured, test_days)
    assert 0 <= validation <= test_days
    assert 0 <= test <= test_days
    assert measured - validation - test >= min(2, measured)
    assert (test > 0) == (measured >= 3)


@given(st.integers(0, 40), st.integers(0, 5), st.floats(0.2, 1), st.integers(1, 7))
def test_each_customers_training_lies_before_validation_before_test(
    days: int, seed: int, worn: float, test_days: int
) -> None:
    cohort = {name: make_series(name, days, seed + i, worn) for i, name in enumerate("ba")}
    split = split_target(cohort, "steps", test_days)
    assert [issue.customer_id for issue in split.train] == sorted(
        issue.customer_id for issue in split.train
    )
    for name, series in cohort.items():
        parts = [[i.day for i in part if i.customer_id == name] for part in split]
        flat = [day for part in parts for day in part]
        assert flat == sorted(set(flat))
        assert set(flat) <= set(series.measured_days("steps").tolist())
        if len(series.measured_days("steps")) >= 3:
            assert parts[2]
            held = first_days([*split.validation, *split.test])
            assert held[name] == min([*parts[1], *parts[2]])
    for issue in (*split.train, *split.validation, *split.test):
        assert issue.cut == issue.day


def test_what_is_pooled_ends_before_the_first_held_out_day() -> None:
    series = make_series(days=20)
    split = split_target({"a": series}, "steps", 5)
    cut = first_days([*split.validation, *split.test])["a"]
    one = pooled([(series, cut)], "steps")
    other = pooled([(shuffled_from(series, cut), cut)], "steps")
    np.testing.assert_array_equal(one, other)
    assert naive_scale(series, "steps", cut) == naive_scale(
        shuffled_from(series, cut), "steps", cut
    )


def test_a_cohort_needs_some_days_before_anything_is_measured() -> None:
    assert not enough_data({}, "steps")
    assert not enough_data(make_cohort(2, 2), "heart_rate_bpm")
    assert enough_data(make_cohort(2, 20), "steps")
