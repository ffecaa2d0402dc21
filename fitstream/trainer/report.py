"""What a cohort run found, as plain values: leaderboard, metrics, and the verdict in plain words.

Must not compute forecasts and must not need torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from fitstream.trainer.data import Series
from fitstream.trainer.evaluate import Held
from fitstream.trainer.metrics import Interval
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.splits import MIN_COHORT_DAYS, Split

if TYPE_CHECKING:
    from fitstream.trainer.registry import Artifact

CLIMATOLOGY, TRANSFORMER = "weighted_climatology", "transformer"
NAIVE = ("naive_day", "naive_week")
WORDS = {"steps": "steps", "calories_kcal": "calories", "heart_rate_bpm": "heart rate"}
LIMITS = (
    "Forecasts use whole local days before the start; the hours of today are not used yet.",
    "Days not worn and slots not measured are neither learned from nor scored.",
    "The kernel was chosen and the training stopped on the same validation days as the gate.",
    "Where many slots hold one value, such as zero steps, q10 lies on it and an 80 % interval "
    "rightly covers more than 80 %.",
)
_METRICS = ("wql", "mase", "rmse", "coverage", "daily_wape")
_DIGITS = 5


@dataclass(frozen=True, eq=False)
class Outcome:
    """One target's held-out forecasts of all candidates; `promoted` is the gate."""

    target: str
    kernel: Kernel
    split: Split
    validation: Held | None
    test: Held
    fit_seconds: Mapping[str, float]
    seed: int

    def gate(self) -> Interval | None:
        """Transformer against climatology on the validation days; None when it was not trained."""
        if self.validation is None or TRANSFORMER not in self.validation.forecasts:
            return None
        return self.validation.compare(TRANSFORMER, CLIMATOLOGY, self.seed)

    @property
    def promoted(self) -> bool:
        """Whether the interval excludes zero on the good side."""
        interval = self.gate()
        return interval is not None and interval.high < 0


@dataclass(eq=False)
class CohortRun:
    """The result of `fit.train_cohort`; everything but `artifact` is plain JSON values.

    `champion` is None and `artifact` is None when `enough` is False. `champions` names the model
    of each target: the transformer serves only the targets on which it passed the gate.
    """

    enough: bool
    verdict: str
    champion: str | None = None
    champions: dict[str, str] = field(default_factory=dict)
    leaderboard: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    limits: list[str] = field(default_factory=lambda: list(LIMITS))
    seconds: float = 0.0
    stopped_by_clock: bool = False
    artifact: "Artifact | None" = None

    def card_report(self) -> dict[str, Any]:
        """What card.json says beside the model: no times but those measured, so equal runs agree
        in everything else."""
        limits = list(self.limits)
        if self.stopped_by_clock:
            limits.append("The clock stopped the training before its planned steps were done.")
        return {
            "champion": self.champion,
            "champions": self.champions,
            "verdict": self.verdict,
            "metrics": self.metrics,
            "leaderboard": self.leaderboard,
            "counts": self.counts,
            "curves": self.curves,
            "limits": limits,
            "seconds": self.seconds,
            "stopped_by_clock": self.stopped_by_clock,
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
    series: Mapping[str, Series], recipe: Recipe, outcomes: Sequence[Outcome]
) -> CohortRun:
    """The run's figures and words from the outcomes of its targets."""
    champions = {o.target: TRANSFORMER if o.promoted else CLIMATOLOGY for o in outcomes}
    champion = TRANSFORMER if TRANSFORMER in champions.values() else CLIMATOLOGY
    missing = [target for target in recipe.targets if target not in champions]
    sentences = [_gate_sentence(outcomes), _test_sentence(outcomes, champions)]
    if missing:
        sentences.append(f"Not enough data yet for {_words(missing)}.")
    return CohortRun(
        enough=True,
        verdict=" ".join(sentences),
        champion=champion,
        champions=champions,
        leaderboard=[row for o in outcomes for row in _rows(o, champions[o.target])],
        metrics={o.target: _metrics(o) for o in outcomes},
        counts={
            "customers": len(series),
            "wear_days": sum(int(each.wear.sum()) for each in series.values()),
            "days": {o.target: _days(o.split) for o in outcomes},
        },
    )


def _rows(outcome: Outcome, champion: str) -> list[dict[str, Any]]:
    rows = []
    for kind in outcome.test.forecasts:
        scores = outcome.test.scores(kind)
        validation = outcome.validation.scores(kind)["wql"] if outcome.validation else None
        seconds = outcome.fit_seconds.get(kind, 0.0) + outcome.test.seconds[kind]
        row = {name: _plain(scores[name]) for name in _METRICS}
        rows.append(
            {
                "model": kind,
                "target": outcome.target,
                **row,
                "validation_wql": _plain(validation),
                "seconds": round(seconds, 2),
                "champion": kind == champion,
            }
        )
    return sorted(rows, key=lambda row: (row["wql"] is None, row["wql"]))


def _metrics(outcome: Outcome) -> dict[str, Any]:
    test = outcome.test
    scores = {kind: test.scores(kind) for kind in test.forecasts}
    against: dict[str, Any] = {
        f"{CLIMATOLOGY} against {naive}": _interval(test.compare(CLIMATOLOGY, naive, outcome.seed))
        for naive in NAIVE
    }
    if TRANSFORMER in test.forecasts:
        interval = test.compare(TRANSFORMER, CLIMATOLOGY, outcome.seed)
        against[f"{TRANSFORMER} against {CLIMATOLOGY}"] = _interval(interval)
    gate = outcome.gate()
    return {
        "test": {k: {name: _plain(v) for name, v in each.items()} for k, each in scores.items()},
        "test_against": against,
        "validation_gate": _interval(gate) if gate else None,
        "kernel": msgspec.to_builtins(outcome.kernel),
    }


def _gate_sentence(outcomes: Sequence[Outcome]) -> str:
    gates = [(WORDS[o.target], o.gate(), o.promoted) for o in outcomes]
    tried = [(word, gate, promoted) for word, gate, promoted in gates if gate is not None]
    if not tried:
        return "There were no validation days to train on, so the weighted climatology serves."
    figures = "; ".join(f"{word} {_percent(gate)}" for word, gate, _ in tried)
    won = [word for word, _, promoted in tried if promoted]
    detail = f"WQL against it on the validation days, with 95 % interval: {figures}."
    if won:
        return (
            f"The transformer beat the weighted climatology on {' and '.join(won)} and serves "
            f"there, the weighted climatology serves the rest. {detail}"
        )
    return (
        "The transformer did not beat the weighted climatology with certainty, so the weighted "
        f"climatology is the champion. {detail}"
    )


def _test_sentence(outcomes: Sequence[Outcome], champions: Mapping[str, str]) -> str:
    parts = []
    for outcome in outcomes:
        score = outcome.test.scores(champions[outcome.target])["wql"]
        naive = min(outcome.test.scores(kind)["wql"] for kind in NAIVE)
        parts.append(f"{WORDS[outcome.target]} {score:.3f} (seasonal naive {naive:.3f})")
    return f"Its WQL on the test days: {', '.join(parts)}."


def _percent(interval: Interval) -> str:
    low, high = (f"{100 * each:+.1f}" for each in (interval.low, interval.high))
    return f"{100 * interval.difference:+.1f} % ({low} to {high})"


def _interval(interval: Interval) -> dict[str, float | None]:
    return {name: _plain(value) for name, value in interval._asdict().items()}


def _days(split: Split) -> dict[str, int]:
    return {name: len(issues) for name, issues in split._asdict().items()}


def _words(targets: Sequence[str]) -> str:
    return " and ".join(WORDS[target] for target in targets)


def _plain(value: float | None) -> float | None:
    """A number JSON can hold, None for NaN and infinity."""
    return round(value, _DIGITS) if value is not None and math.isfinite(value) else None
