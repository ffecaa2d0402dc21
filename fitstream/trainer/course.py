"""How alike past moments were to this one, and so what counts more for the rest of today.

A past value counts more where the quarter hour, the half hour and the two hours before its moment
were like those before now; its moment lies as far before it as now lies before the slot that is
forecast. After four hours little is left of that. Heart rates are also moved by how far now is off
that moment. Must not look at or after the moment.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from fitstream.trainer.data import SLOTS, Ints, Series
from fitstream.trainer.explain import Course, weights_of
from fitstream.trainer.metrics import Doubles
from fitstream.trainer.models.kernel import PARTS, Kernel, slot_weights
from fitstream.trainer.windows import Windows

REACH_SLOTS = 8  # near moments count from further away than near slots do
LAST, HALF_HOUR, TWO_HOURS = 1, 2, 8  # slots
_UNKNOWN = 1.0  # half a squared distance, where either moment was not measured
_NO_SLOTS = 48.0  # exp(-48) is nothing


class Reaction(NamedTuple):
    """How a target answers to its last hours, chosen on held-out days before the test days.

    Widths of likeness for the last quarter hour, half hour and two hours (log units, or beats);
    `fades` and `last_fades` are slots after which likeness has lost two thirds; near moments count
    from `wider` times further away, fading in `wider_fades`; values move by `moved` of how far the
    last slot was off, fading in `moved_fades`, and by `moved_long` of that of the two hours.
    """

    last: float
    half_hour: float
    two_hours: float
    is_log: bool = True
    fades: float = 4.0
    last_fades: float = 1.5
    wider: float = 1.0
    wider_fades: float = 1.5
    moved: float = 0.0
    moved_fades: float = 2.5
    moved_long: float = 0.0
    moved_long_fades: float = 8.0


REACTIONS: Mapping[str, Reaction] = {
    "steps": Reaction(0.65, 2.0, 1.5),
    "calories_kcal": Reaction(0.2, 0.4, 0.4),
    "heart_rate_bpm": Reaction(
        np.inf, 12.0, 15.0, is_log=False, wider=0.0, moved=0.7, moved_long=0.2
    ),
}


def course_of(kernel: Kernel, known: Series, windows: Windows, quarter: int) -> Course:
    """What the moment changes for every key of every slot from it on."""
    so_far = slots_until(known, windows.target, quarter)
    made = Reacting(kernel, windows).changes(so_far, quarter, SLOTS - quarter)
    factor = np.ones((SLOTS, windows.reach.keys), np.float32)
    shift = np.zeros_like(factor)
    factor[quarter:], shift[quarter:] = made
    return Course(factor, shift)


def slots_until(known: Series, target: str, quarter: int) -> Doubles:
    """(slots,): worn days, and the last day of `known` up to quarter hour `quarter`, in a row."""
    rows = known.worn(target)
    rows[-1] = known.values[target][-1]
    flat = rows.reshape(-1)[: rows.size - SLOTS + quarter]
    return flat.astype(np.float64)


class Reacting:
    """How one target of one customer answers to the course of one day, at any moment of it.

    What does not depend on the moment is done once: a day is seen again at many of them.
    """

    def __init__(self, kernel: Kernel, windows: Windows) -> None:
        reach = windows.reach
        self._reach, self._react = reach, REACTIONS[windows.target]
        self._sd = np.repeat(np.array(kernel.sd_slots), SLOTS // PARTS)[:, None]  # (slot, 1)
        self._usual = np.repeat(slot_weights(kernel, reach), SLOTS // PARTS, axis=0)
        self.weights = weights_of(kernel, windows, 0)  # (slot, K), before the course

    def changes(self, so_far: Doubles, quarter: int, ahead: int) -> tuple[Doubles, Doubles]:
        """(ahead, own keys) each: a factor of each key's weight, and what its value moves by, for
        the slots from `quarter` on; `so_far` ends where they begin."""
        react, reach, now = self._react, self._reach, len(so_far)
        lags = np.arange(1, reach.days + 1)[:, None] * SLOTS
        then = now - lags + np.arange(-reach.slots, reach.slots + 1)  # (lag, offset)
        near = np.arange(ahead)[:, None, None]
        apart = np.zeros((ahead, *then.shape))
        for slots, width, fades in (
            (LAST, react.last, react.last_fades),
            (HALF_HOUR, react.half_hour, react.fades),
            (TWO_HOURS, react.two_hours, react.fades),
        ):
            if np.isfinite(width):
                off = _off(_levels(so_far, slots, react.is_log), now, then)  # (lag, offset)
                square = np.where(np.isfinite(off), 0.5 * (off / width) ** 2, _UNKNOWN)
                apart += np.minimum(square, _NO_SLOTS) * np.exp(-near / fades)
        shift = np.zeros_like(apart)
        for slots, share, fades in (
            (LAST, react.moved, react.moved_fades),
            (TWO_HOURS, react.moved_long, react.moved_long_fades),
        ):
            if share:
                off = _off(_levels(so_far, slots, is_log=False), now, then)
                shift -= share * np.nan_to_num(off) * np.exp(-near / fades)
        rows = slice(quarter, quarter + ahead)
        factor = np.exp(-apart) * self._wider(rows)[:, None, :]
        return self._as_much_own(factor.reshape(ahead, -1), rows), shift.reshape(ahead, -1)

    def _wider(self, rows: slice) -> Doubles:
        """(ahead, width): how much more distant slots count right after the moment."""
        sd, react, reach = self._sd[rows], self._react, self._reach
        near = np.arange(len(sd))[:, None]
        distance = np.arange(-reach.slots, reach.slots + 1)
        wide = sd * (1 + react.wider * np.exp(-near / react.wider_fades))
        weights = np.exp(-0.5 * (distance / wide) ** 2)
        weights /= weights.sum(axis=1, keepdims=True)
        more: Doubles = weights / np.maximum(self._usual[rows], 1e-300)
        return more

    def _as_much_own(self, factor: Doubles, rows: slice) -> Doubles:
        """(ahead, own keys): scaled so that own days together weigh against the cohort as
        before."""
        before = self.weights[rows, : self._reach.keys]
        total = (before * factor).sum(axis=1)
        scale = np.where(total > 0, before.sum(axis=1) / np.maximum(total, 1e-300), 1.0)
        scaled: Doubles = factor * scale[:, None]
        return scaled


def _levels(flat: Doubles, slots: int, is_log: bool) -> Doubles:
    """(slot + 1,): mean of the slots before each instant; NaN where none was measured."""
    measured = np.isfinite(flat)
    run = np.concatenate([[0.0], np.cumsum(np.where(measured, flat, 0))])
    count = np.concatenate([[0], np.cumsum(measured)])
    at = np.arange(len(flat) + 1)
    before = np.maximum(at - slots, 0)
    known = count[at] - count[before]
    mean = np.where(known > 0, (run[at] - run[before]) / np.maximum(known, 1), np.nan)
    levels: Doubles = np.log1p(mean) if is_log else mean
    return levels


def _off(levels: Doubles, now: int, then: Ints) -> Doubles:
    """How far each past moment was from now; NaN where either was not measured."""
    past = np.where(then >= 0, levels[np.clip(then, 0, len(levels) - 1)], np.nan)
    off: Doubles = past - levels[now]
    return off
