"""Topics: creating them, and how far each group has read."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from fitstream.broker.stopping import stop_client
from fitstream.errors import Unavailable
from fitstream.settings import Settings

_OBSERVE_EVERY_S = 2.0


class TopicState(NamedTuple):
    """Records ever stored in a topic, and for each group how many it has not read."""

    records: int
    lag: dict[str, int]


async def make_topics(settings: Settings) -> list[str]:
    """Creates the topics that are missing and returns their names; raises Unavailable."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    configs = {
        "retention.ms": str(settings.topic_retention_days * 86_400_000),
        "max.message.bytes": "1048576",
        "cleanup.policy": "delete",
        "unclean.leader.election.enable": "false",
        # An acknowledgement means two copies where there are three to choose from.
        "min.insync.replicas": "2" if settings.topic_replication >= 3 else "1",
    }
    made = []
    try:
        async with asyncio.timeout(30):
            await admin.start()
            existing = set(await admin.list_topics())
            for name in (settings.topic, settings.dead_topic):
                if name in existing:
                    continue
                topic = NewTopic(
                    name,
                    settings.topic_partitions,
                    settings.topic_replication,
                    topic_configs=configs,
                )
                if await _create(admin, topic):
                    made.append(name)
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable("kafka", str(error)) from error
    finally:
        await stop_client(admin, "close")
    return made


async def _create(admin: Any, topic: NewTopic) -> bool:
    """Whether we made it and not another process; aiokafka only returns what went wrong."""
    answer = await admin.create_topics([topic])
    for _, code, *text in answer.topic_errors:
        if code == TopicAlreadyExistsError.errno:
            return False
        if code:
            raise Unavailable("kafka", f"{topic.name}: {for_code(code).__name__} {text}")
    return True


class Observer:
    """Watches a topic for pages and metrics; one look every two seconds serves all callers."""

    def __init__(self, settings: Settings, groups: tuple[str, ...]) -> None:
        self._settings = settings
        self._groups = groups
        self._admin: Any = None
        self._consumer: Any = None
        self._seen: tuple[float, TopicState] | None = None
        self._looking = asyncio.Lock()

    async def state(self) -> TopicState:
        """The topic's state, at most two seconds old; raises Unavailable."""
        async with self._looking:
            now = time.monotonic()
            if self._seen is None or now - self._seen[0] > _OBSERVE_EVERY_S:
                self._seen = (now, await self._look())
            return self._seen[1]

    async def stop(self) -> None:
        """Closes what was opened."""
        admin, consumer, self._admin, self._consumer = self._admin, self._consumer, None, None
        if consumer is not None:
            await stop_client(consumer)
        if admin is not None:
            await stop_client(admin, "close")

    async def _look(self) -> TopicState:
        try:
            async with asyncio.timeout(4):
                return await self._ask()
        except (KafkaError, OSError, TimeoutError) as error:
            await self.stop()
            raise Unavailable("kafka", type(error).__name__) from error

    async def _ask(self) -> TopicState:
        if self._consumer is None:
            bootstrap = {"bootstrap_servers": self._settings.kafka}
            self._consumer = AIOKafkaConsumer(enable_auto_commit=False, **bootstrap)
            await self._consumer.start()
            self._admin = AIOKafkaAdminClient(**bootstrap)
            await self._admin.start()
        partitions = [
            TopicPartition(self._settings.topic, number)
            for number in range(self._settings.topic_partitions)
        ]
        ends = await self._consumer.end_offsets(partitions)
        lag = {}
        for group in self._groups:
            committed = await self._admin.list_consumer_group_offsets(group, partitions=partitions)
            done = {of: max(found.offset, 0) for of, found in committed.items()}
            lag[group] = sum(ends[of] - min(done.get(of, 0), ends[of]) for of in partitions)
        return TopicState(sum(ends.values()), lag)


@asynccontextmanager
async def open_observer(settings: Settings) -> AsyncIterator[Observer]:
    """An observer of the sample topic and its two groups; connects at the first look."""
    observer = Observer(settings, ("ledger", "archive"))
    try:
        yield observer
    finally:
        await observer.stop()
