"""Weighted climatology: a slot's forecast is the weighted distribution of the customer's own past.

Needs no fit beyond the choice of a kernel, works from two days on, and must not need torch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from fitstream.trainer.data import SLOTS, Floats, Series
from fitstream.trainer.metrics import LEVELS, wql
from fitstream.trainer.models.kernel import (
    SATURDAY,
    Kernel,
    key_weights,
    weighted_mean,
    weighted_quantiles,
)
from fitstream.trainer.windows import Reach, Windows

GRID: Mapping[str, tuple[float, ...]] = {
    "sd_slots": (1.5, 2.0, 2.5),
    "half_life_days": (10.0, 20.0, 40.0),
    "class_factor": (0.3, 0.6, 1.0),
    "weekday_factor": (1.0, 1.5),
}
OUTPUTS = len(LEVELS) + 1
MIN_OWN_DAYS = 2


@dataclass(frozen=True, eq=False)
class Climatology:
    """Kernel per target, and the cohort's pooled slots for customers without history.

    `pool[target]` is (2, 96, 4): weekday and weekend; q10, q50, q90, mean; NaN = nobody measured.
    """

    reach: Reach
    kernels: Mapping[str, Kernel]
    pool: Mapping[str, Floats]

    kind = "weighted_climatology"

    @property
    def targets(self) -> tuple[str, ...]:
        """What it can forecast."""
        return tuple(self.kernels)

    def predict(self, windows: Windows) -> Floats:
        """(n, 96, 4): q10, q50, q90, mean of each slot, from own history or the cohort's."""
        own = predict_own(self.kernels[windows.target], windows)
        return fill_from_pool(own, self.pool[windows.target], windows)


def predict_own(kernel: Kernel, windows: Windows) -> Floats:
    """(n, 96, 4): from own history alone; NaN where a slot has no past value."""
    n, keys = len(windows), windows.reach.keys
    table = np.zeros((n, keys + 1))  # (n, key); the last stands for what was not measured
    table[:, :keys] = key_weights(kernel, windows.weekday, windows.reach)
    out = np.empty((n, SLOTS, OUTPUTS), np.float32)
    weights = np.empty((SLOTS, keys))
    for i in range(n):  # one window at a time stays in the cache
        np.take(table[i], windows.order[i], out=weights, mode="clip")  # (slot, key)
        values, count = windows.values[i], windows.count[i]
        out[i, :, : len(LEVELS)] = weighted_quantiles(values, weights, count, LEVELS)
        out[i, :, len(LEVELS)] = weighted_mean(values, weights)
    return out


def own_history(windows: Windows) -> npt.NDArray[np.bool_]:
    """(n,): whether a customer's own days are enough to stand on."""
    return windows.history_days() >= MIN_OWN_DAYS


def fill_from_pool(forecast: Floats, pool: Floats, windows: Windows) -> Floats:
    """(n, 96, 4): the cohort's slots where own days are too few or a slot was never measured."""
    cohort = pool[(windows.weekday >= SATURDAY).astype(np.int64)]  # (n, slot, output)
    own = own_history(windows)[:, None, None] & np.isfinite(forecast)  # (n, slot, output)
    return np.where(own, forecast, cohort).astype(np.float32)


def pooled(days: Iterable[tuple[Series, int]], target: str) -> Floats:
    """(2, 96, 4): plain quantiles and mean over all customers' wear days, by day class.

    `days` are (series, rows to use from its start);
    weekdays stand in for a weekend that nobody wore.
    """
    rows: list[Floats] = []
    weekend: list[bool] = []
    for series, stop in days:
        worn = series.worn(target)
        for day in (int(d) for d in series.measured_days(target) if d < stop):
            rows.append(worn[day])
            weekend.append(series.weekday(day) >= SATURDAY)
    if not rows:
        return np.full((2, SLOTS, OUTPUTS), np.nan, np.float32)
    flags = np.array(weekend)
    table = np.stack(rows)  # (day, slot)
    classes = [table[flags == each] for each in (False, True)]
    return np.stack([_plain(part if len(part) else table) for part in classes])


def _plain(rows: Floats) -> Floats:
    """(96, 4) of (day, 96): a slot nobody measured takes the quantiles of all slots."""
    out = np.empty((SLOTS, OUTPUTS), np.float32)
    everything = rows[np.isfinite(rows)]
    for slot in range(SLOTS):
        measured = rows[np.isfinite(rows[:, slot]), slot]
        measured = measured if len(measured) else everything
        out[slot] = (*np.quantile(measured, LEVELS), measured.mean())
    return out


def choose_kernel(windows: Windows, start: Kernel | None = None) -> Kernel:
    """The kernel of best WQL on validation windows: one pass over each factor's few values.

    Without a validation window the start is kept.
    """
    best = start or Kernel()
    if len(windows) == 0:
        return best
    seen = {best: _score(best, windows)}
    for name, values in GRID.items():
        tried = [msgspec.structs.replace(best, **{name: value}) for value in values]
        for kernel in tried:
            if kernel not in seen:
                seen[kernel] = _score(kernel, windows)
        best = min([best, *tried], key=lambda kernel: seen[kernel])
    return best


def _score(kernel: Kernel, windows: Windows) -> float:
    forecast = predict_own(kernel, windows)
    scored = np.where(np.isfinite(forecast[..., 0]), windows.truth, np.nan)
    return wql(scored, np.nan_to_num(forecast))
