"""One target made ready: its split, the kernel that suits it, and the windows networks learn from.

Must not look at test days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from fitstream.trainer.cohort import make_cohort
from fitstream.trainer.data import Series
from fitstream.trainer.evaluate import units
from fitstream.trainer.models.climatology import Climatology, choose_kernel, own_history, pooled
from fitstream.trainer.models.kernel import START, Kernel
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.splits import Split, days_before
from fitstream.trainer.windows import Issue, Look, Windows, make_windows

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
    if kernel is None:
        issues = recent(split, 2 * recipe.test_days)
        base = chosen_before(series, target, held_out, (issues, recipe))
    else:
        base = climatology_before(series, target, held_out, (kernel, recipe))
    train = learnable(series, base.look(target), split.train, recipe.max_windows)
    stop = make_windows(series, base.look(target), thin(split.stop, recipe.max_windows))
    return Prepared(target, split, base, train, stop, perf_counter() - started)


def learnable(
    series: Mapping[str, Series], look: Look, issues: Sequence[Issue], most: int
) -> Windows:
    """Windows of at most so many issues, those with days of their own to stand on."""
    windows = make_windows(series, look, thin(issues, most))
    return windows.take(np.flatnonzero(own_history(windows)))


def chosen_before(
    series: Mapping[str, Series],
    target: str,
    held_out: Sequence[Issue],
    chosen_by: tuple[Sequence[Issue], Recipe],
) -> Climatology:
    """A climatology that knows only days before those held out, its kernel chosen by some days."""
    issues, recipe = chosen_by
    issues, start = thin(issues, KERNEL_WINDOWS), START[target]
    base = climatology_before(series, target, held_out, (start, recipe))
    windows = make_windows(series, base.look(target), issues)
    return replace(base, kernels={target: choose_kernel(windows, units(issues), start)})


def recent(split: Split, days: int) -> list[Issue]:
    """The days that a kernel is chosen by: never those of the gate, which judge what stands on
    it."""
    return last_of((*split.train, *split.stop), days)


def last_of(issues: Sequence[Issue], days: int) -> list[Issue]:
    """The last of some days of each customer, with some history of their own before them."""
    own: dict[str, list[Issue]] = {}
    for issue in issues:
        own.setdefault(issue.customer_id, []).append(issue)
    kept = (sorted(each)[MIN_KERNEL_HISTORY:][-days:] for _, each in sorted(own.items()))
    return [issue for each in kept for issue in each]


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
