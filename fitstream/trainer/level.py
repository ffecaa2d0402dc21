"""How far a target has moved since each past day, as far as that carries over to the forecast.

Resting heart rates drift over days and carry the evening into the night; steps and calories do not
(measured: no gain). Must not look at or after the cut of an issue.
"""

import numpy as np

from fitstream.trainer.data import SLOTS, Floats

DRIFTING = ("heart_rate_bpm",)
_MEMORY = 0.5  # weight of a day against the one after it
_EVENING = 8  # slots before midnight
_LASTING, _FADING, _EVENING_SHARE = np.float32(0.2), np.float32(0.6), np.float32(0.4)
_FADE_SLOTS = 16.0
_MOST = 20.0


def shifts(rows: Floats, day: int, cut: int, days: int) -> Floats:
    """(days, 96): what to add to the values of each lag; 0 where it cannot be told.

    `rows` (day, 96) are the worn days before the cut; `days` lags count back from `day`.
    """
    rows = rows[: max(cut, 0)]
    level, evening = _levels(rows), _evenings(rows)
    ahead = max(day - cut, 0)
    now = len(rows)
    then = day - np.arange(1, days + 1) - ahead  # what was known equally long before that day
    known = (then >= 0) & (then <= now)
    then = np.clip(then, 0, now)
    fade = np.exp(-(np.arange(SLOTS) + ahead * SLOTS) / _FADE_SLOTS).astype(np.float32)  # (slot,)
    moved = np.where(known, np.nan_to_num(level[now] - level[then]), 0)[:, None]  # (lag, 1)
    late = np.where(known, np.nan_to_num(evening[now] - evening[then]), 0)[:, None]  # (lag, 1)
    shift = moved * (_LASTING + _FADING * fade) + late * _EVENING_SHARE * fade  # (lag, slot)
    bounded: Floats = np.clip(shift, -_MOST, _MOST, dtype=np.float32)
    return bounded


def _levels(rows: Floats) -> Floats:
    """(day + 1,): running mean of the days before each row; NaN before the first measured one."""
    measured = np.isfinite(rows)
    count = np.count_nonzero(measured, axis=1)
    sums = np.where(measured, rows, 0) @ np.ones(rows.shape[1])
    means = (sums / np.maximum(count, 1)).tolist()
    total = weight = 0.0
    levels = [np.nan]
    for mean, is_known in zip(means, (count > 0).tolist(), strict=True):
        total, weight = total * _MEMORY, weight * _MEMORY
        if is_known:
            total, weight = total + mean, weight + 1
        levels.append(total / weight if weight > 0 else np.nan)
    return np.array(levels, np.float32)


def _evenings(rows: Floats) -> Floats:
    """(day + 1,): how far the evening before each row was off its usual; NaN = not measured."""
    late = rows[:, -_EVENING:]
    measured = np.isfinite(late)
    filled = np.where(measured, late, 0)
    usual = filled.sum(axis=0) / np.maximum(measured.sum(axis=0), 1)  # (evening slot,)
    off = np.where(measured, late - usual, 0).sum(axis=1)
    count = measured.sum(axis=1)
    before = np.where(count > 0, off / np.maximum(count, 1), np.nan)
    return np.concatenate([[np.nan], before]).astype(np.float32)
