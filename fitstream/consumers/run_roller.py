"""The roller as a process: finished weeks to S3 and Postgres."""

import asyncio

from fitstream.consumers.roller import Roller
from fitstream.monitor import monitored
from fitstream.repo.database import open_repo
from fitstream.settings import Settings
from fitstream.store import open_store


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Rolls until `stop`."""
    async with (
        monitored(settings.host, settings.metrics_port) as readiness,
        open_repo(settings) as repo,
        open_store(settings) as store,
    ):
        readiness.is_ready = True
        await Roller(repo, store, settings).run(stop)
