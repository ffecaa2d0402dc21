"""Finds a record again by its place: in Kafka, or in the archive when Kafka has let go of it."""

from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal, NamedTuple

from fitstream.archived import ArchivedRecord, archive_prefix, archive_span, decode_archive
from fitstream.broker.reader import Reader, open_reader
from fitstream.errors import NotFound, Rejected
from fitstream.repo import progress
from fitstream.repo.database import Repo
from fitstream.sealing import DataKeys, master_keys, unseal
from fitstream.settings import Settings
from fitstream.store import Store

Where = Literal["kafka", "archive"]


class Found(NamedTuple):
    """A record's customer and bytes; None when the archive holds them, but no key opens them."""

    offset: int
    customer_id: str
    value: bytes | None
    where: Where


class Records:
    """Records of the sample topic in all its generations."""

    def __init__(self, topic: str, generation: int, reader: Reader, vault: "Vault") -> None:
        self.topic = topic
        self.generation = generation
        self.reader = reader
        self._vault = vault

    async def find(
        self, generation: int, partition: int, offsets: Sequence[int]
    ) -> AsyncIterator[Found]:
        """Those of `offsets` that are still somewhere, each once. Raises Unavailable."""
        left = set(offsets)
        if generation == self.generation:
            async for record in self.reader.read(partition, offsets):
                left.discard(record.offset)
                customer = (record.key or b"").decode(errors="replace")
                yield Found(record.offset, customer, record.value, "kafka")
        if left:
            place = (self.topic, generation, partition)
            async for found in self._vault.find(place, sorted(left)):
                yield found

    async def find_of(self, customer_id: str, generation: int, offset: int) -> "Placed | None":
        """The customer's record at an offset of the partition that their key leads to.

        The others are tried too: a generation before may have had fewer.
        """
        likely = self.reader.partition_for(customer_id.encode())
        others = [number for number in range(self.reader.partitions) if number != likely]
        for partition in (likely, *others):
            async for found in self.find(generation, partition, [offset]):
                if found.customer_id == customer_id:
                    return Placed(partition, found)
        return None


class Placed(NamedTuple):
    """A record and the partition it was found in."""

    partition: int
    found: Found


class Vault:
    """The archive, opened with the keys that are there; makes none."""

    def __init__(self, store: Store, keys: DataKeys) -> None:
        self._store = store
        self._keys = keys

    async def find(
        self, place: tuple[str, int, int], offsets: Sequence[int]
    ) -> AsyncIterator[Found]:
        """Those of the sorted `offsets` that lie in (topic, generation, partition), each once."""
        left = list(offsets)
        async for key in self._store.list_keys(archive_prefix(*place)):
            span = archive_span(key)
            if span is None or not _any_within(left, span):
                continue
            for record in decode_archive(await self._store.get(key)):
                at = bisect_left(left, record.offset)
                if at < len(left) and left[at] == record.offset:
                    del left[at]
                    yield await self._opened(place[1:], record)
            if not left:
                return

    async def _opened(self, place: tuple[int, ...], record: ArchivedRecord) -> Found:
        generation, partition = place
        try:
            key = await self._keys.existing_key(record.customer_id)
            value = unseal(key, (generation, partition, record.offset), record.sealed)
        except (NotFound, Rejected):  # erased, or sealed under a secret key that is gone
            value = None
        return Found(record.offset, record.customer_id, value, "archive")


@asynccontextmanager
async def open_records(settings: Settings, repo: Repo, store: Store) -> AsyncIterator[Records]:
    """The records of the sample topic; raises Unavailable when Kafka is away."""
    async with repo.connection() as db:
        generation = await progress.current_generation(db, settings.topic)
    vault = Vault(store, DataKeys(store, master_keys(settings)))
    async with open_reader(settings) as reader:
        yield Records(settings.topic, generation, reader, vault)


def _any_within(offsets: Sequence[int], span: tuple[int, int]) -> bool:
    at = bisect_left(offsets, span[0])
    return at < len(offsets) and offsets[at] <= span[1]
