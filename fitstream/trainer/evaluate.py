"""Puts models beside each other on the same day windows, day by day from before each midnight.

Must not fit or choose anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol, runtime_checkable

import numpy as np

from fitstream.trainer.data import Floats, Ints, Series
from fitstream.trainer.metrics import (
    Doubles,
    Interval,
    naive_scale,
    paired_bootstrap,
    paired_losses,
    summary,
)
from fitstream.trainer.windows import Issue, Look, Reach, Windows, make_windows

MIN_CUSTOMERS = 5
_CHUNK = 64


class Model(Protocol):
    """Anything that forecasts day windows."""

    @property
    def kind(self) -> str:
        """Name on the leaderboard and in the card."""

    def look(self, target: str) -> Look:
        """What its windows of a target are made of."""

    def predict(self, windows: Windows) -> Floats:
        """(n, 96, 4): q10, q50, q90, mean of each slot."""


@runtime_checkable
class Totalling(Protocol):
    """A model that also says how far a day's total may lie from its forecast."""

    def total_ratios(self, windows: Windows, forecast: Floats) -> Doubles:
        """(n, 2): below and above, as ratios to the forecast's total."""


@dataclass(frozen=True, eq=False)
class Held:
    """What a set of models forecast for some held-out days of one target.

    issues by day; truth (day, 96); forecasts by name (day, 96, 4); scale (day,) for MASE; unit
    (day,) numbers what a bootstrap resamples: the customers, or the days when there are fewer than
    five customers; day_ratios (day, 2) of the models that say how far a total may lie off.
    """

    target: str
    issues: tuple[Issue, ...]
    truth: Floats
    forecasts: Mapping[str, Floats]
    seconds: Mapping[str, float]
    scale: Doubles
    unit: Ints
    day_ratios: Mapping[str, Doubles] = field(default_factory=dict)

    def scores(self, kind: str) -> dict[str, float]:
        """All metrics of one model."""
        return summary(self.truth, self.forecasts[kind], self.scale)

    def compare(self, challenger: str, baseline: str, seed: int) -> Interval:
        """Relative WQL difference with its interval; below zero the challenger is better."""
        losses = paired_losses(
            self.truth, self.forecasts[challenger], self.forecasts[baseline], self.unit
        )
        return paired_bootstrap(losses, seed)


def hold(
    models: Mapping[str, Model],
    series: Mapping[str, Series],
    target: str,
    issues: Sequence[Issue],
) -> Held:
    """Forecasts of all models for the same issues; a slot some model cannot forecast is left out.

    Windows are made in small groups, so memory does not grow with the cohort.
    """
    truths: list[Floats] = []
    parts: dict[str, list[Floats]] = {name: [] for name in models}
    ratios: dict[str, list[Doubles]] = {name: [] for name in models}
    seconds = dict.fromkeys(models, 0.0)
    for at in range(0, len(issues), _CHUNK):
        group = issues[at : at + _CHUNK]
        made: dict[tuple[Reach, int], Windows] = {}
        for name, model in models.items():
            look = model.look(target)
            key = (look.reach, id(look.cohort))
            started = perf_counter()
            if key not in made:
                made[key] = make_windows(series, look, group)
            parts[name].append(model.predict(made[key]))
            if isinstance(model, Totalling):
                ratios[name].append(model.total_ratios(made[key], parts[name][-1]))
            seconds[name] += perf_counter() - started
        truths.append(next(iter(made.values())).truth)
    truth = np.concatenate(truths)
    forecasts = {name: np.concatenate(part) for name, part in parts.items()}
    for forecast in forecasts.values():
        truth = np.where(np.isfinite(forecast).all(axis=2), truth, np.float32(np.nan))
    filled = {name: np.nan_to_num(forecast) for name, forecast in forecasts.items()}
    issued, scales = tuple(issues), _scales(series, target, issues)
    totals = {name: np.concatenate(part) for name, part in ratios.items() if part}
    return Held(target, issued, truth, filled, seconds, scales, units(issues), totals)


def units(issues: Sequence[Issue]) -> Ints:
    """(n,): numbers of the customers, or of the days when there are fewer than five customers."""
    names = sorted({issue.customer_id for issue in issues})
    if len(names) < MIN_CUSTOMERS:
        return np.arange(len(issues))
    number = {name: i for i, name in enumerate(names)}
    return np.array([number[issue.customer_id] for issue in issues], np.int64)


def _scales(series: Mapping[str, Series], target: str, issues: Sequence[Issue]) -> Doubles:
    first: dict[str, int] = {}
    for issue in issues:
        first[issue.customer_id] = min(issue.day, first.get(issue.customer_id, issue.day))
    scale = {name: naive_scale(series[name], target, day) for name, day in first.items()}
    return np.array([scale[issue.customer_id] for issue in issues])
