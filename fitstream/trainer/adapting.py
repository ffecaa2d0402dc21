"""Adapts a cohort's model to one person, and judges on days of theirs whether that is better.

Adapted are kernel factors, embedding and head of networks, their shares, and the calibration. Must
do no I/O; the gate and the test days decide nothing about what is tried. The cohort's model may
have seen these days when it was made, the adapted one has not: that holds only the latter back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from fitstream.trainer.automl import mix
from fitstream.trainer.data import Series
from fitstream.trainer.daytotals import USUAL, ratios_of
from fitstream.trainer.evaluate import Held, hold, units
from fitstream.trainer.models.blend import Blend, Member, predict_member
from fitstream.trainer.models.calibration import Calibration, calibrate, no_calibration, trust_of
from fitstream.trainer.models.climatology import choose_kernel, predict_own
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.models.mixture import of_one_person
from fitstream.trainer.models.naive import NoTimeOfDay
from fitstream.trainer.models.shape import MIXTURE, Shape
from fitstream.trainer.overlay import Adapted, overlay
from fitstream.trainer.recipe import CustomerRecipe
from fitstream.trainer.report import METRICS, WORDS, interval_of, percent, plain
from fitstream.trainer.splits import MIN_HISTORY_DAYS, Split
from fitstream.trainer.training import Task, new_fit, run_fit, trained_network
from fitstream.trainer.windows import Issue, Windows, make_windows

MIN_PERSON_DAYS = 28  # measured wear days: with fewer there is too little to judge by
COHORT, OWN = "cohort's model", "own model"
_TEST_SHARE = 5  # one measured day in so many is test, twice as many are validation
_CAUTION = 0.25  # of the cohort's learning rates

OnProgress = Callable[[int, int, float], None]


@dataclass(frozen=True, eq=False)
class CustomerRun:
    """The result: targets on which the person's own model passed, and a report in plain JSON."""

    verdict: str
    adapted: Mapping[str, Adapted]
    report: Mapping[str, Any]


def train_customer(
    series: Series, base: Blend, recipe: CustomerRecipe, on_progress: OnProgress
) -> CustomerRun:
    """What fits one person better than `base` does, target by target, or that nothing does yet.

    Equal series, base and recipe give an equal result. `on_progress(epoch, epochs, loss)` may raise
    to cancel.
    """
    known = {series.customer_id: series}
    counts = {t: len(series.measured_days(t)) for t in recipe.targets if t in base.targets}
    enough = {t: days for t, days in counts.items() if days >= MIN_PERSON_DAYS}
    fits = sum(len(base.members.get(target, ())) for target in enough)
    teller = _Teller(fits * recipe.epochs, on_progress)
    outcomes = {
        target: _Person(known, target, base, recipe, split_person(series, target, recipe)).run(
            teller
        )
        for target in enough
    }
    passed = {target: made for target, (made, row) in outcomes.items() if row["passed"]}
    report = {
        "targets": {target: row for target, (_, row) in outcomes.items()},
        "counts": {"customers": 1, "days": counts, "needed": MIN_PERSON_DAYS},
        "base_model": recipe.base_model,
    }
    verdict = _verdict(counts, {target: row for target, (_, row) in outcomes.items()})
    return CustomerRun(verdict, passed, {"verdict": verdict, **report})


def split_person(series: Series, target: str, recipe: CustomerRecipe) -> Split:
    """Train, validation and test days of one person: in time, never mixed."""
    issues = [Issue(series.customer_id, int(day), int(day)) for day in series.measured_days(target)]
    test = min(recipe.test_days, len(issues) // _TEST_SHARE)
    first_test = len(issues) - test
    first_validation = first_test - 2 * test
    return Split(
        tuple(issues[MIN_HISTORY_DAYS:first_validation]),
        tuple(issues[first_validation:first_test]),
        tuple(issues[first_test:]),
    )


class _Teller:
    """Epochs of all fits, for people who wait."""

    def __init__(self, epochs: int, tell: OnProgress) -> None:
        self._all, self._done, self._tell = max(epochs, 1), 0, tell

    def add(self, epochs: int, loss: float) -> None:
        self._done += epochs
        self._tell(min(self._done, self._all), self._all, loss)


@dataclass(frozen=True, eq=False)
class _Person:
    """One target of one person."""

    series: Mapping[str, Series]
    target: str
    base: Blend
    recipe: CustomerRecipe
    split: Split

    def run(self, teller: _Teller) -> tuple[Adapted, dict[str, Any]]:
        """What was adapted, and how it did beside the cohort's model."""
        train, stop = self._windows(self.split.train), self._windows(self.split.stop)
        kernel = self._kernel()
        members = self._members(kernel, (train, stop), teller)
        trial = self._tuned(kernel, members, self.split.stop)
        gate = self._held(trial, self.split.gate)
        final = self._tuned(kernel, members, self.split.validation)
        row = self._row(gate, self._held(final, self.split.test))
        shares = [{"network": each.shape.name, "share": each.weight} for each in members]
        return final, row | {"kernel": msgspec.to_builtins(kernel), "shares": shares}

    def _windows(self, issues: tuple[Issue, ...]) -> Windows:
        return make_windows(self.series, self.base.look(self.target), issues)

    def _kernel(self) -> Kernel:
        """Chosen on the days before the gate, from the cohort's kernel on."""
        chosen = self._windows((*self.split.train, *self.split.stop))
        start = self.base.base.kernels[self.target]
        return choose_kernel(chosen, units(chosen.issues), start)

    def _members(
        self, kernel: Kernel, windows: tuple[Windows, Windows], teller: _Teller
    ) -> tuple[Member, ...]:
        """The cohort's networks, embedding and head moved, in shares that suit the stop days."""
        train, stop = windows
        networks: list[tuple[Shape, Any]] = []
        for number, member in enumerate(self.base.members.get(self.target, ())):
            if member.shape.kind == MIXTURE:
                networks.append((member.shape, of_one_person(member.network, train)))
                teller.add(self.recipe.epochs, 0.0)
                continue
            shape = msgspec.structs.replace(
                member.shape,
                learning_rate=_CAUTION * member.shape.learning_rate,
                head_rate=_CAUTION * member.shape.head_rate,
            )
            learn = (self.recipe.seed * 1000 + number, self.recipe.patience)
            task = Task(kernel, shape, train, stop, *learn, begin=member.network)
            fit = new_fit(task)
            run_fit(fit, self.recipe.epochs, lambda loss: teller.add(1, loss))
            teller.add(self.recipe.epochs - fit.progress.epoch, fit.progress.best_score)
            networks.append((member.shape, trained_network(fit)))
        if not networks:
            return ()
        forecasts = [predict_own(kernel, stop)]
        forecasts += [predict_member(network, stop) for _, network in networks]
        truth = np.where(np.isfinite(forecasts[0][..., 0]), stop.truth, np.float32(np.nan))
        shares = mix(truth, [np.nan_to_num(each) for each in forecasts])
        pairs = zip(networks, shares[1:], strict=True)
        return tuple(Member(shape, net, share) for (shape, net), share in pairs if share > 0)

    def _tuned(
        self, kernel: Kernel, members: tuple[Member, ...], days: tuple[Issue, ...]
    ) -> Adapted:
        """With the cohort's calibration moved towards what suits these days."""
        target = self.target
        before = self.base.calibrations.get(target, no_calibration())
        usual = self.base.day_ratios.get(target, USUAL[target])
        raw = overlay(self.base, {target: Adapted(kernel, members, no_calibration(), usual)})
        held = hold({OWN: raw}, self.series, target, days)
        trust = trust_of(len(held.truth))
        moves = (1 - trust) * before.moves + calibrate(held.truth, held.forecasts[OWN]).moves
        calibration = Calibration(moves.astype(np.float32))
        ratios = ratios_of(target, held.truth, calibration.apply(held.forecasts[OWN]))
        ratios = ratios._replace(wider=usual.wider)  # a few days are too few to tell it anew
        return Adapted(kernel, members, calibration, ratios)

    def _held(self, adapted: Adapted, days: tuple[Issue, ...]) -> Held:
        own = overlay(self.base, {self.target: adapted})
        flat = NoTimeOfDay(self.base.reach, self.base.base.pool)
        models: dict[str, Any] = {OWN: own, COHORT: self.base, "no_time_of_day": flat}
        return hold(models, self.series, self.target, days)

    def _row(self, gate: Held, test: Held) -> dict[str, Any]:
        seed = self.recipe.seed
        rivals = [name for name in gate.forecasts if name != OWN]
        judged = {name: gate.compare(OWN, name, seed) for name in rivals}
        scores = {name: test.scores(name) for name in (OWN, COHORT)}
        return {
            "passed": bool(rivals) and all(each.high < 0 for each in judged.values()),
            "gate": {name: interval_of(each) for name, each in judged.items()},
            "gate_words": percent(judged[COHORT]),
            "days": {name: len(issues) for name, issues in self.split._asdict().items()},
            "test": {
                name: {metric: plain(each[metric]) for metric in METRICS}
                for name, each in scores.items()
            },
            "test_against": interval_of(test.compare(OWN, COHORT, seed)),
        }


def _verdict(counts: Mapping[str, int], rows: Mapping[str, Mapping[str, Any]]) -> str:
    if not rows:
        most = max(counts.values(), default=0)
        return (
            f"Not enough data yet: {most} days with measurements, at least {MIN_PERSON_DAYS} are "
            "needed. The model of everybody serves."
        )
    won = [WORDS[target] for target, row in rows.items() if row["passed"]]
    figures = "; ".join(f"{WORDS[target]} {row['gate_words']}" for target, row in rows.items())
    serves = (
        f"The own model serves {' and '.join(won)}, that of everybody the rest."
        if won
        else "The own model was not better with certainty, so that of everybody serves."
    )
    return f"{serves} WQL against it on the days of the gate, with 95 % interval: {figures}."
