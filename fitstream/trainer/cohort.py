"""What other customers' days look like, slot by slot, in a form that fits any one of them.

A few more days' worth of evidence beside a customer's own: it matters while their history is short.
Must not keep anybody's id, and must not look at days it was not handed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fitstream.trainer.data import SLOTS, Bools, Floats, Series

PRIOR = 31  # how many equally likely values stand for the others at one slot
MAX_MEMBERS = 64
MIN_DAYS = 5
_CLASS_DAYS = 2
_NEAR = 2  # slots to both sides that count as the same moment
_LIKENESS = 0.1
_OWN_DAYS = 1.0  # how many days the cohort's scale weighs against a customer's own
_LEVELS = (np.arange(PRIOR) + 0.5) / PRIOR
_APART = np.abs(np.arange(SLOTS)[:, None] - np.arange(SLOTS))
_APART = np.minimum(_APART, SLOTS - _APART)  # midnight is beside midnight
_BLUR = np.where(_APART <= 8, np.exp(-0.5 * (_APART / 2.0) ** 2), 0)  # (slot, slot)
Marks = npt.NDArray[np.uint64]


class Place(NamedTuple):
    """Where a customer's values lie and how far they spread: value = low + spread · unit."""

    low: float
    spread: float


@dataclass(frozen=True, eq=False)
class Cohort:
    """Members of one target, none of them by name; M members.

    marks (M,) tells a member from others; profile (M, 96) is the smoothed mean day; table
    (M, 2, 96, 31) the quantiles of weekdays and weekends, NaN where a member has too few such days;
    all in units of the member's own place. `spread` is the members' median one.
    """

    marks: Marks
    profile: Floats
    table: Floats
    spread: float

    def __len__(self) -> int:
        """Number of members."""
        return len(self.marks)

    @cached_property
    def _known(self) -> Bools:
        """(2, M): which members have enough weekdays, weekends."""
        return np.isfinite(self.table[:, :, 0, 0]).T.copy()

    @cached_property
    def _tables(self) -> Floats:
        """(2, M, 96 · 31): as `table`, 0 where a member has too few such days."""
        flat = np.nan_to_num(self.table).transpose(1, 0, 2, 3)
        return np.ascontiguousarray(flat).reshape(2, len(self), SLOTS * PRIOR)

    def prior(self, name: str, rows: Floats, target: str, is_weekend: bool) -> Floats:
        """(96, 31): values the others suggest for a customer with past days `rows` (day, 96).

        Members whose days look alike count more, the customer's own entry not at all. NaN without
        other members or without own days.
        """
        known, tables = self._known[int(is_weekend)], self._tables[int(is_weekend)]
        others = known & (self.marks != mark_of(name))
        measured = np.isfinite(rows)  # (day, slot)
        place = _place(rows[measured], target)
        if place is None or not others.any():
            return np.full((SLOTS, PRIOR), np.nan, np.float32)
        distance = ((self.profile - _profile(rows, measured, place)) ** 2).mean(axis=1)  # (member,)
        nearest = distance[others].min()
        weight = np.where(others, np.exp(-np.maximum(distance - nearest, 0) / _LIKENESS), 0)
        shares = (weight / weight.sum()).astype(np.float32)  # (member,)
        unit = (shares @ tables).reshape(SLOTS, PRIOR)  # (slot, level)
        days = np.count_nonzero(measured.any(axis=1))
        spread = (days * place.spread + _OWN_DAYS * self.spread) / (days + _OWN_DAYS)
        prior: Floats = np.maximum(place.low + spread * unit, 0).astype(np.float32)
        return prior


def no_cohort() -> Cohort:
    """Nobody: it has nothing to say."""
    profile, table = np.empty((0, SLOTS), np.float32), np.empty((0, 2, SLOTS, PRIOR), np.float32)
    return Cohort(np.empty(0, np.uint64), profile, table, 1.0)


def mark_of(name: str) -> np.uint64:
    """A number that tells whether an entry is this customer's, without naming them."""
    return np.uint64(int.from_bytes(sha256(name.encode()).digest()[:8], "big"))


def place_of(rows: Floats, target: str) -> Place | None:
    """Low point and spread of (day, 96); None when nothing was measured or nothing varies.

    Steps have no low point but zero. Calories never fall below the resting rate. Heart rates lie
    around their mean.
    """
    return _place(rows[np.isfinite(rows)], target)


def _place(values: Floats, target: str) -> Place | None:
    if len(values) == 0:
        return None
    mean = float(values.mean())
    if target == "heart_rate_bpm":
        place = Place(mean, float(values.std()))
    elif target == "calories_kcal":
        low = _lowest(values)
        place = Place(low, mean - low)
    else:
        place = Place(0.0, mean)
    return place if place.spread > 0 else None


def _lowest(values: Floats) -> float:
    """The 5 % quantile, without sorting everything."""
    at = 0.05 * (len(values) - 1)
    below = int(at)
    above = min(below + 1, len(values) - 1)
    found = np.partition(values, (below, above))
    return float(found[below] + (at - below) * (found[above] - found[below]))


def make_cohort(days: Sequence[tuple[Series, int]], target: str) -> Cohort:
    """The cohort of customers with at least five measured days among their first so many rows.

    With more than 64 of them, some by the order of their marks: the same for the same customers.
    """
    found = []
    for series, stop in days:
        rows = series.worn(target)[: max(stop, 0)]
        place = place_of(rows, target)
        if place is not None and np.isfinite(rows).any(axis=1).sum() >= MIN_DAYS:
            found.append((mark_of(series.customer_id), series, rows, place))
    found.sort(key=lambda each: int(each[0]))
    found = found[:MAX_MEMBERS]
    shape = (len(found), 2, SLOTS, PRIOR)
    table = np.empty(shape, np.float32)
    profile = np.empty((len(found), SLOTS), np.float32)
    for number, (_, series, rows, place) in enumerate(found):
        weekend = np.array([series.weekday(day) >= 5 for day in range(len(rows))])
        unit = (rows - place.low) / place.spread
        profile[number] = _profile(rows, np.isfinite(rows), place)
        for which in (0, 1):
            table[number, which] = _quantiles(unit[weekend == bool(which)])
    spread = float(np.median([place.spread for *_, place in found])) if found else 1.0
    marks = np.array([mark for mark, *_ in found], np.uint64)
    return Cohort(marks, profile, table, spread)


def _profile(rows: Floats, measured: Bools, place: Place) -> Floats:
    """(96,): the mean day in units of the place, blurred over half an hour; 0 = never measured."""
    count = np.count_nonzero(measured, axis=0)
    total = np.where(measured, rows, 0).sum(axis=0) - place.low * count
    top, bottom = np.stack([total, count]) @ _BLUR
    profile: Floats = (top / place.spread / np.maximum(bottom, 1e-9)).astype(np.float32)
    return profile


def _quantiles(rows: Floats) -> Floats:
    """(96, 31): of each slot and its neighbours over days; NaN for fewer than two days."""
    if np.isfinite(rows).any(axis=1).sum() < _CLASS_DAYS:
        return np.full((SLOTS, PRIOR), np.nan, np.float32)
    wide = np.pad(rows, ((0, 0), (_NEAR, _NEAR)), mode="edge")
    near = np.lib.stride_tricks.sliding_window_view(wide, 2 * _NEAR + 1, axis=1)  # (day, slot, 5)
    values = np.sort(near.transpose(1, 0, 2).reshape(SLOTS, -1), axis=1)  # (slot, key), NaN last
    count = np.isfinite(values).sum(axis=1)  # (slot,)
    if not count.all():
        values, count = _with_gaps_filled(values, count)
    at = np.clip(np.asarray(_LEVELS) * count[:, None] - 0.5, 0, count[:, None] - 1)  # (slot, level)
    low = at.astype(np.int64)
    high = np.minimum(low + 1, count[:, None] - 1)
    v_low, v_high = (np.take_along_axis(values, each, axis=1) for each in (low, high))
    quantiles: Floats = (v_low + (at - low) * (v_high - v_low)).astype(np.float32)
    return quantiles


def _with_gaps_filled(
    values: Floats, count: npt.NDArray[np.int64]
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """A slot that was never measured takes the values of the measured slot nearest to it."""
    measured = np.flatnonzero(count)
    nearest = measured[np.abs(np.arange(SLOTS)[:, None] - measured).argmin(axis=1)]
    return values[nearest], count[nearest]
