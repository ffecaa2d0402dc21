"""Scores of forecasts in numpy: WQL is the headline, the others stand beside it.

Everywhere: truth (day, 96) with NaN = not scored, forecast (day, 96, 4) = q10, q50, q90, mean.
Must not know any model.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fitstream.trainer.data import SLOTS, Floats, Ints, Series

LEVELS = (0.1, 0.5, 0.9)
MEAN = 3
Doubles = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A relative difference of two WQLs (−0.02 = 2 % better) with its 95 % bootstrap interval."""

    difference: float
    low: float
    high: float


def pinball(truth: Floats, forecast: Floats) -> Doubles:
    """(day, 96): twice the pinball loss, mean over the levels; 0 where nothing is scored.

    Source: Park et al. 2022, and GluonTS `mean_weighted_sum_quantile_loss`.
    """
    y = np.nan_to_num(truth.astype(np.float64))[..., None]  # (day, slot, 1)
    error = y - forecast[..., : len(LEVELS)]  # (day, slot, level)
    levels = np.asarray(LEVELS)
    loss = 2 * np.maximum(levels * error, (levels - 1) * error).mean(axis=-1)  # (day, slot)
    return np.where(np.isfinite(truth), loss, 0.0)


def wql(truth: Floats, forecast: Floats) -> float:
    """Weighted quantile loss: the sum of `pinball` over the sum of |truth|; NaN without truth."""
    return _ratio(float(pinball(truth, forecast).sum()), float(np.nansum(np.abs(truth))))


def rmse(truth: Floats, forecast: Floats) -> float:
    """Root of the mean squared error of the mean forecast; NaN without truth."""
    error = (truth.astype(np.float64) - forecast[..., MEAN])[np.isfinite(truth)]
    return float(np.sqrt((error**2).mean())) if len(error) else float("nan")


def mase(truth: Floats, forecast: Floats, scale: Doubles) -> float:
    """Mean over scored slots of |truth − q50| / the customer's own in-sample day-naive error.

    Source: Hyndman and Koehler 2006, season 96. `scale` is (day,), see `naive_scale`.
    """
    error = np.abs(truth - forecast[..., 1]) / scale[:, None]
    return float(np.nanmean(error)) if np.isfinite(error).any() else float("nan")


def naive_scale(series: Series, target: str, before: int) -> float:
    """Mean |y(t) − y(t − 96)| over the wear days before a row; NaN when there are no such pairs."""
    rows = series.worn(target)[: max(before, 0)].astype(np.float64)
    steps = np.abs(np.diff(rows, axis=0))
    scale = float(np.nanmean(steps)) if np.isfinite(steps).any() else float("nan")
    return scale if scale > 0 else float("nan")


def wape(truth: Floats, forecast: Floats, slots: int) -> float:
    """WAPE of the mean over blocks of `slots` (4 = hourly, 96 = daily).

    Sums over a block count only the slots that were measured, on both sides.
    """
    measured = np.isfinite(truth)
    blocks = (len(truth), SLOTS // slots, slots)
    real = np.where(measured, truth, 0).astype(np.float64).reshape(blocks).sum(axis=2)
    mean = np.where(measured, forecast[..., MEAN], 0).astype(np.float64).reshape(blocks).sum(axis=2)
    return _ratio(float(np.abs(real - mean).sum()), float(np.abs(real).sum()))


def tails(truth: Floats, forecast: Floats) -> tuple[float, float]:
    """Shares of truths strictly below q10 and strictly above q90; coverage is 1 − both."""
    scored = np.isfinite(truth)
    if not scored.any():
        return float("nan"), float("nan")
    y, q = truth[scored], forecast[scored]
    return float((y < q[:, 0]).mean()), float((y > q[:, 2]).mean())


def summary(truth: Floats, forecast: Floats, scale: Doubles) -> dict[str, float]:
    """All scores of one model and target."""
    below, above = tails(truth, forecast)
    return {
        "wql": wql(truth, forecast),
        "mase": mase(truth, forecast, scale),
        "rmse": rmse(truth, forecast),
        "coverage": 1 - below - above,
        "below_q10": below,
        "above_q90": above,
        "hourly_wape": wape(truth, forecast, 4),
        "daily_wape": wape(truth, forecast, SLOTS),
    }


class Losses(NamedTuple):
    """What a paired bootstrap resamples: sums per unit (customer or day), each (unit,)."""

    challenger: Doubles
    baseline: Doubles
    size: Doubles


def paired_losses(truth: Floats, challenger: Floats, baseline: Floats, unit: Ints) -> Losses:
    """Sums per unit of both losses and of |truth|; `unit` (day,) numbers the unit of each day."""
    units = int(unit.max(initial=-1)) + 1

    def total(per_slot: Doubles) -> Doubles:
        sums = np.bincount(unit, weights=per_slot.sum(axis=1), minlength=units)
        return sums.astype(np.float64)

    size = np.nan_to_num(np.abs(truth)).astype(np.float64)
    return Losses(total(pinball(truth, challenger)), total(pinball(truth, baseline)), total(size))


def paired_bootstrap(losses: Losses, seed: int, draws: int = 2000) -> Interval:
    """Relative WQL difference, challenger against baseline, units resampled with replacement."""
    units = len(losses.size)
    base = float(losses.baseline.sum())
    if units == 0 or base <= 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    difference = float(losses.challenger.sum()) / base - 1
    if units == 1:
        return Interval(difference, float("-inf"), float("inf"))
    counts = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=draws)
    lower = np.maximum(counts @ losses.baseline, 1e-12)
    draws_of = counts @ losses.challenger / lower - 1  # (draw,)
    low, high = np.quantile(draws_of, (0.025, 0.975))
    return Interval(difference, float(low), float(high))


def _ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom > 0 else float("nan")
