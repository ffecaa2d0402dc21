"""A cohort run: read the pinned dataset, train, register the model, order its first forecasts."""

import asyncio
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from fitstream.crash import crash_point
from fitstream.errors import NotFound, Rejected
from fitstream.ids import new_id
from fitstream.logs import get
from fitstream.repo import jobs, models
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import NewModel
from fitstream.tasks.cohort_prepare import folder
from fitstream.tasks.context import JobContext
from fitstream.tasks.stored_model import load_model
from fitstream.trainer import data, fit, registry
from fitstream.trainer.models.blend import Blend
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.registry import Artifact
from fitstream.trainer.report import CohortRun
from fitstream.trainer.training import use_threads

log = get(__name__)


async def train_cohort(context: JobContext) -> None:
    """Ends with a champion, or with the reason why the data does not suffice."""
    recipe = msgspec.convert(context.job.payload["recipe"], Recipe)
    dataset_hash = str(context.job.payload["dataset_hash"])
    if await _is_withdrawn(context, dataset_hash, recipe):
        return
    home = folder(context.programme_no, dataset_hash)
    keys = [key async for key in context.store.list_keys(f"{home}/part-")]
    parts = [await context.store.get(key) for key in keys]
    series = await asyncio.to_thread(data.load, parts)
    checkpoint = _checkpoint_of(context.job.id)
    champion = await _champion(context)
    run = await asyncio.to_thread(_train, context, series, (recipe, champion), checkpoint)
    if run.artifact is None:
        await _finish_without_model(context, run)
    else:
        await _register(context, run.artifact, dataset_hash)
    checkpoint.unlink(missing_ok=True)


async def _is_withdrawn(context: JobContext, dataset_hash: str, recipe: Recipe) -> bool:
    """Whether somebody's consent has ended since the dataset was pinned: then nothing of it is
    read, and a dataset without them is prepared instead."""
    async with context.repo.transaction() as db:
        gone = await models.withdrawn_members(db, dataset_hash)
        if not gone:
            return False
        verdict = f"the consent of {gone} in the dataset has ended; it is prepared anew"
        new = NewJob(
            kind="cohort_prepare",
            queue="light",
            dedupe_key=f"cohort:{context.programme_no}:after:{context.job.id}",
            programme_no=context.programme_no,
            payload={"targets": recipe.targets, "budget_s": recipe.budget_s},
        )
        await jobs.insert_job(db, new)
        await models.finish_run(db, context.job.id, {"verdict": verdict}, None)
        await jobs.finish_job(db, context.job, "succeeded", {"verdict": verdict})
    return True


def _checkpoint_of(job_id: str) -> Path:
    """Where a killed run goes on from: a folder of this machine that only we may write to."""
    home = Path(tempfile.gettempdir()) / f"fitstream-{os.getuid()}"
    home.mkdir(mode=0o700, exist_ok=True)
    found = home.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{home} is not a folder of ours")
    home.chmod(0o700)
    return home / f"{job_id}.safetensors"


async def _champion(context: JobContext) -> Blend | None:
    """The model in use, to be beaten; None without one that this version can read."""
    async with context.repo.connection() as db:
        current = await models.champion(db, context.programme_no)
    if current is None:
        return None
    try:
        return await load_model(context.store, current)
    except (Rejected, NotFound) as error:
        log.warning("champion_unreadable", model=current.id, detail=str(error))
        return None


def _train(
    context: JobContext,
    series: dict[str, Any],
    given: tuple[Recipe, Blend | None],
    checkpoint: Path,
) -> CohortRun:
    """Runs in a thread: the loop stays free for a stop."""
    recipe, champion = given
    use_threads(context.settings.train_threads)

    def tell(epoch: int, epochs: int, loss: float) -> None:
        context.tell(phase="training", epoch=epoch, epochs=epochs, loss=round(loss, 5))

    return fit.train_cohort(series, recipe, tell, checkpoint, champion)


async def _finish_without_model(context: JobContext, run: CohortRun) -> None:
    async with context.repo.transaction() as db:
        await models.finish_run(db, context.job.id, run.card_report(), None)
        await jobs.finish_job(db, context.job, "succeeded", {"verdict": run.verdict})


async def _register(context: JobContext, artifact: Artifact, dataset_hash: str) -> None:
    created_at = context.now()
    model_id = new_id("mod")
    tensors, card = registry.dump(
        artifact, dataset_hash=dataset_hash, created_at=created_at.isoformat()
    )
    key = f"models/{model_id}/model.safetensors"
    stored = await context.store.put_new(key, tensors)
    await context.store.put_new(f"models/{model_id}/card.json", msgspec.json.encode(card))
    metrics = dict(artifact.report)
    new_model = NewModel(
        id=model_id,
        programme_no=context.programme_no,
        kind=artifact.model.kind,
        stage="champion",
        job_id=context.job.id,
        dataset_hash=dataset_hash,
        metrics=metrics,
        object_key=key,
        sha256=stored.sha256,
    )
    forecasts = NewJob(
        kind="forecast",
        queue="forecast",
        dedupe_key=f"forecast:model:{model_id}",
        payload={"customers": None},
        programme_no=context.programme_no,
        parent_id=context.job.id,
    )
    crash_point("worker_before_commit")
    async with context.repo.transaction() as db:
        if not metrics["replaces"]:
            new_model = msgspec.structs.replace(new_model, stage="challenger")
        await models.insert_model(db, new_model)
        await models.finish_run(db, context.job.id, metrics, model_id)
        if new_model.stage == "champion":
            await jobs.insert_job(db, forecasts)
        await jobs.finish_job(db, context.job, "succeeded", {"model": model_id})
    crash_point("worker_after_commit")
