"""What a forecast rests on: the past days with the weights the model really used, and what weekday,
recency, the cohort, Transformers' attention, today's course and the networks each change.

Everything adds up: the days, the cohort and the networks to the mean, and so do the effects. Must
not weigh anything by itself: weights come from the kernel and from Transformers, in their shares of
the forecast, values from the windows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import msgspec
import numpy as np

from fitstream.trainer.cohort import PRIOR
from fitstream.trainer.data import SLOTS, Bools, Floats
from fitstream.trainer.metrics import Doubles
from fitstream.trainer.models.blend import Attention
from fitstream.trainer.models.daylevel import day_factors
from fitstream.trainer.models.kernel import PARTS, Kernel, day_weights, key_weights, slot_weights
from fitstream.trainer.windows import Windows

KERNEL_EFFECTS = ("usual", "weekday", "recency", "cohort")  # the climatology's, without a course
EFFECTS = (*KERNEL_EFFECTS, "attention", "today", "networks")
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
    `attention` says which share of the weights is that of Transformers; the rest is the kernel's.
    """

    day: date
    mean: float
    days: tuple[DayWeight, ...]
    cohort: DayWeight
    networks: float
    moments: tuple[Moment, ...]
    effects: Mapping[str, float]
    attention: float = 0.0


class Served(NamedTuple):
    """A local day's forecast (96, 4) as it was served, and how the Transformers in it weigh the
    past of its window."""

    day: date
    forecast: Floats
    attention: Sequence[Attention] = ()


@dataclass(frozen=True, eq=False)
class Course:
    """What today's course so far changes for each own key of each slot, K = reach.keys.

    factor (96, K) of its weight, 1 = as without it; shift (96, K) is added to its value.
    """

    factor: Floats
    shift: Floats


def weights_of(kernel: Kernel, windows: Windows, row: int, course: Course | None = None) -> Doubles:
    """(96, K): what each key of a window weighs, in key order; 0 where nothing was measured."""
    reach = windows.reach
    per_part = key_weights(kernel, windows.weekday[row : row + 1], reach)[0]  # (part, K)
    weights = np.repeat(per_part, SLOTS // PARTS, axis=0)  # (slot, K)
    if course is not None:
        weights[:, : reach.keys] *= course.factor
    return weights * np.isfinite(key_values(windows, row))


def key_values(windows: Windows, row: int, course: Course | None = None) -> Floats:
    """(96, K): the values of a window in key order, NaN where nothing was measured."""
    reach = windows.reach
    out = np.full((SLOTS, reach.all_keys + 1), np.nan, np.float32)
    one = windows.take([row])
    order = np.minimum(one.order[0].astype(np.int64), reach.all_keys)
    np.put_along_axis(out, order, one.values[0], axis=1)
    out = out[:, :-1]  # (slot, K): the last place holds what was not measured
    if course is not None:
        out[:, : reach.keys] += course.shift
    return out


def explain(
    kernel: Kernel,
    windows: Windows,
    row: int,
    served: Served,
    course: Course | None = None,
    first: int = 0,
) -> Explanation:
    """Why a day's forecast is what it is from slot `first` on. A slot without own values comes from
    the cohort. Under a course `windows` may look at more slots than the Transformers do."""
    day = served.day
    scale = SLOTS - first if windows.target in RATES else 1
    sums = _Sums(kernel, windows, row, (course, served.attention))
    mean = served.forecast[:, 3].astype(np.float64)
    asked = np.arange(SLOTS) >= first
    own = asked & sums.is_own
    strange = asked & ~own  # slots that the cohort alone can tell
    stages = _levelled(sums.stages(), _level(kernel, windows.take([row]), sums))
    plain_adds = sums.contributions(own)  # (slot, lag + 1)
    adds = plain_adds * _ratio(stages[-1].mean, plain_adds.sum(axis=1))[:, None]
    weights = sums.shares(own)[asked].mean(axis=0)  # (lag + 1,)
    added = adds.sum(axis=0) / scale
    from_cohort = float(mean[strange].sum()) / scale
    return Explanation(
        day=day,
        mean=float(mean[asked].sum()) / scale,
        days=tuple(
            DayWeight(date.fromordinal(day.toordinal() - lag), float(weight), float(part))
            for lag, (weight, part) in enumerate(
                zip(weights[:-1], added[:-1], strict=True), start=1
            )
            if weight > 0
        ),
        cohort=DayWeight(
            day, float(weights[-1] + strange[asked].mean()), float(added[-1]) + from_cohort
        ),
        networks=float((mean - adds.sum(axis=1))[own].sum()) / scale,
        moments=sums.moments(own),
        effects=_effects(stages, (own, strange), (mean, scale)),
        attention=sums.attention * float(own[asked].mean()),
    )


def cohort_alone(target: str, day: date, forecast: Floats, first: int = 0) -> Explanation:
    """A day that the cohort's values make up entirely, from slot `first` on."""
    scale = SLOTS - first if target in RATES else 1
    mean = float(forecast[first:, 3].sum(dtype=np.float64)) / scale
    effects = dict.fromkeys(EFFECTS, 0.0) | {"cohort": mean}
    return Explanation(day, mean, (), DayWeight(day, 1.0, mean), 0.0, (), effects)


class _Stage(NamedTuple):
    """The mean (96,) after an effect has come to those before it."""

    effect: str
    mean: Doubles


class _Sums:
    """Weights and weighted values of one window, per slot and past day."""

    def __init__(
        self,
        kernel: Kernel,
        windows: Windows,
        row: int,
        changes: tuple[Course | None, Sequence[Attention]],
    ) -> None:
        reach = windows.reach
        self._reach, self._kernel, (self._course, attention) = reach, kernel, changes
        self._weekday = windows.weekday[row : row + 1]
        self._shape = (SLOTS, reach.days, reach.width)
        plain = key_values(windows, row)
        known = np.isfinite(plain)
        filled = np.where(known, plain, np.float32(0))
        self._known = known[:, : reach.keys].reshape(self._shape).astype(np.float32)
        self._own = filled[:, : reach.keys].reshape(self._shape)
        per_slot = np.repeat(slot_weights(kernel, reach), SLOTS // PARTS, axis=0)
        self._near: Floats = per_slot.astype(np.float32)  # (slot, offset)
        self._told = known[:, reach.keys :].all(axis=1)  # (slot,): whether the cohort says anything
        self._prior = np.repeat(np.array(kernel.prior_days), SLOTS // PARTS)  # (slot,)
        self._prior = self._prior * self._told
        self._others = filled[:, reach.keys :].mean(axis=1, dtype=np.float64)  # (slot,)
        self._plain = self._by_day(self._known, self._own)
        self._real = self._plain if self._course is None else self._changed(self._course)
        self.is_own: Bools = np.asarray((self._plain[0] > 0).any(axis=1))
        self._attended = [self._attend(each.share, each.weights[row]) for each in attention]
        self.attention = sum(each.share for each in attention)

    def stages(self) -> list[_Stage]:
        """The mean with one effect after the other, in the order of `EFFECTS`."""
        usual = msgspec.structs.replace(
            self._kernel,
            half_life_days=_FOREVER, class_factor=(1.0,) * PARTS, weekday_factor=(1.0,) * PARTS,
        )  # fmt: skip
        weekday = msgspec.structs.replace(self._kernel, half_life_days=_FOREVER)
        means = [self._mean(each, 0.0, self._plain) for each in (usual, weekday, self._kernel)]
        means.append(self._mean(self._kernel, 1.0, self._plain))
        stages = [_Stage(*each) for each in zip(KERNEL_EFFECTS, means, strict=True)]
        if self._attended:
            attended = sum(each.adds(self._others).sum(axis=1) for each in self._attended)
            stages.append(_Stage("attention", (1 - self.attention) * means[-1] + attended))
        if self._course is not None:
            change = self._mean(self._kernel, 1.0, self._real) - means[-1]
            stages.append(_Stage("today", stages[-1].mean + change))
        return stages

    @property
    def climatology(self) -> Doubles:
        """(96,): the kernel's mean with the cohort's, before any course."""
        return self._mean(self._kernel, 1.0, self._plain)

    def shares(self, own: Bools) -> Doubles:
        """(96, days + 1): shares of the weight, the cohort's last; 0 where nothing is own."""
        shares = (1 - self.attention) * self._kernel_shares(own)
        for each in self._attended:
            shares[own] += np.column_stack([each.days, each.cohort])[own]
        return shares

    def contributions(self, own: Bools) -> Doubles:
        """(96, days + 1): what each day adds to the mean of each slot, the cohort's last."""
        near, top = self._real
        values = np.where(near > 0, top / np.where(near > 0, near, 1), 0)  # (slot, lag)
        values = np.column_stack([values, self._others])
        added: Doubles = (1 - self.attention) * self._kernel_shares(own) * values
        for each in self._attended:
            added[own] += each.adds(self._others)[own]
        return added

    def moments(self, own: Bools) -> tuple[Moment, ...]:
        """Shares of the own days' weight by distance from the moment."""
        known = self._known
        if self._course is not None:
            known = known * self._course.factor.reshape(self._shape)
        days = self._days(self._kernel) / self._total(own)[:, None]  # (slot, lag)
        per_slot = np.matmul(days.astype(np.float32)[:, None, :], known)[:, 0] * self._near
        per_slot = (1 - self.attention) * per_slot.astype(np.float64)  # (slot, offset)
        for each in self._attended:
            per_slot += each.near
        shares, half = per_slot[own].sum(axis=0), self._reach.slots
        total = float(shares.sum())
        if total <= 0:
            return ()
        return tuple(Moment(15 * (i - half), float(each / total)) for i, each in enumerate(shares))

    def _kernel_shares(self, own: Bools) -> Doubles:
        days = self._days(self._kernel) * self._real[0]
        shares: Doubles = np.column_stack([days, self._prior]) / self._total(own)[:, None]
        return shares

    def _total(self, own: Bools) -> Doubles:
        """(96,): the weight of all that the kernel looks at; infinite where nothing is own."""
        days = self._days(self._kernel) * self._real[0]
        return np.where(own, days.sum(axis=1) + self._prior, np.inf)

    def _attend(self, share: float, weights: Floats) -> "_Attended":
        """What a Transformer looks at by its weights (24, K), as its share of each slot's weight.

        They are those of the narrow look that it forecasts by; nothing further away counts.
        """
        per_slot = np.repeat(weights, SLOTS // len(weights), axis=0)  # (slot, K)
        keys = per_slot.shape[1] - PRIOR
        own = per_slot[:, :keys].reshape(SLOTS, self._reach.days, -1)  # (slot, lag, offset)
        beyond = (self._reach.width - own.shape[2]) // 2
        own = np.pad(own, ((0, 0), (0, 0), (beyond, beyond))) * self._known
        others = per_slot[:, keys:].sum(axis=1) * self._told  # (slot,)
        total = own.sum(axis=(1, 2)) + others
        scale = share / np.where(total > 0, total, np.inf)
        own *= scale[:, None, None]
        return _Attended(
            own.sum(axis=2), (own * self._own).sum(axis=2), own.sum(axis=1), scale * others
        )

    def _changed(self, course: Course) -> tuple[Doubles, Doubles]:
        factor, shift = (each.reshape(self._shape) for each in (course.factor, course.shift))
        known = self._known * factor
        return self._by_day(known, self._own * factor + shift * known)

    def _by_day(self, known: Floats, values: Floats) -> tuple[Doubles, Doubles]:
        """(96, days) each: weight of the slots near each moment, and their weighted values."""
        near = self._near[..., None]  # (slot, offset, 1)
        weight, top = (np.matmul(each, near)[..., 0] for each in (known, values))
        return weight.astype(np.float64), top.astype(np.float64)

    def _days(self, kernel: Kernel) -> Doubles:
        """(96, days): weights of the days by themselves."""
        days: Doubles = day_weights(kernel, self._weekday, self._reach)[0]  # (part, lag)
        return np.repeat(days, SLOTS // PARTS, axis=0)

    def _mean(self, kernel: Kernel, others: float, sums: tuple[Doubles, Doubles]) -> Doubles:
        near, top = sums
        days, prior = self._days(kernel), self._prior * others
        total = (days * near).sum(axis=1)
        known = total > 0
        mean: Doubles = ((days * top).sum(axis=1) + prior * self._others) / np.where(
            known, total + prior, 1.0
        )
        return np.where(known, mean, np.nan)


class _Attended(NamedTuple):
    """A Transformer's share of the weights: of each past day (96, lag) and what its values add to
    the mean (96, lag), of each distance from the moment (96, offset), and of the cohort (96,)."""

    days: Doubles
    added: Doubles
    near: Doubles
    cohort: Doubles

    def adds(self, others: Doubles) -> Doubles:
        """(96, lag + 1): what each day adds to the mean, last the cohort by its means (96,)."""
        return np.column_stack([self.added, self.cohort * others])


def _level(kernel: Kernel, one: Windows, sums: _Sums) -> float:
    """What the day's total multiplies the means of its slots by."""
    return float(day_factors(kernel, one, sums.climatology[None].astype(np.float32))[0])


def _levelled(stages: Sequence[_Stage], level: float) -> list[_Stage]:
    """The stages at the day's level, today's course coming on top of it."""
    moved: list[_Stage] = []
    for number, (effect, mean) in enumerate(stages):
        if effect == "today":
            moved.append(_Stage(effect, moved[-1].mean + mean - stages[number - 1].mean))
        else:
            moved.append(_Stage(effect, level * mean))
    return moved


def _ratio(top: Doubles, bottom: Doubles) -> Doubles:
    """Slot by slot, 1 where there is nothing to divide by."""
    ratio = np.ones_like(bottom)
    np.divide(top, bottom, out=ratio, where=bottom > 0)
    return ratio


def _effects(
    stages: Sequence[_Stage], whose: tuple[Bools, Bools], served: tuple[Doubles, float]
) -> dict[str, float]:
    (own, strange), (mean, scale) = whose, served
    levels = [float(stage.mean[own].sum()) / scale for stage in stages]
    found = dict.fromkeys(EFFECTS, 0.0)
    for stage, step in zip(stages, np.diff([0.0, *levels]), strict=True):
        found[stage.effect] = float(step)
    found["cohort"] += float(mean[strange].sum()) / scale
    found["networks"] = float(mean[own].sum()) / scale - levels[-1]
    return found
