"""A cohort run from its data to its model: prepare each target, search, judge by held-out days.

Must do no I/O; the test days decide nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic, process_time

from fitstream.trainer.automl import Plan, SearchPlan, Trial
from fitstream.trainer.checkpoint import State
from fitstream.trainer.data import Series
from fitstream.trainer.evaluate import Model
from fitstream.trainer.judging import judge, serving, standing
from fitstream.trainer.models.blend import Blend
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.models.nowcast import NOWCASTED
from fitstream.trainer.nowcast_report import Nowcasted
from fitstream.trainer.nowcasting import learn_nowcast
from fitstream.trainer.prepare import Prepared, prepare
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.registry import Artifact
from fitstream.trainer.report import CohortRun, Outcome, not_enough, write_report
from fitstream.trainer.search import Counter, Found, OnProgress, Search, network_of, plan_of
from fitstream.trainer.splits import Split, enough_data, split_last_days, split_target

Splitter = Callable[[Mapping[str, Series], str, int], Split]


def train_cohort(
    series: Mapping[str, Series],
    recipe: Recipe,
    on_progress: OnProgress,
    champion: Model | None = None,
) -> CohortRun:
    """A model with its leaderboard, or the answer that there is not enough data yet; all of it in
    this process.

    Equal series and recipe give an equal result. `on_progress(epoch, epochs, loss)` may raise to
    cancel. A network serves only if it also beats the `champion` so far on the days of the gate.
    """
    started = monotonic(), process_time()
    prepared = ready(series, recipe, split_target)
    if not prepared:
        return not_enough(series, recipe)
    plan, found = search_all(prepared, recipe, on_progress)
    run = conclude(series, (prepared, found), (plan, recipe), champion)
    return priced(run, monotonic() - started[0], process_time() - started[1])


def conclude(
    series: Mapping[str, Series],
    searched: tuple[Sequence[Prepared], Mapping[str, Found]],
    planned: tuple[Plan, Recipe],
    champion: Model | None = None,
) -> CohortRun:
    """The run of a search that is over, with its model. It trains no candidate, only the small
    networks of the next hour, which need what serves."""
    prepared, found = searched
    plan, recipe = planned
    outcomes = [
        judge(series, made, found.get(made.target, Found()), (plan, recipe, champion))
        for made in prepared
    ]
    nowcasts = [
        _nowcast(series, recipe, made, outcome)
        for made, outcome in zip(prepared, outcomes, strict=True)
        if made.target in NOWCASTED
    ]
    run = write_report(series, recipe, outcomes, nowcasts)
    run.replaces, beside = standing(outcomes, champion)
    run.verdict = f"{run.verdict} {beside}".rstrip()
    run.plan = plan
    served = {each.target: each.nowcast for each in nowcasts if each.nowcast is not None}
    model = replace(serving(series, outcomes, recipe), nowcasts=served)
    run.artifact = Artifact(model, recipe, run.card_report())
    return run


def _nowcast(
    series: Mapping[str, Series], recipe: Recipe, made: Prepared, outcome: Outcome
) -> Nowcasted:
    """The networks of the next hour beside what serves the target, learned from training days."""
    target, serves = made.target, outcome.champion
    calibrations = {target: outcome.tuned[serves].calibration}
    beside = Blend(made.base, {target: outcome.groups[serves]}, calibrations)
    return learn_nowcast(beside, series, target, made.split, (recipe.seed, recipe.max_windows))


def priced(run: CohortRun, seconds: float, cpu_seconds: float) -> CohortRun:
    """The run with what it took."""
    run.seconds, run.cpu_seconds = round(seconds, 2), round(cpu_seconds, 2)
    if run.artifact is not None:
        run.artifact = replace(run.artifact, report=run.card_report())
    return run


def evaluate_wearers(
    series: Mapping[str, Series], recipe: Recipe, on_progress: OnProgress
) -> tuple[Plan, list[Outcome]]:
    """The last days of each wearer forecast day by day, by what their days before have taught.

    No outcomes where no target has wearers with days enough.
    """
    prepared = ready(series, recipe, split_last_days)
    plan, found = search_all(prepared, recipe, on_progress)
    judged = (plan, recipe, None)
    return plan, [judge(series, made, found[made.target], judged) for made in prepared]


def search_all(
    prepared: Sequence[Prepared], recipe: Recipe, on_progress: OnProgress
) -> tuple[Plan, dict[str, Found]]:
    """Plan and findings of a whole search in this process."""
    plan = plan_of(prepared, recipe)
    search = Search(plan, recipe, Counter(prepared, plan, on_progress))
    return plan, {made.target: search.run(made) for made in prepared}


def ready(series: Mapping[str, Series], recipe: Recipe, splitter: Splitter) -> list[Prepared]:
    """The targets with data enough to hold any out, prepared."""
    return [
        prepare(series, target, split, recipe)
        for target in recipe.targets
        if (split := split_of(series, target, recipe, splitter)) is not None
    ]


def prepare_again(
    series: Mapping[str, Series], target: str, recipe: Recipe, kernel: Kernel
) -> Prepared:
    """A target as the plan of a run found it, with the kernel that was chosen then.

    Raises ValueError for data that the plan was not made from.
    """
    split = split_of(series, target, recipe)
    if split is None:
        raise ValueError(f"the plan knows {target}, the data does not")
    return prepare(series, target, split, recipe, kernel)


def plan_search(series: Mapping[str, Series], recipe: Recipe) -> SearchPlan | None:
    """Everything a run fixes before its first candidate; None where there is not enough data."""
    prepared = ready(series, recipe, split_target)
    if not prepared:
        return None
    return SearchPlan(
        plan=plan_of(prepared, recipe),
        kernels={made.target: made.base.kernels[made.target] for made in prepared},
        trainable=tuple(made.target for made in prepared if made.trainable),
    )


def conclude_search(
    series: Mapping[str, Series],
    planned: tuple[SearchPlan, Recipe],
    done: Sequence[tuple[Trial, State | None]],
    champion: Model | None = None,
) -> CohortRun:
    """The run of a search whose trials were trained elsewhere, those of the last rung with their
    weights."""
    plan, recipe = planned
    prepared = [
        prepare_again(series, name, recipe, kernel) for name, kernel in plan.kernels.items()
    ]
    found = {made.target: _found(made, plan.plan, done) for made in prepared}
    return conclude(series, (prepared, found), (plan.plan, recipe), champion)


def _found(made: Prepared, plan: Plan, done: Sequence[tuple[Trial, State | None]]) -> Found:
    """What is known of one target."""
    own = [(trial, weights) for trial, weights in done if trial.target == made.target]
    own.sort(key=lambda each: (each[0].rung, each[0].number))
    networks = {
        trial.number: network_of(made, plan, trial.number, weights)
        for trial, weights in own
        if weights is not None
    }
    return Found(tuple(trial for trial, _ in own), networks)


def split_of(
    series: Mapping[str, Series], target: str, recipe: Recipe, splitter: Splitter = split_target
) -> Split | None:
    """How the days of a target are held out, None where there are too few."""
    if not enough_data(series, target):
        return None
    split = splitter(series, target, recipe.test_days)
    return split if split.test else None
