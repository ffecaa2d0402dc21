"""Scores, computed by hand."""

from dataclasses import replace
from math import inf, isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream.trainer.data import SLOTS, Floats
from fitstream.trainer.metrics import (
    Losses,
    mase,
    naive_scale,
    paired_bootstrap,
    paired_losses,
    pinball,
    rmse,
    summary,
    tails,
    wape,
    wql,
)
from tests.unit.trainer_factories import make_series


def day(*values: float) -> Floats:
    """A day whose first slots are these, the rest not measured."""
    rows = np.full((1, SLOTS), np.nan, np.float32)
    rows[0, : len(values)] = values
    return rows


def forecast(*slots: tuple[float, float, float, float]) -> Floats:
    """(q10, q50, q90, mean) of the first slots."""
    rows = np.zeros((1, SLOTS, 4), np.float32)
    if slots:
        rows[0, : len(slots)] = slots
    return rows


def test_pinball_loss_by_hand() -> None:
    loss = pinball(day(10), forecast((4, 8, 20, 9)))
    by_hand = 2 * (0.1 * 6 + 0.5 * 2 + 0.1 * 10) / 3
    assert loss[0, 0] == pytest.approx(by_hand)
    assert loss[0, 1:].sum() == 0


def test_wql_is_the_summed_loss_over_the_summed_truth() -> None:
    truth, made = day(10, 0, 30), forecast((4, 8, 20, 9), (0, 0, 10, 3), (30, 30, 30, 30))
    by_hand = (2 * 2.6 / 3 + 2 * (0.1 * 10) / 3) / 40
    assert wql(truth, made) == pytest.approx(by_hand)


def test_a_perfect_forecast_has_no_loss() -> None:
    truth = day(10, 20, 30)
    made = np.repeat(np.nan_to_num(truth)[..., None], 4, axis=2)
    assert (wql(truth, made), rmse(truth, made), wape(truth, made, 4)) == (0, 0, 0)


def test_scores_without_truth_are_unknown() -> None:
    nothing, made = day(), forecast()
    for score in (wql(nothing, made), rmse(nothing, made), wape(nothing, made, 4)):
        assert isnan(score)
    assert isnan(mase(nothing, made, np.array([1.0])))
    assert all(isnan(share) for share in tails(nothing, made))
    assert all(isnan(value) for value in summary(nothing, made, np.array([1.0])).values())


def test_rmse_scores_the_mean_and_mase_the_median() -> None:
    truth, made = day(10, 20), forecast((0, 8, 99, 7), (0, 26, 99, 16))
    assert rmse(truth, made) == pytest.approx(sqrt((9 + 16) / 2))
    assert mase(truth, made, np.array([2.0])) == pytest.approx((2 + 6) / 2 / 2)


def test_a_customer_without_a_scale_is_left_out_of_mase() -> None:
    truth = np.concatenate([day(10), day(10)])
    made = np.concatenate([forecast((0, 8, 99, 7)), forecast((0, 0, 99, 7))])
    assert mase(truth, made, np.array([2.0, np.nan])) == pytest.approx(1)


def test_the_naive_scale_is_the_mean_daily_change_of_wear_days() -> None:
    rows = np.stack([np.full(SLOTS, value, np.float32) for value in (1, 4, 100, 2, 3)])
    wear = np.array([True, True, False, True, True])
    series = replace(make_series(days=5), values={"steps": rows}, wear=wear)
    assert naive_scale(series, "steps", 5) == pytest.approx((3 + 1) / 2)
    assert naive_scale(series, "steps", 2) == pytest.approx(3)
    for before in (-3, 0, 1):
        assert isnan(naive_scale(series, "steps", before))


def test_hourly_and_daily_wape_let_errors_cancel_within_their_block() -> None:
    truth, made = day(10, 0, 0, 0, 10), forecast((0, 0, 0, 0), (0, 0, 0, 10), *[(0, 0, 0, 0)] * 3)
    assert wape(truth, made, 1) == pytest.approx(30 / 20)
    assert wape(truth, made, 4) == pytest.approx(10 / 20)
    assert wape(truth, made, SLOTS) == pytest.approx(10 / 20)


def test_wape_counts_only_measured_slots_on_both_sides() -> None:
    truth, made = day(10, np.nan), forecast((0, 0, 0, 10), (0, 0, 0, 99))
    assert wape(truth, made, 4) == 0


def test_tails_are_strict_and_coverage_is_what_lies_between() -> None:
    truth = day(1, 2, 3, 4)
    made = forecast((2, 0, 3, 0), (2, 0, 3, 0), (2, 0, 3, 0), (2, 0, 3, 0))
    assert tails(truth, made) == (0.25, 0.25)
    assert summary(truth, made, np.array([1.0]))["coverage"] == pytest.approx(0.5)


def test_losses_are_summed_by_customer() -> None:
    truth = np.concatenate([day(10), day(20), day(30)])
    perfect = np.repeat(np.nan_to_num(truth)[..., None], 4, axis=2)
    zero = np.zeros_like(perfect)
    losses = paired_losses(truth, perfect, zero, np.array([1, 0, 1]))
    assert losses.challenger.tolist() == [0, 0]
    assert losses.baseline.tolist() == pytest.approx([2 * 1.5 * 20 / 3, 2 * 1.5 * 40 / 3])
    assert losses.size.tolist() == [20, 40]


def test_a_difference_is_certain_only_when_most_units_agree() -> None:
    base = np.full(12, 10.0)
    better = paired_bootstrap(Losses(base * 0.9, base, base), 0)
    assert better.difference == pytest.approx(-0.1)
    assert better.high < 0
    mixed = base * np.where(np.arange(12) % 2, 0.7, 1.25)
    assert paired_bootstrap(Losses(mixed, base, base), 0).high > 0


def test_one_unit_or_none_decides_nothing() -> None:
    one = np.array([1.0])
    assert paired_bootstrap(Losses(one * 0.5, one, one), 0) == (-0.5, -inf, inf)
    none = np.array([])
    assert all(isnan(each) for each in paired_bootstrap(Losses(none, none, none), 0))
    zero = np.zeros(6)
    assert all(isnan(each) for each in paired_bootstrap(Losses(zero, zero, zero), 0))


@given(st.integers(0, 5), st.integers(2, 20))
def test_an_interval_holds_its_difference_and_repeats_with_its_seed(seed: int, units: int) -> None:
    rng = np.random.default_rng(seed)
    losses = Losses(*(rng.random(units) + 0.1 for _ in range(3)))
    found = paired_bootstrap(losses, seed, draws=400)
    assert found.low <= found.difference <= found.high
    assert found == paired_bootstrap(losses, seed, draws=400)
