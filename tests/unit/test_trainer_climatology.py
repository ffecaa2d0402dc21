"""The weighted climatology and the naive baselines, against the same done slowly by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream.trainer.data import SLOTS, Series
from fitstream.trainer.metrics import LEVELS, wql
from fitstream.trainer.models.climatology import (
    Climatology,
    choose_kernel,
    own_history,
    pooled,
    predict_kernels,
    predict_own,
)
from fitstream.trainer.models.kernel import (
    Kernel,
    day_weights,
    key_weights,
    slot_weights,
    weighted_mean,
    weighted_quantiles,
)
from fitstream.trainer.models.naive import SeasonalNaive
from fitstream.trainer.windows import Issue, Look, Reach, make_windows
from tests.unit.trainer_factories import MONDAY, even_kernel, make_cohort, make_series

REACH = Reach(10, 2)


def slow_quantile(values: np.ndarray, weights: np.ndarray, level: float) -> float:
    """Each value at the middle of its weight, linear between neighbours."""
    middle = np.cumsum(weights) - weights / 2
    return float(np.interp(level * weights.sum(), middle, values))


@given(st.integers(1, 40), st.integers(0, 10_000), st.integers(1, 5))
def test_weighted_quantiles_are_those_of_the_slow_way(keys: int, seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.sort(rng.integers(0, 9, (rows, keys)).astype(np.float32), axis=1)
    weights = rng.random((rows, keys)) + 1e-3
    count = rng.integers(0, keys + 1, rows)
    for row in range(rows):
        weights[row, count[row] :] = 0
        values[row, count[row] :] = 99
    found = weighted_quantiles(values, weights, count, LEVELS)
    for row in range(rows):
        n = count[row]
        for at, level in enumerate(LEVELS):
            if n == 0:
                assert np.isnan(found[row, at])
            else:
                slow = slow_quantile(values[row, :n], weights[row, :n], level)
                assert found[row, at] == pytest.approx(slow, abs=1e-6)


def test_weights_of_several_kernels_behind_each_other_give_each_its_own_quantiles() -> None:
    rng = np.random.default_rng(0)
    values = np.sort(rng.random((7, 45)).astype(np.float32), axis=1)
    weights, count = rng.random((3, 7, 45)), rng.integers(0, 46, 7)
    weights[:, np.arange(45) >= count[:, None]] = 0
    alone = [weighted_quantiles(values, each, count, LEVELS) for each in weights]
    together = weighted_quantiles(values, weights.reshape(21, 45), count, LEVELS)
    np.testing.assert_allclose(together.reshape(3, 7, -1), alone, rtol=1e-6)


def test_kernels_that_share_their_work_forecast_as_each_would_alone() -> None:
    series = make_series(days=20)
    windows = make_windows({"a": series}, Look("steps", Reach(8, 2)), [Issue("a", 15, 15)])
    kernels = [even_kernel(sd) for sd in (0.7, 1.5, 4.0)]
    together = predict_kernels(kernels, windows)
    alone = [predict_own(kernel, windows) for kernel in kernels]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-4)


def test_quantiles_of_one_value_are_that_value_whatever_its_weight() -> None:
    values, weights = np.full((1, 5), 7, np.float32), np.full((1, 5), 1e-9)
    assert weighted_quantiles(values, weights, np.array([5]), LEVELS).tolist() == [[7, 7, 7]]


def test_weighted_mean_by_hand_and_none_without_weight() -> None:
    values = np.array([[1, 2, 3], [1, 2, 3]], np.float32)
    weights = np.array([[1.0, 1, 2], [0, 0, 0]])
    found = weighted_mean(values, weights)
    assert found[0] == pytest.approx(9 / 4)
    assert np.isnan(found[1])


def test_the_likeliest_key_weighs_most() -> None:
    kernel, reach = even_kernel(), Reach(14, 3)
    near = slot_weights(kernel, reach)[2]
    assert near.argmax() == 3
    np.testing.assert_allclose(near, near[::-1])
    days = day_weights(kernel, np.array([0]), reach)[0, 2]  # a Monday; lag 1 is a Sunday
    assert days[6] == pytest.approx(0.5 ** (7 / 14) * 1.5)
    assert days[0] == pytest.approx(0.5 ** (1 / 14) * 0.3)
    assert days[2] == pytest.approx(0.5 ** (3 / 14))
    keys = key_weights(kernel, np.array([0]), reach)[0, 2]
    np.testing.assert_allclose(keys[: 14 * 7].reshape(14, 7), days[:, None] * near)
    assert not keys[14 * 7 :].any()


def test_a_forecast_is_the_weighted_distribution_of_the_customers_own_past() -> None:
    series = make_series(days=9, seed=4, worn=0.8)
    kernel, reach = Kernel(), Reach(5, 1)
    windows = make_windows({"a": series}, Look("calories_kcal", reach), [Issue("a", 8, 8)])
    (found,) = predict_own(kernel, windows)
    flat = series.worn("calories_kcal").reshape(-1)
    weights_of = key_weights(kernel, windows.weekday, reach)[0, :, :15].reshape(6, 5, 3)
    for slot in (0, 30, 95):
        weight = weights_of[slot // 16]
        pairs = [
            (round(float(flat[at]), 2), weight[lag - 1, offset + 1])
            for lag in range(1, 6)
            for offset in (-1, 0, 1)
            if (at := (8 - lag) * SLOTS + slot + offset) < 8 * SLOTS and np.isfinite(flat[at])
        ]
        values, weights = (np.array(each) for each in zip(*sorted(pairs), strict=True))
        expected = [slow_quantile(values, weights, level) for level in LEVELS]
        expected.append(float((values * weights).sum() / weights.sum()))
        np.testing.assert_allclose(found[slot], expected, rtol=1e-4)


def test_quantiles_come_in_order_and_inside_the_past() -> None:
    series = make_series(days=20, worn=0.9)
    windows = make_windows({"a": series}, Look("steps", REACH), [Issue("a", d, d) for d in (5, 19)])
    forecast = predict_own(Kernel(), windows)
    assert (np.diff(forecast[..., :3], axis=2) >= 0).all()
    assert forecast.min() >= 0
    assert forecast.max() <= np.nanmax(series.values["steps"])


def test_a_customer_without_history_is_forecast_by_the_cohort() -> None:
    cohort = make_cohort(3, 14)
    new = make_series("new", days=1)
    pool = {"steps": pooled([(each, each.days) for each in cohort.values()], "steps")}
    model = Climatology(REACH, {"steps": Kernel()}, pool, {})
    weekday, weekend = Issue("new", 1, 1), Issue("new", 5, 1)
    windows = make_windows({"new": new}, Look("steps", REACH), [weekday, weekend])
    assert own_history(windows).tolist() == [False, False]
    np.testing.assert_array_equal(model.predict(windows), pool["steps"])


def test_a_pool_without_any_weekend_uses_weekdays_and_none_without_days() -> None:
    series = make_series(days=5)  # Monday to Friday
    pool = pooled([(series, 5)], "steps")
    np.testing.assert_array_equal(pool[0], pool[1])
    assert np.isnan(pooled([], "steps")).all()
    assert np.isnan(pooled([(make_series(heart=False), 20)], "heart_rate_bpm")).all()


def test_a_slot_that_nobody_measured_takes_the_quantiles_of_all() -> None:
    series = make_series(days=5)
    series.values["steps"][:, 7] = np.nan
    pool = pooled([(series, 5)], "steps")
    everything = series.values["steps"][np.isfinite(series.values["steps"])]
    np.testing.assert_allclose(pool[0, 7, 1], np.quantile(everything, 0.5))
    assert np.isfinite(pool).all()


def rhythm_of_weekends(days: int) -> Series:
    """Weekdays and weekends that have nothing in common."""
    rng = np.random.default_rng(0)
    weekday = np.arange(days) % 7
    level = np.where(weekday >= 5, 400.0, 40.0)[:, None]
    rows = np.round(level * (1 + 0.1 * rng.random((days, SLOTS)))).astype(np.float32)
    return Series("a", MONDAY, {"steps": rows}, np.ones(days, bool))


def test_the_chosen_kernel_is_never_worse_than_the_start_on_its_windows() -> None:
    series = rhythm_of_weekends(42)
    issues = [Issue("a", day, day) for day in range(28, 42)]
    windows = make_windows({"a": series}, Look("steps", Reach(28, 1)), issues)
    start = even_kernel(same_class=1.0, weekday=1.0)
    unit = np.arange(len(windows))
    chosen = choose_kernel(windows, unit, start)

    def score(kernel: Kernel) -> float:
        return wql(windows.truth, predict_own(kernel, windows))

    assert score(chosen) <= score(start)
    assert max(chosen.class_factor) < 0.6  # most of the way to 0.35 or less
    assert choose_kernel(windows, unit, start) == chosen


def test_without_validation_days_the_kernel_stays() -> None:
    windows = make_windows({"a": make_series()}, Look("steps", REACH), [])
    assert choose_kernel(windows, np.array([], np.int64), even_kernel(1.5)) == even_kernel(1.5)


@pytest.mark.parametrize(("season", "kind"), [(1, "naive_day"), (7, "naive_week")])
def test_a_naive_forecast_is_the_value_of_a_season_ago(season: int, kind: str) -> None:
    rows = (np.arange(16)[:, None] * 100 + np.arange(SLOTS)).astype(np.float32)
    series = replace(make_series(days=16), values={"steps": rows}, wear=np.ones(16, bool))
    windows = make_windows({"a": series}, Look("steps", REACH), [Issue("a", 15, 15)])
    model = SeasonalNaive(season, REACH, {"steps": pooled([(series, 15)], "steps")})
    (found,) = model.predict(windows)
    assert model.kind == kind
    np.testing.assert_array_equal(found[:, 1], rows[15 - season])
    np.testing.assert_array_equal(found[:, 3], rows[15 - season])
    spread = 1.2816 * 100 * season  # every season differs from the one before by this much
    np.testing.assert_allclose(found[:, 2] - found[:, 1], spread, rtol=1e-5)
    assert (found[:, 0] >= 0).all()


def test_a_naive_week_falls_back_to_what_was_measured_last() -> None:
    rows = np.full((9, SLOTS), np.nan, np.float32)
    rows[7] = 5
    series = replace(make_series(days=9), values={"steps": rows}, wear=np.ones(9, bool))
    series.values["steps"][3] = 2
    windows = make_windows({"a": series}, Look("steps", REACH), [Issue("a", 8, 8)])
    model = SeasonalNaive(7, REACH, {"steps": pooled([(series, 8)], "steps")})
    np.testing.assert_array_equal(model.predict(windows)[0, :, 1], np.full(SLOTS, 5))
