"""Totals of a day and their own interval: quantiles of slots do not add up to those of a sum.

Source: split-conformal prediction on ratios of past totals to their forecasts; a customer's own
days count beside them (`models/daylevel.py`). Must not look at the days it is applied to.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from fitstream.trainer.data import Bools, Floats
from fitstream.trainer.metrics import LEVELS, MEAN, Doubles

_LEAST_SLOTS = 48


class Ratios(NamedTuple):
    """How far a day's total may lie below and above its forecast.

    An interval from a customer's own days is `wider` times as far on both sides: so much it lacked
    on held-out days.
    """

    low: float
    high: float
    wider: float = 1.0


# Without held-out days: what a day of most people is within, as ratios to its forecast.
USUAL: Mapping[str, Ratios] = {
    "steps": Ratios(0.45, 1.6),
    "calories_kcal": Ratios(0.85, 1.17),
    "heart_rate_bpm": Ratios(0.93, 1.07),
}
_SHRINK_DAYS = 10.0
_INSIDE = 0.8
_WIDER_DAYS = 60.0
_LEAST_REACH = 0.01  # of an interval to one side, as a share of the forecast


def ratios_of(target: str, truth: Floats, forecast: Floats) -> Ratios:
    """How far a day's total may lie below and above its forecast, from held-out days (day, 96)."""
    _, ratio = _real_ratios(truth, forecast)
    trust = len(ratio) / (len(ratio) + _SHRINK_DAYS)
    usual = np.array(USUAL[target][:2])
    found = np.quantile(ratio, (LEVELS[0], LEVELS[2])) if len(ratio) else usual
    low, high = trust * found + (1 - trust) * usual
    return Ratios(float(min(low, 1)), float(max(high, 1)))


def wider_of(truth: Floats, forecast: Floats, served: Doubles) -> float:
    """How many times as wide the intervals `served` (day, 2) of held-out days (day, 96) must be for
    8 in 10 totals to lie inside; at least 1, and nearly that where the days are few.

    Split-conformal: the score of a day is how far its total lies outside, as a share of the
    interval's own reach to that side.
    """
    enough, ratio = _real_ratios(truth, forecast)
    low, high = np.asarray(served, np.float64)[enough].T
    below = (low - ratio) / np.maximum(1 - low, _LEAST_REACH)
    above = (ratio - high) / np.maximum(high - 1, _LEAST_REACH)
    scores = np.sort(np.maximum(below, above))
    if not len(scores):
        return 1.0
    rank = min(math.ceil(_INSIDE * (len(scores) + 1)), len(scores))
    trust = len(scores) / (len(scores) + _WIDER_DAYS)
    return 1 + trust * max(float(scores[rank - 1]), 0.0)


def _real_ratios(truth: Floats, forecast: Floats) -> tuple[Bools, Doubles]:
    """Which days (day, 96) were measured enough and forecast, and the ratios of their totals to the
    forecast's over the same slots."""
    measured = np.isfinite(truth)
    mean = np.where(measured, forecast[..., MEAN], 0).sum(axis=1, dtype=np.float64)
    enough = np.asarray((measured.sum(axis=1) >= _LEAST_SLOTS) & np.isfinite(mean))
    real = np.where(measured, truth, 0).sum(axis=1, dtype=np.float64)[enough]
    return enough, np.asarray(real / np.maximum(mean[enough], 1e-6))


def day_totals(forecast: Floats, ratios: Ratios | Doubles) -> Doubles:
    """(n, 3): low, mean and high of each forecast day's total, `ratios` being those of all days or
    (n, 2); of heart rates the day's mean."""
    total = forecast[..., MEAN].sum(axis=1, dtype=np.float64)
    low, high = np.asarray(ratios, np.float64).T[:2]
    return np.stack([low * total, total, high * total], axis=1)
