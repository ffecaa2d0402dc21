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

# What 8 in 10 days of anybody are within, as ratios to the cohort's mean day.
ANYBODY: dict[str, Ratios] = {
    "steps": (0.25, 1.9), "calories_kcal": (0.7, 1.35), "heart_rate_bpm": (0.85, 1.17),
}  # fmt: skip
_FEW_DAYS = 3.0


class DayTotal(NamedTuple):
    """Total of a local day, of heart rates its mean; 8 in 10 such days lie from low to high."""

    day: date
    low: float
    mean: float
    high: float


def totals_of(
    target: str, days: Floats, first: date, known: tuple[Ratios | None, int]
) -> tuple[DayTotal, ...]:
    """Of (day, 96, 4) from `first` on; `known` is (the model's ratios, own days it rests on)."""
    ratios, own_days = known
    rows = day_totals(days, widened(target, ratios or USUAL[target], own_days))  # (day, 3)
    rows = rows / (SLOTS if target in RATES else 1)
    return tuple(
        DayTotal(first + timedelta(days=i), *(float(np.maximum(each, 0)) for each in row))
        for i, row in enumerate(rows)
    )


def widened(target: str, ratios: Ratios, own_days: int) -> Ratios:
    """The ratios of a customer with so many own days: anybody's without any, the model's with
    many."""
    trust = own_days / (own_days + _FEW_DAYS)
    (low, high), (least, most) = ratios, ANYBODY[target]
    return (
        trust * low + (1 - trust) * min(least, low),
        trust * high + (1 - trust) * max(most, high),
    )
