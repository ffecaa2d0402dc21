"""Where a topic begins and where a group stands, read and set without joining the group."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError

from fitstream.broker.stopping import stop_client
from fitstream.errors import Halted, Unavailable
from fitstream.settings import Settings

_DEADLINE_S = 15


class Positions:
    """Offsets of one group on the sample topic."""

    def __init__(self, settings: Settings, consumer: Any) -> None:
        self._consumer = consumer
        self._partitions = [
            TopicPartition(settings.topic, number) for number in range(settings.topic_partitions)
        ]

    async def starts(self) -> dict[int, int]:
        """The first offset that each partition still has."""
        found = await _bounded(self._consumer.beginning_offsets(self._partitions))
        return {of.partition: offset for of, offset in found.items()}

    async def committed(self) -> dict[int, int]:
        """The next offset that the group has committed, of each partition where it has."""
        found = {
            of.partition: await _bounded(self._consumer.committed(of)) for of in self._partitions
        }
        return {number: offset for number, offset in found.items() if offset is not None}

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Moves the group. Raises Halted while it has a member, else Unavailable."""
        self._consumer.assign(self._partitions)
        chosen = {of: offsets[of.partition] for of in self._partitions if of.partition in offsets}
        await _bounded(self._consumer.commit(chosen))


@asynccontextmanager
async def open_positions(settings: Settings, group: str) -> AsyncIterator[Positions]:
    """Positions of `group`."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, group_id=group, enable_auto_commit=False
    )
    try:
        await _bounded(consumer.start())
        yield Positions(settings, consumer)
    finally:
        await stop_client(consumer)


async def _bounded(call: Any) -> Any:
    try:
        async with asyncio.timeout(_DEADLINE_S):
            return await call
    except CommitFailedError as error:
        text = "consumers of this group still run: stop them and try again"
        raise Halted(text, "group_in_use") from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable("kafka", f"{type(error).__name__} {error}") from error
