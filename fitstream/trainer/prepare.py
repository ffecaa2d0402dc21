"""One target made ready: its split, the kernel that suits it, and the windows networks learn from.

Must not look at test days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from fitstream.trainer.cohort import make_cohort
from fitstream.trainer.data import Series
from fitstream.trainer.evaluate import units
from fitstream.trainer.models.climatology import Climatology, choose_kernel, own_history, pooled
from fitstream.trainer.models.kernel import START, Kernel
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.splits import Split, days_before
from fitstream.trainer.windows import Issue, Windows, make_windows

KERNEL_WINDOWS = 400
MIN_KERNEL_HISTORY = 3  # issues that are passed over: the kernel is for people with some history


@dataclass(frozen=True, eq=False)
class Prepared:
    """A target before the search.

    `base` knows training days only; `stop` are the days that networks stop by.
    """

    target: str
    split: Split
    base: Climatology
    train: Windows
    stop: Windows
    seconds: float

    @property
    def trainable(self) -> bool:
        """Whether there is something to learn from and something to stop by."""
        return len(self.train) > 0 and len(self.stop) > 0


def prepare(
    series: Mapping[str, Series],
    target: str,
    split: Split,
    recipe: Recipe,
    kernel: Kernel | None = None,
) -> Prepared:
    """Kernel and cohort of a target, chosen without the days of the gate and of the test.

    A `kernel` that was chosen before is taken as it is: choosing is most of the work.
    """
    started = perf_counter()
    held_out = (*split.validation, *split.test)
    start = START[target]
    base = climatology_before(series, target, held_out, (start, recipe))
    if kernel is None:
        issues = thin(recent(split, 2 * recipe.test_days), KERNEL_WINDOWS)
        windows = make_windows(series, base.look(target), issues)
        kernel = choose_kernel(windows, units(issues), start)
    base = Climatology(recipe.reach, {target: kernel}, base.pool, base.cohorts)
    train = make_windows(series, base.look(target), thin(split.train, recipe.max_windows))
    train = train.take(np.flatnonzero(own_history(train)))
    stop = make_windows(series, base.look(target), thin(split.stop, recipe.max_windows))
    return Prepared(target, split, base, train, stop, perf_counter() - started)


def recent(split: Split, days: int) -> list[Issue]:
    """The last days of each customer that a kernel is chosen by, with some history of their own:
    never those of the gate, which judge what stands on it."""
    own: dict[str, list[Issue]] = {}
    for issue in (*split.train, *split.stop):
        own.setdefault(issue.customer_id, []).append(issue)
    kept = (sorted(issues)[MIN_KERNEL_HISTORY:][-days:] for _, issues in sorted(own.items()))
    return [issue for issues in kept for issue in issues]


def climatology_before(
    series: Mapping[str, Series],
    target: str,
    issues: Sequence[Issue],
    chosen: tuple[Kernel, Recipe],
) -> Climatology:
    """A climatology whose cohort and pool know only days before each customer's first issue."""
    kernel, recipe = chosen
    days = days_before(series, issues)
    return Climatology(
        recipe.reach,
        {target: kernel},
        {target: pooled(days, target)},
        {target: make_cohort(days, target)},
    )


def thin(issues: Sequence[Issue], most: int) -> list[Issue]:
    """At most so many issues, evenly spread over customers and days."""
    if len(issues) <= most:
        return list(issues)
    at = np.linspace(0, len(issues) - 1, most).round().astype(int)
    return [issues[i] for i in at]
