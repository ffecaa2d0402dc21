"""The model that serves: a weighted climatology, what is averaged with it, calibrated quantiles.

With no members it is the climatology itself. Must not train or choose anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fitstream.trainer.data import Floats
from fitstream.trainer.daytotals import USUAL, Ratios
from fitstream.trainer.metrics import MEAN, Doubles
from fitstream.trainer.models.calibration import Calibration
from fitstream.trainer.models.climatology import Climatology, fill_from_pool, predict_own
from fitstream.trainer.models.daylevel import day_factors, day_ratios
from fitstream.trainer.models.mixture import Mixture
from fitstream.trainer.models.nowcast import Nowcast
from fitstream.trainer.models.shape import MIXTURE, TRANSFORMER, Shape
from fitstream.trainer.windows import Look, Reach, Windows

ENSEMBLE = "ensemble"


@dataclass(frozen=True, eq=False)
class Member:
    """A trained network, or a mixture of kernels, and its share of a target's forecast."""

    shape: Shape
    network: Any  # Mixture or models.network.Network; the climatology alone must not load torch
    weight: float


class Attention(NamedTuple):
    """A Transformer's share of the forecast, and how it weighs each key of each hour (n, 24, K), in
    key order and in units of its own."""

    share: float
    weights: Floats


@dataclass(frozen=True, eq=False)
class Blend:
    """Convex mean of the climatology's and the members' forecasts, per target.

    What the members leave of the weight is the climatology's. A target without members is forecast
    by it alone.
    """

    base: Climatology
    members: Mapping[str, tuple[Member, ...]] = field(default_factory=dict)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    day_ratios: Mapping[str, Ratios] = field(default_factory=dict)
    nowcasts: Mapping[str, Nowcast] = field(default_factory=dict)  # for the rest of today alone

    @property
    def kind(self) -> str:
        """The climatology, a mixture beside it, one architecture alone, or an ensemble."""
        used = {each.shape.kind for group in self.members.values() for each in group}
        alone = all(sum(m.weight for m in group) > 0.999 for group in self.members.values())
        if not used:
            return self.base.kind
        if used == {MIXTURE}:
            return MIXTURE
        return used.pop() if len(used) == 1 and alone else ENSEMBLE

    @property
    def reach(self) -> Reach:
        """How far it looks back."""
        return self.base.reach

    @property
    def targets(self) -> tuple[str, ...]:
        """What it can forecast."""
        return self.base.targets

    def look(self, target: str) -> Look:
        """What its windows of a target are made of."""
        return self.base.look(target)

    def predict(self, windows: Windows) -> Floats:
        """(n, 96, 4): q10, q50, q90, mean of each slot; cold starts as in the climatology."""
        forecasts = self._members(windows)
        own = self._mixed(windows.target, forecasts)
        if windows.target in self.calibrations:
            own = self.calibrations[windows.target].apply(own)
        kernel = self.base.kernels[windows.target]
        factors = day_factors(kernel, windows, forecasts[0][..., MEAN])  # of the climatology alone
        own = np.concatenate([own[..., :MEAN], own[..., MEAN:] * factors[:, None, None]], axis=2)
        return fill_from_pool(own, self.base.pool[windows.target], windows)

    def total_ratios(self, windows: Windows, forecast: Floats) -> Doubles:
        """(n, 2): how far each day's total may lie below and above that of its forecast."""
        target = windows.target
        others = self.day_ratios.get(target, USUAL[target])
        return day_ratios(self.base.kernels[target], windows, forecast[..., MEAN], others)

    def attention(self, windows: Windows) -> tuple[Attention, ...]:
        """How its Transformers weigh the past of some windows; empty where none serves the target.

        They start at the kernel, as everything else that a forecast is made of does.
        """
        group = self.members.get(windows.target, ())
        return tuple(
            Attention(each.weight, attend_member(each.network, windows))
            for each in group
            if each.shape.kind == TRANSFORMER
        )

    def predict_own(self, windows: Windows) -> Floats:
        """(n, 96, 4), not calibrated, NaN where there is nothing to stand on."""
        return self._mixed(windows.target, self._members(windows))

    def _members(self, windows: Windows) -> list[Floats]:
        """(n, 96, 4) each: the climatology's forecast, then the members'."""
        forecasts = [predict_own(self.base.kernels[windows.target], windows)]
        group = self.members.get(windows.target, ())
        return forecasts + [predict_member(each.network, windows) for each in group]

    def _mixed(self, target: str, forecasts: list[Floats]) -> Floats:
        group = self.members.get(target, ())
        if not group:
            return forecasts[0]
        weights = [1 - sum(each.weight for each in group), *(each.weight for each in group)]
        return blend(forecasts, weights)


def predict_member(network: Any, windows: Windows) -> Floats:
    """(n, 96, 4), NaN where a slot has no value to stand on: of a mixture or a network."""
    if isinstance(network, Mixture):
        return network.predict(windows)
    from fitstream.trainer.models.network import predict_network  # noqa: PLC0415 - torch

    return predict_network(network, windows)


def attend_member(network: Any, windows: Windows) -> Floats:
    """(n, 24, K): the weights of a Transformer's keys, hour by hour."""
    from fitstream.trainer.models.network import attention_of  # noqa: PLC0415 - torch

    return attention_of(network, windows)


def blend(forecasts: list[Floats], weights: list[float]) -> Floats:
    """(n, 96, 4): the weighted mean of forecasts, quantile by quantile (Vincent 1912)."""
    total = np.zeros_like(forecasts[0])
    for forecast, weight in zip(forecasts, weights, strict=True):
        total += np.float32(weight) * forecast
    return total
