"""The next hour from the last ones: small networks of everybody beside the kernel's rest of today.

The kernel asks which past moments of one person were like this one; the networks have learned from
everybody's moments what it leaves over. They see what the kernel says, and start as it. Must not
train, must not need torch, and must not look at or after the moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from fitstream.trainer.data import SLOTS, Floats
from fitstream.trainer.metrics import MEAN, Doubles
from fitstream.trainer.windows import SATURDAY

NOWCASTED = ("steps", "calories_kcal")  # heart rates follow the last slots without being taught
AHEAD = 4  # slots
OUTPUTS = 4
MOST_LOG = 3.0
LEAST_LEVEL = 5.0
FEATURES = 33
WIDTH = 32
SHAPES: Mapping[str, tuple[int, ...]] = {
    "centre": (FEATURES,),
    "spread": (FEATURES,),
    "first.weight": (WIDTH, FEATURES),
    "first.bias": (WIDTH,),
    "second.weight": (WIDTH, WIDTH),
    "second.bias": (WIDTH,),
    "last.weight": (2 * OUTPUTS, WIDTH),
    "last.bias": (2 * OUTPUTS,),
}
_LAGS = 6
_MEANS = (2, 4, 8, 16)
_LONGEST = 8  # slots whose mean is set against the usual one
_FEW, _SOME = 20.0, 200.0  # steps: below them a ratio says little
_KCAL = 20.0  # steps that tell about as much as one kilocalorie above the resting rate

Layers = Mapping[str, Floats]


class Sight(NamedTuple):
    """What is known at a moment of one target of one customer.

    so_far (slots,) ends where the forecast begins, NaN = not measured; day (96, 4) as forecast at
    midnight; moved (n, 4) what the kernel says of the next slots; weekday 0 = Monday.
    """

    so_far: Doubles
    day: Floats
    moved: Floats
    weekday: int


class Inputs(NamedTuple):
    """Some slots as the networks see them, all in units of about a step: features x (n, F), start
    (n, 4) that they move, level (n,) of the day."""

    x: Doubles
    start: Doubles
    level: Doubles

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Inputs":
        """Some of them."""
        return Inputs(*(each[rows] for each in self))


class Units(NamedTuple):
    """value = low + units / per_unit."""

    low: float
    per_unit: float

    def of(self, values: npt.NDArray[np.floating]) -> Doubles:
        """Values in units, none below zero; NaN stays."""
        units: Doubles = np.maximum((values.astype(np.float64) - self.low) * self.per_unit, 0)
        return units

    def back(self, units: Doubles) -> Doubles:
        """The values of units."""
        return self.low + units / self.per_unit


class NowcastShape(msgspec.Struct, frozen=True):
    """What a card says of a nowcast beside its weights."""

    weight: float
    networks: int
    epochs: int


@dataclass(frozen=True, eq=False)
class Nowcast:
    """The networks of one target and their share of the next slots.

    Each network: normalised features, 32 ReLU, 32 tanh, 8 linear; two numbers a and b for each
    quantile and the mean, which becomes max(0, start · exp(a) + level · b).
    """

    target: str
    shape: NowcastShape
    networks: tuple[Layers, ...]

    def apply(self, sight: Sight) -> Floats:
        """(n, 4): what is to be said of the slots in `sight.moved`; those further ahead than the
        networks look, and those that nothing is known of, stay as they are."""
        units = units_of(self.target, sight.day)
        made: Floats = sight.moved.copy()
        near = made[:AHEAD]
        if len(near) == 0 or not np.isfinite(near).all():
            return made
        seen = units.back(forward(self.networks, inputs_of(units, sight)))
        near += (self.shape.weight * (seen - near)).astype(np.float32)
        return made


def units_of(target: str, day: Floats) -> Units:
    """Steps as they are; calories above the least that the day is forecast to take."""
    if target == "calories_kcal":
        return Units(float(np.nanmin(day[:, 0])), _KCAL)
    return Units(0.0, 1.0)


def inputs_of(units: Units, sight: Sight) -> Inputs:
    """The next `AHEAD` slots at most, as far as the day goes.

    What was not measured is taken to have been as was forecast at midnight.
    """
    quarter = len(sight.so_far) % SLOTS
    ahead = min(AHEAD, SLOTS - quarter, len(sight.moved))
    day, start = units.of(sight.day), units.of(sight.moved[:ahead])
    usual = day[:, MEAN]
    level = max(float(usual.mean()), LEAST_LEVEL)
    at = quarter + np.arange(ahead)
    last = np.minimum(at + 1, SLOTS - 1)
    moment = _of_moment(units.of(sight.so_far), usual, quarter)
    angle = 2 * np.pi * at[:, None] / SLOTS
    columns = [
        np.tile(moment, (ahead, 1)),
        np.log1p(day[at]),
        np.log1p(start),
        np.log1p(np.column_stack([usual[last], usual[at - 1]])),
        np.eye(AHEAD)[:ahead],
        np.hstack([np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)]),
        np.full((ahead, 1), np.log1p(level)),
        np.full((ahead, 1), float(sight.weekday >= SATURDAY)),
    ]
    return Inputs(np.hstack(columns), start, np.full(ahead, level))


def _of_moment(so_far: Doubles, usual: Doubles, quarter: int) -> Doubles:
    """(F,): the last slots, their means, and how lively today and the last hours were."""
    expected = np.concatenate([usual, usual])[quarter : SLOTS + quarter]  # the 96 slots before now
    before = np.full(SLOTS, np.nan)
    known = so_far[-SLOTS:]
    before[SLOTS - len(known) :] = known
    slots = np.where(np.isfinite(before), before, expected)[-1 : -_LAGS - 1 : -1]
    means = [_mean(before[-n:], expected[-n:]) for n in _MEANS]
    usual_slot = usual[quarter - 1]
    measured = np.isfinite(before[SLOTS - quarter :])  # of today
    today = float(before[SLOTS - quarter :][measured].sum())
    usual_today = float(expected[SLOTS - quarter :][measured].sum())
    return np.array(
        [
            *np.log1p(slots),
            *np.log1p(means),
            np.log((today + _SOME) / (usual_today + _SOME)),
            np.log(
                (_mean(before[-_LONGEST:], expected[-_LONGEST:]) + _FEW)
                / (float(expected[-_LONGEST:].mean()) + _FEW)
            ),
            np.log1p(usual_slot),
        ]
    )


def _mean(values: Doubles, otherwise: Doubles) -> float:
    """Of what was measured; of the expected where nothing was."""
    measured = np.isfinite(values)
    return float(values[measured].mean() if measured.any() else otherwise.mean())


def forward(networks: Sequence[Layers], inputs: Inputs) -> Doubles:
    """(n, 4): the mean of some networks, in units."""
    made: Doubles = np.mean([_one(layers, inputs) for layers in networks], axis=0)
    return made


def _one(layers: Layers, inputs: Inputs) -> Doubles:
    x = (inputs.x - layers["centre"]) / layers["spread"]
    hidden = np.maximum(_linear(layers, "first", x), 0)
    hidden = np.tanh(_linear(layers, "second", hidden))
    a, b = np.split(_linear(layers, "last", hidden), 2, axis=1)
    moved = inputs.start * np.exp(np.clip(a, -MOST_LOG, MOST_LOG)) + inputs.level[:, None] * b
    made: Doubles = np.maximum(moved, 0)
    made[:, :MEAN] = np.sort(made[:, :MEAN], axis=1)
    return made


def _linear(layers: Layers, name: str, x: Doubles) -> Doubles:
    made: Doubles = x @ layers[f"{name}.weight"].T.astype(np.float64) + layers[f"{name}.bias"]
    return made
