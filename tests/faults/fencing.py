"""Fences the gateway's Kafka producer: another one with its id and a later epoch writes a record.

The broker then refuses the gateway's next batch to that partition for good, as it does when a
producer comes back that it took for dead. What is written is a copy of the last record, so that it
is one more duplicate and nothing else.
"""

import struct
from pathlib import Path
from typing import NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c

from fitstream.settings import Settings

_HEAD = struct.Struct(">qi")  # base offset, length of what follows
_CRC_AT, _CRC_FROM, _PRODUCER_AT = 17, 21, 43
_PRODUCER = struct.Struct(">qhi")  # id, epoch, base sequence


class Batch(NamedTuple):
    """The last batch of a partition as it lies on disk."""

    partition: int
    body: bytes


async def fence(settings: Settings, folder: Path) -> None:
    """Does it in the partition that was written last; nothing when there is none."""
    batch = last_batch(folder / "kafka" / "log", settings.topic)
    if batch is not None:
        await _produce(settings, batch.partition, with_later_epoch(batch.body))


def last_batch(log: Path, topic: str) -> Batch | None:
    """The newest whole batch of a topic."""
    segments = sorted(log.glob(f"{topic}-*/*.log"), key=lambda path: path.stat().st_mtime)
    for segment in reversed(segments):
        body = _last_of(segment.read_bytes())
        if body:
            return Batch(int(segment.parent.name.rpartition("-")[2]), body)
    return None


def with_later_epoch(body: bytes) -> bytes:
    """The same records, from a producer that has taken over the id of theirs."""
    copy = bytearray(body)
    producer, epoch, _ = _PRODUCER.unpack_from(copy, _PRODUCER_AT)
    _PRODUCER.pack_into(copy, _PRODUCER_AT, producer, epoch + 1, 0)
    struct.pack_into(">q", copy, 0, 0)
    struct.pack_into(">I", copy, _CRC_AT, calc_crc32c(bytes(copy[_CRC_FROM:])))
    return bytes(copy)


def _last_of(log: bytes) -> bytes:
    at, found = 0, b""
    while at + _HEAD.size <= len(log):
        _, length = _HEAD.unpack_from(log, at)
        end = at + _HEAD.size + length
        if length <= 0 or end > len(log):  # the rest of the file is reserved, or half written
            break
        found, at = log[at:end], end
    return found


async def _produce(settings: Settings, partition: int, body: bytes) -> None:
    client = AIOKafkaClient(bootstrap_servers=settings.kafka)
    await client.bootstrap()
    try:
        topics = [(settings.topic, [(partition, body)])]
        leader = next(iter(client.cluster.brokers())).nodeId
        await client.send(leader, ProduceRequest(None, -1, 5000, topics))
    finally:
        await client.close()
