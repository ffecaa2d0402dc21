"""The ledger as a process: Kafka to Postgres."""

import asyncio

from fitstream.broker import open_producer, open_source
from fitstream.consumers.dead_letters import DeadLetters
from fitstream.consumers.ledger import GROUP, LedgerEffect
from fitstream.consumers.loop import Loop
from fitstream.consumers.start import limits_of
from fitstream.consumers.stream import open_stream
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
        stream = await open_stream(repo, settings.topic)
        dead = DeadLetters(repo, producer, settings.dead_topic, stream.generation)
        effect = LedgerEffect(source, dead, stream)
        readiness.is_ready = True
        await Loop(source, effect, limits_of(settings), stop).run()
