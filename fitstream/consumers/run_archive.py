"""The archive as a process: Kafka to S3 `raw/`."""

import asyncio
from functools import partial

from fitstream.broker import open_producer, open_source
from fitstream.consumers.archive import GROUP, ArchiveEffect
from fitstream.consumers.dead_letters import DeadLetters
from fitstream.consumers.loop import Loop
from fitstream.consumers.start import limits_of
from fitstream.consumers.stream import open_stream
from fitstream.monitor import monitored
from fitstream.repo import erased
from fitstream.repo.database import Repo, open_repo
from fitstream.sealing import DataKeys, master_keys
from fitstream.settings import Settings
from fitstream.store import open_store


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Archives until `stop`."""
    async with (
        monitored(settings.host, settings.metrics_port) as readiness,
        open_repo(settings) as repo,
        open_store(settings) as store,
        open_producer(settings) as producer,
        open_source(settings, settings.topic, GROUP) as source,
    ):
        stream = await open_stream(repo, settings.topic)
        dead = DeadLetters(repo, producer, settings.dead_topic, stream.generation)
        keys = DataKeys(store, master_keys(settings), partial(is_erased, repo))
        effect = ArchiveEffect(source, (store, keys), dead, stream)
        limits = limits_of(settings)._replace(
            max_records=settings.archive_max_records,
            max_bytes=settings.archive_max_bytes,
            max_age_s=settings.archive_max_age_s,
        )
        readiness.is_ready = True
        await Loop(source, effect, limits, stop).run()


async def is_erased(repo: Repo, customer_id: str) -> bool:
    """Whether a customer was erased on request: no data key may be made for them again."""
    async with repo.connection() as db:
        return bool(await erased.among(db, [customer_id]))
