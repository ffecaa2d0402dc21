"""How good a model is for whom and when: by part of the day, by how far ahead, by kind of person.

Plain values for cards and pages. Must not compute forecasts, and says nothing of fewer than five
people together.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fitstream.trainer.data import SLOTS, Series
from fitstream.trainer.evaluate import Held
from fitstream.trainer.metrics import wql

PARTS = (("night", 0, 6), ("morning", 6, 12), ("afternoon", 12, 18), ("evening", 18, 24))
LEAST_PEOPLE = 5
LONG_HISTORY_DAYS = 28
_HOUR = SLOTS // 24
_DIGITS = 5
Rows = npt.NDArray[np.bool_]


class Slice(NamedTuple):
    """A part of the held-out days, by a name that people understand."""

    name: str
    rows: Rows


def by_part(held: Held, models: Sequence[str]) -> list[dict[str, Any]]:
    """WQL of each model in each part of the day."""
    rows = []
    for name, first, last in PARTS:
        slots = slice(first * _HOUR, last * _HOUR)
        scores = {
            model: _plain(wql(held.truth[:, slots], held.forecasts[model][:, slots]))
            for model in models
        }
        rows.append({"part": name, "from_hour": first, "to_hour": last, "wql": scores})
    return rows


def by_slice(
    series: Mapping[str, Series], held: Held, models: Sequence[str]
) -> list[dict[str, Any]]:
    """WQL of each model for kinds of days and people; groups of fewer than five are left out."""
    rows = []
    for each in _slices(series, held):
        people = {held.issues[int(i)].customer_id for i in np.flatnonzero(each.rows)}
        if len(people) < LEAST_PEOPLE:
            continue
        scores = {
            model: _plain(wql(held.truth[each.rows], held.forecasts[model][each.rows]))
            for model in models
        }
        rows.append(
            {"slice": each.name, "people": len(people), "days": int(each.rows.sum()), "wql": scores}
        )
    return rows


def overall(held: Held, models: Sequence[str]) -> dict[str, float | None]:
    """WQL of each model on all of it."""
    return {model: _plain(wql(held.truth, held.forecasts[model])) for model in models}


def _slices(series: Mapping[str, Series], held: Held) -> list[Slice]:
    issues = held.issues
    known = {i.customer_id: series[i.customer_id].measured_days(held.target) for i in issues}
    history = np.array([int((known[i.customer_id] < i.day).sum()) for i in issues])
    weekend = np.array([series[i.customer_id].weekday(i.day) >= 5 for i in issues])
    level = {name: _level(series[name], held.target) for name in known}
    middle = float(np.median(list(level.values()))) if level else 0.0
    high = np.array([level[i.customer_id] > middle for i in issues], bool)
    return [
        Slice("weekdays", ~weekend),
        Slice("weekends", weekend),
        Slice(f"people with less than {LONG_HISTORY_DAYS} days", history < LONG_HISTORY_DAYS),
        Slice(f"people with {LONG_HISTORY_DAYS} days and more", history >= LONG_HISTORY_DAYS),
        Slice("the half of the people with the lower values", ~high),
        Slice("the half of the people with the higher values", high),
    ]


def _level(series: Series, target: str) -> float:
    rows = series.worn(target)
    return float(np.nanmean(rows)) if np.isfinite(rows).any() else 0.0


def _plain(value: float) -> float | None:
    return round(value, _DIGITS) if np.isfinite(value) else None
