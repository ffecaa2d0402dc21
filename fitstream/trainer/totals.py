"""Totals of the local days of a forecast as they are served, with an interval of their own.

The interval comes from held-out days (`daytotals.py`); while a customer's own days are few it is
widened towards how far people's days lie apart. Must not look at the days it is applied to.
"""

from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

from fitstream.trainer.data import SLOTS, Floats
from fitstream.trainer.daytotals import USUAL, Ratios, day_totals
from fitstream.trainer.explain import RATES
from fitstream.trainer.metrics import Doubles

# What 8 in 10 days of anybody are within, as ratios to the cohort's mean day.
ANYBODY: dict[str, Ratios] = {
    "steps": Ratios(0.25, 1.9),
    "calories_kcal": Ratios(0.7, 1.35),
    "heart_rate_bpm": Ratios(0.85, 1.17),
}
_FEW_DAYS = 3.0


class DayTotal(NamedTuple):
    """Total of a local day, of heart rates its mean; 8 in 10 such days lie from low to high."""

    day: date
    low: float
    mean: float
    high: float


def totals_of(
    target: str, days: Floats, first: date, known: tuple[Ratios | Doubles | None, int]
) -> tuple[DayTotal, ...]:
    """Of (day, 96, 4) from `first` on; `known` is (the model's ratios, of all days or (day, 2), and
    the own days it rests on)."""
    ratios, own_days = known
    rows = day_totals(
        days, widened(target, USUAL[target] if ratios is None else ratios, own_days)
    )  # (day, 3)
    rows = rows / (SLOTS if target in RATES else 1)
    return tuple(
        DayTotal(first + timedelta(days=i), *(float(np.maximum(each, 0)) for each in row))
        for i, row in enumerate(rows)
    )


def widened(target: str, ratios: Ratios | Doubles, own_days: int) -> Doubles:
    """(2,) or (day, 2): the ratios of a customer with so many own days: anybody's without any, the
    model's with many."""
    trust = own_days / (own_days + _FEW_DAYS)
    least, most, _ = ANYBODY[target]
    given = np.asarray(ratios, np.float64)
    wide = np.stack([np.minimum(least, given[..., 0]), np.maximum(most, given[..., 1])], axis=-1)
    return np.asarray(trust * given + (1 - trust) * wide)
