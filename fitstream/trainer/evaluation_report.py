"""The report of an evaluation in Markdown: every metric beside the baselines, and what it cost.

Must not compute forecasts.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fitstream.trainer.automl import Plan
from fitstream.trainer.data import Series
from fitstream.trainer.daytotals import day_totals
from fitstream.trainer.judging import FAR_BASELINES
from fitstream.trainer.metrics import Interval, tails
from fitstream.trainer.recipe import Recipe, recipe_hash
from fitstream.trainer.report import CLIMATOLOGY, WORDS, Outcome, is_passed, percent
from fitstream.trainer.slices import by_part, overall

_COLUMNS = (
    ("wql", "WQL"), ("mase", "MASE"), ("rmse", "RMSE"), ("hourly_wape", "hourly WAPE"),
    ("daily_wape", "daily WAPE"), ("coverage", "coverage"), ("below_q10", "below q10"),
    ("above_q90", "above q90"),
)  # fmt: skip
_LEAST_SLOTS = 48


class Cost(NamedTuple):
    """What an evaluation took."""

    cpu_s: float
    peak_mib: float


def evaluation_text(
    series: Mapping[str, Series],
    given: tuple[Recipe, Plan],
    outcomes: Sequence[Outcome],
    around: tuple[Sequence[str], Sequence[str]],
    cost: Cost,
) -> str:
    """The whole report; `around` are skipped wearers and names of plots."""
    recipe, plan = given
    skipped, plots = around
    lines = ["# Evaluation", "", _summary(series, outcomes, recipe), ""]
    lines += [f"CPU: {cost.cpu_s:.0f} s. Peak memory: {cost.peak_mib:.0f} MiB. One thread.", ""]
    if skipped:
        words = "1 wearer was" if len(skipped) == 1 else f"{len(skipped)} wearers were"
        lines += [
            f"{words} learned from but not scored, with fewer than 12 wear days before their last "
            f"{recipe.test_days}: {', '.join(skipped)}.",
            "",
        ]
    lines += _headline(outcomes)
    for outcome in outcomes:
        lines += _target(outcome)
    lines += _search(outcomes, recipe, plan)
    lines += ["## Plots", "", *(f"![{name}]({name})" for name in plots), ""] if plots else []
    return "\n".join(lines)


def _summary(series: Mapping[str, Series], outcomes: Sequence[Outcome], recipe: Recipe) -> str:
    if not outcomes:
        return "No wearer has 12 wear days before their last ones: nothing could be forecast."
    return (
        f"{len(series)} wearers. The last {recipe.test_days} days of each are forecast day by day, "
        "each from what was known at its midnight, without refitting. Learned from: all days "
        "before the first of them. Only slots measured on wear days are scored."
    )


def _headline(outcomes: Sequence[Outcome]) -> list[str]:
    lines = ["| target | wearers | days | model | WQL | against climatology (95 % interval) |"]
    lines += ["|---|---|---|---|---|---|"]
    for outcome in outcomes:
        scored = np.isfinite(outcome.test.truth).sum(axis=1) > 0
        pairs = zip(outcome.test.issues, scored.tolist(), strict=True)
        names = {issue.customer_id for issue, is_scored in pairs if is_scored}
        interval = outcome.test.compare(outcome.champion, "climatology", outcome.seed)
        wql = outcome.test.scores(outcome.champion)["wql"]
        lines.append(
            f"| {outcome.target} | {len(names)} | {int(scored.sum())} | {outcome.champion} "
            f"| {wql:.4f} | {percent(interval)} |"
        )
    return [*lines, ""]


def _target(outcome: Outcome) -> list[str]:
    lines = [f"## {WORDS[outcome.target].capitalize()}", ""]
    lines.append("| model | " + " | ".join(title for _, title in _COLUMNS) + " |")
    lines.append("|---" * (len(_COLUMNS) + 1) + "|")
    for name in sorted(outcome.test.forecasts, key=lambda each: outcome.test.scores(each)["wql"]):
        scores = outcome.test.scores(name)
        shown = f"**{name}**" if name == outcome.champion else name
        lines.append(f"| {shown} | " + " | ".join(f"{scores[k]:.4f}" for k, _ in _COLUMNS) + " |")
    lines += ["", *_against(outcome), *_totals(outcome), *_when(outcome), *_gate(outcome)]
    return lines


def _when(outcome: Outcome) -> list[str]:
    """WQL by part of the day, and on the same days a week ahead."""
    shown = [outcome.champion, *(name for name in FAR_BASELINES if name != outcome.champion)]
    parts = by_part(outcome.test, shown)
    head = [f"{part['part']} {part['from_hour']}–{part['to_hour']} h" for part in parts]
    lines = ["| WQL | " + " | ".join(head) + " | next day | seventh day |"]
    lines.append("|---" * (len(parts) + 3) + "|")
    near, far = (overall(held, shown) for held in (outcome.test, outcome.week_ahead))
    for name in shown:
        cells = [*(part["wql"][name] for part in parts), near[name], far[name]]
        lines.append(f"| {name} | " + " | ".join(_cell(each) for each in cells) + " |")
    return [*lines, ""]


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _against(outcome: Outcome) -> list[str]:
    rivals = [name for name in outcome.test.forecasts if name != outcome.champion]
    shown = [
        f"{rival} {percent(outcome.test.compare(outcome.champion, rival, outcome.seed))}"
        for rival in rivals
    ]
    return [f"WQL of {outcome.champion} against {'; '.join(shown)}. Wearers are resampled.", ""]


def _totals(outcome: Outcome) -> list[str]:
    """How often a day's total lies inside its own interval, over days measured for half or more."""
    truth = outcome.test.truth
    measured = np.isfinite(truth)
    forecast = np.where(measured[..., None], outcome.test.forecasts[outcome.champion], 0)
    days = measured.sum(axis=1) >= _LEAST_SLOTS
    if not days.any():
        return []
    totals = day_totals(forecast, outcome.test.day_ratios[outcome.champion])[days]
    real = np.where(measured, truth, 0).sum(axis=1)[days]
    below, above = (real < totals[:, 0]).mean(), (real > totals[:, 2]).mean()
    return [
        f"A day's total lies inside its own 80 % interval on {100 * (1 - below - above):.0f} % of "
        f"{int(days.sum())} days ({100 * below:.0f} % below, {100 * above:.0f} % above).",
        "",
    ]


def _gate(outcome: Outcome) -> list[str]:
    lines: list[str] = []
    if mixture := outcome.mixture_gate():
        verdict = "passed" if is_passed(mixture) else "did not pass"
        lines += [f"The mixture of kernels {verdict}. On its two blocks: {_said(mixture)}.", ""]
    gate, held = outcome.gate(), outcome.gate_days
    if not gate or held is None:
        return [*lines, "No network earned a share on the days they stop by.", ""]
    verdict = "passed" if outcome.promoted else "did not pass"
    below, above = tails(held.truth, held.forecasts[CLIMATOLOGY])
    return [
        *lines,
        f"The ensemble {verdict}. On the days of the gate: {_said(gate)}. There "
        f"{100 * below:.1f} % lie below q10 and {100 * above:.1f} % above q90 before calibration.",
        "",
    ]


def _said(gate: Mapping[str, Interval]) -> str:
    return "; ".join(f"{name} {percent(interval)}" for name, interval in gate.items())


def _search(outcomes: Sequence[Outcome], recipe: Recipe, plan: Plan) -> list[str]:
    rungs = ", then ".join(
        f"{rung.epochs} epochs on {100 * rung.share:.0f} % of the windows" for rung in plan.rungs
    )
    lines = ["## Search", "", f"{len(plan.shapes)} candidates per target: {rungs}.", ""]
    lines += ["| target | candidate | rung | epochs | WQL of stop days | CPU-s |", "|---" * 6 + "|"]
    for outcome in outcomes:
        for trial in sorted(outcome.trials, key=lambda each: (-each.rung, each.score)):
            lines.append(
                f"| {outcome.target} | {outcome.shapes[trial.number].name} | {trial.rung} "
                f"| {trial.epochs} | {trial.score:.5f} | {trial.seconds:.1f} |"
            )
    lines += ["", f"Recipe `{recipe_hash(recipe)[:12]}`, seed {recipe.seed}.", "", "Kernels:", ""]
    lines += [f"- {outcome.target}: `{outcome.kernel}`" for outcome in outcomes]
    return [*lines, ""]
