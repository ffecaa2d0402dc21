"""Totals of a day and their own interval: quantiles of slots do not add up to those of a sum.

Source: split-conformal prediction on ratios of past totals to their forecasts; a customer's own
days count beside them (`models/daylevel.py`). Must not look at the days it is applied to.
"""

from collections.abc import Mapping

import numpy as np

from fitstream.trainer.data import Floats
from fitstream.trainer.metrics import LEVELS, MEAN, Doubles

_LEAST_SLOTS = 48
# Without held-out days: what a day of most people is within, as ratios to its forecast.
USUAL: Mapping[str, tuple[float, float]] = {
    "steps": (0.45, 1.6), "calories_kcal": (0.85, 1.17), "heart_rate_bpm": (0.93, 1.07),
}  # fmt: skip
_SHRINK_DAYS = 10.0
Ratios = tuple[float, float]


def ratios_of(target: str, truth: Floats, forecast: Floats) -> Ratios:
    """How far a day's total may lie below and above its forecast, from held-out days (day, 96)."""
    measured = np.isfinite(truth)
    enough = measured.sum(axis=1) >= _LEAST_SLOTS
    real = np.where(measured, truth, 0).sum(axis=1)[enough]
    mean = np.where(measured, forecast[..., MEAN], 0).sum(axis=1)[enough]
    ratio = real / np.maximum(mean, 1e-6)
    trust = len(ratio) / (len(ratio) + _SHRINK_DAYS)
    found = np.quantile(ratio, (LEVELS[0], LEVELS[2])) if len(ratio) else np.array(USUAL[target])
    low, high = trust * found + (1 - trust) * np.array(USUAL[target])
    return float(min(low, 1)), float(max(high, 1))


def day_totals(forecast: Floats, ratios: Ratios | Doubles) -> Doubles:
    """(n, 3): low, mean and high of each forecast day's total, `ratios` being those of all days or
    (n, 2); of heart rates the day's mean."""
    total = forecast[..., MEAN].sum(axis=1, dtype=np.float64)
    low, high = np.asarray(ratios, np.float64).T
    return np.stack([low * total, total, high * total], axis=1)
