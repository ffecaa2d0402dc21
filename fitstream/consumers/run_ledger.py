"""The ledger as a process: Kafka to Postgres."""

import asyncio

from fitstream.broker import open_producer, open_source
from fitstream.consumers.dead_letters import DeadLetters
from fitstream.consumers.ledger import GROUP, LedgerEffect
from fitstream.consumers.loop import Loop
from fitstream.consumers.start import generation_of, limits_of
from fitstream.monitor import monitored
from fitstream.repo.database import open_repo
from fitstream.settings import Settings


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Reads until `stop`."""
    async with (
        monitored(settings.host, settings.metrics_port) as readiness,
        open_repo(settings) as repo,
        open_producer(settings) as producer,
        open_source(settings, settings.topic, GROUP) as source,
    ):
        generation = await generation_of(repo, settings.topic)
        dead = DeadLetters(repo, producer, settings.dead_topic, generation)
        effect = LedgerEffect(repo, source, dead, generation)
        readiness.is_ready = True
        await Loop(source, effect, limits_of(settings), stop).run()
