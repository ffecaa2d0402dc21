"""The source: one member of a consumer group that never commits by itself."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from fitstream.broker.ports import Record
from fitstream.broker.stopping import stop_client
from fitstream.errors import Unavailable
from fitstream.logs import get
from fitstream.settings import Settings

log = get(__name__)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Only counts: aiokafka swallows what a listener raises, so nothing may depend on it."""

    def __init__(self) -> None:
        self.epoch = 0

    async def on_partitions_revoked(self, revoked: Any) -> None:
        self.epoch += 1

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self.epoch += 1


class KafkaSource:
    """One member of a consumer group; nothing is committed but by `commit`."""

    def __init__(self, settings: Settings, topic: str, group: str, consumer: Any) -> None:
        self._settings = settings
        self._topic = topic
        self._group = group
        self._consumer = consumer
        self._listener = _Listener()

    async def start(self) -> None:
        """Joins the group; raises Unavailable when no broker answers in time."""
        self._consumer.subscribe([self._topic], listener=self._listener)
        try:
            async with asyncio.timeout(30):
                await self._consumer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await stop_client(self._consumer)
            raise Unavailable("kafka", str(error)) from error

    async def poll(self, timeout_s: float) -> list[Record]:
        try:
            found = await self._consumer.getmany(
                timeout_ms=int(timeout_s * 1000), max_records=self._settings.batch_max_records
            )
        except (KafkaError, OSError) as error:
            raise Unavailable("kafka", str(error)) from error
        return [record_of(message) for messages in found.values() for message in messages]

    def epoch(self) -> int:
        return self._listener.epoch

    def assigned(self) -> set[int]:
        return {found.partition for found in self._consumer.assignment()}

    async def seek(self, partition: int, offset: int) -> None:
        with suppress(IllegalStateError):  # revoked meanwhile: the next epoch resumes again
            self._consumer.seek(self._of(partition), offset)

    async def passed(self, partition: int) -> int:
        try:
            async with asyncio.timeout(10):
                position: int = await self._consumer.position(self._of(partition))
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable("kafka", str(error)) from error
        return position

    async def ends(self, partition: int) -> tuple[int, int]:
        of = self._of(partition)
        try:
            async with asyncio.timeout(10):
                starts = await self._consumer.beginning_offsets([of])
                ends = await self._consumer.end_offsets([of])
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable("kafka", str(error)) from error
        return starts[of], ends[of]

    async def committed(self, partition: int) -> int | None:
        try:
            async with asyncio.timeout(10):
                offset: int | None = await self._consumer.committed(self._of(partition))
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable("kafka", str(error)) from error
        return offset

    async def commit(self, offsets: Mapping[int, int]) -> None:
        mine = {self._of(p): offset for p, offset in offsets.items() if p in self.assigned()}
        if not mine:
            return
        try:
            async with asyncio.timeout(10):
                await self._consumer.commit(mine)
        except (KafkaError, OSError, TimeoutError) as error:
            # The ledger's own progress protects; a lost commit is only read again.
            log.warning("commit_dropped", error=type(error).__name__)

    async def fetch_one(self, partition: int, offset: int) -> Record | None:
        reader = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka, enable_auto_commit=False, group_id=None
        )
        of = self._of(partition)
        try:
            async with asyncio.timeout(15):
                await reader.start()
                reader.assign([of])
                reader.seek(of, offset)
                found = await reader.getmany(of, timeout_ms=5000, max_records=1)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable("kafka", str(error)) from error
        finally:
            await stop_client(reader)
        records = [record_of(message) for messages in found.values() for message in messages]
        if not records:
            start, end = await self.ends(partition)
            if start <= offset < end:  # slow is not gone: whoever asks would take it for proof
                raise Unavailable("kafka", f"the record at {offset} did not come in time")
        return records[0] if records and records[0].offset == offset else None

    async def stop(self) -> None:
        """Leaves the group, within 10 s."""
        await stop_client(self._consumer)

    def _of(self, partition: int) -> Any:
        return TopicPartition(self._topic, partition)


@asynccontextmanager
async def open_source(settings: Settings, topic: str, group: str) -> AsyncIterator[KafkaSource]:
    """A member of `group` on `topic`."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        group_id=group,
        group_instance_id=settings.group_member or None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_uncommitted",
        session_timeout_ms=30_000,
        rebalance_timeout_ms=60_000,
        heartbeat_interval_ms=3_000,
        fetch_min_bytes=32_768,  # or what there is after 100 ms: each answer costs the same
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=2_097_152,
        metadata_max_age_ms=30_000,
    )
    source = KafkaSource(settings, topic, group, consumer)
    await source.start()
    try:
        yield source
    finally:
        await source.stop()


def record_of(message: Any) -> Record:
    """A message of aiokafka as a record."""
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value or b"",
        dict(message.headers),
        message.timestamp,
    )
