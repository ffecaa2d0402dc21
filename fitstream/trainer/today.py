"""The rest of today: the model's forecast of the day, moved by what its course so far changes.

Must not look at or after the moment.
"""

from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

import numpy as np

from fitstream.trainer.course import REACH_SLOTS, course_of, slots_until
from fitstream.trainer.data import SLOTS, Floats, Series
from fitstream.trainer.explain import (
    RATES,
    Course,
    Explanation,
    Served,
    cohort_alone,
    explain,
    key_values,
    weights_of,
)
from fitstream.trainer.forecast import COHORT, OWN, Forecast, ServingModel, bounded
from fitstream.trainer.metrics import LEVELS, MEAN, Doubles
from fitstream.trainer.models.climatology import (
    MIN_OWN_DAYS,
    fill_from_pool,
    own_history,
    predict_own,
)
from fitstream.trainer.models.kernel import (
    Kernel,
    blurred_levels,
    weighted_mean,
    weighted_quantiles,
)
from fitstream.trainer.models.nowcast import Sight
from fitstream.trainer.totals import DayTotal, totals_of
from fitstream.trainer.windows import Issue, Look, Reach, Windows, make_windows

# How the range of what is left of a day grows with its share of the day; a mean of rates is known
# sooner than a sum of bursts.
_TOTAL_SHRINKS, _MEAN_SHRINKS = 0.5, 1.0


class Moment(NamedTuple):
    """The rest of local day `day` from quarter hour `quarter` (0…95) on; what lies before it in
    `series` is known."""

    series: Series
    day: date
    quarter: int
    is_explained: bool = True


@dataclass(frozen=True, eq=False)
class _Rest:
    """One target: the slots from the moment on, and what is said of them."""

    values: Floats
    is_own: bool
    own_days: int
    total: DayTotal
    explained: tuple[Explanation, ...]


def rest_of_today(model: ServingModel, moment: Moment) -> Forecast:
    """Quantiles of the slots from the moment to midnight, and today's totals: what was measured so
    far and what is still to come. Raises ValueError for a moment outside the day."""
    if not 0 <= moment.quarter < SLOTS:
        raise ValueError("quarter must be 0…95")
    row = moment.series.index(moment.day)
    known = until(moment.series, row, moment.quarter)
    settled = int(known.before(row).wear.sum()) >= MIN_OWN_DAYS
    found = {target: _rest(model, moment, known, target) for target in model.targets}
    told = {
        target: rest
        for target, rest in found.items()
        if rest is not None and (rest.is_own or not settled)
    }
    return Forecast(
        customer_id=moment.series.customer_id,
        start_day=moment.day,
        start_quarter=moment.quarter,
        values={target: rest.values for target, rest in told.items()},
        basis={target: OWN if rest.is_own else COHORT for target, rest in told.items()},
        data_through=moment.day,
        own_days={target: rest.own_days for target, rest in told.items()},
        totals={target: (rest.total,) for target, rest in told.items()},
        explained={target: rest.explained for target, rest in told.items()},
    )


def _rest(model: ServingModel, moment: Moment, known: Series, target: str) -> _Rest | None:
    row = known.days - 1
    windows = _windows(model, known, target, row)
    is_own = bool(own_history(windows)[0])
    course = course_of(model.base.kernels[target], known, windows, moment.quarter)
    narrow = make_windows(
        {known.customer_id: known}, model.look(target), windows.issues
    )  # as networks and calibration know them
    day = _predict(model, known, (windows, narrow), (course if is_own else None, moment.quarter))
    if not np.isfinite(day).all():
        return None
    day = bounded(day, target)
    own_days = int(windows.history_days()[0])
    ratios = (model.total_ratios(windows, day[None]), own_days if is_own else 0)
    explained: tuple[Explanation, ...] = ()
    if moment.is_explained and is_own:
        kernel, served = (
            model.base.kernels[target],
            Served(moment.day, day, model.attention(narrow)),
        )
        explained = (explain(kernel, windows, 0, served, course, moment.quarter),)
    elif moment.is_explained:
        explained = (cohort_alone(target, moment.day, day, moment.quarter),)
    total = _total((known.values[target][row], day), moment, target, ratios)
    return _Rest(day[moment.quarter :], is_own, own_days, total, explained)


def until(series: Series, row: int, quarter: int) -> Series:
    """The customer as known at a quarter hour of local day `row`: that day is there as far as it
    goes, and no later one."""
    values = {}
    for target, rows in series.values.items():
        past = np.full((max(row + 1, 0), SLOTS), np.nan, np.float32)
        past[: min(row + 1, len(rows))] = rows[: max(row + 1, 0)]
        if row >= 0:
            past[row, quarter:] = np.nan
        values[target] = past
    wear = np.zeros(max(row + 1, 0), np.bool_)
    wear[: min(row, series.days)] = series.wear[: max(row, 0)]  # nobody knows today's wear yet
    return replace(series, values=values, wear=wear)


def _windows(model: ServingModel, known: Series, target: str, row: int) -> Windows:
    look = model.look(target)
    wide = Reach(look.reach.days, max(look.reach.slots, REACH_SLOTS))
    issue = Issue(known.customer_id, row, row)
    return make_windows({known.customer_id: known}, Look(target, wide, look.cohort), [issue])


def _predict(
    model: ServingModel,
    known: Series,
    looks: tuple[Windows, Windows],
    changes: tuple[Course | None, int],
) -> Floats:
    """(96, 4): the model's own forecast of the day by the narrow look, moved by what the course
    changes in the wide one, and averaged with the networks of the next hour where there are any."""
    (windows, narrow), (course, quarter) = looks, changes
    target = windows.target
    day: Floats = model.predict(narrow)[0].copy()
    if course is None:
        return day
    kernel, pool = model.base.kernels[target], model.base.pool[target]
    usual = fill_from_pool(predict_own(kernel, windows), pool, windows)[0]
    changed = fill_from_pool(weighed(kernel, windows, course, quarter)[None], pool, windows)[0]
    moved: Floats = np.maximum(day + changed - usual, 0)
    if target in model.nowcasts:
        so_far = slots_until(known, target, quarter)
        sight = Sight(so_far, day, moved[quarter:], int(windows.weekday[0]))
        moved[quarter:] = model.nowcasts[target].apply(sight)
    return moved


def weighed(kernel: Kernel, windows: Windows, course: Course, first: int) -> Floats:
    """(96, 4): the climatology of one window under a course from slot `first` on, NaN before it and
    where a slot has no value."""
    values, weights = _in_order(kernel, windows, course, first)
    levels = blurred_levels(LEVELS, kernel.blur)
    quantiles = weighted_quantiles(values, weights, windows.count[0, first:], levels)
    out = np.full((SLOTS, len(LEVELS) + 1), np.nan, np.float32)
    out[first:, :-1] = quantiles.reshape(len(values), len(LEVELS), -1).mean(axis=2)
    out[first:, -1] = weighted_mean(values, weights)
    return out


def _in_order(
    kernel: Kernel, windows: Windows, course: Course, first: int
) -> tuple[Floats, Doubles]:
    """(slot, K) each: values from slot `first` on, ascending, and their weights."""
    weights = weights_of(kernel, windows, 0, course)[first:]
    if course.shift.any():
        values = key_values(windows, 0, course)[first:]
        order = np.argsort(values, axis=1)  # NaN last
        values = np.take_along_axis(values, order, axis=1)
    else:  # they stand in order already
        values = windows.values[0, first:]
        order = np.minimum(windows.order[0, first:], windows.reach.all_keys)
        weights = np.pad(weights, ((0, 0), (0, 1)))  # the last key: what was not measured
    return np.nan_to_num(values), np.take_along_axis(weights, order, axis=1)


def _total(
    parts: tuple[Floats, Floats],
    moment: Moment,
    target: str,
    known: tuple[Doubles, int],
) -> DayTotal:
    """Today's total, or mean, of what was measured and what is to come; its range shrinks with what
    is left of the day."""
    today, day = parts
    (whole,) = totals_of(target, day[None], moment.day, known)
    scale = SLOTS if target in RATES else 1
    rest = float(day[moment.quarter :, MEAN].sum(dtype=np.float64)) / scale
    grows = _MEAN_SHRINKS if target in RATES else _TOTAL_SHRINKS
    share = (rest / whole.mean) ** grows if whole.mean > 0 else 0.0
    measured = today[np.isfinite(today)]
    done = float(measured.sum(dtype=np.float64)) / scale
    if target in RATES:  # slots that were not measured take the mean of those that were
        done = done * moment.quarter / len(measured) if len(measured) else whole.mean - rest
    down, up = (whole.mean - whole.low) * share, (whole.high - whole.mean) * share
    return DayTotal(moment.day, max(done + rest - down, done), done + rest, done + rest + up)
