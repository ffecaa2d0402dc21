"""How good a forecast was: sums per part of the day, from which WQL and coverage of any selection
follow. Must not look at anything but the forecast and the truth.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fitstream.trainer.data import SLOTS, Bools, Floats, Ints, Series
from fitstream.trainer.explain import RATES
from fitstream.trainer.metrics import LEVELS, Doubles, pinball
from fitstream.trainer.models.kernel import PARTS
from fitstream.trainer.totals import DayTotal

PART_SLOTS = SLOTS // PARTS


class Sums(NamedTuple):
    """Per part of the day (six of four hours): pinball loss, sum of the truth, how many slots were
    measured, and how many truths lay below q10 and above q90."""

    loss: list[float]
    size: list[float]
    slots: list[int]
    below: list[int]
    above: list[int]


def sums_of(truth: Floats, forecast: Floats, quarters: Ints) -> Sums:
    """Of slots (n,) with their forecast (n, 4) and local quarter hours (n,); NaN is not scored."""
    loss = pinball(truth[:, None], forecast[:, None])[:, 0]
    known = np.isfinite(truth)
    size = np.where(known, np.abs(truth), 0).astype(np.float64)
    below, above = known & (truth < forecast[:, 0]), known & (truth > forecast[:, len(LEVELS) - 1])
    part = quarters // PART_SLOTS

    def total(per_slot: Doubles) -> list[float]:
        return [float(each) for each in np.bincount(part, weights=per_slot, minlength=PARTS)]

    def count(per_slot: Bools) -> list[int]:
        return [int(each) for each in total(per_slot.astype(np.float64))]

    return Sums(total(loss), total(size), count(known), count(below), count(above))


def days_inside(series: Series, target: str, totals: Sequence[DayTotal]) -> tuple[int, int]:
    """How many of these days were worn and measured, and how many totals of them lay inside."""
    worn = series.worn(target)
    days = inside = 0
    for total in totals:
        row = series.index(total.day)
        values = worn[row] if 0 <= row < len(worn) else np.empty(0, np.float32)
        values = values[np.isfinite(values)]
        if len(values) < SLOTS // 2:
            continue
        real = float(values.mean() if target in RATES else values.sum())
        days += 1
        inside += total.low <= real <= total.high
    return days, inside


def truth_of(series: Series, target: str, first: int, places: Sequence[int]) -> Floats:
    """(n,): what was measured on wear days at quarter hours counted from local midnight of row
    `first`; NaN where nothing was."""
    flat = series.worn(target).reshape(-1)
    at = np.asarray(places, np.int64) + first * SLOTS
    known = (at >= 0) & (at < len(flat))
    out = np.full(len(at), np.nan, np.float32)
    out[known] = flat[at[known]]
    return out
