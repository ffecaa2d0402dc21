"""The search of one target: its trials, rung after rung, wherever each of them is trained.

A trial depends on nothing but plan and data. Must do no I/O, and must not look at the days of the
gate or of the test.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import process_time

import numpy as np

from fitstream.trainer.automl import Plan, SearchPlan, Trial, kept, make_plan, survivors
from fitstream.trainer.checkpoint import State
from fitstream.trainer.models.network import Network, make_network
from fitstream.trainer.prepare import Prepared
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.training import CPU, Fit, Task, new_fit, run_fit, trained_network

OnProgress = Callable[[int, int, float], None]


@dataclass(frozen=True, eq=False)
class Found:
    """What the search of one target left: every trial, and the networks of the last rung."""

    trials: tuple[Trial, ...] = ()
    networks: Mapping[int, Network] = field(default_factory=dict)


def plan_of(prepared: Sequence[Prepared], recipe: Recipe) -> Plan:
    """The search that fits the recipe's budget."""
    windows = {made.target: len(made.train) for made in prepared if made.trainable}
    return make_plan(windows, recipe.reach, recipe.budget_s)


def new_trial(
    made: Prepared, plan: Plan, at: tuple[int, int], recipe: Recipe, device: str = CPU
) -> Fit:
    """The fit of candidate `at[1]` on rung `at[0]`: it depends on nothing but plan and data."""
    rung, number = plan.rungs[at[0]], at[1]
    train = made.train
    if rung.share < 1:
        some = np.linspace(0, len(train) - 1, max(1, round(rung.share * len(train))))
        train = train.take(np.unique(some.round().astype(int)))
    kernel = made.base.kernels[made.target]
    seed = recipe.seed * 1000 + number
    learn = (train, made.stop, seed, recipe.patience, device)
    return new_fit(Task(kernel, plan.shapes[number], *learn))


def trial_of(target: str, at: tuple[int, int], fit: Fit, seconds: float) -> Trial:
    """How a finished fit did."""
    return Trial(
        target=target,
        number=at[1],
        rung=at[0],
        epochs=fit.progress.epoch,
        score=round(fit.progress.best_score, 9),
        curve=list(fit.progress.curve),
        seconds=round(seconds, 2),
    )


def network_of(made: Prepared, plan: Plan, number: int, weights: State) -> Network:
    """The network of a candidate that was trained elsewhere."""
    kernel = made.base.kernels[made.target]
    network = make_network(kernel, made.base.reach, plan.shapes[number], seed=0)
    network.load_state_dict(weights)
    return network.eval()


def entrants(plan: Plan, trials: Sequence[Trial], rung: int) -> list[int] | None:
    """Numbers of a target's candidates that take part in a rung, None while the one before it is
    not complete."""
    if rung == 0:
        return list(range(len(plan.shapes)))
    before = entrants(plan, trials, rung - 1)
    done = [trial for trial in trials if trial.rung == rung - 1]
    if before is None or len(done) < len(before):
        return None
    return survivors(done)


def next_trials(plan: SearchPlan, trials: Sequence[Trial]) -> list[tuple[str, int, int]]:
    """(target, rung, number) of what is to be trained next: the first rung that is not complete.

    Empty when the search is over.
    """
    done = {(trial.target, trial.rung, trial.number) for trial in trials}
    for rung in range(len(plan.plan.rungs)):
        wanted = [
            (target, rung, number)
            for target in plan.trainable
            for number in entrants(plan.plan, [t for t in trials if t.target == target], rung) or ()
        ]
        if missing := [each for each in wanted if each not in done]:
            return missing
    return []


def trials_of(plan: SearchPlan) -> int:
    """How many candidates a search trains in all, each on each of its rungs."""
    left, total = len(plan.plan.shapes), 0
    for _ in plan.plan.rungs:
        total += left
        left = min(left, kept(left))
    return total * len(plan.trainable)


class Counter:
    """Epochs of a whole search, for people who wait."""

    def __init__(self, prepared: Sequence[Prepared], plan: Plan, tell: OnProgress) -> None:
        left, epochs = len(plan.shapes), 0
        for rung in plan.rungs:
            epochs += left * rung.epochs
            left = min(left, kept(left))
        self._all = epochs * sum(made.trainable for made in prepared)
        self._done, self._tell = 0, tell

    def add(self, epochs: int, loss: float) -> None:
        """Some more are over, or need not be trained."""
        self._done += epochs
        self._tell(min(self._done, self._all), self._all, loss)


@dataclass(frozen=True, eq=False)
class Search:
    """Successive halving in this process, one trial after the other."""

    plan: Plan
    recipe: Recipe
    counter: Counter

    def run(self, made: Prepared) -> Found:
        """All rungs of one target."""
        if not made.trainable:
            return Found()
        trials: list[Trial] = []
        networks: dict[int, Network] = {}
        for rung in range(len(self.plan.rungs)):
            numbers = entrants(self.plan, trials, rung) or []
            done = [self._trial(made, (rung, number)) for number in numbers]
            trials += [trial for trial, _ in done]
            networks = {trial.number: network for trial, network in done}
        return Found(tuple(trials), networks)

    def _trial(self, made: Prepared, at: tuple[int, int]) -> tuple[Trial, Network]:
        started = process_time()
        fit = new_trial(made, self.plan, at, self.recipe)
        epochs = self.plan.rungs[at[0]].epochs
        run_fit(fit, epochs, lambda loss: self.counter.add(1, loss))
        self.counter.add(epochs - fit.progress.epoch, fit.progress.best_score)
        return trial_of(made.target, at, fit, process_time() - started), trained_network(fit)
