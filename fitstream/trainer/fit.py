"""One cohort run: prepare each target, search networks, mix, calibrate, judge by held-out days.

Must do no I/O but the checkpoint it is handed; the test days decide nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from time import monotonic, process_time

import numpy as np

from fitstream.trainer.automl import Plan, Trial, make_plan, mix, survivors
from fitstream.trainer.checkpoint import Header, Progress, State, read_checkpoint, write_checkpoint
from fitstream.trainer.data import Series, fingerprint
from fitstream.trainer.daytotals import USUAL, ratios_of
from fitstream.trainer.evaluate import Held, Model, hold
from fitstream.trainer.models.blend import ENSEMBLE, Blend, Member
from fitstream.trainer.models.calibration import calibrate, no_calibration
from fitstream.trainer.models.climatology import Climatology, PlainClimatology, predict_own
from fitstream.trainer.models.naive import NoTimeOfDay, SeasonalNaive
from fitstream.trainer.models.network import Network, predict_network
from fitstream.trainer.prepare import Prepared, climatology_before, prepare
from fitstream.trainer.recipe import Recipe, recipe_hash
from fitstream.trainer.registry import Artifact
from fitstream.trainer.report import (
    CHAMPION,
    CohortRun,
    Outcome,
    Tuned,
    not_enough,
    write_report,
)
from fitstream.trainer.splits import Split, enough_data, split_last_days, split_target
from fitstream.trainer.training import (
    Fit,
    Task,
    fit_state,
    new_fit,
    resume_fit,
    run_fit,
    trained_network,
)

OnProgress = Callable[[int, int, float], None]
Splitter = Callable[[Mapping[str, Series], str, int], Split]


@dataclass(frozen=True, eq=False)
class Found:
    """What the search of one target left: every trial, and the networks of the last rung."""

    trials: tuple[Trial, ...] = ()
    networks: Mapping[int, Network] | None = None


def train_cohort(
    series: Mapping[str, Series],
    recipe: Recipe,
    on_progress: OnProgress,
    checkpoint: Path | None = None,
    champion: Model | None = None,
) -> CohortRun:
    """A champion with its leaderboard, or the answer that there is not enough data yet.

    Equal series and recipe give an equal result. `on_progress(epoch, epochs, loss)` may raise to
    cancel; with a `checkpoint` a repeat of the same run goes on after the last whole epoch. A
    network serves only if it also beats the `champion` so far on the days of the gate.
    """
    started = monotonic(), process_time()
    prepared = ready(series, recipe, split_target)
    if not prepared:
        return not_enough(series, recipe)
    store = _Store(checkpoint, _run_key(series, recipe))
    plan, outcomes = search_all(series, prepared, (recipe, champion), (on_progress, store))
    run = write_report(series, recipe, outcomes)
    run.replaces = replaces(outcomes, champion)
    run.plan = plan
    run.seconds = round(monotonic() - started[0], 2)
    run.cpu_seconds = round(process_time() - started[1], 2)
    run.artifact = Artifact(_serving(series, outcomes, recipe), recipe, run.card_report())
    return run


def evaluate_wearers(
    series: Mapping[str, Series], recipe: Recipe, on_progress: OnProgress
) -> tuple[Plan, list[Outcome]]:
    """The last days of each wearer forecast day by day, by what their days before have taught.

    No outcomes where no target has wearers with days enough.
    """
    prepared = ready(series, recipe, split_last_days)
    return search_all(series, prepared, (recipe, None), (on_progress, _Store(None, "")))


def search_all(
    series: Mapping[str, Series],
    prepared: Sequence[Prepared],
    given: tuple[Recipe, Model | None],
    around: "tuple[OnProgress, _Store]",
) -> tuple[Plan, list[Outcome]]:
    """Plan and outcomes of a whole search in this process."""
    recipe, champion = given
    plan = plan_of(prepared, recipe)
    search = _Search(plan, recipe, _Counter(prepared, plan, around[0]), around[1])
    judged = (plan, recipe, champion)
    outcomes = [judge(series, made, search.run(made), judged) for made in prepared]
    return plan, outcomes


def ready(series: Mapping[str, Series], recipe: Recipe, splitter: Splitter) -> list[Prepared]:
    """The targets with data enough to hold any out, prepared."""
    return [
        prepare(series, target, split, recipe)
        for target in recipe.targets
        if enough_data(series, target)
        and (split := splitter(series, target, recipe.test_days)).test
    ]


def plan_of(prepared: Sequence[Prepared], recipe: Recipe) -> Plan:
    """The search that fits the recipe's budget."""
    windows = {made.target: len(made.train) for made in prepared if made.trainable}
    return make_plan(windows, recipe.reach, recipe.budget_s)


def new_trial(made: Prepared, plan: Plan, at: tuple[int, int], recipe: Recipe) -> Fit:
    """The fit of candidate `at[1]` on rung `at[0]`: it depends on nothing but plan and data."""
    rung, number = plan.rungs[at[0]], at[1]
    train = made.train
    if rung.share < 1:
        some = np.linspace(0, len(train) - 1, max(1, round(rung.share * len(train))))
        train = train.take(np.unique(some.round().astype(int)))
    kernel = made.base.kernels[made.target]
    seed = recipe.seed * 1000 + number
    return new_fit(Task(kernel, plan.shapes[number], train, made.stop, seed, recipe.patience))


def trial_of(made: Prepared, at: tuple[int, int], fit: Fit, seconds: float) -> Trial:
    """How a finished fit did."""
    return Trial(
        target=made.target,
        number=at[1],
        rung=at[0],
        epochs=fit.progress.epoch,
        score=round(fit.progress.best_score, 9),
        curve=list(fit.progress.curve),
        seconds=round(seconds, 2),
    )


class _Counter:
    """Epochs of the whole run, for people who wait."""

    def __init__(self, prepared: Sequence[Prepared], plan: Plan, tell: OnProgress) -> None:
        left, epochs = len(plan.shapes), 0
        for rung in plan.rungs:
            epochs += left * rung.epochs
            left = min(left, max(2, -(-left // 2)))
        self._all = epochs * sum(made.trainable for made in prepared)
        self._done, self._tell = 0, tell

    def add(self, epochs: int, loss: float) -> None:
        self._done += epochs
        self._tell(min(self._done, self._all), self._all, loss)


class _Store:
    """The checkpoint of a run: states of all trials, written after every epoch."""

    def __init__(self, path: Path | None, run_key: str) -> None:
        self._path = path
        self._run_key = run_key
        self._progress: dict[str, Progress] = {}
        self._states: dict[str, State] = {}
        if path is not None:
            self._progress, self._states = read_checkpoint(path, run_key)

    def restore(self, name: str, fit: Fit) -> None:
        """Puts a new fit where the last run of the same key left it."""
        if name in self._progress:
            resume_fit(fit, self._progress[name], self._states[name])

    def save(self, name: str, fit: Fit) -> None:
        """Repeating it replaces the file."""
        if self._path is None:
            return
        self._progress[name], self._states[name] = fit.progress, fit_state(fit)
        write_checkpoint(
            self._path, Header(run_key=self._run_key, progress=self._progress), self._states
        )


@dataclass(frozen=True, eq=False)
class _Search:
    """Successive halving in this process, one trial after the other."""

    plan: Plan
    recipe: Recipe
    counter: _Counter
    store: _Store

    def run(self, made: Prepared) -> Found:
        """All rungs of one target."""
        if not made.trainable:
            return Found()
        left = list(range(len(self.plan.shapes)))
        trials: list[Trial] = []
        networks: dict[int, Network] = {}
        for rung in range(len(self.plan.rungs)):
            done = [self._trial(made, (rung, number)) for number in left]
            trials += [trial for trial, _ in done]
            networks = {trial.number: network for trial, network in done}
            left = survivors([trial for trial, _ in done])
        return Found(tuple(trials), networks)

    def _trial(self, made: Prepared, at: tuple[int, int]) -> tuple[Trial, Network]:
        started = process_time()
        name = f"{made.target}.{at[0]}.{at[1]}"
        fit = new_trial(made, self.plan, at, self.recipe)
        self.store.restore(name, fit)
        epochs, before = self.plan.rungs[at[0]].epochs, fit.progress.epoch

        def after_epoch(loss: float) -> None:
            self.store.save(name, fit)
            self.counter.add(1, loss)

        if before:
            self.counter.add(before, fit.progress.best_score)
        run_fit(fit, epochs, after_epoch)
        self.counter.add(epochs - fit.progress.epoch, fit.progress.best_score)
        return trial_of(made, at, fit, process_time() - started), trained_network(fit)


def judge(
    series: Mapping[str, Series],
    made: Prepared,
    found: Found,
    given: tuple[Plan, Recipe, Model | None],
) -> Outcome:
    """Mix and calibration from the stop days, the gate from the days between, test days last."""
    plan, recipe, champion = given
    target = made.target
    members = _members(made, found, plan)
    candidate = Blend(made.base, {target: members}) if members else None
    gate = _gate(series, made, candidate, champion)
    blends = {"weighted_climatology": ()} | ({ENSEMBLE: members} if members else {})
    late = climatology_before(series, target, made.split.test, (made.base.kernels[target], recipe))
    tuned = {name: _tune(series, made, group) for name, group in blends.items()}
    models: dict[str, Model] = dict(_baselines(late))
    for name, group in blends.items():
        models[name] = Blend(late, {target: group}, {target: tuned[name].calibration})
    if champion is not None and target in getattr(champion, "targets", ()):
        models[CHAMPION] = champion
    test = hold(models, series, target, made.split.test)
    return Outcome(
        target=target,
        kernel=made.base.kernels[target],
        split=made.split,
        gate_days=gate,
        test=test,
        trials=found.trials,
        shapes=plan.shapes,
        members=members,
        tuned=tuned,
        prepare_seconds=made.seconds,
        seed=recipe.seed,
    )


def replaces(outcomes: Sequence[Outcome], champion: Model | None) -> bool:
    """Whether a run's model may take the champion's place.

    It must forecast all that the champion does, be better with certainty on the held-out days of
    one target at least, and on none worse with certainty. Without a champion it may. A target that
    only the new model forecasts counts as better.
    """
    if champion is None:
        return True
    known = set(getattr(champion, "targets", ()))
    if not known <= {outcome.target for outcome in outcomes}:
        return False
    against = [
        outcome.test.compare(outcome.champion, CHAMPION, outcome.seed)
        for outcome in outcomes
        if outcome.target in known
    ]
    is_better = len(outcomes) > len(known) or any(each.high < 0 for each in against)
    return is_better and not any(each.low > 0 for each in against)


def _members(made: Prepared, found: Found, plan: Plan) -> tuple[Member, ...]:
    """The networks of the last rung with their shares; none where the climatology alone is best."""
    if not found.networks:
        return ()
    numbers = sorted(found.networks)
    forecasts = [predict_own(made.base.kernels[made.target], made.stop)]
    forecasts += [predict_network(found.networks[number], made.stop) for number in numbers]
    truth = np.where(np.isfinite(forecasts[0][..., 0]), made.stop.truth, np.float32(np.nan))
    shares = mix(truth, [np.nan_to_num(each) for each in forecasts])
    return tuple(
        Member(plan.shapes[number], found.networks[number], share)
        for number, share in zip(numbers, shares[1:], strict=True)
        if share > 0
    )


def _gate(
    series: Mapping[str, Series], made: Prepared, candidate: Model | None, champion: Model | None
) -> Held | None:
    if candidate is None or not made.split.gate:
        return None
    models: dict[str, Model] = {
        "no_time_of_day": NoTimeOfDay(made.base.reach, made.base.pool),
        "weighted_climatology": made.base,
        ENSEMBLE: candidate,
    }
    if champion is not None and made.target in getattr(champion, "targets", ()):
        models[CHAMPION] = champion
    return hold(models, series, made.target, made.split.gate)


def _tune(series: Mapping[str, Series], made: Prepared, members: tuple[Member, ...]) -> Tuned:
    """From all validation days: they lie after what the model has learned from."""
    if not made.split.validation:
        return Tuned(no_calibration(), USUAL[made.target])
    model = Blend(made.base, {made.target: members})
    held = hold({"model": model}, series, made.target, made.split.validation)
    calibration = calibrate(held.truth, held.forecasts["model"])
    return Tuned(
        calibration, ratios_of(made.target, held.truth, calibration.apply(held.forecasts["model"]))
    )


def _baselines(base: Climatology) -> dict[str, Model]:
    reach, pool = base.reach, base.pool
    models: tuple[Model, ...] = (
        SeasonalNaive(1, reach, pool), SeasonalNaive(7, reach, pool), PlainClimatology(reach, pool)
    )  # fmt: skip
    return {model.kind: model for model in models}


def _serving(series: Mapping[str, Series], outcomes: Sequence[Outcome], recipe: Recipe) -> Blend:
    """The models of all targets in one; cohort and pool know every day there is."""
    base = Climatology(recipe.reach, {}, {}, {})
    for outcome in outcomes:
        whole = climatology_before(series, outcome.target, (), (outcome.kernel, recipe))
        base = replace(
            base,
            kernels={**base.kernels, **whole.kernels},
            pool={**base.pool, **whole.pool},
            cohorts={**base.cohorts, **whole.cohorts},
        )
    members = {o.target: o.members for o in outcomes if o.promoted}
    served = {o.target: o.tuned[o.champion] for o in outcomes}
    calibrations = {target: each.calibration for target, each in served.items()}
    return Blend(base, members, calibrations, {t: each.ratios for t, each in served.items()})


def _run_key(series: Mapping[str, Series], recipe: Recipe) -> str:
    return sha256((recipe_hash(recipe) + fingerprint(series)).encode()).hexdigest()
