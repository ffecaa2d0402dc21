"""A day's total: the median of the totals of like days, each slot keeping its share."""

from dataclasses import replace

import numpy as np
import pytest

from fitstream.trainer.cohort import no_cohort
from fitstream.trainer.data import SLOTS, Series
from fitstream.trainer.daytotals import Ratios, day_totals, wider_of
from fitstream.trainer.metrics import MEAN
from fitstream.trainer.models.blend import Blend
from fitstream.trainer.models.climatology import Climatology, pooled, predict_own
from fitstream.trainer.models.daylevel import day_factors, day_ratios
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.registry import Artifact, dump, load
from fitstream.trainer.windows import Issue, Look, Reach, Windows, make_windows
from tests.unit.trainer_factories import even_kernel, make_series

REACH = Reach(28, 1)
KERNEL = even_kernel(half_life=1e6, same_class=1.0, weekday=1.0)


def days_of(totals: list[float], target: str = "steps") -> Series:
    """Days of one shape with these totals."""
    course = np.clip(np.sin(np.linspace(-np.pi / 2, 1.5 * np.pi, SLOTS)), 0.05, 1)
    rows = np.outer(totals, course / course.sum()).astype(np.float32)
    series = make_series(days=len(totals))
    return replace(series, values={target: rows}, wear=np.ones(len(totals), bool))


def window(series: Series, target: str = "steps") -> Windows:
    issue = Issue("a", series.days, series.days)
    return make_windows({"a": series}, Look(target, REACH), [issue])


def factor(series: Series, target: str = "steps") -> float:
    windows = window(series, target)
    means = predict_own(KERNEL, windows)[..., MEAN]
    return float(day_factors(KERNEL, windows, means)[0])


def test_one_outlying_day_does_not_lift_the_next_days_total() -> None:
    usual = [9000, 9500, 9900, 10000, 10100, 10400, 10500, 11000] * 3
    series = days_of([*usual, 60000])
    windows = window(series)
    base = Climatology(REACH, {"steps": KERNEL}, {"steps": pooled([(series, 25)], "steps")}, {})
    for model in (base, Blend(base)):
        total = model.predict(windows)[0, :, MEAN].sum()
        assert 9500 < total < 10600  # the mean of all days is 12,000
    raw = predict_own(KERNEL, windows)[0, :, MEAN]
    assert raw.sum() > 11500
    np.testing.assert_allclose(base.predict(windows)[0, :, MEAN] / raw, factor(series), rtol=1e-5)


def test_it_is_the_median_of_own_days_and_of_four_of_anybodys_around_the_sum_of_means() -> None:
    series = days_of([8000.0] * 6 + [14000.0] * 8)
    total = predict_own(KERNEL, window(series))[0, :, MEAN].sum(dtype=float)
    assert total == pytest.approx(80000 / 7, rel=2e-3)
    # of 18 days' weight six lie at 8,000; the median is the ninth, of those around the sum
    assert total * 0.9 < factor(series) * total < total * 1.6
    assert factor(days_of([8000.0] * 10 + [14000.0] * 3)) * 13 == pytest.approx(
        13 * 8000 / (122000 / 13), rel=2e-3
    )


def test_heart_rates_and_days_without_any_past_keep_their_level() -> None:
    assert factor(days_of([9000.0] * 9 + [20000.0]), "steps") < 1
    heart = days_of([6000.0] * 9 + [9000.0], "heart_rate_bpm")
    assert factor(heart, "heart_rate_bpm") == 1
    windows = window(make_series(days=3).before(0))
    assert day_factors(KERNEL, windows, np.full((1, SLOTS), np.nan, np.float32)).tolist() == [1]


def test_a_day_measured_for_less_than_half_has_no_total() -> None:
    series = days_of([9000.0] * 8 + [30000.0] * 8)
    half = days_of([9000.0] * 8 + [30000.0] * 8)
    half.values["steps"][8:, 40:] = np.nan  # only nights are left of the lively days
    assert factor(half) < factor(series)


def test_a_day_of_which_a_part_was_measured_counts_by_the_share_of_a_usual_day_in_it() -> None:
    """Calories of the mornings alone: the afternoons are livelier, but nobody took them."""
    course = np.concatenate([np.full(48, 15.0), np.full(48, 45.0)]).astype(np.float32)
    rows = np.outer([0.95, 1.0, 1.05] * 8, course).astype(np.float32)
    rows[12:, 48:] = np.nan
    series = make_series(days=24)
    series = replace(series, values={"calories_kcal": rows}, wear=np.ones(24, bool))
    assert factor(series, "calories_kcal") == pytest.approx(1, abs=0.02)


def test_days_of_which_only_a_quiet_part_was_measured_have_no_total() -> None:
    series = days_of([9000.0] * 8 + [30000.0] * 8)
    nights = days_of([9000.0] * 8 + [30000.0] * 8)
    nights.values["steps"][8:, 16:80] = np.nan
    nights.values["steps"][8:, :16] = 0
    assert factor(nights) < factor(series)


def test_a_slot_that_was_never_measured_does_not_keep_the_level_from_being_told() -> None:
    usual = days_of([9000.0] * 9 + [20000.0] * 4)
    gap = days_of([9000.0] * 9 + [20000.0] * 4)
    gap.values["steps"][:, 45:56] = np.nan  # a watch that is always charged then
    assert factor(gap) == pytest.approx(factor(usual), rel=0.02)
    assert factor(gap) < 0.95
    windows = window(gap)
    means = predict_own(KERNEL, windows)[..., MEAN]
    assert np.isnan(means).any()
    assert not np.allclose(day_ratios(KERNEL, windows, means, (0.7, 1.4)), [[0.7, 1.4]])


def test_own_days_widen_or_narrow_the_interval_of_a_total() -> None:
    others = (0.7, 1.4)
    calm = days_of([9000.0, 9200, 9400, 9600, 9800] * 5)
    wild = days_of([3000.0, 5000, 9000, 14000, 20000] * 5)
    found = []
    for series in (calm, wild):
        windows = window(series)
        model = Blend(
            Climatology(REACH, {"steps": KERNEL}, {"steps": pooled([(series, 25)], "steps")}, {}),
            day_ratios={"steps": Ratios(*others)},
        )
        forecast = model.predict(windows)
        (ratios,) = model.total_ratios(windows, forecast)
        assert ratios[0] <= 1 <= ratios[1]
        found.append(ratios)
        low, middle, high = day_totals(forecast, model.total_ratios(windows, forecast))[0]
        assert (low, high) == pytest.approx((ratios[0] * middle, ratios[1] * middle))
    assert found[0][0] > 0.85
    assert found[0][1] < 1.2
    assert found[1][0] < 0.6
    assert found[1][1] > 1.6


def held_out(days: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Truth and forecast of days whose totals lie around the forecast's, so far apart."""
    rng = np.random.default_rng(5)
    totals = np.exp(rng.normal(0, spread, days))
    forecast = np.full((days, SLOTS, 4), 100, np.float32)
    truth = (100 * np.repeat(totals[:, None], SLOTS, axis=1)).astype(np.float32)
    truth[:, ::3] = np.nan  # a total is compared over the slots that were measured
    return truth, forecast


def test_intervals_that_held_out_days_find_too_narrow_are_widened_until_8_in_10_lie_inside() -> (
    None
):
    served = np.tile([0.9, 1.1], (2000, 1))
    truth, forecast = held_out(2000, spread=0.15)
    ratio = np.nansum(truth, axis=1) / np.where(np.isfinite(truth), 100, 0).sum(axis=1)
    assert ((ratio >= 0.9) & (ratio <= 1.1)).mean() < 0.6
    wider = wider_of(truth, forecast, served)
    low, high = 1 - wider * 0.1, 1 + wider * 0.1
    assert ((ratio >= low) & (ratio <= high)).mean() == pytest.approx(0.8, abs=0.02)
    few = wider_of(truth[:6], forecast[:6], served[:6])
    assert 1 <= few < 1 + (wider - 1) / 3  # six days say little
    assert wider_of(truth, forecast, np.tile([0.5, 2.0], (2000, 1))) == 1  # never narrower
    untold = forecast.copy()
    untold[1000:, 5, MEAN] = np.nan  # a slot that nobody ever measured
    assert wider_of(truth, untold, served) == pytest.approx(wider, abs=0.1)
    truth[:, 10:] = np.nan
    assert wider_of(truth, forecast, served) == 1  # nothing was measured enough


def test_own_intervals_are_as_much_wider_as_the_model_says_and_old_models_say_nothing() -> None:
    series = days_of([7000.0, 8000, 9000, 10000, 11000] * 5)
    windows = window(series)
    means = predict_own(KERNEL, windows)[..., MEAN]
    plain = day_ratios(KERNEL, windows, means, Ratios(0.7, 1.4))
    wider = day_ratios(KERNEL, windows, means, Ratios(0.7, 1.4, 1.5))
    assert (1 - wider[:, 0]).tolist() == pytest.approx((1.5 * (1 - plain[:, 0])).tolist())
    assert (wider[:, 1] - 1).tolist() == pytest.approx((1.5 * (plain[:, 1] - 1)).tolist())
    base = Climatology(REACH, {"steps": KERNEL}, {"steps": pooled([(series, 25)], "steps")}, {})
    cohort = replace(base, cohorts={"steps": no_cohort()})
    made = Blend(cohort, day_ratios={"steps": Ratios(0.7, 1.4, 1.5)})
    body, card = dump(Artifact(made, Recipe(), {}), dataset_hash="d", created_at="t")
    assert load(body, card).day_ratios == made.day_ratios
    card["day_ratios"] = {"steps": [0.7, 1.4]}
    assert load(body, card).day_ratios == {"steps": Ratios(0.7, 1.4, 1.0)}


def test_without_own_days_and_for_heart_rates_the_interval_is_everybodys() -> None:
    nobody = window(make_series(days=3).before(0))
    flat = np.full((1, SLOTS), 100, np.float32)
    np.testing.assert_allclose(day_ratios(KERNEL, nobody, flat, (0.7, 1.4)), [[0.7, 1.4]], rtol=0.1)
    heart = window(days_of([6000.0] * 9, "heart_rate_bpm"), "heart_rate_bpm")
    assert day_ratios(KERNEL, heart, flat, (0.93, 1.07)).tolist() == [[0.93, 1.07]]
