"""Seasonal naive day and week, and no time of day at all: baselines to be beaten, never promoted.

Must not need torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fitstream.trainer.data import SLOTS, Floats
from fitstream.trainer.metrics import LEVELS
from fitstream.trainer.models.climatology import fill_from_pool
from fitstream.trainer.models.kernel import Doubles
from fitstream.trainer.windows import Look, Reach, Windows

_Z = np.array([-1.2816, 0.0, 1.2816, 0.0])  # standard normal quantiles of q10, q50, q90; the mean


@dataclass(frozen=True, eq=False)
class SeasonalNaive:
    """The value of the same slot `season_days` ago, with normal quantiles around it.

    Source: Hyndman and Athanasopoulos 2021, section 5.5 (spread = standard deviation of the
    customer's own past seasonal errors). A slot that was not measured then takes the last season
    that has it, then the last day.
    """

    season_days: int
    reach: Reach
    pool: Mapping[str, Floats]

    def look(self, target: str) -> Look:
        """Own past alone."""
        return Look(target, self.reach)

    @property
    def kind(self) -> str:
        """Name on the leaderboard."""
        return "naive_day" if self.season_days == 1 else "naive_week"

    def predict(self, windows: Windows) -> Floats:
        """(n, 96, 4): q10, q50, q90, mean of each slot; nothing below zero."""
        lags = np.arange(windows.reach.days)
        whole = (lags + 1) % self.season_days == 0  # (lag,)
        order = np.concatenate([lags[whole], lags[~whole]])
        rows = windows.anchors[:, order]  # (n, lag, slot)
        first = np.isfinite(rows).argmax(axis=1)  # (n, slot)
        value = np.take_along_axis(rows, first[:, None], axis=1)[:, 0]  # (n, slot)
        spread = self._spread(windows)[:, None, None] * _Z  # (n, 1, output)
        forecast = np.maximum(value[..., None] + spread, 0).astype(np.float32)  # (n, slot, output)
        return fill_from_pool(forecast, self.pool[windows.target], windows)

    def _spread(self, windows: Windows) -> Doubles:
        """(n,): root mean square of the past seasonal errors, 0 where there is none."""
        rows = windows.anchors  # (n, lag, slot), newest first
        error = rows[:, : -self.season_days] - rows[:, self.season_days :]  # (n, lag, slot)
        known = np.isfinite(error)
        square = np.where(known, error, 0).astype(np.float64) ** 2
        count = known.sum(axis=(1, 2))
        spread: Doubles = np.sqrt(square.sum(axis=(1, 2)) / np.maximum(count, 1))
        return spread


@dataclass(frozen=True, eq=False)
class NoTimeOfDay:
    """The distribution of all past slots of a customer, whatever their time.

    What is best when the data has no structure in time: a model that does not beat it has learned
    nothing but to spread its bets.
    """

    reach: Reach
    pool: Mapping[str, Floats]

    kind = "no_time_of_day"

    def look(self, target: str) -> Look:
        """Own past alone."""
        return Look(target, self.reach)

    def predict(self, windows: Windows) -> Floats:
        """(n, 96, 4): the same for each slot of a day."""
        out = np.full((len(windows), SLOTS, len(LEVELS) + 1), np.nan, np.float32)
        for i, rows in enumerate(windows.anchors):
            values = rows[np.isfinite(rows)]
            if len(values):
                out[i] = (*np.quantile(values, LEVELS), values.mean())
        return fill_from_pool(out, self.pool[windows.target], windows)
