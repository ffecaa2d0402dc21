"""Rest of today: how much better the next slot and the next hour are forecast from today's course.

On every full hour of the last seven wear days of the dataset's wearers, beside the forecast of the
same slots that was made at midnight: the kernel alone, and with the networks of the next hour as a
cohort run makes them from the days before, where its gate lets them serve. Factors of the kernel as
they start, for all.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.report import Bar, Report
from fitstream.trainer.cohort import make_cohort
from fitstream.trainer.data import SLOTS, TARGETS, Series, from_wearers
from fitstream.trainer.explain import RATES
from fitstream.trainer.forecast import bounded
from fitstream.trainer.metrics import Losses, paired_bootstrap, pinball, tails
from fitstream.trainer.models.blend import Blend
from fitstream.trainer.models.climatology import Climatology, pooled
from fitstream.trainer.models.kernel import START
from fitstream.trainer.nowcast_report import Nowcasted, report_of
from fitstream.trainer.nowcasting import learn_nowcast
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.replay import replay
from fitstream.trainer.splits import days_before, split_target
from fitstream.trainer.today import Moment, rest_of_today
from fitstream.trainer.windows import Issue, Reach, make_windows

_DATASET = Path(__file__).parent.parent / "dataset" / "wearers_15min.parquet"
_TEST_DAYS, _HISTORY_DAYS = 7, 12
_HOURS = range(4, SLOTS, 4)
_NEXT_HOUR = 4
_BARS = {"steps": (0.16, 0.08), "heart_rate_bpm": (0.23, 0.12)}


def run() -> Report:
    """Relative WQL of each target, next slot and next four, with bootstrap intervals over wearers,
    the kernel alone and as served; and how many totals of today lie inside their range, by hour."""
    series = from_wearers(_DATASET)
    rows, bars = [], []
    for target in TARGETS:
        issues = _issues(series, target)
        found = _compare(series, target, issues)
        rows.append(found)
        for name, bar in zip(("next slot", "next hour"), _BARS.get(target, ()), strict=False):
            gain = -found[name]["difference"]
            text = f"{100 * gain:.1f} % better"
            bars.append(Bar(f"{target}, {name}", text, f"≥ {100 * bar:.0f} %", gain >= bar))
    return Report(rows, bars, {"moments": "every full hour", "test_days": _TEST_DAYS})


def _issues(series: dict[str, Series], target: str) -> list[Issue]:
    issues = []
    for name in sorted(series):
        days = [int(day) for day in series[name].measured_days(target)]
        if len(days) >= _HISTORY_DAYS + _TEST_DAYS:
            issues += [Issue(name, day, day) for day in days[-_TEST_DAYS:]]
    return issues


def _compare(series: dict[str, Series], target: str, issues: list[Issue]) -> dict[str, object]:
    alone = _climatology(series, target, issues)
    found = _learned(series, target)
    nowcasts = {} if found.nowcast is None else {target: found.nowcast}
    served = replace(alone, nowcasts=nowcasts)
    names = sorted({issue.customer_id for issue in issues})
    sums = np.zeros((len(names), _NEXT_HOUR, 4))  # as served, kernel alone, midnight, truth
    inside = {hour: [0, 0] for hour in (6, 12, 18)}
    truths, told = [], []
    for issue in issues:
        one = series[issue.customer_id]
        windows = make_windows({issue.customer_id: one}, alone.look(target), [issue])
        midnight, truth = bounded(alone.predict(windows)[0], target), windows.truth[0]
        day = one.first_day.fromordinal(one.first_day.toordinal() + issue.day)
        for quarter, kernel in zip(_HOURS, _by_kernel(alone, one, target, issue), strict=True):
            made = rest_of_today(served, Moment(one, day, quarter, is_explained=False))
            ahead = slice(quarter, quarter + _NEXT_HOUR)
            now = made.values[target][:_NEXT_HOUR]
            entry = sums[names.index(issue.customer_id)]
            beside = kernel if nowcasts else now
            for place, forecast in enumerate((now, beside, midnight[ahead])):
                entry[:, place] += pinball(truth[None, ahead], forecast[None])[0]
            entry[:, 3] += np.nan_to_num(truth[ahead])
            truths.append(truth[ahead])
            told.append(now)
            if quarter // 4 in inside:
                _count(inside[quarter // 4], truth, made.totals[target][0], target)
    below, above = tails(np.stack(truths), np.stack(told))
    return {
        "target": target,
        "wearers": len(names),
        "days": len(issues),
        "next slot": _gain(sums[:, :1, [0, 2, 3]]),
        "next hour": _gain(sums[..., [0, 2, 3]]),
        "kernel alone, next slot": _gain(sums[:, :1, 1:]),
        "kernel alone, next hour": _gain(sums[..., 1:]),
        "networks": report_of(found),
        "below_q10": round(below, 4),
        "above_q90": round(above, 4),
        "totals_inside": {f"{h}:00": round(n / max(of, 1), 3) for h, (n, of) in inside.items()},
    }


def _by_kernel(alone: Blend, one: Series, target: str, issue: Issue) -> list[np.ndarray]:
    """(4, 4) of each full hour: the next hour as the kernel alone tells steps or calories."""
    moments = replay(alone, {issue.customer_id: one}, target, [issue], _HOURS)
    return [bounded(seen.sight.moved, target) for seen in moments]


def _climatology(series: dict[str, Series], target: str, issues: list[Issue]) -> Blend:
    """What knows the days before the first issue of each wearer."""
    known = days_before(series, issues)
    return Blend(
        Climatology(
            Reach(),
            {target: START[target]},
            {target: pooled(known, target)},
            {target: make_cohort(known, target)},
        )
    )


def _learned(series: dict[str, Series], target: str) -> Nowcasted:
    """The networks of the next hour, chosen and judged on days before the test days."""
    split = split_target(series, target, _TEST_DAYS)
    model = _climatology(series, target, [*split.validation, *split.test])
    recipe = Recipe()
    given = (recipe.seed, recipe.max_windows)
    return learn_nowcast(model, series, target, split._replace(test=()), given)


def _count(counts: list[int], truth: np.ndarray, total: object, target: str) -> None:
    measured = truth[np.isfinite(truth)]
    if len(measured) >= SLOTS * 0.9:
        real = float(measured.mean() if target in RATES else measured.sum())
        counts[0] += total.low <= real <= total.high
        counts[1] += 1


def _gain(sums: np.ndarray) -> dict[str, float]:
    now, midnight, size = sums.sum(axis=1).T
    interval = paired_bootstrap(Losses(now, midnight, size), seed=0)
    wql = {
        "today": round(float(now.sum() / size.sum()), 4),
        "midnight": round(float(midnight.sum() / size.sum()), 4),
    }
    return wql | {name: round(value, 4) for name, value in interval._asdict().items()}
