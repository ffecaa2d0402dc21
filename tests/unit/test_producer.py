"""What the producer makes of the answers of its library."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.structs import RecordMetadata, TopicPartition

from fitstream.broker.producer import KafkaProducer
from fitstream.errors import Unavailable
from fitstream.settings import load
from tests.factories import SETTINGS


class Answering:
    """A producer of aiokafka's that has an offset ready for every send."""

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._sender = SimpleNamespace(sender_task=asyncio.get_running_loop().create_future())

    async def send(self, topic: str, *_: object, **__: object) -> "asyncio.Future[RecordMetadata]":
        stored = RecordMetadata(topic, 3, TopicPartition(topic, 3), self._offset, 0, 0, 0)
        future = asyncio.get_running_loop().create_future()
        future.set_result(stored)
        return future


async def test_an_acknowledgement_without_an_offset_is_no_position() -> None:
    producer = KafkaProducer(load(SETTINGS))
    producer._producer = Answering(-1)
    with pytest.raises(Unavailable, match="without an offset"):
        await producer.send("topic", b"k", b"v", ())
    producer._producer = Answering(0)
    assert await producer.send("topic", b"k", b"v", ()) == (3, 0)
