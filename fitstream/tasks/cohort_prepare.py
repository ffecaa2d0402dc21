"""Pins what a cohort run will read: week versions, dataset files, recipe; then plans the run."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import msgspec

from fitstream.repo import cohort_runs, jobs, models
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import NewRun, PinnedWeek
from fitstream.tasks.context import JobContext
from fitstream.tasks.dataset import HISTORY_WEEKS, hash_of, read_manifest, write_dataset
from fitstream.trainer.recipe import Recipe, recipe_hash


class Pinned(NamedTuple):
    """A dataset, and how much lies in it."""

    dataset_hash: str
    customers: int
    weeks: int


async def cohort_prepare(context: JobContext) -> None:
    """Ends with a queued training run, or with the reason why there is none."""
    if "dataset" in context.job.payload:
        await _again(context, str(context.job.payload["dataset"]))
        return
    async with context.repo.connection() as db:
        args = (first_week(context), context.settings.train_customers_max)
        weeks = await models.consenting_weeks(db, context.programme_no, *args)
    if not weeks:
        verdict = "nobody who consents to training has a finished week yet"
        async with context.repo.transaction() as db:
            await jobs.finish_job(db, context.job, "succeeded", {"verdict": verdict})
        return
    dataset_hash = hash_of(weeks)
    await write_dataset(context, dataset_hash, weeks)
    people = len({week.customer_no for week in weeks})
    await _plan(context, Pinned(dataset_hash, people, len(weeks)), weeks)


async def _again(context: JobContext, dataset_hash: str) -> None:
    """A run on a dataset that was pinned before. Raises Rejected(dataset_gone)."""
    manifest = await read_manifest(context.store, context.programme_no, dataset_hash)
    people = len({week.customer_id for week in manifest.weeks})
    await _plan(context, Pinned(dataset_hash, people, len(manifest.weeks)), ())


def first_week(context: JobContext) -> str:
    """The oldest week that training looks at."""
    since = (context.now() - timedelta(weeks=HISTORY_WEEKS)).isocalendar()
    return f"{since.year:04d}-W{since.week:02d}"


def _recipe(context: JobContext) -> Recipe:
    payload = context.job.payload
    budget_s = int(payload.get("budget_s") or context.settings.train_budget_s)
    targets = tuple(payload.get("targets", Recipe().targets))
    return Recipe(budget_s=budget_s, targets=targets, seed=int(payload.get("seed", 0)))


async def _plan(context: JobContext, dataset: Pinned, members: Sequence[PinnedWeek]) -> None:
    """Inserts the run (once per dataset and recipe) and ends this job, in one transaction; no run
    beside another one of the programme.

    A run that has failed or was cancelled is done again; one that succeeded stands for this one.
    """
    recipe = _recipe(context)
    named, dataset_hash = recipe_hash(recipe), dataset.dataset_hash
    new_job = NewJob(
        kind="train_cohort",
        queue="train",
        dedupe_key=f"train:{dataset_hash}:{named}",
        payload={"dataset_hash": dataset_hash, "recipe": msgspec.to_builtins(recipe)},
        programme_no=context.programme_no,
        parent_id=context.job.id,
    )
    async with context.repo.transaction() as db:
        await cohort_runs.hold_programme(db, context.programme_no)
        if await cohort_runs.run_under_way(db, context.programme_no, [context.job.id]):
            verdict = "another training run of the programme is under way; ask again after it"
            await jobs.finish_job(db, context.job, "succeeded", {"verdict": verdict})
            return
        run_id = await jobs.insert_or_repeat(db, new_job)
        await models.insert_run(
            db,
            NewRun(
                job_id=run_id,
                programme_no=context.programme_no,
                scope="cohort",
                recipe=msgspec.to_builtins(recipe),
                recipe_hash=named,
                dataset_hash=dataset_hash,
                customers=dataset.customers,
                weeks=dataset.weeks,
            ),
        )
        await models.insert_members(db, dataset_hash, members)
        await jobs.finish_job(db, context.job, "succeeded", {"run": run_id})
