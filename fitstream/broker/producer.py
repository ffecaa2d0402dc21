"""The producer: idempotent, acks=all, a deadline round every send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
)
from aiokafka.partitioner import murmur2

from fitstream.broker.ports import Headers, Position
from fitstream.broker.stopping import stop_client
from fitstream.errors import Rejected, Unavailable
from fitstream.logs import get
from fitstream.settings import Settings

log = get(__name__)
_FATAL = (OutOfOrderSequenceNumber, ProducerFenced, UnknownProducerId)


class KafkaProducer:
    """Idempotent producer with a deadline round every send, rebuilt after errors it cannot heal."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Any = None
        self._rebuilding = asyncio.Lock()
        self._retired: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connects; raises Unavailable when no broker answers in time."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka,
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            linger_ms=10,
            max_batch_size=131_072,
            max_request_size=1_048_576,
            request_timeout_ms=int(self._settings.ack_timeout_s * 1000),
            metadata_max_age_ms=60_000,
            partitioner=_partition_of,
        )
        try:
            async with asyncio.timeout(self._settings.ack_timeout_s):
                await producer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            self._retire(producer)
            raise Unavailable("kafka", str(error)) from error
        except asyncio.CancelledError:
            self._retire(producer)
            raise
        self._producer = producer

    async def send(self, topic: str, key: bytes, value: bytes, headers: Headers) -> Position:
        """Position of the stored event; after a time-out the event may still land."""
        producer = None
        try:
            async with asyncio.timeout(self._settings.ack_timeout_s):
                producer = await self._living()
                future = await producer.send(topic, value, key, headers=list(headers))
                stored = await future
        except _FATAL as error:
            self._replace(producer)
            raise Unavailable("kafka", f"producer rebuilt after {error}") from error
        except MessageSizeTooLargeError as error:
            raise Rejected("too_large", "a record has 1 MiB at most") from error
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable("kafka", type(error).__name__) from error
        if stored.offset < 0 or (stored.log_start_offset or 0) < 0:
            # It was stored before, but the broker no longer knows where.
            raise Unavailable("kafka", "acknowledged without an offset")
        return Position(stored.partition, stored.offset)

    async def ping(self) -> None:
        """Raises Unavailable unless the broker answers a metadata request."""
        try:
            async with asyncio.timeout(2):
                await self._living()
                await self._producer.client.fetch_all_metadata()
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable("kafka", str(error)) from error

    async def stop(self) -> None:
        """Flushes what is in flight, within 10 s."""
        if self._producer is not None:
            self._retire(self._producer)
        await asyncio.gather(*self._retired)

    async def _living(self) -> Any:
        """The producer, a new one unless its background task still runs."""
        if not self._is_alive:
            async with self._rebuilding:
                if not self._is_alive:
                    self._replace(self._producer)
                    await self.start()
        return self._producer

    @property
    def _is_alive(self) -> bool:
        return self._producer is not None and not self._producer._sender.sender_task.done()

    def _replace(self, failed: Any) -> None:
        """Leaves the next send to a new producer; several senders may have seen one fail."""
        if failed is not None and failed is self._producer:
            log.warning("producer_rebuilt")
            self._producer = None
            self._retire(failed)

    def _retire(self, producer: Any) -> None:
        """Stops it beside everything else: a stop may take longer than a sender can wait."""
        task = asyncio.create_task(stop_client(producer))
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)


@lru_cache(maxsize=200_000)
def _hash_of(key: bytes) -> int:
    """Kafka's own hash, which aiokafka has in pure Python: a tenth of the cost of a send."""
    return int(murmur2(key)) & 0x7FFFFFFF


def _partition_of(key: bytes, partitions: list[int], _: list[int]) -> int:
    """The partition that every Kafka client gives to `key`."""
    return partitions[_hash_of(key) % len(partitions)]


@asynccontextmanager
async def open_producer(settings: Settings) -> AsyncIterator[KafkaProducer]:
    """A producer; a broker that is away now is connected to at the first send."""
    producer = KafkaProducer(settings)
    with suppress(Unavailable):
        await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
