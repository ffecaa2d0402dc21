"""The ledger: batches of samples into Postgres, exactly as often as the merge rule allows."""

from collections.abc import Sequence
from datetime import UTC, datetime

from fitstream import events
from fitstream.broker import Record, Source
from fitstream.consumers.dead_letters import DeadLetters
from fitstream.consumers.loop import Reject, Span, batch_id_of
from fitstream.consumers.stream import Stream
from fitstream.crash import crash_point
from fitstream.errors import Conflict, Halted
from fitstream.events import SampleBatch
from fitstream.logs import get
from fitstream.metrics import count, observe_freshness
from fitstream.repo import progress
from fitstream.repo.ledger import Chunk, LedgerWriter, Written

log = get(__name__)
GROUP = "ledger"


class LedgerEffect:
    """One transaction per chunk: samples, dirty weeks, devices, and the ledger's own progress."""

    def __init__(self, source: Source, dead: DeadLetters, stream: Stream) -> None:
        self._repo = stream.repo
        self._source = source
        self._dead = dead
        self._stream = stream
        self._generation = stream.generation
        self._writer = LedgerWriter()

    def decode(self, record: Record) -> SampleBatch:
        return events.decode(record.value)

    async def resume(self, partition: int, ends: tuple[int, int]) -> int:
        await self._stream.confirm()
        start, end = ends
        async with self._repo.transaction() as db:
            at = await progress.progress_of(db, self._generation, partition)
            if at is None:
                return await self._begin(db, partition, start)
            if at.next_offset < start:
                log.error("records_lost", partition=partition, first=at.next_offset, next=start)
                await progress.skip_lost(db, self._generation, partition, (at.next_offset, start))
                return start
        if at.next_offset > end or not await self._is_same_topic(partition, at, start):
            raise Halted(
                f"partition {partition} ends at {end}, the ledger stands at {at.next_offset}:"
                " the topic was recreated or the database restored. If that was meant,"
                " run `fitstream topics --adopt`",
                "topic_recreated",
            )
        return at.next_offset

    async def _begin(self, db: object, partition: int, start: int) -> int:
        if start > 0:
            raise Halted(
                f"partition {partition} begins at {start}, but the ledger has never read it:"
                " run `fitstream topics --adopt` to accept that what came before is gone",
                "never_read",
            )
        await progress.start_progress(db, self._generation, partition, 0)
        return 0

    async def _is_same_topic(self, partition: int, at: progress.Progress, start: int) -> bool:
        """Whether the record before our position is still the one that we read last."""
        if at.next_offset == start or not at.last_batch_id:
            return True
        record = await self._source.fetch_one(partition, at.next_offset - 1)
        if record is None:
            return True
        return batch_id_of(record) == at.last_batch_id

    async def skip(self, partition: int, hole: tuple[int, int]) -> None:
        async with self._repo.transaction() as db:
            at = await progress.progress_of(db, self._generation, partition)
            if at is None or at.next_offset != hole[0]:
                raise Conflict("stale_consumer", f"partition {partition} has another ledger")
            await progress.skip_lost(db, self._generation, partition, hole)

    async def write(
        self, partition: int, span: Span, items: Sequence[tuple[Record, SampleBatch]]
    ) -> int:
        crash_point("ledger_before_write")
        batches = [(record.offset, batch) for record, batch in items]
        chunk = Chunk(
            self._generation, partition, span.first, span.next, span.last_batch_id, batches
        )
        async with self._repo.transaction() as db:
            written = await self._writer.write(db, chunk)
            unknown = set(written.unknown)
            await self._dead.insert(
                db,
                [
                    Reject(record, "unknown_device", "no such device of that customer")
                    for record, _ in items
                    if record.offset in unknown
                ],
            )
            crash_point("ledger_before_commit")
        crash_point("ledger_after_commit")
        _note(written, batches)
        return len(written.unknown)

    async def park(self, rejects: Sequence[Reject]) -> None:
        await self._dead.park(rejects)
        crash_point("ledger_after_park")


def _note(written: Written, batches: Sequence[tuple[int, SampleBatch]]) -> None:
    count("ledger_samples", written.samples)
    count("ledger_inserted", written.inserted)
    count("ledger_updated", written.updated)
    count("ledger_erased", written.erased)
    if batches:
        newest_s = max(batch.received_at for _, batch in batches) / 1000
        observe_freshness(datetime.now(UTC).timestamp() - newest_s)
    log.info(
        "batch_written",
        records=len(batches),
        samples=written.samples,
        inserted=written.inserted,
        updated=written.updated,
    )
