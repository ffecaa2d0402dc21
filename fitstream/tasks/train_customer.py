"""A customer run: adapt the cohort's model to one person, judge it on their days, register it."""

import asyncio
from datetime import datetime
from time import process_time

import msgspec

from fitstream.crash import crash_point
from fitstream.repo import jobs, models, training
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import Model, NewModel
from fitstream.repo.training import RunPlan
from fitstream.tasks.context import JobContext
from fitstream.tasks.dataset import read_dataset
from fitstream.tasks.memory import limit_training
from fitstream.tasks.pace import Pace
from fitstream.tasks.registering import put_bytes
from fitstream.tasks.stored_model import load_model
from fitstream.trainer import registry
from fitstream.trainer.adapting import CustomerRun
from fitstream.trainer.adapting import train_customer as adapt
from fitstream.trainer.data import Series
from fitstream.trainer.models.blend import Blend
from fitstream.trainer.recipe import CustomerRecipe
from fitstream.trainer.training import CPU, use_threads


async def train_customer(context: JobContext) -> None:
    """Ends with a model of this customer, or with the reason why that of everybody serves."""
    async with context.repo.connection() as db:
        planned = await training.run_plan(db, context.job.id)
        recipe = msgspec.convert(planned.recipe, CustomerRecipe)
        base = await models.get_model(db, recipe.base_model)
        gone = await models.withdrawn_members(db, planned.dataset_hash)
    if gone:
        await _end(context, {"verdict": "their consent to training has ended; nothing was read"})
        return
    limit_training(context.settings, CPU)
    use_threads(context.settings.train_threads)
    known = await read_dataset(context.store, context.programme_no, planned.dataset_hash)
    (series,) = known.values()
    model = await load_model(context.store, base)
    run = await _adapt(context, series, (model, recipe))
    if run.adapted:
        await _register(context, run, planned, base)
    else:
        await _end(context, dict(run.report))


async def _adapt(
    context: JobContext, series: Series, given: tuple[Blend, CustomerRecipe]
) -> CustomerRun:
    started, base, recipe = context.now(), *given
    pace = Pace()

    def tell(epoch: int, epochs: int, loss: float) -> None:
        left_s = pace.left_s(epoch, epochs)
        context.tell(
            phase="adapting", epoch=epoch, epochs=epochs, loss=round(loss, 5), left_s=left_s
        )

    run = await asyncio.to_thread(adapt, series, base, recipe, tell)
    return CustomerRun(run.verdict, run.adapted, {**run.report, **_took(context, started)})


def _took(context: JobContext, started: datetime) -> dict[str, float]:
    seconds = (context.now() - started).total_seconds()
    return {"seconds": round(seconds, 2), "cpu_seconds": round(process_time(), 2)}


async def _end(context: JobContext, report: dict[str, object]) -> None:
    """Without a model; one that the customer had from the same base serves no more: this newer
    answer is about more of their days."""
    async with context.repo.transaction() as db:
        await models.finish_run(db, context.job.id, report, None)
        await models.retire_own(db, context.programme_no, context.customer_no)
        await jobs.finish_job(db, context.job, "succeeded", {"verdict": report["verdict"]})


async def _register(context: JobContext, run: CustomerRun, planned: RunPlan, base: Model) -> None:
    recipe = msgspec.convert(planned.recipe, CustomerRecipe)
    tensors, card = registry.dump_own(run.adapted, recipe, run.report)
    card |= {"dataset_hash": planned.dataset_hash, "created_at": context.now().isoformat()}
    stored = await put_bytes(context, tensors, card)
    new = NewModel(
        id=stored.model_id,
        programme_no=context.programme_no,
        kind=registry.OWN_KIND,
        stage="champion",
        job_id=context.job.id,
        dataset_hash=planned.dataset_hash,
        metrics=dict(run.report),
        object_key=stored.key,
        sha256=stored.sha256,
        customer_no=context.customer_no,
        base_model_id=base.id,
    )
    crash_point("worker_before_commit")
    async with context.repo.transaction() as db:
        await models.insert_model(db, new)
        await models.flag_withdrawn(db, new.id)
        await models.finish_run(db, context.job.id, new.metrics, new.id)
        await jobs.insert_job(db, _forecast(context, new.id))
        result = {"model": new.id, "verdict": run.verdict}
        await jobs.finish_job(db, context.job, "succeeded", result)
    crash_point("worker_after_commit")


def _forecast(context: JobContext, model_id: str) -> NewJob:
    """Their forecasts are made anew at once."""
    return NewJob(
        kind="forecast",
        queue="forecast",
        dedupe_key=f"forecast:model:{model_id}",
        payload={"customers": [context.customer_no]},
        programme_no=context.programme_no,
        parent_id=context.job.id,
    )
