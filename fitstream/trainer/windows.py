"""Day windows: for each day to forecast, the customer's own past slots as sorted, masked keys.

Sorting here once lets every kernel and every training step work on cumulative weights alone. Must
never look at or after the local midnight at which the forecast is issued.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from fitstream.trainer.cohort import PRIOR, Cohort, Marks, mark_of
from fitstream.trainer.data import SLOTS, Floats, Ints, Series
from fitstream.trainer.level import DRIFTING, shifts

# One uint32 per key: 18 bits of value at the contract's precision, then 14 bits of key number.
PARTS_PER_UNIT = {"steps": 10, "calories_kcal": 100, "heart_rate_bpm": 10}
_NUMBER_BITS = 14
NOT_MEASURED = np.uint32(2**_NUMBER_BITS - 1)  # all number bits set
_NOTHING = 2**18 - 1  # sorts behind every measured value
_EMPTY = np.uint32(_NOTHING << _NUMBER_BITS | int(NOT_MEASURED))
SATURDAY = 5
Codes = npt.NDArray[np.uint32]
T = TypeVar("T", np.float32, np.uint32)


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
        """Keys per forecast slot from a customer's own past."""
        return self.days * self.width

    @property
    def all_keys(self) -> int:
        """Own keys, then what the cohort suggests."""
        return self.keys + PRIOR


class Issue(NamedTuple):
    """A day to forecast (row of the series) from whole days before row `cut`; cut ≤ day."""

    customer_id: str
    day: int
    cut: int


@dataclass(frozen=True, eq=False)
class Windows:
    """A batch of day windows of one target; n issues, K = reach.all_keys.

    keys    (n, 96, K) uint32, ascending: value and number of each key in one integer
    count   (n, 96) measured keys; behind them nothing was measured
    anchors (n, days, 96) float32, the same quarter hours by lag, NaN where nothing was measured
    weekday (n,) of the forecast day, 0 = Monday
    truth   (n, 96) float32, NaN where there is nothing to score
    whose   (n,) the customers' marks, by which a model may know them without their ids
    """

    target: str
    reach: Reach
    issues: tuple[Issue, ...]
    keys: Codes
    count: Ints
    anchors: Floats
    weekday: Ints
    truth: Floats
    whose: Marks

    def __len__(self) -> int:
        """Number of day windows."""
        return len(self.issues)

    @property
    def values(self) -> Floats:
        """(n, 96, K): ascending; from `count` on nothing was measured."""
        return values_of(self.keys, self.target)

    @property
    def order(self) -> Ints:
        """(n, 96, K): which key each value is: (lag − 1) · width + offset, from reach.keys on the
        cohort's, beyond K = not measured."""
        return numbers_of(self.keys)

    def take(self, rows: npt.ArrayLike) -> "Windows":
        """The windows of some rows, in their order."""
        at = np.atleast_1d(np.asarray(rows, dtype=np.int64))
        issues = tuple(self.issues[i] for i in at)
        return Windows(
            target=self.target,
            reach=self.reach,
            issues=issues,
            keys=self.keys[at],
            count=self.count[at],
            anchors=self.anchors[at],
            weekday=self.weekday[at],
            truth=self.truth[at],
            whose=self.whose[at],
        )

    @cached_property
    def measured_slots(self) -> Ints:
        """(n, days): how many slots of each past day were measured, by lag."""
        count: Ints = np.count_nonzero(np.isfinite(self.anchors), axis=2)
        return count

    @cached_property
    def day_sums(self) -> npt.NDArray[np.float64]:
        """(n, days): sum of what was measured on each past day, by lag."""
        sums: npt.NDArray[np.float64] = np.nansum(self.anchors, axis=2, dtype=np.float64)
        return sums

    def history_days(self) -> Ints:
        """(n,): past days with anything measured."""
        days: Ints = np.count_nonzero(self.measured_slots, axis=1)
        return days


@dataclass(frozen=True, eq=False)
class Look:
    """What a forecast of one target may look at: own past as far as it reaches, and the cohort."""

    target: str
    reach: Reach
    cohort: Cohort | None = None


def make_windows(series: Mapping[str, Series], look: Look, issues: Sequence[Issue]) -> Windows:
    """Windows of one target for some issues, in their order; truth where the data has it."""
    n, target, reach = len(issues), look.target, look.reach
    keys = np.empty((n, SLOTS, reach.all_keys), np.uint32)
    count = np.empty((n, SLOTS), np.int64)
    anchors = np.empty((n, reach.days, SLOTS), np.float32)
    truth = np.full((n, SLOTS), np.nan, np.float32)
    weekday = np.array([series[each.customer_id].weekday(each.day) for each in issues], np.int64)
    names = sorted({issue.customer_id for issue in issues})
    worn = {name: series[name].worn(target) for name in names}
    marks = {name: mark_of(series[name].customer_id) for name in names}
    whose = np.array([marks[issue.customer_id] for issue in issues], np.uint64)
    for i, issue in enumerate(issues):
        rows = worn[issue.customer_id]
        past = _past(rows, issue, reach)
        anchors[i] = _anchors(past, reach)
        prior = _prior(look, series[issue.customer_id], anchors[i], weekday[i] >= SATURDAY)
        if target in DRIFTING:
            past += _moved(rows, issue, reach)
        _write_keys(keys[i, :, : reach.keys], past, look)
        keys[i, :, reach.keys :] = _prior_keys(prior, look)
        keys[i].sort(axis=1)
        count[i] = np.count_nonzero(keys[i] != _EMPTY, axis=1)
        if 0 <= issue.day < len(rows):
            truth[i] = rows[issue.day]
    return Windows(target, reach, tuple(issues), keys, count, anchors, weekday, truth, whose)


def values_of(keys: Codes, target: str) -> Floats:
    """Values of keys, of any shape."""
    values: Floats = np.multiply(
        keys >> _NUMBER_BITS, np.float32(1 / PARTS_PER_UNIT[target]), dtype=np.float32
    )
    return values


def numbers_of(keys: Codes) -> Ints:
    """Which key each one is, of any shape; beyond K = not measured."""
    return (keys & NOT_MEASURED).astype(np.int64)


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


def _moved(rows: Floats, issue: Issue, reach: Reach) -> Floats:
    """What to add to the slots of `_past`, each by its own day and time."""
    days = shifts(rows, issue.day, issue.cut, reach.days)[::-1].reshape(-1)  # oldest first
    return np.concatenate([days[: reach.slots], days, days[len(days) - reach.slots :]])


def _anchors(past: Floats, reach: Reach) -> Floats:
    middle = past[reach.slots : reach.slots + reach.days * SLOTS]
    newest_first: Floats = middle.reshape(reach.days, SLOTS)[::-1]
    return newest_first


@lru_cache(maxsize=8)
def _key_numbers(reach: Reach) -> Codes:
    """(offset, lag): the number of each own key."""
    return np.arange(reach.keys, dtype=np.uint32).reshape(reach.days, reach.width).T.copy()


def _prior(look: Look, own: Series, anchors: Floats, is_weekend: bool) -> Floats | None:
    """(96, 31) from the cohort, None where it has nothing to say."""
    if look.cohort is None:
        return None
    prior = look.cohort.prior(own.customer_id, anchors, look.target, bool(is_weekend))
    return prior if np.isfinite(prior).all() else None


def _prior_keys(prior: Floats | None, look: Look) -> Codes:
    """(96, 31): the cohort's values as codes behind the own keys."""
    numbers = np.arange(look.reach.keys, look.reach.all_keys, dtype=np.uint32)
    if prior is None:
        return np.full((SLOTS, PRIOR), _EMPTY, np.uint32)
    codes: Codes = _codes(prior, look.target) | numbers
    return codes


def _codes(values: Floats, target: str) -> Codes:
    """Values in the upper bits, no key number yet; not measured sorts behind everything."""
    measured = np.isfinite(values)
    scaled = np.where(measured, values, 0) * np.float32(PARTS_PER_UNIT[target])
    np.clip(np.rint(scaled, out=scaled), 0, _NOTHING - 1, out=scaled)
    code: Codes = scaled.astype(np.uint32) << np.uint32(_NUMBER_BITS)
    code[~measured] = _EMPTY
    return code


def _write_keys(out: Codes, past: Floats, look: Look) -> None:
    """Value and number of every own key into (96, own keys), in no order.

    All lags of an offset stand together: long inner loops are what makes this fast.
    """
    reach = look.reach
    codes = _by_offset(_codes(past, look.target), reach)  # (slot, offset, lag)
    keys = out.reshape(SLOTS, reach.width, reach.days, copy=False)
    np.bitwise_or(codes, _key_numbers(reach), out=keys)


def _by_offset(past: npt.NDArray[T], reach: Reach) -> npt.NDArray[T]:
    """(slot, offset, lag): a view on the past of each forecast slot, lag 1 first."""
    step = past.strides[0]
    newest = past[(reach.days - 1) * SLOTS :]
    return np.lib.stride_tricks.as_strided(
        newest, (SLOTS, reach.width, reach.days), (step, step, -SLOTS * step), writeable=False
    )
