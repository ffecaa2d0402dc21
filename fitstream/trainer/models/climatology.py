"""Weighted climatology: a slot's forecast is the weighted distribution of the customer's own past.

Beside their own days a few days' worth of the cohort's count, those of customers alike most. Needs
no fit beyond the choice of a kernel, works from two days on, and must not need torch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from fitstream.trainer.cohort import Cohort
from fitstream.trainer.data import SLOTS, Floats, Series
from fitstream.trainer.metrics import LEVELS, pinball
from fitstream.trainer.models.kernel import (
    PARTS,
    Doubles,
    Kernel,
    blurred_levels,
    key_weights,
    weighted_mean,
    weighted_quantiles,
)
from fitstream.trainer.windows import SATURDAY, Look, Reach, Windows

SCALES: Mapping[str, tuple[float, ...]] = {
    "half_life_days": (0.5, 2.0, 4.0),
    "prior_days": (0.5, 2.0),
    "sd_slots": (0.75, 1.3),
    "class_factor": (0.5, 1.8),
    "weekday_factor": (0.75, 1.5),
}
OUTPUTS = len(LEVELS) + 1
MIN_OWN_DAYS = 2
_PART_SLOTS = SLOTS // PARTS


@dataclass(frozen=True, eq=False)
class Climatology:
    """Kernel and cohort per target, and the cohort's pooled slots for customers without history.

    `pool[target]` is (2, 96, 4): weekday and weekend; q10, q50, q90, mean; NaN = nobody measured.
    """

    reach: Reach
    kernels: Mapping[str, Kernel]
    pool: Mapping[str, Floats]
    cohorts: Mapping[str, Cohort]

    kind = "weighted_climatology"

    @property
    def targets(self) -> tuple[str, ...]:
        """What it can forecast."""
        return tuple(self.kernels)

    def look(self, target: str) -> Look:
        """What its windows of a target are made of."""
        return Look(target, self.reach, self.cohorts.get(target))

    def predict(self, windows: Windows) -> Floats:
        """(n, 96, 4): q10, q50, q90, mean of each slot, from own history or the cohort's."""
        own = predict_own(self.kernels[windows.target], windows)
        return fill_from_pool(own, self.pool[windows.target], windows)


@dataclass(frozen=True, eq=False)
class PlainClimatology:
    """Every wear day counts alike, two slots to each side: what a few lines of code would do.

    A baseline, never promoted.
    """

    reach: Reach
    pool: Mapping[str, Floats]

    kind = "climatology"

    def look(self, target: str) -> Look:
        """Own past alone."""
        return Look(target, self.reach)

    def predict(self, windows: Windows) -> Floats:
        """(n, 96, 4): plain quantiles and mean of each slot."""
        near = np.abs(np.arange(windows.reach.width) - windows.reach.slots) <= 2
        table = np.zeros((PARTS, windows.reach.all_keys + 1))  # (part, key)
        table[:, : windows.reach.keys] = np.tile(near.astype(float), windows.reach.days)
        tables = np.broadcast_to(table, (len(windows), *table.shape))
        return fill_from_pool(_predict(tables, windows, 0.0), self.pool[windows.target], windows)


def predict_own(kernel: Kernel, windows: Windows) -> Floats:
    """(n, 96, 4): from own history and the cohort's like it; NaN where a slot has no value."""
    n, keys = len(windows), windows.reach.all_keys
    tables = np.zeros((n, PARTS, keys + 1))  # the last key stands for what was not measured
    tables[..., :keys] = key_weights(kernel, windows.weekday, windows.reach)
    return _predict(tables, windows, kernel.blur)


def _predict(tables: Doubles, windows: Windows, blur: float) -> Floats:
    n, keys = len(windows), windows.reach.all_keys
    levels = blurred_levels(LEVELS, blur)
    out = np.empty((n, SLOTS, OUTPUTS), np.float32)
    weights = np.empty((PARTS, _PART_SLOTS, keys))
    for i in range(n):  # one window at a time stays in the cache
        order = windows.order[i].reshape(PARTS, _PART_SLOTS, keys)
        for part in range(PARTS):
            np.take(tables[i, part], order[part], out=weights[part], mode="clip")
        values, flat, count = windows.values[i], weights.reshape(SLOTS, keys), windows.count[i]
        quantiles = weighted_quantiles(values, flat, count, levels)
        out[i, :, :-1] = quantiles.reshape(SLOTS, len(LEVELS), -1).mean(axis=2)
        out[i, :, -1] = weighted_mean(values, flat)
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


def choose_kernel(windows: Windows, unit: npt.NDArray[np.int64], start: Kernel) -> Kernel:
    """The start, its factors scaled one after the other where validation windows ask for it.

    A scale is taken only when its gain is larger than its standard error over the units (customers)
    of the windows: a few days must not overturn what holds for most people.
    """
    best = start
    if len(windows) == 0:
        return best
    losses = _losses(best, windows, unit)
    for name, scales in SCALES.items():
        kernels = [scaled(best, name, by) for by in scales]
        tried = [(kernel, _losses(kernel, windows, unit)) for kernel in kernels]
        kernel, other = min(tried, key=lambda each: float(each[1].sum()))
        if _is_gain(losses - other):
            best, losses = kernel, other
    return best


def scaled(kernel: Kernel, name: str, by: float) -> Kernel:
    """The kernel with one factor larger or smaller; day classes never weigh more than alike."""
    value = getattr(kernel, name)
    if isinstance(value, tuple):
        most = 1.0 if name == "class_factor" else np.inf
        least = 1.0 if name == "weekday_factor" else 0.0
        changed = tuple(float(min(max(each * by, least), most)) for each in value)
        return msgspec.structs.replace(kernel, **{name: changed})
    return msgspec.structs.replace(kernel, **{name: value * by})


def _losses(kernel: Kernel, windows: Windows, unit: npt.NDArray[np.int64]) -> Doubles:
    """(unit,): summed pinball loss of each customer."""
    forecast = predict_own(kernel, windows)
    scored = np.where(np.isfinite(forecast[..., 0]), windows.truth, np.nan)
    per_day = pinball(scored, np.nan_to_num(forecast)).sum(axis=1)
    units = int(unit.max(initial=-1)) + 1
    return np.bincount(unit, weights=per_day, minlength=units).astype(np.float64)


def _is_gain(gains: Doubles) -> bool:
    """Whether the summed gain of the units is larger than its standard error."""
    if len(gains) < 2:
        return False
    error = float(gains.std(ddof=1)) * float(np.sqrt(len(gains)))
    return float(gains.sum()) > error
