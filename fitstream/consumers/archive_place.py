"""Where the archive goes on: behind what its objects hold, once topic and objects agree.

Its Kafka group alone is not believed: a topic that was deleted takes the group's offsets with it,
and one that was recreated may have grown past them. Going on would seal other records under nonces
that are used already.
"""

from fitstream.archived import (
    ArchivedRecord,
    archive_key,
    archive_prefix,
    archive_span,
    decode_archive,
)
from fitstream.broker import Source
from fitstream.consumers.stream import Stream
from fitstream.errors import Halted, NotFound, Rejected
from fitstream.sealing import DataKeys, unseal
from fitstream.store import Store

_LOOK_BACK = (200, 20_000)  # offsets; an object holds thousands at most


class ArchivePlace:
    """Compares the newest archived record of a partition with the topic's."""

    def __init__(self, source: Source, archive: tuple[Store, DataKeys], stream: Stream) -> None:
        self._source = source
        self._store, self._keys = archive
        self._stream = stream

    async def find(self, partition: int, ends: tuple[int, int]) -> int:
        """The offset behind everything archived; the log's start where there is nothing.

        Raises Halted(topic_recreated) when the topic is not the one that was archived.
        """
        start, end = ends
        committed = await self._source.committed(partition)
        last = await self._last(partition, start, committed)
        if committed is None and last is None:
            return 0
        at = committed if committed is not None else last.offset + 1 if last else 0
        reach = max(at, last.offset + 1 if last else 0)
        if reach > end or not await self._is_same(partition, start, last):
            raise Halted(
                f"partition {partition} ends at {end}, the archive at {reach}, and the topic"
                " does not hold what was archived: it was recreated, or the database restored. If"
                " that was meant, run `fitstream topics --adopt`",
                "topic_recreated",
            )
        return at

    async def _last(
        self, partition: int, start: int, committed: int | None
    ) -> ArchivedRecord | None:
        """The newest archived record, also where it lies beyond what the group has committed: each
        one has used its nonce, and a group may fall back."""
        backs = _LOOK_BACK if committed is not None else _LOOK_BACK[-1:]
        for back in backs:
            since = max((start if committed is None else committed) - back, 0)
            if (key := await self._newest_key(partition, since)) is not None:
                return decode_archive(await self._store.get(key))[-1]
        return None

    async def _newest_key(self, partition: int, since: int) -> str | None:
        place = (self._stream.topic, self._stream.generation, partition)
        found, reach = None, -1
        async for key in self._store.list_keys(
            archive_prefix(*place), archive_key(*place, (since, 0))
        ):
            span = archive_span(key)
            if span is not None and span[1] >= reach:
                found, reach = key, span[1]
        return found

    async def _is_same(self, partition: int, start: int, last: ArchivedRecord | None) -> bool:
        """Whether the topic holds the archived record; one that is gone from it proves nothing."""
        if last is None or last.offset < start:
            return True
        record = await self._source.fetch_one(partition, last.offset)
        if record is None:
            return True
        if (record.key or b"").decode(errors="replace") != last.customer_id:
            return False
        place = (self._stream.generation, partition, last.offset)
        try:
            key = await self._keys.existing_key(last.customer_id)
            return unseal(key, place, last.sealed) == record.value
        except NotFound:  # erased: nobody can read it, and the customer is the same
            return True
        except Rejected:
            return False
