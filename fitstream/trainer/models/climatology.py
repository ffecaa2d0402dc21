"""Weighted climatology: a slot's forecast is the weighted distribution of the customer's own past.

Beside their own days a few days' worth of the cohort's count, those of customers alike most. Needs
no fit beyond the choice of a kernel, works from two days on, and must not need torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from fitstream.trainer.cohort import Cohort
from fitstream.trainer.data import SLOTS, Floats, Series
from fitstream.trainer.metrics import LEVELS, MEAN, pinball
from fitstream.trainer.models.daylevel import day_factors
from fitstream.trainer.models.kernel import (
    PARTS,
    Doubles,
    Kernel,
    blurred_levels,
    key_weights,
    weighted_mean,
    weighted_quantiles,
)
from fitstream.trainer.windows import (
    SATURDAY,
    Look,
    Reach,
    Windows,
    numbers_of,
    values_of,
)

HALF_LIVES = (0.5, 2.0, 4.0)  # times that of the start
SCALES: Mapping[str, tuple[float, ...]] = {
    "sd_slots": (0.5, 0.7, 1.4, 2.0),
    "class_factor": (0.35, 0.6, 1.7),
    "weekday_factor": (0.7, 1.5, 2.2),
    "prior_days": (0.3, 0.5, 2.0, 3.5),
}
_PASSES = 2
_TRUST = 0.7  # how far the factors go from the start to what suits these days best
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
        kernel = self.kernels[windows.target]
        own = predict_own(kernel, windows)
        own[..., MEAN] *= day_factors(kernel, windows, own[..., MEAN])[:, None]
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
        table = np.zeros((PARTS, windows.reach.all_keys + 1), np.float32)  # (part, key)
        table[:, : windows.reach.keys] = np.tile(near, windows.reach.days)
        tables = np.broadcast_to(table[..., None], (len(windows), *table.shape, 1))
        return fill_from_pool(_predict(tables, windows, 0.0)[0], self.pool[windows.target], windows)


def predict_own(kernel: Kernel, windows: Windows) -> Floats:
    """(n, 96, 4): from own history and the cohort's like it; NaN where a slot has no value."""
    (forecast,) = predict_kernels([kernel], windows)
    return forecast


def predict_kernels(kernels: Sequence[Kernel], windows: Windows) -> list[Floats]:
    """(n, 96, 4) each: as `predict_own` by each of some kernels of the same `blur`; what does not
    depend on the kernel is done once."""
    shape = (len(windows), PARTS, windows.reach.all_keys + 1, len(kernels))
    tables = np.zeros(shape, np.float32)  # the last key: what was not measured
    for number, kernel in enumerate(kernels):
        tables[:, :, :-1, number] = key_weights(kernel, windows.weekday, windows.reach)
    return list(_predict(tables, windows, kernels[0].blur))


def _predict(tables: Floats, windows: Windows, blur: float) -> Floats:
    """(kernel, n, 96, 4) under the weights of keys (n, part, key, kernel)."""
    n, keys, kernels = len(windows), windows.reach.all_keys, tables.shape[-1]
    levels = blurred_levels(LEVELS, blur)
    out = np.empty((kernels, n, SLOTS, OUTPUTS), np.float32)
    weights = np.empty((PARTS, _PART_SLOTS, keys, kernels), np.float32)
    flat = np.empty((kernels * SLOTS, keys), np.float32)  # kept: new memory costs as much as sums
    for i in range(n):  # one window at a time stays in the cache: four at once take twice as long
        own = windows.keys[i]
        order = numbers_of(own).reshape(PARTS, _PART_SLOTS, keys)
        for part in range(PARTS):  # the weights of all kernels lie beside each other: one look-up
            np.take(tables[i, part], order[part], axis=0, out=weights[part], mode="clip")
        flat.reshape(kernels, -1, copy=False)[:] = weights.reshape(-1, kernels).T
        values = values_of(own, windows.target)
        quantiles = weighted_quantiles(values, flat, windows.count[i], levels)
        by_level = quantiles.reshape(kernels, SLOTS, len(LEVELS), -1)
        out[:, i, :, :-1] = by_level @ np.full(by_level.shape[3], 1 / by_level.shape[3])
        out[:, i, :, -1] = weighted_mean(values, flat).reshape(kernels, SLOTS)
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
    """The kernel that suits the people of some held-out windows, `unit` (n,) being their numbers.

    Half-life first, taken only when its gain is larger than its standard error over the people;
    then the other factors, for each part of the day by itself, and most of the way to what is best:
    what is sharpened on some people's days holds for their next ones, but not entirely.
    """
    if len(windows) == 0:
        return start
    best, losses = start, _losses(start, windows)
    for by in HALF_LIVES:
        kernel = scaled(start, "half_life_days", (by,))
        other = _losses(kernel, windows)
        if _is_gain(_by_unit(losses - other, unit)):
            best, losses = kernel, other
    return _towards(best, _sharpened(best, windows))


def scaled(kernel: Kernel, name: str, by: Sequence[float]) -> Kernel:
    """The kernel with one factor times `by`, a number for each part; day classes and weekdays that
    differ never weigh more than those alike."""
    value = getattr(kernel, name)
    if not isinstance(value, tuple):
        return msgspec.structs.replace(kernel, **{name: value * by[0]})
    most = 1.0 if name == "class_factor" else np.inf
    least = 1.0 if name == "weekday_factor" else 0.0
    changed = tuple(
        float(min(max(each * factor, least), most)) for each, factor in zip(value, by, strict=True)
    )
    return msgspec.structs.replace(kernel, **{name: changed})


def _sharpened(start: Kernel, windows: Windows) -> Kernel:
    """Each factor of each part at its best of a few values, one factor after the other."""
    best = start
    for _ in range(_PASSES):
        for name, scales in SCALES.items():
            totals = [_losses(best, windows).sum(axis=0)]  # (part,) each
            for by in scales:
                kernel = scaled(best, name, (by,) * PARTS)
                totals.append(_losses(kernel, windows).sum(axis=0))
            chosen = np.argmin(totals, axis=0)  # (part,)
            best = scaled(best, name, [(1.0, *scales)[each] for each in chosen])
    return best


def _towards(start: Kernel, best: Kernel) -> Kernel:
    """Between two kernels, geometrically."""
    made = start
    for name in SCALES:
        pairs = zip(getattr(start, name), getattr(best, name), strict=True)
        ratios = [(to / here) ** _TRUST if here > 0 else 1.0 for here, to in pairs]
        made = scaled(made, name, ratios)
    return made


def _losses(kernel: Kernel, windows: Windows) -> Doubles:
    """(n, part): summed pinball loss of each window and part of the day."""
    forecast = predict_own(kernel, windows)
    scored = np.where(np.isfinite(forecast[..., 0]), windows.truth, np.float32(np.nan))
    loss = pinball(scored, np.nan_to_num(forecast))  # (n, slot)
    per_part: Doubles = loss.reshape(len(windows), PARTS, _PART_SLOTS).sum(axis=2)
    return per_part


def _by_unit(gains: Doubles, unit: npt.NDArray[np.int64]) -> Doubles:
    units = int(unit.max(initial=-1)) + 1
    sums = np.bincount(unit, weights=gains.sum(axis=1), minlength=units)
    return sums.astype(np.float64)


def _is_gain(gains: Doubles) -> bool:
    """Whether the summed gain of the people is larger than its standard error."""
    if len(gains) < 2:
        return False
    error = float(gains.std(ddof=1)) * float(np.sqrt(len(gains)))
    return float(gains.sum()) > error
