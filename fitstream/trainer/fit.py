"""One cohort run: choose kernels, train the transformer, score everything on held-out days.

Must do no I/O but the checkpoint it is handed; the test days decide nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import monotonic, perf_counter

import numpy as np

from fitstream.trainer.checkpoint import Header, Progress, State, read_checkpoint, write_checkpoint
from fitstream.trainer.data import SLOTS, Floats, Series, fingerprint
from fitstream.trainer.evaluate import Held, Model, hold
from fitstream.trainer.models.climatology import Climatology, choose_kernel, own_history, pooled
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.models.naive import SeasonalNaive
from fitstream.trainer.models.transformer import SlotAttention, Transformer
from fitstream.trainer.recipe import Recipe, recipe_hash
from fitstream.trainer.registry import Artifact
from fitstream.trainer.report import CohortRun, Outcome, not_enough, write_report
from fitstream.trainer.splits import Split, enough_data, first_held_out, split_target
from fitstream.trainer.training import (
    Fit,
    Task,
    fit_state,
    new_fit,
    resume_fit,
    run_fit,
    trained_network,
)
from fitstream.trainer.windows import Issue, Windows, make_windows

OnProgress = Callable[[int, int, float], None]
# The plan's fixed rate: a quarter of what one thread of a current core does.
PLANNED_KEYS_PER_S = 8_000_000
TRAINING_SHARE = 0.6


@dataclass(frozen=True, eq=False)
class Prepared:
    """One target made ready: its split, kernel, pooled slots of the training days, and windows."""

    target: str
    split: Split
    kernel: Kernel
    pool: Floats
    train: Windows
    validation: Windows
    seconds: float

    @property
    def trainable(self) -> bool:
        """Whether there is something to learn from and something to stop by."""
        return len(self.train) > 0 and len(self.validation) > 0


@dataclass(frozen=True, eq=False)
class Trained:
    """Networks by target, what each took, and whether the clock cut the plan short."""

    networks: Mapping[str, SlotAttention]
    seconds: Mapping[str, float]
    curves: Mapping[str, list[float]]
    epochs: int
    out_of_time: bool


def train_cohort(
    series: Mapping[str, Series],
    recipe: Recipe,
    on_progress: OnProgress,
    checkpoint: Path | None = None,
) -> CohortRun:
    """A champion with its leaderboard, or the answer that there is not enough data yet.

    Equal series and recipe give an equal result unless the clock stops it, which the run says.
    `on_progress(epoch, epochs, loss)` may raise to cancel; with a `checkpoint` a repeat of the same
    run goes on after the last whole epoch.
    """
    started = monotonic()
    prepared = [
        made
        for target in recipe.targets
        if enough_data(series, target) and (made := _prepare(series, target, recipe)).split.test
    ]
    if not prepared:
        return not_enough(series, recipe)
    trained = _train(prepared, recipe, on_progress, _Store(checkpoint, _run_key(series, recipe)))
    outcomes = [_outcome(series, made, trained, recipe) for made in prepared]
    promoted = {o.target: trained.networks[o.target] for o in outcomes if o.promoted}
    base = Climatology(
        recipe.reach,
        {made.target: made.kernel for made in prepared},
        {made.target: _pool_of_all(series, made.target) for made in prepared},
    )
    run = write_report(series, recipe, outcomes)
    run.curves.update({target: list(curve) for target, curve in trained.curves.items()})
    run.counts["planned_epochs"] = trained.epochs
    run.stopped_by_clock = trained.out_of_time
    run.seconds = round(monotonic() - started, 2)
    run.artifact = Artifact(
        Transformer(base, promoted) if promoted else base, recipe, run.card_report()
    )
    return run


def planned_epochs(prepared: Sequence[Prepared], recipe: Recipe) -> int:
    """Epochs that fit the budget at a fixed rate, from the sizes alone: no clock is asked."""
    windows = sum(len(made.train) + len(made.validation) for made in prepared if made.trainable)
    keys = windows * SLOTS * recipe.reach.keys
    affordable = TRAINING_SHARE * recipe.budget_s * PLANNED_KEYS_PER_S
    return max(1, min(recipe.max_epochs, int(affordable / max(keys, 1))))


def thin(issues: Sequence[Issue], most: int) -> list[Issue]:
    """At most so many issues, evenly spread over customers and days."""
    if len(issues) <= most:
        return list(issues)
    at = np.linspace(0, len(issues) - 1, most).round().astype(int)
    return [issues[i] for i in at]


def _prepare(series: Mapping[str, Series], target: str, recipe: Recipe) -> Prepared:
    started = perf_counter()
    split = split_target(series, target, recipe.test_days)
    validation = make_windows(
        series, target, thin(split.validation, recipe.max_windows), recipe.reach
    )
    train = make_windows(series, target, thin(split.train, recipe.max_windows), recipe.reach)
    train = train.take(np.flatnonzero(own_history(train)))
    kernel = choose_kernel(validation)
    held_out = first_held_out(split)
    days = [(each, held_out.get(name, each.days)) for name, each in series.items()]
    pool = pooled(days, target)
    return Prepared(target, split, kernel, pool, train, validation, perf_counter() - started)


def _pool_of_all(series: Mapping[str, Series], target: str) -> Floats:
    """Cold starts are served from every day there is; kernel and weights stay as chosen."""
    return pooled([(each, each.days) for each in series.values()], target)


def _run_key(series: Mapping[str, Series], recipe: Recipe) -> str:
    return sha256((recipe_hash(recipe) + fingerprint(series)).encode()).hexdigest()


class _Store:
    """The checkpoint of a run: states of all targets, written after every epoch."""

    def __init__(self, path: Path | None, run_key: str) -> None:
        self._path = path
        self._run_key = run_key
        self._progress: dict[str, Progress] = {}
        self._states: dict[str, State] = {}
        if path is not None:
            self._progress, self._states = read_checkpoint(path, run_key)

    def restore(self, target: str, fit: Fit) -> None:
        """Puts a new fit where the last run of the same key left it."""
        if target in self._progress:
            resume_fit(fit, self._progress[target], self._states[target])

    def save(self, target: str, fit: Fit) -> None:
        """Repeating it replaces the file."""
        if self._path is None:
            return
        self._progress[target], self._states[target] = fit.progress, fit_state(fit)
        write_checkpoint(
            self._path, Header(run_key=self._run_key, progress=self._progress), self._states
        )


def _train(
    prepared: Sequence[Prepared], recipe: Recipe, on_progress: OnProgress, store: _Store
) -> Trained:
    trainable = [made for made in prepared if made.trainable]
    epochs = planned_epochs(prepared, recipe)
    deadline = monotonic() + recipe.budget_s
    networks: dict[str, SlotAttention] = {}
    seconds: dict[str, float] = {}
    curves: dict[str, list[float]] = {}
    out_of_time = False
    for number, made in enumerate(trainable):
        started = perf_counter()
        fit = new_fit(Task(made.kernel, made.train, made.validation, recipe, epochs))
        store.restore(made.target, fit)

        def after_epoch(loss: float, made: Prepared, fit: Fit, before: int) -> None:
            store.save(made.target, fit)
            on_progress(before + fit.progress.epoch, epochs * len(trainable), loss)

        tell = partial(after_epoch, made=made, fit=fit, before=number * epochs)
        out_of_time |= run_fit(fit, tell, lambda: monotonic() > deadline)
        networks[made.target] = trained_network(fit)
        seconds[made.target] = perf_counter() - started
        curves[made.target] = fit.progress.curve
    return Trained(networks, seconds, curves, epochs, out_of_time)


def _outcome(
    series: Mapping[str, Series], made: Prepared, trained: Trained, recipe: Recipe
) -> Outcome:
    """Scores of all candidates on validation and test days, and the gate on validation alone."""
    base = Climatology(recipe.reach, {made.target: made.kernel}, {made.target: made.pool})
    models: list[Model] = [SeasonalNaive(1, base.pool), SeasonalNaive(7, base.pool), base]
    candidates: list[Model] = [*models]
    if made.target in trained.networks:
        candidates.append(Transformer(base, {made.target: trained.networks[made.target]}))
    held = partial(hold, candidates, series, made.target, reach=recipe.reach)
    validation: Held | None = held(made.split.validation) if made.split.validation else None
    return Outcome(
        target=made.target,
        kernel=made.kernel,
        split=made.split,
        validation=validation,
        test=held(made.split.test),
        fit_seconds={
            Climatology.kind: made.seconds,
            Transformer.kind: made.seconds + trained.seconds.get(made.target, 0.0),
        },
        seed=recipe.seed,
    )
