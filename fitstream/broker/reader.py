"""The reader: chosen records of the sample topic, read by nobody's group.

For trace and checks; must not commit anything.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from fitstream.broker.ports import Record
from fitstream.broker.source import record_of
from fitstream.broker.stopping import stop_client
from fitstream.errors import Unavailable
from fitstream.settings import Settings

T = TypeVar("T")
_DEADLINE_S = 10
_POLL_MS = 5000
_RECORDS = 500
_BEFORE_MS = 2_000  # clocks of gateways and brokers differ
_AFTER_MS = 20_000  # a send waits that long at most


class Reader:
    """One reader of one topic; one caller at a time."""

    def __init__(self, topic: str, consumer: Any) -> None:
        self._topic = topic
        self._consumer = consumer
        self.partitions: int = len(consumer.partitions_for_topic(topic) or ())
        consumer.unsubscribe()

    def partition_for(self, key: bytes) -> int:
        """The partition that every Kafka client gives to `key`, as the topic is now."""
        return (int(murmur2(key)) & 0x7FFFFFFF) % max(self.partitions, 1)

    async def read(self, partition: int, offsets: Sequence[int]) -> AsyncIterator[Record]:
        """Those of `offsets` that Kafka still has, in order. Raises Unavailable."""
        if not 0 <= partition < self.partitions:
            return
        of = TopicPartition(self._topic, partition)
        start = (await _bounded(self._consumer.beginning_offsets([of])))[of]
        end = (await _bounded(self._consumer.end_offsets([of])))[of]
        self._consumer.assign([of])
        position = -1
        wanted = sorted({offset for offset in offsets if start <= offset < end})
        while wanted:
            if not position <= wanted[0] < position + _RECORDS:
                self._consumer.seek(of, wanted[0])
            found = await self._poll(of)
            position = found[-1].offset + 1
            chosen = set(wanted)
            wanted = [offset for offset in wanted if offset >= position]
            for record in found:
                if record.offset in chosen:
                    yield record

    async def around(self, at_ms: int) -> AsyncIterator[Record]:
        """Records of every partition that were sent within seconds of `at_ms`."""
        every = [TopicPartition(self._topic, number) for number in range(self.partitions)]
        since = dict.fromkeys(every, at_ms - _BEFORE_MS)
        begin = await _bounded(self._consumer.offsets_for_times(since))
        ends = await _bounded(self._consumer.end_offsets(every))
        for of in every:
            if begin[of] is None:  # nothing was sent since
                continue
            self._consumer.assign([of])
            self._consumer.seek(of, begin[of].offset)
            async for record in self._until(of, ends[of], at_ms + _AFTER_MS):
                yield record

    async def _until(self, of: Any, end: int, at_ms: int) -> AsyncIterator[Record]:
        position = -1
        while position < end:
            for record in await self._poll(of):
                position = record.offset + 1
                if record.timestamp_ms > at_ms:
                    return
                yield record

    async def _poll(self, of: Any) -> list[Record]:
        call = self._consumer.getmany(of, timeout_ms=_POLL_MS, max_records=_RECORDS)
        found = [record_of(message) for message in (await _bounded(call)).get(of, ())]
        if not found:
            raise Unavailable("kafka", f"no answer about partition {of.partition}")
        return found


@asynccontextmanager
async def open_reader(settings: Settings) -> AsyncIterator[Reader]:
    """A reader of the sample topic; raises Unavailable when no broker answers."""
    consumer = AIOKafkaConsumer(
        settings.topic,
        bootstrap_servers=settings.kafka,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=2_097_152,
    )
    try:
        await _bounded(consumer.start())
        yield Reader(settings.topic, consumer)
    finally:
        await stop_client(consumer)


async def _bounded(call: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(_DEADLINE_S):
            return await call
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable("kafka", f"{type(error).__name__} {error}".strip()) from error
