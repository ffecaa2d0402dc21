"""What a cohort run found, as plain values: leaderboard, metrics, and the verdict in plain words.

Must not compute forecasts and must not need torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from fitstream.trainer.automl import Plan, Trial
from fitstream.trainer.data import Series
from fitstream.trainer.daytotals import Ratios
from fitstream.trainer.evaluate import Held
from fitstream.trainer.metrics import Interval
from fitstream.trainer.models.blend import ENSEMBLE, Member
from fitstream.trainer.models.calibration import Calibration
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.models.shape import MIXTURE, Shape
from fitstream.trainer.nowcast_report import Nowcasted, report_of, sentence_of
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.slices import by_part, by_slice, overall
from fitstream.trainer.splits import MIN_COHORT_DAYS, Split

if TYPE_CHECKING:
    from fitstream.trainer.registry import Artifact

CLIMATOLOGY, CHAMPION = "weighted_climatology", "champion so far"
_NAMES = {
    ENSEMBLE: "ensemble",
    MIXTURE: "mixture of kernels",
    CLIMATOLOGY: "weighted climatology",
}
_RANKS = tuple(_NAMES)  # who serves when it has passed, before the next
BASELINES = ("naive_day", "naive_week", "climatology")
WORDS = {"steps": "steps", "calories_kcal": "calories", "heart_rate_bpm": "heart rate"}
LIMITS = (
    "Days not worn and slots not measured are neither learned from nor scored.",
    "Networks are stopped, mixed and calibrated on every other validation day, and judged on the "
    "days between; neighbouring days of a person are alike.",
    "A mixture of kernels is judged on the last two blocks of days before the test, each from what "
    "was known before it.",
    "Where many slots hold one value, such as zero steps, q10 lies on it and an 80 % interval "
    "rightly covers more than 80 %.",
    "The model holds tables of how up to 64 people's days go, as quantiles under pseudonyms, and "
    "where a mixture serves, of how well its kernels told each person's days; who withdraws flags "
    "it, and it is trained anew without them.",
)
METRICS = ("wql", "mase", "rmse", "coverage", "hourly_wape", "daily_wape")
_DIGITS = 5


class Tuned(NamedTuple):
    """What held-out days say about a model's intervals: of slots, and of a day's total."""

    calibration: Calibration
    ratios: Ratios


@dataclass(frozen=True, eq=False)
class Outcome:
    """One target's held-out forecasts of all candidates.

    `mixture_days` are those that a mixture of kernels is judged on, `gate_days` those of networks;
    `groups` are the members of each candidate. `promoted` says that the latter passed their gate.
    """

    target: str
    kernel: Kernel
    split: Split
    mixture_days: Held | None
    gate_days: Held | None
    test: Held
    week_ahead: Held
    trials: tuple[Trial, ...]
    shapes: tuple[Shape, ...]
    groups: Mapping[str, tuple[Member, ...]]
    tuned: Mapping[str, Tuned]
    prepare_seconds: float
    seed: int

    def gate(self) -> dict[str, Interval]:
        """The ensemble against each it has to beat, on the days of the gate; empty without one."""
        return against_all(self.gate_days, ENSEMBLE, self.seed)

    def mixture_gate(self) -> dict[str, Interval]:
        """The mixture against each it has to beat, on the days of its own gate; empty without."""
        return against_all(self.mixture_days, MIXTURE, self.seed)

    @property
    def promoted(self) -> bool:
        """Whether every interval excludes zero on the good side."""
        return is_passed(self.gate())

    @property
    def champion(self) -> str:
        """Who serves this target."""
        if self.promoted:
            return ENSEMBLE
        return MIXTURE if is_passed(self.mixture_gate()) else CLIMATOLOGY


def against_all(held: Held | None, name: str, seed: int) -> dict[str, Interval]:
    """A model against every other on some days; empty without days."""
    if held is None:
        return {}
    rivals = [rival for rival in held.forecasts if rival != name]
    return {rival: held.compare(name, rival, seed) for rival in rivals}


def is_passed(gate: Mapping[str, Interval]) -> bool:
    """Whether every interval excludes zero on the good side."""
    return bool(gate) and all(interval.high < 0 for interval in gate.values())


@dataclass(eq=False)
class CohortRun:
    """The result of `fit.train_cohort`; everything but `artifact` and `plan` is plain JSON values.

    `replaces` says whether it may take the place of the champion it was compared with.
    `champion` is None and `artifact` is None when `enough` is False. `champions` names the model
    of each target: the ensemble serves only the targets on which it passed the gate.
    """

    enough: bool
    verdict: str
    champion: str | None = None
    champions: dict[str, str] = field(default_factory=dict)
    leaderboard: list[dict[str, Any]] = field(default_factory=list)
    trials: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    limits: list[str] = field(default_factory=lambda: list(LIMITS))
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    replaces: bool = True
    plan: Plan | None = None
    artifact: "Artifact | None" = None

    def card_report(self) -> dict[str, Any]:
        """What card.json says beside the model: no times but those measured, so equal runs agree
        in everything else."""
        return {
            "champion": self.champion,
            "champions": self.champions,
            "verdict": self.verdict,
            "metrics": self.metrics,
            "leaderboard": self.leaderboard,
            "trials": self.trials,
            "plan": msgspec.to_builtins(self.plan),
            "counts": self.counts,
            "limits": self.limits,
            "replaces": self.replaces,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
        }


def not_enough(series: Mapping[str, Series], recipe: Recipe) -> CohortRun:
    """The answer when no target has days enough to hold any out."""
    worn = sum(int(each.wear.sum()) for each in series.values())
    verdict = (
        f"Not enough data yet: {worn} wear days of {len(series)} customers; at least "
        f"{MIN_COHORT_DAYS} are needed, with 3 of one customer."
    )
    counts = {"customers": len(series), "wear_days": worn, "targets": len(recipe.targets)}
    return CohortRun(enough=False, verdict=verdict, counts=counts)


def write_report(
    series: Mapping[str, Series],
    recipe: Recipe,
    outcomes: Sequence[Outcome],
    nowcasts: Sequence[Nowcasted] = (),
) -> CohortRun:
    """The run's figures and words from the outcomes of its targets, and of their nowcasts."""
    champions = {o.target: o.champion for o in outcomes}
    missing = [target for target in recipe.targets if target not in champions]
    sentences = [_gate_sentence(outcomes), _test_sentence(outcomes)]
    if said := sentence_of(nowcasts, WORDS, percent):
        sentences.append(said)
    if missing:
        sentences.append(f"Not enough data yet for {_words(missing)}.")
    return CohortRun(
        enough=True,
        verdict=" ".join(sentences),
        champion=next(name for name in _RANKS if name in champions.values()),
        champions=champions,
        leaderboard=[row for o in outcomes for row in _rows(o)],
        trials=[row for o in outcomes for row in _trials(o)],
        metrics={o.target: _metrics(series, o) | _nowcast(o.target, nowcasts) for o in outcomes},
        counts={
            "customers": len(series),
            "wear_days": sum(int(each.wear.sum()) for each in series.values()),
            "days": {o.target: _days(o.split) for o in outcomes},
        },
    )


def _rows(outcome: Outcome) -> list[dict[str, Any]]:
    rows = []
    spent = sum(trial.seconds for trial in outcome.trials)
    for name in outcome.test.forecasts:
        scores = outcome.test.scores(name)
        seconds = outcome.test.seconds[name]
        seconds += outcome.prepare_seconds if name in _RANKS else 0.0
        seconds += spent if name == ENSEMBLE else 0.0
        rows.append(
            {
                "model": name,
                "target": outcome.target,
                **{metric: plain(scores[metric]) for metric in METRICS},
                "validation_wql": _gate_wql(outcome, name),
                "seconds": round(seconds, 2),
                "champion": name == outcome.champion,
            }
        )
    return sorted(rows, key=lambda row: (row["wql"] is None, row["wql"]))


def _gate_wql(outcome: Outcome, name: str) -> float | None:
    held = outcome.gate_days
    if held is None or name not in held.forecasts:
        return None
    return plain(held.scores(name)["wql"])


def _trials(outcome: Outcome) -> list[dict[str, Any]]:
    """What the search tried, the best of each rung first; scores are of the stop days."""
    members = outcome.groups.get(ENSEMBLE, ())
    shares = {member.shape.name: member.weight for member in members}
    last = max((trial.rung for trial in outcome.trials), default=0)
    rows = []
    for trial in sorted(outcome.trials, key=lambda each: (-each.rung, each.score, each.number)):
        name = outcome.shapes[trial.number].name
        rows.append(
            {
                "target": outcome.target,
                "candidate": name,
                "rung": trial.rung,
                "epochs": trial.epochs,
                "stop_wql": plain(trial.score),
                "curve": trial.curve,
                "share": round(shares.get(name, 0.0), 3) if trial.rung == last else None,
                "seconds": trial.seconds,
            }
        )
    return rows


def _metrics(series: Mapping[str, Series], outcome: Outcome) -> dict[str, Any]:
    test = outcome.test
    scores = {kind: test.scores(kind) for kind in test.forecasts}
    against = {
        f"{outcome.champion} against {rival}": interval_of(
            test.compare(outcome.champion, rival, outcome.seed)
        )
        for rival in test.forecasts
        if rival != outcome.champion
    }
    return {
        "test": {k: {name: plain(v) for name, v in each.items()} for k, each in scores.items()},
        "test_against": against,
        "horizons": _horizons(outcome),
        "parts": by_part(test, [*_beside(outcome)]),
        "slices": by_slice(series, test, [*_beside(outcome)]),
        "validation_gate": {name: interval_of(each) for name, each in outcome.gate().items()},
        "mixture_gate": {name: interval_of(each) for name, each in outcome.mixture_gate().items()},
        "kernel": msgspec.to_builtins(outcome.kernel),
        "calibration": outcome.tuned[outcome.champion].calibration.moves.round(4).tolist(),
        "day_ratios": [plain(ratio) for ratio in outcome.tuned[outcome.champion].ratios],
    }


def _nowcast(target: str, nowcasts: Sequence[Nowcasted]) -> dict[str, Any]:
    """What came of a target's networks of the next hour; nothing where none are made."""
    return next(({"nowcast": report_of(n)} for n in nowcasts if n.target == target), {})


def _beside(outcome: Outcome) -> tuple[str, ...]:
    """Who serves, and whom to compare it with."""
    return (outcome.champion, "climatology", "naive_week")


def _horizons(outcome: Outcome) -> list[dict[str, Any]]:
    """The day after what is known, and the last day of the week after."""
    models = _beside(outcome)
    return [
        {"horizon": "the next day", "days_between": 0, "wql": overall(outcome.test, models)},
        {"horizon": "the day a week ahead", "days_between": 6,
         "wql": overall(outcome.week_ahead, models)},
    ]  # fmt: skip


def _gate_sentence(outcomes: Sequence[Outcome]) -> str:
    (first, whence), *others = [
        (f"of {_words(targets)}", f"from the {_NAMES[name]}")
        for name in _RANKS
        if (targets := [o.target for o in outcomes if o.champion == name])
    ]
    serving = [f"{first} come {whence}", *(" ".join(each) for each in others)]
    gates = {MIXTURE: [o.mixture_gate() for o in outcomes], ENSEMBLE: [o.gate() for o in outcomes]}
    told = [
        f"the {_NAMES[name]} {figures}"
        for name, found in gates.items()
        if (figures := _figures(outcomes, found))
    ]
    if not any(gates[ENSEMBLE]):
        told.append("no network was better on the days they stop by")
    return (
        f"Forecasts {', '.join(serving)}. WQL against the weighted climatology on the days of "
        f"the gates, with 95 % interval: {'; '.join(told)}."
    )


def _figures(outcomes: Sequence[Outcome], gates: Sequence[Mapping[str, Interval]]) -> str:
    return ", ".join(
        f"{WORDS[outcome.target]} {percent(gate[CLIMATOLOGY])}"
        for outcome, gate in zip(outcomes, gates, strict=True)
        if gate
    )


def _test_sentence(outcomes: Sequence[Outcome]) -> str:
    parts = []
    for outcome in outcomes:
        score = outcome.test.scores(outcome.champion)["wql"]
        rival = min(BASELINES, key=lambda name: outcome.test.scores(name)["wql"])
        other = outcome.test.scores(rival)["wql"]
        parts.append(f"{WORDS[outcome.target]} {score:.4f} ({rival} {other:.4f})")
    return f"Its WQL on the test days: {', '.join(parts)}."


def percent(interval: Interval) -> str:
    """As in "−2.1 % (−3.0 to −1.2)"."""
    low, high = (f"{100 * each:+z.1f}" for each in (interval.low, interval.high))
    return f"{100 * interval.difference:+z.1f} % ({low} to {high})"


def interval_of(interval: Interval) -> dict[str, float | None]:
    """An interval as JSON can hold it."""
    return {name: plain(value) for name, value in interval._asdict().items()}


def _days(split: Split) -> dict[str, int]:
    return {name: len(issues) for name, issues in split._asdict().items()}


def _words(targets: Sequence[str]) -> str:
    return " and ".join(WORDS[target] for target in targets)


def plain(value: float | None) -> float | None:
    """A number JSON can hold, None for NaN and infinity."""
    return round(value, _DIGITS) if value is not None and math.isfinite(value) else None
