"""Tries a mixture of kernels on more days than networks can be tried on: it is fitted to none.

Two blocks of days before the test, one after the other, each forecast by kernels, cohort and losses
from the days before that block alone. Must not look at test days.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fitstream.trainer.data import Series
from fitstream.trainer.evaluate import Held, Model, hold, units
from fitstream.trainer.models.blend import Blend, Member
from fitstream.trainer.models.climatology import Climatology
from fitstream.trainer.models.mixture import learn_mixture
from fitstream.trainer.models.naive import NoTimeOfDay
from fitstream.trainer.models.shape import MIXTURE, Shape
from fitstream.trainer.prepare import Prepared, chosen_before, last_of, learnable
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.splits import MIN_COHORT_DAYS
from fitstream.trainer.windows import Issue

BLOCKS = 2
SHARE = 0.5  # equal shares for the mixture and the kernel it is made from


class _Block(NamedTuple):
    before: list[Issue]
    held: list[Issue]


def mixture_of(
    series: Mapping[str, Series], base: Climatology, days: tuple[str, Sequence[Issue], Recipe]
) -> tuple[Member, ...]:
    """The mixture beside a target's climatology, from all that these days have cost."""
    target, issues, recipe = days
    windows = learnable(series, base.look(target), issues, recipe.max_windows)
    mixture = learn_mixture(base.kernels[target], windows)
    return (Member(Shape(kind=MIXTURE), mixture, SHARE),)


def rolled(series: Mapping[str, Series], made: Prepared, recipe: Recipe) -> Held | None:
    """The mixture beside what it has to beat, on the days of both blocks; None where nobody has
    days enough."""
    parts = [
        _try(series, made, recipe, block)
        for back in range(BLOCKS)
        if (block := _block(made, back, recipe.test_days)).held
    ]
    return _together(parts) if parts else None


def _block(made: Prepared, back: int, days: int) -> _Block:
    """The days of each customer that lie `back` blocks before their test days, and all before
    them; the former only of who has some days left then."""
    own: dict[str, list[Issue]] = {}
    for issue in (*made.split.train, *made.split.validation):
        own.setdefault(issue.customer_id, []).append(issue)
    before: list[Issue] = []
    held: list[Issue] = []
    for _, issues in sorted(own.items()):
        stop = len(issues) - back * days
        first = stop - days if stop - days >= MIN_COHORT_DAYS else len(issues)
        before += issues[:first]
        held += issues[first:stop]
    return _Block(before, held)


def _try(series: Mapping[str, Series], made: Prepared, recipe: Recipe, block: _Block) -> Held:
    target = made.target
    recent = last_of(block.before, 2 * recipe.test_days)
    unknown = (*block.held, *made.split.test)  # of who has no day in this block the latter alone
    base = chosen_before(series, target, unknown, (recent, recipe))
    members = mixture_of(series, base, (target, block.before, recipe))
    models: dict[str, Model] = {
        "no_time_of_day": NoTimeOfDay(base.reach, base.pool),
        base.kind: base,
        MIXTURE: Blend(base, {target: members}),
    }
    return hold(models, series, target, block.held)


def _together(parts: Sequence[Held]) -> Held:
    """One after the other."""
    issues = tuple(issue for part in parts for issue in part.issues)
    names = list(parts[0].forecasts)
    return Held(
        target=parts[0].target,
        issues=issues,
        truth=np.concatenate([part.truth for part in parts]),
        forecasts={n: np.concatenate([part.forecasts[n] for part in parts]) for n in names},
        seconds={n: sum(part.seconds[n] for part in parts) for n in names},
        scale=np.concatenate([part.scale for part in parts]),
        unit=units(issues),
    )
