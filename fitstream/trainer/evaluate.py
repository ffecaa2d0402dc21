"""Puts models beside each other on the same day windows, day by day from before each midnight.

Must not fit or choose anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

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
from fitstream.trainer.windows import Issue, Reach, Windows, make_windows

MIN_CUSTOMERS = 5
_CHUNK = 64


class Model(Protocol):
    """Anything that forecasts day windows."""

    @property
    def kind(self) -> str:
        """Name on the leaderboard and in the card."""

    def predict(self, windows: Windows) -> Floats:
        """(n, 96, 4): q10, q50, q90, mean of each slot."""


@dataclass(frozen=True, eq=False)
class Held:
    """What a set of models forecast for some held-out days of one target.

    truth (day, 96); forecasts by kind (day, 96, 4); scale (day,) for MASE; unit (day,) numbers what
    a bootstrap resamples: the customers, or the days when there are fewer than five customers.
    """

    target: str
    truth: Floats
    forecasts: Mapping[str, Floats]
    seconds: Mapping[str, float]
    scale: Doubles
    unit: Ints

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
    models: Sequence[Model],
    series: Mapping[str, Series],
    target: str,
    issues: Sequence[Issue],
    reach: Reach,
) -> Held:
    """Forecasts of all models for the same issues; a slot some model cannot forecast is left out.

    Windows are made in small groups, so memory does not grow with the cohort.
    """
    truths: list[Floats] = []
    parts: dict[str, list[Floats]] = {model.kind: [] for model in models}
    seconds = {model.kind: 0.0 for model in models}
    for at in range(0, len(issues), _CHUNK):
        windows = make_windows(series, target, issues[at : at + _CHUNK], reach)
        truths.append(windows.truth)
        for model in models:
            started = perf_counter()
            parts[model.kind].append(model.predict(windows))
            seconds[model.kind] += perf_counter() - started
    truth = np.concatenate(truths)
    forecasts = {kind: np.concatenate(part) for kind, part in parts.items()}
    for forecast in forecasts.values():
        truth = np.where(np.isfinite(forecast).all(axis=2), truth, np.float32(np.nan))
    filled = {kind: np.nan_to_num(forecast) for kind, forecast in forecasts.items()}
    return Held(target, truth, filled, seconds, _scales(series, target, issues), _units(issues))


def _units(issues: Sequence[Issue]) -> Ints:
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
