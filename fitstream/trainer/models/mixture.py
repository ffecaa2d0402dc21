"""Several kernels at once, each weighed by how well it has told a person's past days.

Source: prediction with expert advice, the exponentially weighted average forecaster (Vovk,
*Aggregating Strategies*, 1990; Cesa-Bianchi and Lugosi, *Prediction, Learning, and Games*, 2006,
2.2); changed: the experts are the climatology by four kernels, the shares are those of each
quantile in each part of the day by itself, and beside a person's own losses count those of all
others, as some days' worth. There is nothing to fit but sums. Must not need torch, and must not
keep anybody's id.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from fitstream.trainer.cohort import Marks
from fitstream.trainer.data import SLOTS, Floats
from fitstream.trainer.metrics import LEVELS, MEAN
from fitstream.trainer.models.climatology import OUTPUTS, predict_kernels, scaled
from fitstream.trainer.models.kernel import PARTS, Doubles, Kernel
from fitstream.trainer.windows import Windows

VARIANTS: Mapping[str, Mapping[str, float]] = {
    "narrow": {"sd_slots": 0.5},
    "wide": {"sd_slots": 2.2},
    "weekday": {"class_factor": 0.3, "weekday_factor": 2.5},
    "cohort": {"sd_slots": 2.2, "prior_days": 4.0},
}
_RATE = 2.0 * PARTS * len(LEVELS)  # a usual day's loss more divides a share by e², on average
_OTHERS_DAYS = 10.0
_CHUNK = 32


class Losses(NamedTuple):
    """What some days have cost: `sums` (…, kernel, part, level) in units of a person's usual day,
    and `days` (…) how many they were."""

    sums: Doubles
    days: Doubles


@dataclass(frozen=True, eq=False)
class Mixture:
    """Four kernels derived from one, and what each has cost whom; M people, none of them by name.

    `marks` (M,) tell them apart, `own` are their losses, `total` those of all people together, of
    whom there may be more than M.
    """

    kernel: Kernel
    marks: Marks
    own: Losses
    total: Losses

    @cached_property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels whose forecasts are averaged."""
        return variants_of(self.kernel)

    def predict(self, windows: Windows) -> Floats:
        """(n, 96, 4): their mean, quantile by quantile; NaN where a slot has no value."""
        shares = self.shares(windows.whose)  # (n, kernel, part, level)
        shares = np.concatenate([shares, shares.mean(axis=3, keepdims=True)], axis=3)
        shares = np.repeat(shares, SLOTS // PARTS, axis=2).astype(np.float32)
        out = np.zeros((len(windows), SLOTS, OUTPUTS), np.float32)
        for number, forecast in enumerate(predict_kernels(self.kernels, windows)):
            out += shares[:, number] * forecast
        out[..., :MEAN].sort(axis=2)  # levels with shares of their own may cross
        return out

    def shares(self, people: npt.ArrayLike) -> Doubles:
        """(n, kernel, part, level): convex over the kernels, for people (n,) told by their marks;
        who was not learned from gets the shares of everybody."""
        marks = np.asarray(people, np.uint64)
        sums, days = np.zeros((len(marks), *self.total.sums.shape)), np.zeros(len(marks))
        for row, mark in enumerate(self.marks):
            sums[marks == mark], days[marks == mark] = self.own.sums[row], self.own.days[row]
        others = np.maximum(self.total.days - days, 1)[:, None, None, None]
        usual = (self.total.sums - sums) / others  # (n, kernel, part, level)
        cost = _RATE * (sums + _OTHERS_DAYS * usual)
        weights = np.exp(cost.min(axis=1, keepdims=True) - cost)
        shares: Doubles = weights / weights.sum(axis=1, keepdims=True)
        return shares

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What it has learned, to be saved."""
        return {
            "marks": self.marks,
            "own.sums": self.own.sums,
            "own.days": self.own.days,
            "total.sums": self.total.sums,
            "total.days": self.total.days.reshape(1),
        }


def variants_of(kernel: Kernel) -> tuple[Kernel, ...]:
    """Kernels that look at other things than this one does, by fixed factors.

    None is blurred: to average the quantiles of several does the same.
    """
    made = []
    for factors in VARIANTS.values():
        changed = msgspec.structs.replace(kernel, blur=0.0)
        for name, by in factors.items():
            changed = scaled(changed, name, (by,) * PARTS)
        made.append(changed)
    return tuple(made)


def learn_mixture(kernel: Kernel, windows: Windows) -> Mixture:
    """What the kernels cost on these days, which the forecasts come after."""
    kernels = variants_of(kernel)
    losses = np.empty((len(windows), len(kernels), PARTS, len(LEVELS)))
    for at in range(0, len(windows), _CHUNK):
        rows = np.arange(at, min(at + _CHUNK, len(windows)))
        some = windows.take(rows)
        for number, forecast in enumerate(predict_kernels(kernels, some)):
            losses[rows, number] = _losses(forecast, some.truth)
    marks, whose = np.unique(windows.whose, return_inverse=True)  # (person,), (n,)
    days = np.bincount(whose, minlength=len(marks)).astype(np.float64)
    sums = np.zeros((len(marks), *losses.shape[1:]))
    np.add.at(sums, whose, losses)
    usual = sums.sum(axis=(2, 3)).mean(axis=1) / days  # (person,): their loss on a day
    sums /= np.where(usual > 0, usual, 1)[:, None, None, None]
    return Mixture(
        kernel, marks, Losses(sums, days), Losses(sums.sum(axis=0), np.array(days.sum()))
    )


def of_one_person(mixture: Mixture, windows: Windows) -> Mixture:
    """The mixture for one person alone, by days of theirs: of the others nothing but their sum."""
    person = learn_mixture(mixture.kernel, windows)
    mine = mixture.marks == (person.marks[0] if len(person.marks) else np.uint64(0))
    pairs = zip(mixture.total, mixture.own, person.total, strict=True)
    total = [every - own[mine].sum(axis=0) + new for every, own, new in pairs]
    return Mixture(mixture.kernel, person.marks, person.own, Losses(*total))


def mixture_from_arrays(kernel: Kernel, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Mixture:
    """A mixture as saved. Raises KeyError and ValueError for arrays that are none."""
    own = Losses(_doubles(arrays["own.sums"]), _doubles(arrays["own.days"]))
    total = Losses(_doubles(arrays["total.sums"]), _doubles(arrays["total.days"]).reshape(()))
    marks = arrays["marks"].astype(np.uint64)
    shape = (len(VARIANTS), PARTS, len(LEVELS))
    if own.sums.shape != (len(marks), *shape) or own.days.shape != marks.shape:
        raise ValueError("the losses of a mixture do not fit its people")
    if total.sums.shape != shape:
        raise ValueError("the losses of a mixture do not fit its kernels")
    return Mixture(kernel, marks, own, total)


def _losses(forecast: Floats, truth: Floats) -> Doubles:
    """(n, part, level): summed pinball loss of what was measured and could be forecast."""
    levels = np.asarray(LEVELS)
    error = truth[..., None].astype(np.float64) - forecast[..., :MEAN]  # (n, slot, level)
    loss = np.nan_to_num(np.maximum(levels * error, (levels - 1) * error))
    per_part: Doubles = loss.reshape(len(truth), PARTS, -1, len(LEVELS)).sum(axis=2)
    return per_part


def _doubles(array: npt.NDArray[np.generic]) -> Doubles:
    return array.astype(np.float64)
