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
from fitstream.trainer.windows import Reach, Windows

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
    target, reach = windows.target, windows.reach
    react = REACTIONS[target]
    flat = _flat(known, target)
    now = len(flat) - SLOTS + quarter
    lags = np.arange(1, reach.days + 1)[:, None] * SLOTS
    then = now - lags + np.arange(-reach.slots, reach.slots + 1)  # (lag, offset)
    ahead = np.arange(SLOTS) - quarter  # (slot,)
    near = np.maximum(ahead, 0)[:, None, None]
    apart = np.zeros((SLOTS, *then.shape))
    for slots, width, fades in (
        (LAST, react.last, react.last_fades),
        (HALF_HOUR, react.half_hour, react.fades),
        (TWO_HOURS, react.two_hours, react.fades),
    ):
        if np.isfinite(width):
            off = _off(_levels(flat, slots, react.is_log), now, then)  # (lag, offset)
            square = np.where(np.isfinite(off), 0.5 * (off / width) ** 2, _UNKNOWN)
            apart += np.minimum(square, _NO_SLOTS) * np.exp(-near / fades)
    shift = np.zeros_like(apart)
    for slots, share, fades in (
        (LAST, react.moved, react.moved_fades),
        (TWO_HOURS, react.moved_long, react.moved_long_fades),
    ):
        if share:
            off = _off(_levels(flat, slots, is_log=False), now, then)
            shift -= share * np.nan_to_num(off) * np.exp(-near / fades)
    factor = np.exp(-apart) * _wider(kernel, reach, react, near[:, 0])[:, None, :]
    factor, shift = _as_much_own(kernel, windows, factor), shift.reshape(SLOTS, -1)
    gone = ahead < 0
    factor[gone], shift[gone] = 1.0, 0.0
    return Course(factor.astype(np.float32), shift.astype(np.float32))


def _flat(known: Series, target: str) -> Doubles:
    """(slots,): worn days, and today as far as it goes."""
    rows = known.worn(target)
    rows[-1] = known.values[target][-1]
    return rows.reshape(-1).astype(np.float64)


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


def _wider(kernel: Kernel, reach: Reach, react: Reaction, near: Doubles) -> Doubles:
    """(96, width): how much more distant slots count right after the moment."""
    sd = np.repeat(np.array(kernel.sd_slots), SLOTS // PARTS)[:, None]  # (slot, 1)
    distance = np.arange(-reach.slots, reach.slots + 1)
    wide = sd * (1 + react.wider * np.exp(-near / react.wider_fades))
    weights = np.exp(-0.5 * (distance / wide) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    usual = np.repeat(slot_weights(kernel, reach), SLOTS // PARTS, axis=0)
    more: Doubles = weights / np.maximum(usual, 1e-300)
    return more


def _as_much_own(kernel: Kernel, windows: Windows, factor: Doubles) -> Doubles:
    """(96, own keys): scaled so that own days together weigh against the cohort as before."""
    keys = windows.reach.keys
    per_key = factor.reshape(SLOTS, keys)
    before = weights_of(kernel, windows, 0)[:, :keys]
    total = (before * per_key).sum(axis=1)
    scale = np.where(total > 0, before.sum(axis=1) / np.maximum(total, 1e-300), 1.0)
    scaled: Doubles = per_key * scale[:, None]
    return scaled
