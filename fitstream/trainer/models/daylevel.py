"""How lively a whole day will be: a distribution of its total, from the totals of like days.

A sum of means follows every outlying day; the median of the totals of like days does not, and is
nearer to the truth (measured, also by squared error). So the slots' means are moved to sum to it,
each keeping its share. The outer quantiles are the total's own interval. Must not need torch.
"""

from statistics import NormalDist

import numpy as np

from fitstream.trainer.data import Bools, Floats
from fitstream.trainer.daytotals import USUAL, Ratios
from fitstream.trainer.metrics import LEVELS, Doubles
from fitstream.trainer.models.kernel import Kernel, day_weights
from fitstream.trainer.windows import Windows

LEVELLED = ("steps", "calories_kcal")  # heart rates drift: the median of past days lags behind
_PRIOR = 31
_PRIOR_DAYS = 4.0  # how many days others' spread around the sum of the means is worth
_LEAST_SLOTS = 48
_LEAST_SHARE = 0.25  # of a usual day's total that a past day's measured slots must hold
_MOST = 1.5
_TAIL = NormalDist().inv_cdf(LEVELS[2])
_NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / _PRIOR) for i in range(_PRIOR)])


def day_factors(kernel: Kernel, windows: Windows, means: Floats) -> Floats:
    """(n,): what the means (n, 96) of each day are multiplied by; 1 where it cannot be told."""
    if windows.target not in LEVELLED:
        return np.ones(len(windows), np.float32)
    total, known = _totals(means)
    median = _quantiles(kernel, windows, means, USUAL[windows.target])[:, 1]
    factors = np.clip(median / total, 1 / _MOST, _MOST)
    return np.where(known, factors, 1).astype(np.float32)


def day_ratios(kernel: Kernel, windows: Windows, means: Floats, others: Ratios) -> Doubles:
    """(n, 2): how far each day's total may lie below and above its forecast `means` (n, 96).

    `others` are everybody's ratios on held-out days; own days count beside them where the target
    has days to count, and then the interval is as much wider as held-out days have asked for.
    """
    low, high, wider = Ratios(*others)
    pooled = np.tile(np.array((low, high), np.float64), (len(windows), 1))
    if windows.target not in LEVELLED:
        return pooled
    total, known = _totals(means)
    outer = _quantiles(kernel, windows, means, others)[:, [0, 2]] / total[:, None]
    below, above = np.minimum(outer[:, 0], 1), np.maximum(outer[:, 1], 1)
    outer = np.column_stack([1 - wider * (1 - below), 1 + wider * (above - 1)])
    outer = np.maximum(outer, 0)
    return np.where(known[:, None], outer, pooled)


def _totals(means: Floats) -> tuple[Doubles, Bools]:
    """(n,): the sum of the slots that can be told, 1 where there is none, and where there is."""
    total = np.asarray(np.nansum(means, axis=1, dtype=np.float64))
    known = np.asarray(total > 0)
    return np.where(known, total, 1), known


def _quantiles(kernel: Kernel, windows: Windows, means: Floats, others: Ratios) -> Doubles:
    """(n, 3): weighted quantiles of the totals of past days, and of others' around the given.

    Of a day that was measured in part the total is what its slots would add up to, had the others
    been as lively in the forecast's course of the day.
    """
    total, _ = _totals(means)
    course = np.nan_to_num(means) / total[:, None]  # (n, slot)
    share = np.einsum("nls,ns->nl", np.isfinite(windows.anchors), course)  # (n, lag)
    own = windows.day_sums / np.maximum(share, _LEAST_SHARE)
    weights = day_weights(kernel, windows.weekday, windows.reach).mean(axis=1)  # (n, lag)
    is_enough = (windows.measured_slots >= _LEAST_SLOTS) & (share >= _LEAST_SHARE)
    weights = np.where(is_enough, weights, 0)
    low, high, _ = Ratios(*others)
    spread = np.where(_NORMAL < 0, -np.log(low), np.log(high)) / _TAIL
    around = total[:, None] * np.exp(_NORMAL * spread)  # (n, 31)
    values = np.concatenate([own, around], axis=1)
    weights = np.concatenate([weights, np.full_like(around, _PRIOR_DAYS / _PRIOR)], axis=1)
    order = np.argsort(values, axis=1)
    rows = np.arange(len(values))[:, None]
    values, weights = values[rows, order], weights[rows, order]
    middle = np.cumsum(weights, axis=1) - weights / 2  # (n, lag + 31)
    at = np.asarray(LEVELS) * weights.sum(axis=1, keepdims=True)  # (n, level)
    found = [np.interp(*each) for each in zip(at, middle, values, strict=True)]
    return np.array(found, np.float64).reshape(len(windows), len(LEVELS))
