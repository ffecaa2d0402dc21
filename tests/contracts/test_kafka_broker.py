"""Kafka keeps the contract that the consumers are written for."""

from contextlib import AbstractAsyncContextManager

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from fitstream.broker import Producer, Source, make_topics, open_producer, open_source
from fitstream.errors import Unavailable
from fitstream.settings import Settings
from tests.contracts.broker_contract import BrokerContract, new_topic

pytestmark = pytest.mark.stack


class Kafka:
    """A real broker as the contract wants one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topic = settings.topic
        self.partitions = settings.topic_partitions

    def producer(self) -> AbstractAsyncContextManager[Producer]:
        return open_producer(self.settings)

    def source(self, group: str) -> AbstractAsyncContextManager[Source]:
        return open_source(self.settings, self.topic, f"{self.topic}.{group}")

    async def trim(self, partition: int, before: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.kafka)
        await admin.start()
        try:
            of = TopicPartition(self.topic, partition)
            await admin.delete_records({of: RecordsToDelete(before)})
        finally:
            await admin.close()


class TestKafkaBroker(BrokerContract):
    @pytest.fixture
    async def broker(self, services: Settings) -> Kafka:
        own = {"topic": new_topic(), "dead_topic": new_topic(), "topic_partitions": 4}
        settings = msgspec.structs.replace(services, **own)
        assert set(await make_topics(settings)) == {settings.topic, settings.dead_topic}
        return Kafka(settings)

    async def test_topics_are_made_once(self, broker: Kafka) -> None:
        assert await make_topics(broker.settings) == []

    async def test_a_topic_that_cannot_be_made_is_told(self, broker: Kafka) -> None:
        names = {"topic": new_topic(), "dead_topic": new_topic(), "topic_replication": 99}
        with pytest.raises(Unavailable):
            await make_topics(msgspec.structs.replace(broker.settings, **names))


async def test_a_broker_that_is_away_is_unavailable(services: Settings) -> None:
    away = msgspec.structs.replace(services, kafka="127.0.0.1:9", ack_timeout_s=0.5)
    async with open_producer(away) as producer:
        with pytest.raises(Unavailable):
            await producer.send(away.topic, b"k", b"v", ())
        with pytest.raises(Unavailable):
            await producer.ping()
    with pytest.raises(Unavailable):
        await make_topics(away)
