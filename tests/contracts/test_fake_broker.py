"""The broker in memory keeps the contract, so tests on it say something about Kafka."""

from contextlib import AbstractAsyncContextManager

import pytest

from fitstream.broker import Producer, Source
from fitstream.errors import Unavailable
from tests.contracts.broker_contract import BrokerContract, new_topic
from tests.fakes.broker import FakeBroker


class InMemory:
    """The fake as the contract wants a broker."""

    def __init__(self) -> None:
        self.broker = FakeBroker()
        self.topic = new_topic()
        self.partitions = self.broker.partitions

    def producer(self) -> AbstractAsyncContextManager[Producer]:
        return self.broker.producer()

    def source(self, group: str) -> AbstractAsyncContextManager[Source]:
        return self.broker.source(self.topic, group)

    async def trim(self, partition: int, before: int) -> None:
        self.broker.trim(self.topic, partition, before)


class TestFakeBroker(BrokerContract):
    @pytest.fixture
    def broker(self) -> InMemory:
        return InMemory()

    async def test_an_outage_is_unavailable(self, broker: InMemory) -> None:
        broker.broker.failing = True
        async with broker.producer() as producer, broker.source("a") as source:
            with pytest.raises(Unavailable):
                await producer.send(broker.topic, b"k", b"v", ())
            with pytest.raises(Unavailable):
                await source.poll(0)
