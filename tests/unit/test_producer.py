"""What the producer makes of the answers of its library."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced
from aiokafka.structs import RecordMetadata, TopicPartition

from fitstream.broker import producer as broker_producer
from fitstream.broker.producer import KafkaProducer
from fitstream.errors import Unavailable
from fitstream.settings import load
from tests.factories import SETTINGS


class Answering:
    """A producer of aiokafka's that has an offset ready for every send."""

    def __init__(self, offset: int, log_start: int = 0) -> None:
        self._offset, self._log_start = offset, log_start
        self._sender = SimpleNamespace(sender_task=asyncio.get_running_loop().create_future())

    async def send(self, topic: str, *_: object, **__: object) -> "asyncio.Future[RecordMetadata]":
        stored = RecordMetadata(
            topic, 3, TopicPartition(topic, 3), self._offset, 0, 0, self._log_start
        )
        future = asyncio.get_running_loop().create_future()
        future.set_result(stored)
        return future


async def test_an_acknowledgement_without_an_offset_is_no_position() -> None:
    producer = KafkaProducer(load(SETTINGS))
    # aiokafka adds each record's place in its batch to the -1 of a broker that does not know
    for answer in (Answering(-1), Answering(1, log_start=-1)):
        producer._producer = answer
        with pytest.raises(Unavailable, match="without an offset"):
            await producer.send("topic", b"k", b"v", ())
    producer._producer = Answering(0)
    assert await producer.send("topic", b"k", b"v", ()) == (3, 0)


async def test_what_takes_long_to_stop_keeps_neither_its_sender_nor_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for_ever = asyncio.Event()

    class Fenced(Answering):
        async def send(self, topic: str, *_: object, **__: object) -> Any:
            raise ProducerFenced

        async def stop(self) -> None:
            await for_ever.wait()

    class New(Answering):
        def __init__(self, **_: object) -> None:
            super().__init__(7)

        async def start(self) -> None:
            pass

        async def stop(self) -> None:
            pass

    monkeypatch.setattr(broker_producer, "AIOKafkaProducer", New)
    producer = KafkaProducer(load(SETTINGS))
    producer._producer = Fenced(0)
    with pytest.raises(Unavailable, match="rebuilt"):
        await producer.send("topic", b"k", b"v", ())
    assert await producer.send("topic", b"k", b"v", ()) == (3, 7)
    for_ever.set()
    await producer.stop()
