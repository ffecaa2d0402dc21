"""A broker in memory: the same ports and promises as Kafka's, with rebalances made by hand."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from zlib import crc32

from fitstream.broker import Headers, Position, Record
from fitstream.errors import Rejected, Unavailable

_IDLE_S = 0.001
_VALUE_MAX = 1_048_576


class FakeBroker:
    """Topics of append-only partitions and groups of members; `failing` makes all calls fail."""

    def __init__(self, partitions: int = 4) -> None:
        self.partitions = partitions
        self.failing = False
        self.commits: list[dict[int, int]] = []
        self._logs: dict[tuple[str, int], list[Record]] = {}
        self._starts: dict[tuple[str, int], int] = {}
        self._committed: dict[tuple[str, str, int], int] = {}
        self._members: dict[tuple[str, str], list[FakeSource]] = {}

    def append(
        self, topic: str, key: bytes | None, value: bytes, headers: Headers = ()
    ) -> Position:
        """Stores an event in the partition of its key."""
        partition = crc32(key or b"") % self.partitions
        log = self._log(topic, partition)
        log.append(Record(topic, partition, len(log), key, value, dict(headers), 0))
        return Position(partition, len(log) - 1)

    def trim(self, topic: str, partition: int, before: int) -> None:
        """Retention: the log starts at `before` now."""
        self._starts[topic, partition] = before

    def ends(self, topic: str, partition: int) -> tuple[int, int]:
        """(log start, log end)."""
        return self._starts.get((topic, partition), 0), len(self._log(topic, partition))

    def read(self, topic: str, partition: int, offset: int) -> Record | None:
        """The record at `offset`, if retention has left it."""
        start, end = self.ends(topic, partition)
        return self._log(topic, partition)[offset] if start <= offset < end else None

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """A group's committed offset."""
        return self._committed.get((group, topic, partition))

    def commit(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Stores a group's offsets."""
        self.commits.append(dict(offsets))
        for partition, offset in offsets.items():
            self._committed[group, topic, partition] = offset

    def rebalance(self, group: str, topic: str) -> None:
        """Deals the partitions to the members anew: every position they took is void."""
        members = self._members.get((group, topic), [])
        for number, member in enumerate(members):
            member.take(set(range(number, self.partitions, len(members))))

    def check(self) -> None:
        """Raises Unavailable while the broker is away."""
        if self.failing:
            raise Unavailable("kafka", "told to fail")

    @asynccontextmanager
    async def source(
        self, topic: str, group: str, max_records: int = 500
    ) -> AsyncIterator["FakeSource"]:
        """A member of `group`; joining and leaving rebalance the others."""
        members = self._members.setdefault((group, topic), [])
        member = FakeSource(self, topic, group, max_records)
        members.append(member)
        self.rebalance(group, topic)
        try:
            yield member
        finally:
            members.remove(member)
            member.take(set())
            self.rebalance(group, topic)

    @asynccontextmanager
    async def producer(self) -> AsyncIterator["FakeProducer"]:
        """A producer."""
        yield FakeProducer(self)

    def _log(self, topic: str, partition: int) -> list[Record]:
        return self._logs.setdefault((topic, partition), [])


class FakeProducer:
    """Implements the port Producer."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker

    async def send(self, topic: str, key: bytes, value: bytes, headers: Headers) -> Position:
        self._broker.check()
        if len(value) > _VALUE_MAX:
            raise Rejected("too_large", "a record has 1 MiB at most")
        await asyncio.sleep(0)
        return self._broker.append(topic, key, value, headers)

    async def ping(self) -> None:
        self._broker.check()


class FakeSource:
    """Implements the port Source."""

    def __init__(self, broker: FakeBroker, topic: str, group: str, max_records: int) -> None:
        self._broker = broker
        self._topic = topic
        self._group = group
        self._max_records = max_records
        self._epoch = 0
        self._next: dict[int, int] = {}
        self.stuck = False

    def take(self, partitions: set[int]) -> None:
        """A rebalance: reading starts at what the group has committed, or at the log start."""
        self._epoch += 1
        self._next = {}
        for partition in sorted(partitions):
            committed = self._broker.committed(self._group, self._topic, partition)
            start, _ = self._broker.ends(self._topic, partition)
            self._next[partition] = start if committed is None else committed

    async def poll(self, timeout_s: float) -> list[Record]:
        self._broker.check()
        found: list[Record] = []
        for partition in [] if self.stuck else sorted(self._next):
            start, end = self._broker.ends(self._topic, partition)
            first = max(self._next[partition], start)
            last = min(end, first + self._max_records - len(found))
            for offset in range(first, last):
                record = self._broker.read(self._topic, partition, offset)
                assert record is not None
                found.append(record)
                self._next[partition] = offset + 1
        await asyncio.sleep(0 if found else min(timeout_s, _IDLE_S))
        return found

    def epoch(self) -> int:
        return self._epoch

    def assigned(self) -> set[int]:
        return set(self._next)

    async def seek(self, partition: int, offset: int) -> None:
        if partition in self._next:
            self._next[partition] = offset

    async def passed(self, partition: int) -> int:
        self._broker.check()
        return self._next[partition]

    async def ends(self, partition: int) -> tuple[int, int]:
        self._broker.check()
        return self._broker.ends(self._topic, partition)

    async def committed(self, partition: int) -> int | None:
        self._broker.check()
        return self._broker.committed(self._group, self._topic, partition)

    async def commit(self, offsets: Mapping[int, int]) -> None:
        mine = {p: offset for p, offset in offsets.items() if p in self._next}
        if mine and not self._broker.failing:
            self._broker.commit(self._group, self._topic, mine)

    async def fetch_one(self, partition: int, offset: int) -> Record | None:
        self._broker.check()
        return self._broker.read(self._topic, partition, offset)
