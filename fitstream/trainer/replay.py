"""Past days seen again, moment after moment, as `today.py` would have told the next slots then.

Only the next few slots are worked out, so that everybody's days can be learned from. Must not look
at or after a moment for what it says of it; the truth stands beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fitstream.trainer.course import REACH_SLOTS, Reacting, slots_until
from fitstream.trainer.data import SLOTS, Floats, Series
from fitstream.trainer.forecast import ServingModel
from fitstream.trainer.metrics import LEVELS, Doubles
from fitstream.trainer.models.climatology import fill_from_pool, own_history, predict_own
from fitstream.trainer.models.kernel import (
    Kernel,
    blurred_levels,
    weighted_mean,
    weighted_quantiles,
)
from fitstream.trainer.models.nowcast import AHEAD, Sight
from fitstream.trainer.today import until
from fitstream.trainer.windows import Issue, Look, Reach, Windows, make_windows


class Seen(NamedTuple):
    """A moment of a past day: what was known, and the next slots as they came (n,)."""

    issue: Issue
    quarter: int
    sight: Sight
    truth: Floats


def replay(
    model: ServingModel,
    series: Mapping[str, Series],
    target: str,
    issues: Sequence[Issue],
    quarters: Sequence[int],
) -> Iterator[Seen]:
    """Some moments of each day of people with days of their own, in their order.

    Values are never moved by the course here: it is not for heart rates.
    """
    for issue in issues:
        one = series[issue.customer_id]
        windows = _windows(model, one, target, issue)
        if not own_history(windows)[0]:
            continue
        look = model.look(target)
        day = model.predict(make_windows({issue.customer_id: one}, look, [issue]))[0]
        if np.isfinite(day).all():
            yield from _Day(model, windows, day).moments(one, quarters)


def _windows(model: ServingModel, one: Series, target: str, issue: Issue) -> Windows:
    """As far as the rest of today looks, but not back beyond the first day there is, whose first
    slots are near those of the evening before."""
    look = model.look(target)
    days = min(look.reach.days, issue.cut + 1)
    wide = Reach(days, max(look.reach.slots, REACH_SLOTS))
    return make_windows({one.customer_id: one}, Look(target, wide, look.cohort), [issue])


class _Day:
    """One day of one customer: what does not depend on the moment is done once."""

    def __init__(self, model: ServingModel, windows: Windows, day: Floats) -> None:
        self._windows, self._day = windows, day
        self._kernel: Kernel = model.base.kernels[windows.target]
        self._pool = model.base.pool[windows.target]
        self._usual = fill_from_pool(predict_own(self._kernel, windows), self._pool, windows)[0]
        self._reacting = Reacting(self._kernel, windows)
        self._values = windows.values[0]  # (slot, K), ascending
        self._order = np.minimum(windows.order[0], windows.reach.all_keys)
        self._levels = blurred_levels(LEVELS, self._kernel.blur)

    def moments(self, one: Series, quarters: Sequence[int]) -> Iterator[Seen]:
        (issue,) = self._windows.issues
        flat = slots_until(until(one, issue.day, SLOTS), self._windows.target, SLOTS)
        for quarter in quarters:
            so_far = flat[: len(flat) - SLOTS + quarter]
            near = slice(quarter, min(quarter + AHEAD, SLOTS))
            sight = Sight(so_far, self._day, self._moved(so_far, near), one.weekday(issue.day))
            yield Seen(issue, quarter, sight, self._windows.truth[0, near])

    def _moved(self, so_far: Doubles, near: slice) -> Floats:
        """(n, 4): as `today.weighed` and what it changes, of the near slots alone."""
        n, reach = near.stop - near.start, self._windows.reach
        factor, _ = self._reacting.changes(so_far, near.start, n)
        weights = np.zeros((n, reach.all_keys + 1))  # the last key: what was not measured
        weights[:, :-1] = self._reacting.weights[near]
        weights[:, : reach.keys] *= factor
        weights = np.take_along_axis(weights, self._order[near], axis=1)
        values = self._values[near]
        changed = np.empty((n, len(LEVELS) + 1), np.float32)
        count = self._windows.count[0, near]
        quantiles = weighted_quantiles(values, weights, count, self._levels)
        changed[:, :-1] = quantiles.reshape(n, len(LEVELS), -1).mean(axis=2)
        changed[:, -1] = weighted_mean(values, weights)
        usual = self._usual[near]
        changed = np.where(np.isfinite(changed), changed, usual)  # nothing near was measured
        moved: Floats = np.maximum(self._day[near] + changed - usual, 0).astype(np.float32)
        return moved
