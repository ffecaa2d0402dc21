"""Day windows: for each day to forecast, the customer's own past slots as sorted, masked keys.

Sorting here once lets every kernel and every training step work on cumulative weights alone. Must
never look at or after the local midnight at which the forecast is issued.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fitstream.trainer.data import SLOTS, Floats, Ints, Series

# One uint32 per key: 18 bits of value at the contract's precision, then 14 bits of key number.
PARTS_PER_UNIT = {"steps": 10, "calories_kcal": 100, "heart_rate_bpm": 10}
_NUMBER_BITS = 14
NOT_MEASURED = np.uint32(2**_NUMBER_BITS - 1)  # all number bits set
_NOTHING = 2**18 - 1  # sorts behind every measured value
Shorts = npt.NDArray[np.int16]


class Reach(NamedTuple):
    """How far a forecast looks: `days` back, and `slots` to both sides of the same quarter hour."""

    days: int = 56
    slots: int = 3

    @property
    def width(self) -> int:
        """Slots looked at per past day."""
        return 2 * self.slots + 1

    @property
    def keys(self) -> int:
        """Keys per forecast slot."""
        return self.days * self.width


class Issue(NamedTuple):
    """A day to forecast (row of the series) from whole days before row `cut`; cut ≤ day."""

    customer_id: str
    day: int
    cut: int


@dataclass(frozen=True, eq=False)
class Windows:
    """A batch of day windows of one target; n issues, K = reach.keys.

    values  (n, 96, K) float32, ascending; from `count` on nothing was measured
    order   (n, 96, K) int16, which key each value is: (lag − 1) · width + offset; beyond K
            = not measured
    count   (n, 96) measured keys
    anchors (n, days, 96) float32, the same quarter hours by lag, NaN where nothing was measured
    weekday (n,) of the forecast day, 0 = Monday
    truth   (n, 96) float32, NaN where there is nothing to score
    """

    target: str
    reach: Reach
    issues: tuple[Issue, ...]
    values: Floats
    order: Shorts
    count: Ints
    anchors: Floats
    weekday: Ints
    truth: Floats

    def __len__(self) -> int:
        """Number of day windows."""
        return len(self.issues)

    def take(self, rows: npt.ArrayLike) -> "Windows":
        """The windows of some rows, in their order."""
        at = np.atleast_1d(np.asarray(rows, dtype=np.int64))
        issues = tuple(self.issues[i] for i in at)
        return Windows(
            target=self.target,
            reach=self.reach,
            issues=issues,
            values=self.values[at],
            order=self.order[at],
            count=self.count[at],
            anchors=self.anchors[at],
            weekday=self.weekday[at],
            truth=self.truth[at],
        )

    def history_days(self) -> Ints:
        """(n,): past days with anything measured."""
        days: Ints = np.isfinite(self.anchors).any(axis=2).sum(axis=1)
        return days


def make_windows(
    series: Mapping[str, Series], target: str, issues: Sequence[Issue], reach: Reach
) -> Windows:
    """Windows of one target for some issues, in their order; truth where the data has it."""
    n = len(issues)
    values = np.empty((n, SLOTS, reach.keys), np.float32)
    order = np.empty((n, SLOTS, reach.keys), np.int16)
    count = np.empty((n, SLOTS), np.int64)
    anchors = np.empty((n, reach.days, SLOTS), np.float32)
    truth = np.full((n, SLOTS), np.nan, np.float32)
    worn = {name: series[name].worn(target) for name in {issue.customer_id for issue in issues}}
    for i, issue in enumerate(issues):
        rows = worn[issue.customer_id]
        past = _past(rows, issue, reach)
        keys = _sorted_keys(past, target, reach)
        np.multiply(keys >> _NUMBER_BITS, np.float32(1 / PARTS_PER_UNIT[target]), out=values[i])
        order[i] = keys & NOT_MEASURED
        count[i] = _measured_keys(past, reach)
        anchors[i] = _anchors(past, reach)
        if 0 <= issue.day < len(rows):
            truth[i] = rows[issue.day]
    weekday = np.array([series[each.customer_id].weekday(each.day) for each in issues], np.int64)
    batch = (tuple(issues), values, order, count, anchors, weekday, truth)
    return Windows(target, reach, *batch)


def _past(rows: Floats, issue: Issue, reach: Reach) -> Floats:
    """Slots from `reach` before the forecast day to `reach.slots` into it, NaN from the cut on."""
    start = (issue.day - reach.days) * SLOTS - reach.slots
    past = np.full(reach.days * SLOTS + 2 * reach.slots, np.nan, np.float32)
    flat = rows.reshape(-1)
    stop = min(issue.cut * SLOTS, len(flat), start + len(past))
    low = max(start, 0)
    if stop > low:
        past[low - start : stop - start] = flat[low:stop]
    return past


def _measured_keys(past: Floats, reach: Reach) -> Ints:
    """(96,): how many keys of each slot were measured."""
    run = np.concatenate([[0], np.cumsum(np.isfinite(past))])
    near = run[reach.width :] - run[: -reach.width]  # (days * 96,): within the reach of each slot
    per_slot: Ints = near.reshape(reach.days, SLOTS).sum(axis=0)
    return per_slot


def _anchors(past: Floats, reach: Reach) -> Floats:
    middle = past[reach.slots : reach.slots + reach.days * SLOTS]
    newest_first: Floats = middle.reshape(reach.days, SLOTS)[::-1]
    return newest_first


@lru_cache(maxsize=8)
def _key_numbers(keys: int) -> npt.NDArray[np.uint32]:
    return np.arange(keys, dtype=np.uint32)


def _sorted_keys(past: Floats, target: str, reach: Reach) -> npt.NDArray[np.uint32]:
    """(96, K): value and key number of every key as one integer, sorted; ties in key order."""
    scaled = np.clip(np.rint(np.nan_to_num(past) * PARTS_PER_UNIT[target]), 0, _NOTHING - 1)
    code = scaled.astype(np.uint32) << _NUMBER_BITS  # (slot,)
    code[np.isnan(past)] = _NOTHING << _NUMBER_BITS | int(NOT_MEASURED)
    step = code.strides[0]
    newest = code[(reach.days - 1) * SLOTS :]  # lag 1 first
    by_lag = np.lib.stride_tricks.as_strided(
        newest, (SLOTS, reach.days, reach.width), (step, -SLOTS * step, step), writeable=False
    )  # (slot, lag, offset)
    keys = by_lag.reshape(SLOTS, reach.keys) | _key_numbers(reach.keys)  # (slot, key)
    keys.sort(axis=1)
    return keys
