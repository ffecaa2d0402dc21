"""The dispatcher as a process: job rows to arq, and the audit log's seals."""

import asyncio

from fitstream.consumers.dispatcher import Dispatcher
from fitstream.consumers.sealer import seal_always
from fitstream.jobs import open_jobs
from fitstream.monitor import monitored
from fitstream.repo.database import open_repo
from fitstream.settings import Settings


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Dispatches until `stop`."""
    async with (
        monitored(settings.host, settings.metrics_port) as readiness,
        open_repo(settings) as repo,
        open_jobs(settings) as doorbell,
    ):
        readiness.is_ready = True
        async with asyncio.TaskGroup() as tasks:
            sealing = tasks.create_task(seal_always(repo, settings, stop))
            await Dispatcher(repo, doorbell, settings).run(stop)
            sealing.cancel()
