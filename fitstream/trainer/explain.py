"""What a forecast rests on: the past days with the weights the model really used, and what weekday,
recency, the cohort, today's course and the networks each change.

Everything adds up: the days, the cohort and the networks to the mean, and so do the effects. Must
not weigh anything by itself: weights come from the kernel, values from the windows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import msgspec
import numpy as np

from fitstream.trainer.data import SLOTS, Bools, Floats
from fitstream.trainer.metrics import Doubles
from fitstream.trainer.models.kernel import PARTS, Kernel, day_weights, key_weights, slot_weights
from fitstream.trainer.windows import Windows

EFFECTS = ("usual", "weekday", "recency", "cohort", "today", "networks")
RATES = ("heart_rate_bpm",)  # a day has their mean, of all else the sum
_FOREVER = 1e9


class DayWeight(NamedTuple):
    """A past day: its share of the forecast's weight, and how much of the mean comes from it."""

    day: date
    weight: float
    adds: float


class Moment(NamedTuple):
    """A distance in minutes from the forecast moment, and its share of the own days' weight."""

    minutes: int
    weight: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """One local day of a forecast. `mean` is the day's total, of a rate the day's mean.

    `adds` of all days, the cohort and the networks sum to `mean`, and so do the `effects`: "usual"
    is the plain mean of the customer's own days at each moment, the others what they change.
    """

    day: date
    mean: float
    days: tuple[DayWeight, ...]
    cohort: DayWeight
    networks: float
    moments: tuple[Moment, ...]
    effects: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Course:
    """How much each past day counts more or less for each slot, after today's course so far.

    likeness (96, days), 1 = as without it; shift (96, days) is added to the values of that day.
    """

    likeness: Floats
    shift: Floats


def weights_of(kernel: Kernel, windows: Windows, row: int, course: Course | None = None) -> Doubles:
    """(96, K): what each key of a window weighs, in key order; 0 where nothing was measured."""
    reach = windows.reach
    per_part = key_weights(kernel, windows.weekday[row : row + 1], reach)[0]  # (part, K)
    weights = np.repeat(per_part, SLOTS // PARTS, axis=0)  # (slot, K)
    if course is not None:
        weights[:, : reach.keys] *= np.repeat(course.likeness, reach.width, axis=1)
    return weights * np.isfinite(values_of(windows, row))


def values_of(windows: Windows, row: int, course: Course | None = None) -> Floats:
    """(96, K): the values of a window in key order, NaN where nothing was measured."""
    reach = windows.reach
    out = np.full((SLOTS, reach.all_keys + 1), np.nan, np.float32)
    order = np.minimum(windows.order[row], reach.all_keys)
    np.put_along_axis(out, order.astype(np.int64), windows.values[row], axis=1)
    out = out[:, :-1]  # (slot, K): the last place holds what was not measured
    if course is not None:
        out[:, : reach.keys] += np.repeat(course.shift, reach.width, axis=1)
    return out


def explain(
    kernel: Kernel,
    windows: Windows,
    row: int,
    served: tuple[date, Floats],
    course: Course | None = None,
) -> Explanation:
    """Why a day's forecast is what it is; `served` is (day, (96, 4) as served).

    A slot without own values comes from the cohort.
    """
    day, forecast = served
    scale = SLOTS if windows.target in RATES else 1.0
    sums = _Sums(kernel, windows, row, course)
    stages = sums.stages()
    mean = forecast[:, 3].astype(np.float64)
    own = np.isfinite(stages[-1])  # (slot,)
    shares = sums.shares(own)  # (slot, lag + 1)
    adds = sums.contributions(own)  # (slot, lag + 1)
    by_lag, added = shares.mean(axis=0), adds.sum(axis=0) / scale
    strange = float(mean[~own].sum()) / scale  # slots that the cohort alone can tell
    networks = float((mean - adds.sum(axis=1))[own].sum()) / scale
    days = tuple(
        DayWeight(date.fromordinal(day.toordinal() - lag), float(weight), float(part))
        for lag, (weight, part) in enumerate(zip(by_lag, added, strict=True), start=1)
        if weight > 0 and lag <= windows.reach.days
    )
    cohort_weight = float(by_lag[-1] + (~own).mean())
    return Explanation(
        day=day,
        mean=float(mean.sum()) / scale,
        days=days,
        cohort=DayWeight(day, cohort_weight, float(added[-1]) + strange),
        networks=networks,
        moments=sums.moments(own),
        effects=_effects(stages, own, (mean, scale)),
    )


def cohort_alone(target: str, day: date, forecast: Floats) -> Explanation:
    """A day that the cohort's values make up entirely."""
    scale = SLOTS if target in RATES else 1
    mean = float(forecast[:, 3].sum(dtype=np.float64)) / scale
    effects = dict.fromkeys(EFFECTS, 0.0) | {"cohort": mean}
    return Explanation(day, mean, (), DayWeight(day, 1.0, mean), 0.0, (), effects)


class _Sums:
    """Weights and weighted values of one window, per slot and past day."""

    def __init__(self, kernel: Kernel, windows: Windows, row: int, course: Course | None) -> None:
        reach = windows.reach
        self._reach, self._kernel = reach, kernel
        self._weekday = windows.weekday[row : row + 1]
        self._course = course
        plain = values_of(windows, row)
        own = plain[:, : reach.keys].reshape(SLOTS, reach.days, reach.width)
        others = plain[:, reach.keys :]
        self._slot = np.repeat(slot_weights(kernel, reach), SLOTS // PARTS, axis=0)  # (slot, off)
        self._mask: Bools = np.isfinite(own)
        self.near = np.einsum("slo,so->sl", self._mask, self._slot)  # (slot, lag)
        self._top = np.einsum("slo,so->sl", np.nan_to_num(own).astype(np.float64), self._slot)
        self._prior = np.repeat(np.array(kernel.prior_days), SLOTS // PARTS)  # (slot,)
        self._has_prior = np.isfinite(others).all(axis=1)  # (slot,)
        self._others = np.nan_to_num(others).mean(axis=1, dtype=np.float64)  # (slot,)

    def stages(self) -> list[Doubles]:
        """(96,) each: the mean with one factor after the other, in the order of `EFFECTS`."""
        usual = msgspec.structs.replace(
            self._kernel,
            half_life_days=_FOREVER, class_factor=(1.0,) * PARTS, weekday_factor=(1.0,) * PARTS,
        )  # fmt: skip
        weekday = msgspec.structs.replace(self._kernel, half_life_days=_FOREVER)
        stages = [self._mean(each, 0.0, None) for each in (usual, weekday, self._kernel)]
        stages.append(self._mean(self._kernel, 1.0, None))
        if self._course is not None:
            stages.append(self._mean(self._kernel, 1.0, self._course))
        return stages

    def shares(self, own: Bools) -> Doubles:
        """(96, days + 1): shares of the weight, the cohort's last; 0 where nothing is own."""
        days, others = self._weights(self._kernel, 1.0, self._course)
        total = np.where(own, days.sum(axis=1) + others, np.inf)
        shares: Doubles = np.column_stack([days, others]) / total[:, None]
        return shares

    def contributions(self, own: Bools) -> Doubles:
        """(96, days + 1): what each day adds to the mean of each slot, the cohort's last."""
        days, _ = self._weights(self._kernel, 1.0, self._course)
        with np.errstate(invalid="ignore"):
            value = np.where(self.near > 0, self._values(self._course) / self.near, 0)
        values = np.column_stack([np.where(days > 0, value, 0), self._others])
        added: Doubles = self.shares(own) * values
        return added

    def moments(self, own: Bools) -> tuple[Moment, ...]:
        """Shares of the own days' weight by distance from the moment."""
        days = self._day_weights(self._kernel, self._course)
        per_key = days[..., None] * self._mask * self._slot[:, None, :]  # (slot, lag, offset)
        per_key = per_key[own]
        total = per_key.sum()
        if total <= 0:
            return ()
        shares = per_key.sum(axis=(0, 1)) / total
        half = self._reach.slots
        return tuple(Moment(15 * (i - half), float(each)) for i, each in enumerate(shares))

    def _day_weights(self, kernel: Kernel, course: Course | None) -> Doubles:
        days = day_weights(kernel, self._weekday, self._reach)[0]  # (part, lag)
        days = np.repeat(days, SLOTS // PARTS, axis=0)  # (slot, lag)
        weighed: Doubles = days if course is None else days * course.likeness
        return weighed

    def _weights(
        self, kernel: Kernel, others: float, course: Course | None
    ) -> tuple[Doubles, Doubles]:
        prior = self._prior * self._has_prior * others  # (slot,)
        return self._day_weights(kernel, course) * self.near, prior

    def _values(self, course: Course | None) -> Doubles:
        """(96, days): weighted by the distance of slots alone."""
        moved = 0.0 if course is None else course.shift * self.near
        values: Doubles = self._top + moved
        return values

    def _mean(self, kernel: Kernel, others: float, course: Course | None) -> Doubles:
        days, prior = self._weights(kernel, others, course)
        top = (self._day_weights(kernel, course) * self._values(course)).sum(axis=1)
        total = days.sum(axis=1) + prior
        known = days.sum(axis=1) > 0
        mean: Doubles = np.where(
            known, (top + prior * self._others) / np.where(known, total, 1.0), np.nan
        )
        return mean


def _effects(stages: list[Doubles], own: Bools, served: tuple[Doubles, float]) -> dict[str, float]:
    mean, scale = served
    levels = [float(stage[own].sum()) / scale for stage in stages]
    names = EFFECTS[: len(levels)]
    steps = np.diff([0.0, *levels])
    found = dict.fromkeys(EFFECTS, 0.0) | dict(zip(names, map(float, steps), strict=True))
    found["cohort"] += float(mean[~own].sum()) / scale
    found["networks"] = float(mean[own].sum()) / scale - levels[-1]
    return found
