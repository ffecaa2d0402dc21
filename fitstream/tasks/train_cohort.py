"""A cohort run: fix the plan, wait for the candidates, judge, register, order the first forecasts.

The job is done in several stretches. Between them it waits for its candidates, which are jobs of
their own, so that all workers help with one search; what it has fixed and found so far lies in
Postgres, and whichever worker goes on with it comes to the same result.
"""

import asyncio
from collections.abc import Mapping, Sequence
from time import process_time
from typing import NamedTuple

import msgspec

from fitstream.errors import Rejected
from fitstream.logs import get
from fitstream.repo import cohort_runs, jobs, models, training
from fitstream.repo.jobs import CANDIDATE, Child, NewJob
from fitstream.repo.training import RunPlan
from fitstream.tasks.context import JobContext
from fitstream.tasks.dataset import read_dataset
from fitstream.tasks.memory import limit_training
from fitstream.tasks.pace import Pace
from fitstream.tasks.registering import finish_without_model, register_cohort
from fitstream.tasks.stored_model import load_model
from fitstream.tasks.train_candidate import Candidate
from fitstream.trainer import fit
from fitstream.trainer.automl import SearchPlan, Trial
from fitstream.trainer.checkpoint import State, decode_weights
from fitstream.trainer.data import Series
from fitstream.trainer.models.blend import Blend
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.report import CohortRun, not_enough
from fitstream.trainer.search import next_trials, trials_of
from fitstream.trainer.training import CPU, use_threads

log = get(__name__)


class Rival(NamedTuple):
    """Who is in use while a run is judged: its id, and the model where it has to be beaten."""

    id: str | None
    model: Blend | None


async def train_cohort(context: JobContext) -> None:
    """Ends with a model, with the reason why there is none, or waiting for its candidates."""
    async with context.repo.connection() as db:
        planned = await training.run_plan(db, context.job.id)
        children = [c for c in await jobs.children_of(db, context.job.id) if c.kind == CANDIDATE]
    recipe = msgspec.convert(planned.recipe, Recipe)
    if await _is_withdrawn(context, planned.dataset_hash, recipe):
        return
    if broken := [child for child in children if child.state in ("failed", "cancelled")]:
        await _give_up(context, broken[0])
        return
    limit_training(context.settings, CPU)  # nothing but candidates is trained on a GPU
    use_threads(context.settings.train_threads)
    if planned.plan is not None:
        await _go_on(context, planned, children)
    else:
        await _begin(context, planned)


async def _begin(context: JobContext, planned: RunPlan) -> None:
    """The first stretch: the plan, and the candidates of the first rung."""
    recipe = msgspec.convert(planned.recipe, Recipe)
    series = await read_dataset(context.store, context.programme_no, planned.dataset_hash)
    if recipe.budget_s < context.settings.train_share_from_s:
        await _do_here(context, series, recipe)
        return
    context.tell(phase="planning")
    plan = await asyncio.to_thread(fit.plan_search, series, recipe)
    if plan is None:
        await finish_without_model(context, not_enough(series, recipe))
    elif not next_trials(plan, ()):
        await _conclude(context, series, (plan, recipe), {})
    else:
        await _order(context, plan, ())


async def _do_here(context: JobContext, series: Mapping[str, Series], recipe: Recipe) -> None:
    """A search so small that processes of their own would take longer than its candidates."""
    rival, pace = await _rival(context), Pace()

    def tell(epoch: int, epochs: int, loss: float) -> None:
        left_s = pace.left_s(epoch, epochs)
        context.tell(
            phase="training", epoch=epoch, epochs=epochs, loss=round(loss, 5), left_s=left_s
        )

    run = await asyncio.to_thread(fit.train_cohort, series, recipe, tell, rival.model)
    await _finish(context, run, rival)


async def _order(context: JobContext, plan: SearchPlan, done: Sequence[Trial]) -> None:
    """Inserts the candidates of the next rung and waits for them, in one transaction."""
    children = [
        NewJob(
            kind=CANDIDATE,
            queue="train",
            dedupe_key=f"trial:{context.job.id}:{rung}:{target}:{number}",
            payload=msgspec.to_builtins(
                Candidate(target, rung, number, plan.plan.shapes[number].name)
            ),
            programme_no=context.programme_no,
            parent_id=context.job.id,
        )
        for target, rung, number in next_trials(plan, done)
    ]
    progress = {"phase": "search", "candidates": len(done), "of": trials_of(plan)}
    async with context.repo.transaction() as db:
        await training.fix_plan(db, context.job.id, msgspec.to_builtins(plan))
        await jobs.wait_for_children(db, context.job, children, progress)


async def _go_on(context: JobContext, planned: RunPlan, children: Sequence[Child]) -> None:
    """A later stretch: the next rung, or the end of the search."""
    plan = msgspec.convert(planned.plan, SearchPlan)
    recipe = msgspec.convert(planned.recipe, Recipe)
    found = {
        child.id: msgspec.convert(child.result["trial"], Trial)
        for child in children
        if child.state == "succeeded"
    }
    if next_trials(plan, tuple(found.values())):
        await _order(context, plan, tuple(found.values()))
        return
    last = [job_id for job_id, trial in found.items() if trial.rung == len(plan.plan.rungs) - 1]
    async with context.repo.connection() as db:
        states = await training.trial_states(db, last)
    context.tell(phase="judging", candidates=len(found), of=trials_of(plan))
    series = await read_dataset(context.store, context.programme_no, planned.dataset_hash)
    weights = {job_id: decode_weights(state) for job_id, state in states.items()}
    trials = {job_id: (trial, weights.get(job_id)) for job_id, trial in found.items()}
    await _conclude(context, series, (plan, recipe), trials)


async def _conclude(
    context: JobContext,
    series: Mapping[str, Series],
    planned: tuple[SearchPlan, Recipe],
    trials: Mapping[str, tuple[Trial, State | None]],
) -> None:
    rival = await _rival(context)
    done = list(trials.values())
    run = await asyncio.to_thread(fit.conclude_search, series, planned, done, rival.model)
    async with context.repo.connection() as db:
        started_at = (await jobs.get_job(db, context.job.id)).started_at or context.now()
    taken = (context.now() - started_at).total_seconds()
    spent = sum(trial.seconds for trial, _ in done) + process_time()
    await _finish(context, fit.priced(run, taken, spent), rival)


async def _finish(context: JobContext, run: CohortRun, rival: Rival) -> None:
    if run.artifact is None:
        await finish_without_model(context, run)
    else:
        await register_cohort(context, run.artifact, rival.id)


async def _give_up(context: JobContext, broken: Child) -> None:
    """A candidate has failed: the others are cancelled, and the run has failed with its words."""
    name = f"{broken.payload.get('target')}, {broken.payload.get('name')}"
    words = broken.error or "it was cancelled"
    async with context.repo.transaction() as db:
        await jobs.cancel_children(db, context.job.id)
        await jobs.finish_job(db, context.job, "failed", {}, f"candidate {name}: {words}")


async def _is_withdrawn(context: JobContext, dataset_hash: str, recipe: Recipe) -> bool:
    """Whether somebody's consent has ended since the dataset was pinned: then nothing of it is
    read, and a dataset without them is prepared instead."""
    async with context.repo.transaction() as db:
        gone = await models.withdrawn_members(db, dataset_hash)
        if not gone:
            return False
        await cohort_runs.hold_programme(db, context.programme_no)
        verdict = f"the consent of {gone} in the dataset has ended; it is prepared anew"
        new = NewJob(
            kind="cohort_prepare",
            queue="light",
            dedupe_key=f"cohort:{context.programme_no}:after:{context.job.id}",
            programme_no=context.programme_no,
            payload={"targets": recipe.targets, "budget_s": recipe.budget_s},
        )
        await jobs.cancel_children(db, context.job.id)
        await training.forget_trials(db, context.job.id)
        await models.finish_run(db, context.job.id, {"verdict": verdict}, None)
        await jobs.finish_job(db, context.job, "succeeded", {"verdict": verdict})
        await cohort_runs.ask_for_run(db, context.programme_no, new)  # this one is over
    return True


async def _rival(context: JobContext) -> Rival:
    """The model in use, to be beaten; not where this version cannot read it, and where it is to be
    replaced in any case because it has seen data that it should not have."""
    async with context.repo.connection() as db:
        current = await models.champion(db, context.programme_no)
        if current is None:  # or one whose time is over, which is about to be retired
            return Rival(await cohort_runs.serving(db, context.programme_no), None)
    if current.flagged_at is not None:
        return Rival(current.id, None)
    try:
        return Rival(current.id, await load_model(context.store, current))
    except Rejected as error:
        log.warning("champion_unreadable", model=current.id, detail=str(error))
        return Rival(current.id, None)
