"""The archive: every record as it came, compressed and sealed, in offset-named S3 objects.

It resumes from its Kafka group. After a crash objects may overlap; replay skips offsets that it
has seen.
"""

from collections.abc import Sequence

from fitstream.archived import ArchivedRecord, archive_key, decode_archive, encode_archive
from fitstream.broker import Record, Source
from fitstream.consumers.dead_letters import DeadLetters
from fitstream.consumers.loop import Reject, Span
from fitstream.crash import crash_point
from fitstream.errors import Conflict, Halted, Rejected
from fitstream.logs import get
from fitstream.metrics import count
from fitstream.sealing import DataKeys, seal, unseal
from fitstream.store import Store

log = get(__name__)
GROUP = "archive"


class ArchiveEffect:
    """One object per batch, named by its first and last offset; the same bytes on a repeat."""

    def __init__(
        self, source: Source, store: Store, keys: DataKeys, dead: DeadLetters, generation: int
    ) -> None:
        self._source = source
        self._store = store
        self._keys = keys
        self._dead = dead
        self._generation = generation

    def decode(self, record: Record) -> str:
        """The customer whose key seals the record."""
        if record.key is None:
            raise Rejected("no_key", "a record of the sample topic names its customer in its key")
        return record.key.decode(errors="replace")

    async def resume(self, partition: int, ends: tuple[int, int]) -> int:
        start, end = ends
        committed = await self._source.committed(partition)
        if committed is None:
            return start
        if committed > end:
            raise Halted(
                f"partition {partition} ends at {end}, the archive stands at {committed}: the topic"
                " was recreated. If that was meant, run `fitstream topics --adopt`"
            )
        return max(committed, start)

    async def write(self, partition: int, span: Span, items: Sequence[tuple[Record, str]]) -> None:
        if not items:
            return
        crash_point("archive_before_put")
        body = encode_archive([await self._archived(partition, *item) for item in items])
        first, last = items[0][0].offset, items[-1][0].offset
        key = archive_key(items[0][0].topic, self._generation, partition, (first, last))
        try:
            await self._store.put_new(key, body)
        except Conflict:
            await self._compare(key, partition, items)
        crash_point("archive_after_put")
        count("archive_records", len(items))
        count("archive_objects")
        log.info("batch_archived", partition=partition, records=len(items), bytes=len(body))

    async def park(self, rejects: Sequence[Reject]) -> None:
        await self._dead.park(rejects)

    async def _archived(self, partition: int, record: Record, customer_id: str) -> ArchivedRecord:
        place = (self._generation, partition, record.offset)
        key = await self._keys.key_for(customer_id)
        return ArchivedRecord(record.offset, customer_id, seal(key, place, record.value))

    async def _compare(self, key: str, partition: int, items: Sequence[tuple[Record, str]]) -> None:
        """The object is there with other bytes: fine if the opened records are the same."""
        there = decode_archive(await self._store.get(key))
        for (record, customer_id), found in zip(items, there, strict=False):
            place = (self._generation, partition, record.offset)
            data_key = await self._keys.key_for(customer_id)
            if found.offset != record.offset or (
                unseal(data_key, place, found.sealed) != record.value
            ):
                raise Halted(f"{key} holds other records than the topic: one of them was replaced")
        if len(there) != len(items):
            raise Halted(f"{key} holds {len(there)} records, the topic {len(items)}")
