"""The archive: every record as it came, compressed and sealed, in offset-named S3 objects.

It resumes from its Kafka group, once the topic has been shown to be the one that was archived.
After a crash objects may overlap; replay skips offsets that it has seen.
"""

from collections.abc import Iterable, Mapping, Sequence

from fitstream.archived import ArchivedRecord, archive_key, decode_archive, encode_archive
from fitstream.broker import Record, Source
from fitstream.consumers.archive_place import ArchivePlace
from fitstream.consumers.dead_letters import DeadLetters
from fitstream.consumers.loop import Reject, Span
from fitstream.consumers.stream import Stream
from fitstream.crash import crash_point
from fitstream.errors import Conflict, Halted, Rejected
from fitstream.ids import is_id
from fitstream.logs import get
from fitstream.metrics import count
from fitstream.repo import progress
from fitstream.sealing import DataKeys, seal, unseal
from fitstream.store import Store

log = get(__name__)
GROUP = "archive"


class ArchiveEffect:
    """One object per batch, named by its first and last offset; the same bytes on a repeat."""

    def __init__(
        self, source: Source, archive: tuple[Store, DataKeys], dead: DeadLetters, stream: Stream
    ) -> None:
        self._store, self._keys = archive
        self._place = ArchivePlace(source, archive, stream)
        self._dead = dead
        self._stream = stream
        self._generation = stream.generation

    def decode(self, record: Record) -> str:
        """The customer whose key seals the record."""
        customer_id = (record.key or b"").decode(errors="replace")
        if not is_id(customer_id):
            raise Rejected("no_key", "a record of the sample topic names its customer in its key")
        return customer_id

    async def resume(self, partition: int, ends: tuple[int, int]) -> int:
        """Behind what is archived; what Kafka has dropped before is a proven loss of the archive.

        Raises Halted(topic_recreated) when the topic is not the one that was archived.
        """
        await self._stream.confirm()
        start, _ = ends
        at = await self._place.find(partition, ends)
        if at >= start:
            return at
        log.error("records_not_archived", partition=partition, first=at, next=start)
        async with self._stream.repo.transaction() as db:
            await progress.note_archive_loss(db, self._generation, partition, (at, start))
        return start

    async def skip(self, partition: int, hole: tuple[int, int]) -> None:
        async with self._stream.repo.transaction() as db:
            await progress.note_archive_loss(db, self._generation, partition, hole)

    async def write(self, partition: int, span: Span, items: Sequence[tuple[Record, str]]) -> int:
        if not items:
            return 0
        crash_point("archive_before_put")
        keys = await self._data_keys(customer_id for _, customer_id in items)
        body = encode_archive([self._archived(partition, *item, keys) for item in items])
        first, last = items[0][0].offset, items[-1][0].offset
        key = archive_key(items[0][0].topic, self._generation, partition, (first, last))
        try:
            await self._store.put_new(key, body)
        except Conflict:
            await self._compare(key, partition, items, keys)
        crash_point("archive_after_put")
        count("archive_records", len(items))
        count("archive_erased", sum(customer_id not in keys for _, customer_id in items))
        count("archive_objects")
        log.info("batch_archived", partition=partition, records=len(items), bytes=len(body))
        return 0

    async def park(self, rejects: Sequence[Reject]) -> None:
        await self._dead.park(rejects)
        crash_point("archive_after_park")

    async def _data_keys(self, customer_ids: Iterable[str]) -> dict[str, bytes]:
        try:
            return await self._keys.keys_for(customer_ids)
        except Rejected as error:  # no record is to blame
            text = f"{error.message}: FITSTREAM_SECRET_KEY is not the one that wrapped it"
            raise Halted(text, "secret_key_differs") from error

    def _archived(
        self, partition: int, record: Record, customer_id: str, keys: Mapping[str, bytes]
    ) -> ArchivedRecord:
        place = (self._generation, partition, record.offset)
        key = keys.get(customer_id)  # an erased customer's is gone, and none is made again
        sealed = b"" if key is None else seal(key, place, record.value)
        return ArchivedRecord(record.offset, customer_id, sealed)

    async def _compare(
        self,
        key: str,
        partition: int,
        items: Sequence[tuple[Record, str]],
        keys: Mapping[str, bytes],
    ) -> None:
        """The object is there with other bytes: fine if the opened records are the same."""
        there = decode_archive(await self._store.get(key))
        for (record, customer_id), found in zip(items, there, strict=False):
            place = (self._generation, partition, record.offset)
            if found.offset != record.offset or not _holds(
                found, keys.get(customer_id), place, record.value
            ):
                text = f"{key} holds other records than the topic: one of them was replaced"
                raise Halted(text, "archive_differs")
        if len(there) != len(items):
            text = f"{key} holds {len(there)} records, the topic {len(items)}"
            raise Halted(text, "archive_differs")


def _holds(
    found: ArchivedRecord, key: bytes | None, place: tuple[int, int, int], value: bytes
) -> bool:
    """Whether the record was archived as it is; what nobody can open any more counts as such."""
    if key is None:
        return True
    try:
        return unseal(key, place, found.sealed) == value
    except Rejected:
        return False
