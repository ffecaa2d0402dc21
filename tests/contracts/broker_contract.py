"""What a Producer and a Source promise: one suite for Kafka and for the broker in memory."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import uuid4

import pytest

from fitstream.broker import Position, Producer, Record, Source
from fitstream.errors import Rejected

_PATIENCE_S = 30  # for a group to settle; nothing here is fast or slow on purpose
HEADERS = (("batch_id", b"b1"), ("schema", b"sample_batch.v1"))


class Broker(Protocol):
    """A broker with a topic of its own for each test."""

    topic: str
    partitions: int

    def producer(self) -> AbstractAsyncContextManager[Producer]:
        """A producer."""

    def source(self, group: str) -> AbstractAsyncContextManager[Source]:
        """A member of a group on the topic."""

    async def trim(self, partition: int, before: int) -> None:
        """Makes the partition's log start at `before`."""


async def until(condition: Callable[[], bool], *sources: Source) -> list[Record]:
    """Polls the sources until a condition holds; what they brought."""
    found: list[Record] = []
    async with asyncio.timeout(_PATIENCE_S):
        while not condition():
            for source in sources:
                found += await source.poll(0.05)
    return found


async def read(source: Source, count: int) -> list[Record]:
    """The next `count` records at least."""
    found: list[Record] = []
    async with asyncio.timeout(_PATIENCE_S):
        while len(found) < count:
            found += await source.poll(0.05)
    return found


async def settled(broker: Broker, *sources: Source) -> None:
    """Waits until the sources share all partitions between them."""

    def is_settled() -> bool:
        dealt = [partition for source in sources for partition in source.assigned()]
        return sorted(dealt) == list(range(broker.partitions)) and all(
            source.assigned() for source in sources
        )

    await until(is_settled, *sources)


async def send(broker: Broker, count: int, key: bytes = b"cus_1") -> list[Position]:
    """Sends so many events of one key."""
    async with broker.producer() as producer:
        return [
            await producer.send(broker.topic, key, f"{key.decode()}-{i}".encode(), HEADERS)
            for i in range(count)
        ]


class BrokerContract:
    """A test class of an implementation inherits this and has a fixture `broker`."""

    async def test_events_of_one_key_stand_behind_each_other(self, broker: Broker) -> None:
        positions = await send(broker, 5)
        assert {position.partition for position in positions} == {positions[0].partition}
        assert [position.offset for position in positions] == [0, 1, 2, 3, 4]

    async def test_keys_are_spread_over_partitions(self, broker: Broker) -> None:
        found = {(await send(broker, 1, f"cus_{i}".encode()))[0].partition for i in range(20)}
        assert len(found) > 1
        assert found <= set(range(broker.partitions))

    async def test_a_record_is_read_as_it_was_sent(self, broker: Broker) -> None:
        value = bytes(range(256)) * 64
        async with broker.producer() as producer:
            await producer.ping()
            at = await producer.send(broker.topic, b"cus_1", value, HEADERS)
        async with broker.source("a") as source:
            (record,) = await read(source, 1)
        assert record[:5] == (broker.topic, at.partition, at.offset, b"cus_1", value)
        assert record.headers == dict(HEADERS)

    async def test_a_record_that_is_too_large_is_refused_and_the_next_goes_through(
        self, broker: Broker
    ) -> None:
        async with broker.producer() as producer:
            with pytest.raises(Rejected) as error:
                await producer.send(broker.topic, b"cus_1", b"x" * 2 * 2**20, HEADERS)
            assert error.value.code == "too_large"
            assert (await producer.send(broker.topic, b"cus_1", b"small", HEADERS)).offset == 0

    async def test_records_come_in_order_and_each_once(self, broker: Broker) -> None:
        for key in (b"cus_1", b"cus_2", b"cus_3"):
            await send(broker, 10, key)
        async with broker.source("a") as source:
            found = await read(source, 30)
        assert len(found) == 30
        for partition in range(broker.partitions):
            offsets = [record.offset for record in found if record.partition == partition]
            assert offsets == list(range(len(offsets)))

    async def test_a_poll_of_nothing_is_empty(self, broker: Broker) -> None:
        async with broker.source("a") as source:
            await settled(broker, source)
            assert await source.poll(0.05) == []

    async def test_seek_moves_the_next_poll(self, broker: Broker) -> None:
        at = (await send(broker, 6))[0].partition
        async with broker.source("a") as source:
            await read(source, 6)
            await source.seek(at, 2)
            assert [record.offset for record in await read(source, 4)] == [2, 3, 4, 5]

    async def test_a_client_stands_behind_what_it_has_delivered(self, broker: Broker) -> None:
        partition = (await send(broker, 3))[0].partition
        async with broker.source("g") as source:
            await settled(broker, source)
            await source.seek(partition, 1)
            assert await source.passed(partition) == 1
            await read(source, 2)
            assert await source.passed(partition) == 3

    async def test_ends_are_the_first_and_the_next_offset(self, broker: Broker) -> None:
        at = (await send(broker, 3))[0].partition
        async with broker.source("a") as source:
            assert await source.ends(at) == (0, 3)
            other = next(p for p in range(broker.partitions) if p != at)
            assert await source.ends(other) == (0, 0)

    async def test_what_retention_took_is_skipped(self, broker: Broker) -> None:
        at = (await send(broker, 6))[0].partition
        await broker.trim(at, 4)
        async with broker.source("a") as source:
            await settled(broker, source)
            await source.seek(at, 1)
            assert [record.offset for record in await read(source, 2)] == [4, 5]
            assert await source.ends(at) == (4, 6)
            assert await source.fetch_one(at, 3) is None

    async def test_fetch_one_reads_beside_the_group(self, broker: Broker) -> None:
        at = (await send(broker, 3))[0].partition
        async with broker.source("a") as source:
            record = await source.fetch_one(at, 1)
            assert record is not None
            assert (record.offset, record.value) == (1, b"cus_1-1")
            assert await source.fetch_one(at, 3) is None
            assert [found.offset for found in await read(source, 3)] == [0, 1, 2]

    async def test_nothing_is_committed_unless_it_is_told_to(self, broker: Broker) -> None:
        at = (await send(broker, 4))[0].partition
        async with broker.source("a") as source:
            await read(source, 4)
            assert await source.committed(at) is None
        async with broker.source("a") as source:
            assert [found.offset for found in await read(source, 4)] == [0, 1, 2, 3]
            await source.commit({at: 3})
            assert await source.committed(at) == 3
        async with broker.source("a") as source:
            assert [found.offset for found in await read(source, 1)] == [3]

    async def test_groups_read_apart(self, broker: Broker) -> None:
        at = (await send(broker, 3))[0].partition
        async with broker.source("a") as one, broker.source("b") as other:
            await read(one, 3)
            await one.commit({at: 3})
            assert len(await read(other, 3)) == 3
            assert await other.committed(at) is None

    async def test_a_new_member_takes_partitions_and_raises_the_epoch(self, broker: Broker) -> None:
        async with broker.source("a") as one:
            await settled(broker, one)
            before = one.epoch()
            async with broker.source("a") as other:
                await settled(broker, one, other)
                assert one.epoch() > before
                assert one.assigned()
                assert not one.assigned() & other.assigned()
                between = one.epoch()
            await settled(broker, one)
            assert one.epoch() > between

    async def test_what_another_member_owns_is_not_committed(self, broker: Broker) -> None:
        async with broker.source("a") as one, broker.source("a") as other:
            await settled(broker, one, other)
            mine, lost = min(one.assigned()), min(other.assigned())
            await one.commit({mine: 0, lost: 0})
            assert await one.committed(mine) == 0
            assert await other.committed(lost) is None


def new_topic() -> str:
    """A name that no test has used."""
    return f"contract.{uuid4().hex[:12]}"
