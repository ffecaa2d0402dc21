"""A job in its child process: look up what was claimed, do it, commit it under the lease."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module

from fitstream.errors import Rejected, Unavailable
from fitstream.repo import jobs
from fitstream.repo.database import open_repo
from fitstream.repo.jobs import ClaimedJob
from fitstream.settings import Settings
from fitstream.store import open_store
from fitstream.tasks.context import JobContext
from fitstream.tasks.memory import memory_told

Task = Callable[[JobContext], Awaitable[None]]
# Looked up by name, so that a short job does not wait for what only training needs.
TASKS = {
    "cohort_prepare": "fitstream.tasks.cohort_prepare:cohort_prepare",
    "train_cohort": "fitstream.tasks.train_cohort:train_cohort",
    "customer_prepare": "fitstream.tasks.customer_prepare:customer_prepare",
    "train_customer": "fitstream.tasks.train_customer:train_customer",
    "train_candidate": "fitstream.tasks.train_candidate:train_candidate",
    "forecast": "fitstream.tasks.forecasts:forecast",
    "forecast_today": "fitstream.tasks.today:forecast_today",
    "score_forecasts": "fitstream.tasks.score_forecasts:score_forecasts",
    "upload_check": "fitstream.tasks.upload_check:upload_check",
    "upload_ingest": "fitstream.tasks.upload_ingest:upload_ingest",
    "upload_undo": "fitstream.tasks.upload_undo:upload_undo",
    "upkeep": "fitstream.tasks.upkeep:upkeep",
    "collect_orphans": "fitstream.tasks.collect_orphans:collect_orphans",
}


async def run_job(settings: Settings, stop: asyncio.Event, job_id: str, epoch: int) -> None:
    """Does the job, unless its lease has gone to somebody else meanwhile. SIGTERM cancels it."""
    async with open_repo(settings) as repo, open_store(settings) as store:
        async with repo.connection() as db:
            job = await jobs.claimed(db, job_id, epoch)
        task = asyncio.ensure_future(task_of(job)(JobContext(job, repo, store, settings)))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            raise Unavailable("worker", "the job was asked to stop")  # so it is put back
        stopping.cancel()
        with memory_told():
            await task


def task_of(job: ClaimedJob) -> Task:
    """What does jobs of this kind. Raises Rejected(unknown_job)."""
    if job.kind not in TASKS:
        raise Rejected("unknown_job", f"no worker of this version knows jobs of kind {job.kind}")
    module, _, name = TASKS[job.kind].partition(":")
    task: Task = getattr(import_module(module), name)
    return task
