"""Pins what a customer run will read: their week versions and the cohort's model; then plans it."""

import msgspec

from fitstream.repo import jobs, models
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import Model, NewRun, PinnedWeek
from fitstream.tasks.cohort_prepare import first_week
from fitstream.tasks.context import JobContext
from fitstream.tasks.dataset import hash_of, write_dataset
from fitstream.trainer.recipe import CustomerRecipe, customer_recipe_hash

_NO_BASE = "there is no model of everybody yet that could be adapted"
_NO_WEEKS = (
    "no finished week of theirs may be read: they do not consent to training, or none is over"
)


async def customer_prepare(context: JobContext) -> None:
    """Ends with a queued customer run, or with the reason why there is none."""
    async with context.repo.connection() as db:
        base = await models.champion(db, context.programme_no)
        weeks = await models.customer_weeks(db, context.customer_no, first_week(context))
    if base is None or not weeks:
        verdict = _NO_WEEKS if base else _NO_BASE
        async with context.repo.transaction() as db:
            await jobs.finish_job(db, context.job, "succeeded", {"verdict": verdict})
        return
    await write_dataset(context, hash_of(weeks), weeks)
    await _plan(context, weeks, base)


async def _plan(context: JobContext, weeks: list[PinnedWeek], base: Model) -> None:
    """Inserts the run (once per dataset and base model) and ends this job, in one transaction."""
    recipe = CustomerRecipe(base_model=base.id)
    if "targets" in context.job.payload:
        targets = tuple(context.job.payload["targets"])
        recipe = msgspec.structs.replace(recipe, targets=targets)
    dataset_hash, named = hash_of(weeks), customer_recipe_hash(recipe)
    new_job = NewJob(
        kind="train_customer",
        queue="train",
        dedupe_key=f"adapt:{dataset_hash}:{named}",
        payload={"dataset_hash": dataset_hash, "recipe": msgspec.to_builtins(recipe)},
        programme_no=context.programme_no,
        customer_no=context.customer_no,
        parent_id=context.job.id,
    )
    async with context.repo.transaction() as db:
        run_id = await jobs.insert_or_repeat(db, new_job)
        await models.insert_run(
            db,
            NewRun(
                job_id=run_id,
                programme_no=context.programme_no,
                scope="customer",
                recipe=msgspec.to_builtins(recipe),
                recipe_hash=named,
                dataset_hash=dataset_hash,
                customers=1,
                weeks=len(weeks),
                customer_no=context.customer_no,
                base_model_id=base.id,
            ),
        )
        await models.insert_members(db, dataset_hash, weeks)
        await jobs.finish_job(db, context.job, "succeeded", {"run": run_id})
