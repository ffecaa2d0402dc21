"""Moves the outer quantiles so that as many truths lie beyond them as they say.

Source: split-conformal prediction (Romano, Patterson and Candès 2019, conformalized quantile
regression), per part of the day; changed: in units of the forecast's own half-width, shrunk while
there are few days, and q10 is only ever widened: where many slots hold one value it sits on it.
"""

from dataclasses import dataclass

import numpy as np

from fitstream.trainer.data import SLOTS, Floats
from fitstream.trainer.metrics import LEVELS, Doubles
from fitstream.trainer.models.kernel import PARTS

_TAIL = LEVELS[0]
_SHRINK_DAYS = 60.0
_MOST = 0.5
_LEAST_WIDTH = 0.02  # of the mean forecast


@dataclass(frozen=True, eq=False)
class Calibration:
    """(part, 2): how far q10 goes down and q90 up, in their own distances from the median."""

    moves: Floats

    def apply(self, forecast: Floats) -> Floats:
        """(n, 96, 4), quantiles still in order, nothing below zero; NaN stays NaN."""
        down, up = np.repeat(self.moves, SLOTS // PARTS, axis=0).T  # (slot,) each
        below, above = _widths(forecast)
        out = forecast.copy()
        out[..., 0] = np.maximum(forecast[..., 0] - down * below, 0)
        out[..., 2] = np.maximum(forecast[..., 2] + up * above, forecast[..., 1])
        return out


def no_calibration() -> Calibration:
    """Changes nothing."""
    return Calibration(np.zeros((PARTS, 2), np.float32))


def trust_of(days: int) -> float:
    """How far so many held-out days are believed, 0…1."""
    return days / (days + _SHRINK_DAYS)


def calibrate(truth: Floats, forecast: Floats) -> Calibration:
    """From held-out days (day, 96) and what was forecast for them (day, 96, 4)."""
    below, above = _widths(forecast)
    scores = ((forecast[..., 0] - truth) / below, (truth - forecast[..., 2]) / above)
    trust = trust_of(len(truth))
    moves = np.zeros((PARTS, 2), np.float32)
    for part in range(PARTS):
        slots = slice(part * SLOTS // PARTS, (part + 1) * SLOTS // PARTS)
        for side, score in enumerate(scores):
            moves[part, side] = trust * _conformal(score[:, slots].reshape(-1))
    moves[:, 0] = np.maximum(moves[:, 0], 0)
    return Calibration(moves)


def _conformal(score: Floats) -> float:
    """The score that a tenth of the truths exceed; 0 without any."""
    known = np.sort(score[np.isfinite(score)])
    if len(known) == 0:
        return 0.0
    rank = int(np.ceil((1 - _TAIL) * (len(known) + 1))) - 1
    return float(np.clip(known[min(rank, len(known) - 1)], -_MOST, _MOST))


def _widths(forecast: Floats) -> tuple[Floats, Doubles]:
    """Distances of q10 and q90 from the median, a little more than nothing."""
    least = np.maximum(_LEAST_WIDTH * forecast[..., 3], 1e-3)
    below = np.maximum(forecast[..., 1] - forecast[..., 0], least)
    above = np.maximum(forecast[..., 2] - forecast[..., 1], least)
    return below, above
