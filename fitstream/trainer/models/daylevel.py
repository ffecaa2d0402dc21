"""How lively a whole day will be: its slots' means are moved so that they sum to a likelier total.

A sum of means follows every outlying day; the median of the totals of like days does not, and is
nearer to the truth (measured, also by squared error). Each slot keeps its share of the total. Must
not need torch.
"""

from statistics import NormalDist

import numpy as np

from fitstream.trainer.data import SLOTS, Floats
from fitstream.trainer.daytotals import USUAL
from fitstream.trainer.metrics import Doubles
from fitstream.trainer.models.kernel import Kernel, day_weights
from fitstream.trainer.windows import Windows

LEVELLED = ("steps", "calories_kcal")  # heart rates drift: the median of past days lags behind
_PRIOR = 31
_PRIOR_DAYS = 4.0  # how many days anybody's spread around the sum of the means is worth
_LEAST_SLOTS = 48
_MOST = 1.5
_TAIL = NormalDist().inv_cdf(0.9)
_NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / _PRIOR) for i in range(_PRIOR)])


def day_factors(kernel: Kernel, windows: Windows, means: Floats) -> Floats:
    """(n,): what the means (n, 96) of each day are multiplied by; 1 where it cannot be told."""
    total = means.sum(axis=1, dtype=np.float64)  # (n,)
    known = np.isfinite(total) & (total > 0)
    if windows.target not in LEVELLED or not known.any():
        return np.ones(len(windows), np.float32)
    total = np.where(known, total, 1)
    factors = np.clip(_medians(kernel, windows, total) / total, 1 / _MOST, _MOST)
    return np.where(known, factors, 1).astype(np.float32)


def _medians(kernel: Kernel, windows: Windows, total: Doubles) -> Doubles:
    """(n,): weighted medians of the totals of past days, and anybody's around the given ones."""
    own, is_whole = _totals(windows)  # (n, lag) each
    weights = day_weights(kernel, windows.weekday, windows.reach).mean(axis=1) * is_whole
    low, high = USUAL[windows.target]
    spread = np.where(_NORMAL < 0, -np.log(low), np.log(high)) / _TAIL
    others = total[:, None] * np.exp(_NORMAL * spread)  # (n, 31)
    values = np.concatenate([own, others], axis=1)
    weights = np.concatenate([weights, np.full_like(others, _PRIOR_DAYS / _PRIOR)], axis=1)
    order = np.argsort(values, axis=1)
    values, weights = (np.take_along_axis(each, order, axis=1) for each in (values, weights))
    through = np.cumsum(weights, axis=1)  # (n, lag + 31)
    middle = (through >= through[:, -1:] / 2).argmax(axis=1)  # (n,)
    found: Doubles = np.take_along_axis(values, middle[:, None], axis=1)[:, 0]
    return found


def _totals(windows: Windows) -> tuple[Doubles, Floats]:
    """(n, lag) each: a past day's total as if measured all day, and 1 where half of it was."""
    rows = windows.anchors  # (n, lag, slot)
    count = windows.measured_slots  # (n, lag)
    sums = np.nansum(rows, axis=2, dtype=np.float64)
    return sums * (SLOTS / np.maximum(count, 1)), (count >= _LEAST_SLOTS).astype(np.float32)
