"""Wiring of each consumer process: openers, effect, loop."""

import asyncio

from fitstream.broker import open_producer, open_source
from fitstream.consumers import archive, ledger
from fitstream.consumers.archive import ArchiveEffect
from fitstream.consumers.dead_letters import DeadLetters
from fitstream.consumers.dispatcher import Dispatcher
from fitstream.consumers.ledger import LedgerEffect
from fitstream.consumers.loop import Limits, Loop
from fitstream.consumers.roller import Roller
from fitstream.jobs import open_jobs
from fitstream.monitor import monitored
from fitstream.repo import progress
from fitstream.repo.database import Repo, open_repo
from fitstream.sealing import DataKeys, master_keys
from fitstream.settings import Settings
from fitstream.store import open_store


async def run_ledger(settings: Settings, stop: asyncio.Event) -> None:
    """Kafka to Postgres."""
    async with (
        monitored(settings.host, settings.metrics_port) as readiness,
        open_repo(settings) as repo,
        open_producer(settings) as producer,
        open_source(settings, settings.topic, ledger.GROUP) as source,
    ):
        generation = await _generation(repo, settings.topic)
        dead = DeadLetters(repo, producer, settings.dead_topic, generation)
        effect = LedgerEffect(repo, source, dead, generation)
        readiness.is_ready = True
        await Loop(source, effect, _limits(settings), stop).run()


async def run_archive(settings: Settings, stop: asyncio.Event) -> None:
    """Kafka to S3 `raw/`."""
    async with (
        monitored(settings.host, settings.metrics_port) as readiness,
        open_repo(settings) as repo,
        open_store(settings) as store,
        open_producer(settings) as producer,
        open_source(settings, settings.topic, archive.GROUP) as source,
    ):
        generation = await _generation(repo, settings.topic)
        dead = DeadLetters(repo, producer, settings.dead_topic, generation)
        keys = DataKeys(store, master_keys(settings))
        effect = ArchiveEffect(source, store, keys, dead, generation)
        readiness.is_ready = True
        await Loop(source, effect, _archive_limits(settings), stop).run()


async def run_roller(settings: Settings, stop: asyncio.Event) -> None:
    """Finished weeks to S3 and Postgres."""
    async with (
        monitored(settings.host, settings.metrics_port) as readiness,
        open_repo(settings) as repo,
        open_store(settings) as store,
    ):
        readiness.is_ready = True
        await Roller(repo, store, settings).run(stop)


async def run_dispatcher(settings: Settings, stop: asyncio.Event) -> None:
    """Job rows to arq."""
    async with (
        monitored(settings.host, settings.metrics_port) as readiness,
        open_repo(settings) as repo,
        open_jobs(settings) as doorbell,
    ):
        readiness.is_ready = True
        await Dispatcher(repo, doorbell, settings).run(stop)


async def _generation(repo: Repo, topic: str) -> int:
    async with repo.connection() as db:
        return await progress.current_generation(db, topic)


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.batch_max_records,
        settings.batch_max_bytes,
        settings.batch_max_age_s,
        settings.unavailable_max_s,
        settings.stuck_after_s,
    )


def _archive_limits(settings: Settings) -> Limits:
    return _limits(settings)._replace(
        max_records=settings.archive_max_records,
        max_bytes=settings.archive_max_bytes,
        max_age_s=settings.archive_max_age_s,
    )
