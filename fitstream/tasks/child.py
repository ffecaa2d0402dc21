"""A job in its child process: look up what was claimed, do it, commit it under the lease."""

import asyncio
from collections.abc import Awaitable, Callable

from fitstream.errors import Conflict, Rejected
from fitstream.repo import jobs
from fitstream.repo.database import open_repo
from fitstream.repo.jobs import ClaimedJob
from fitstream.settings import Settings
from fitstream.store import open_store
from fitstream.tasks.cohort_prepare import cohort_prepare
from fitstream.tasks.context import JobContext
from fitstream.tasks.forecasts import forecast
from fitstream.tasks.train_cohort import train_cohort
from fitstream.tasks.upkeep import upkeep

TASKS: dict[str, Callable[[JobContext], Awaitable[None]]] = {
    "cohort_prepare": cohort_prepare,
    "train_cohort": train_cohort,
    "forecast": forecast,
    "upkeep": upkeep,
}


async def run_job(settings: Settings, stop: asyncio.Event, job_id: str, epoch: int) -> None:
    """Does the job, unless its lease has gone to somebody else meanwhile. SIGTERM cancels it."""
    async with open_repo(settings) as repo, open_store(settings) as store:
        async with repo.connection() as db:
            job = await jobs.claimed(db, job_id, epoch)
        task = asyncio.ensure_future(_task(job)(JobContext(job, repo, store, settings)))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            raise Conflict("cancelled", "the job was asked to stop")
        stopping.cancel()
        await task


def _task(job: ClaimedJob) -> Callable[[JobContext], Awaitable[None]]:
    if job.kind not in TASKS:
        raise Rejected("unknown_job", f"no worker of this version knows jobs of kind {job.kind}")
    return TASKS[job.kind]
