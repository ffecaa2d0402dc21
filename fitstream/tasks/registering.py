"""The end of a training run: bytes and card of the model, then one commit that registers it."""

from typing import Any, NamedTuple

import msgspec

from fitstream.crash import crash_point
from fitstream.ids import new_id
from fitstream.repo import cohort_runs, jobs, models, training
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import NewModel
from fitstream.tasks.context import JobContext
from fitstream.trainer import registry
from fitstream.trainer.registry import Artifact
from fitstream.trainer.report import CohortRun

_UNMET = (
    "While it was judged another model came into use, which it has not met: it stands beside that "
    "one as a challenger."
)


async def finish_without_model(context: JobContext, run: CohortRun) -> None:
    """The run's verdict is its result."""
    async with context.repo.transaction() as db:
        await models.finish_run(db, context.job.id, run.card_report(), None)
        await training.forget_trials(db, context.job.id)
        await jobs.finish_job(db, context.job, "succeeded", {"verdict": run.verdict})


async def register_cohort(context: JobContext, artifact: Artifact, against: str | None) -> None:
    """Registers the model of a cohort run: as the champion, with forecasts to come, or beside it.

    `against` is the model that was in use while it was judged. Where another one has come into use
    since, the two have never met, and the new one stays a challenger. Until the commit nobody knows
    of the model; a run that ends before leaves two objects, which the nightly upkeep removes.
    """
    async with context.repo.connection() as db:
        dataset_hash = (await training.run_plan(db, context.job.id)).dataset_hash
    new = await _put_model(context, artifact, dataset_hash)
    if not artifact.report["replaces"]:
        new = msgspec.structs.replace(new, stage="challenger")
    crash_point("worker_before_commit")
    async with context.repo.transaction() as db:
        await cohort_runs.hold_programme(db, context.programme_no)  # nobody is promoted meanwhile
        if await cohort_runs.serving(db, context.programme_no) not in (None, against):
            new = _unmet(new, against)
        await models.insert_model(db, new)
        await models.flag_withdrawn(db, new.id)  # who has withdrawn while it was trained
        await models.finish_run(db, context.job.id, new.metrics, new.id)
        await training.forget_trials(db, context.job.id)
        if new.stage == "champion":
            await jobs.insert_job(db, _forecasts(context, new.id))
            await training.mark_adapted_due(db, context.programme_no)
        await jobs.finish_job(db, context.job, "succeeded", {"model": new.id})
    crash_point("worker_after_commit")


def _unmet(new: NewModel, against: str | None) -> NewModel:
    """A model that has not been compared with the one in use now, and so does not replace it."""
    verdict = f"{new.metrics['verdict']} {_UNMET}"
    metrics = {**new.metrics, "verdict": verdict, "judged_against": against, "replaces": False}
    return msgspec.structs.replace(new, stage="challenger", metrics=metrics)


class StoredModel(NamedTuple):
    """A model's bytes in S3 that no row registers yet."""

    model_id: str
    key: str
    sha256: str


async def put_bytes(context: JobContext, tensors: bytes, card: dict[str, Any]) -> StoredModel:
    """Stores bytes and card under a new id; the row that registers them is the caller's."""
    model_id = new_id("mod")
    key = f"models/{model_id}/model.safetensors"
    stored = await context.store.put_new(key, tensors)
    await context.store.put_new(f"models/{model_id}/card.json", msgspec.json.encode(card))
    return StoredModel(model_id, key, stored.sha256)


async def _put_model(context: JobContext, artifact: Artifact, dataset_hash: str) -> NewModel:
    created_at = context.now().isoformat()
    tensors, card = registry.dump(artifact, dataset_hash=dataset_hash, created_at=created_at)
    stored = await put_bytes(context, tensors, card)
    return NewModel(
        id=stored.model_id,
        programme_no=context.programme_no,
        kind=artifact.model.kind,
        stage="champion",
        job_id=context.job.id,
        dataset_hash=dataset_hash,
        metrics=dict(artifact.report),
        object_key=stored.key,
        sha256=stored.sha256,
    )


def _forecasts(context: JobContext, model_id: str) -> NewJob:
    return NewJob(
        kind="forecast",
        queue="forecast",
        dedupe_key=f"forecast:model:{model_id}",
        payload={"customers": None},
        programme_no=context.programme_no,
        parent_id=context.job.id,
    )
