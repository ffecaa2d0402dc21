"""Rebuilds the ledger from the archive, when Kafka has let go of the records.

Writes through the ledger's own merge, so a replay is never too late and never too often. Must make
no data key: the records of an erased customer stay closed.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

import msgspec

from fitstream.archived import ArchivedRecord, archive_span, decode_archive
from fitstream.clock import DAY_SLOTS, slot_start
from fitstream.errors import NotFound, Rejected
from fitstream.events import SampleBatch
from fitstream.logs import get
from fitstream.operations.replay_part import ALL_SLOTS, UNKNOWN, Opened, Part
from fitstream.repo import erased, progress
from fitstream.repo.database import Repo
from fitstream.repo.ledger import Written
from fitstream.repo.migrate import is_month_of_samples, make_partition
from fitstream.sealing import DataKeys, unseal
from fitstream.store import Store

log = get(__name__)
_PLACE = re.compile(r"/(\d+)/(\d+)/\d{19}-\d{19}\.msgpack$")
_RECORDS_MAX = 500
_BYTES_MAX = 4 * 2**20
_TELL_EVERY_S = 2.0
_DAYS_END = 100_000  # since 1970: beyond it no calendar is asked


class Order(NamedTuple):
    """What to replay: everything, or one customer's records, or those with a slot in `span`.

    `resume` passes over objects that the ledger has read to the end already.
    """

    customer: str = ""
    span: tuple[int, int] = ALL_SLOTS
    resume: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out, so that progress may follow."""
        return not self.customer and self.span == ALL_SLOTS


class Totals(msgspec.Struct):
    """What a replay has done so far."""

    objects: int = 0
    records: int = 0
    samples: int = 0
    inserted: int = 0
    updated: int = 0
    parked: int = 0
    without_key: int = 0
    unreadable: list[str] = []
    holes: list[str] = []
    is_stopped: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether everything that was asked for was read and could be opened."""
        return not (self.unreadable or self.holes or self.is_stopped)


class Replay:
    """One run over the objects of a topic, partition by partition, an object at a time."""

    def __init__(self, repo: Repo, archive: tuple[Store, DataKeys], topic: str, order: Order):
        self._repo = repo
        self._store, self._keys = archive
        self._topic = topic
        self._order = order
        self.totals = Totals()
        self._told_at = time.monotonic()
        self._months: set[date] = set()

    async def run(self, stop: asyncio.Event, tell: Callable[[str], None]) -> Totals:
        """Replays until the end or `stop`. Raises Unavailable; the call may then be repeated."""
        part: Part | None = None
        async for key in self._store.list_keys(f"raw/{self._topic}/"):
            place, span = _PLACE.search(key), archive_span(key)
            if place is None or span is None:
                continue
            where = (int(place[1]), int(place[2]))
            if part is None or part.where != where:
                await self._finish(part, tell)
                part = await self._begin(where)
            if not (self._order.resume and span[1] < part.coverage.begin):
                await self._object(part, key)
            self._tell(tell, key)
            if stop.is_set():
                self.totals.is_stopped = True
                return self.totals
        await self._finish(part, tell)
        return self.totals

    async def _begin(self, where: tuple[int, int]) -> Part:
        async with self._repo.connection() as db:
            at = await progress.progress_of(db, *where)
        return Part(self._topic, where, 0 if at is None else at.next_offset)

    async def _object(self, part: Part, key: str) -> None:
        try:
            records = decode_archive(await self._store.get(key))
        except msgspec.MsgspecError:
            self.totals.unreadable.append(key)
            return
        self.totals.objects += 1
        await self._keys.prefetch(record.customer_id for record in records)
        chunk: list[Opened] = []
        size = 0
        async for record in self._opened(part, records):
            if chunk and (
                len(chunk) >= _RECORDS_MAX
                or size >= _BYTES_MAX
                or record.offset == part.coverage.begin
            ):
                await self._write(part, chunk)
                chunk, size = [], 0
            chunk.append(record)
            size += len(record.value)
        if chunk:
            await self._write(part, chunk)

    async def _opened(self, part: Part, records: Sequence[ArchivedRecord]) -> AsyncIterator[Opened]:
        """Records that no object before had, in the clear."""
        generation, partition = part.where
        for record in records:
            if record.offset < part.next:
                continue
            part.next = record.offset + 1
            if self._order.customer not in ("", record.customer_id):
                continue
            await self._look_for_hole(part, record.offset)
            try:
                key = await self._keys.existing_key(record.customer_id)
                value = unseal(key, (generation, partition, record.offset), record.sealed)
            except NotFound:
                await self._without_key(part, record)
            except Rejected as error:
                self.totals.unreadable.append(error.message)
                part.coverage.break_at((record.offset, record.offset + 1))
            else:
                part.coverage.see(record.offset)
                yield Opened(record.offset, record.customer_id, value)

    async def _without_key(self, part: Part, record: ArchivedRecord) -> None:
        """Rightly so for who was erased; any other key that is missing may be found again, and the
        ledger must not go past its records until then."""
        async with self._repo.connection() as db:
            if await erased.among(db, [record.customer_id]):
                self.totals.without_key += 1
                part.coverage.see(record.offset)
                return
        place = f"{part.name}, offset {record.offset}"
        self.totals.unreadable.append(f"{place}: keys/{record.customer_id} is missing")
        part.coverage.break_at((record.offset, record.offset + 1))

    async def _look_for_hole(self, part: Part, offset: int) -> None:
        """Offsets that are not archived: each was parked before it came there, or it is a hole."""
        missing = part.coverage.missing_before(offset)
        if missing is None or not self._order.is_whole:
            return
        async with self._repo.connection() as db:
            parked = await progress.count_parked(db, self._topic, part.where, missing)
        if parked == missing[1] - missing[0]:
            part.coverage.bridge(offset)
        else:
            part.coverage.break_at(missing)
            first, last = missing[0], missing[1] - 1
            self.totals.holes.append(f"{part.name}: offsets {first} to {last}")

    async def _write(self, part: Part, chunk: Sequence[Opened]) -> None:
        """A chunk in one transaction; one that no table can hold is cut down to its record."""
        batches, rejects = part.decode(chunk, self._order.span)
        await self._make_months(batches.values())
        try:
            async with self._repo.transaction() as db:
                written = await part.writer.merge(db, part.where[0], list(batches.items()))
                unknown = await self._unknown(written.unknown, batches)
                for values in part.letters(chunk, rejects | unknown):
                    await progress.insert_dead_letter(db, values)
        except Rejected as error:
            if len(chunk) > 1:
                middle = len(chunk) // 2
                await self._write(part, chunk[:middle])
                await self._write(part, chunk[middle:])
                return
            reason = (error.code, error.message)
            async with self._repo.transaction() as db:
                for values in part.letters(chunk, {chunk[0].offset: reason}):
                    await progress.insert_dead_letter(db, values)
            written, unknown, rejects, batches = Written(0, 0, 0, []), {}, {0: reason}, {}
        self._count(len(batches), len(rejects) + len(unknown), written)
        part.note(chunk, batches, written)

    async def _make_months(self, batches: Iterable[SampleBatch]) -> None:
        """Room for what is older than the months that a new database begins with."""
        numbers = {slot // DAY_SLOTS for batch in batches for slot in batch.columns.slot}
        days = [slot_start(n * DAY_SLOTS).date() for n in numbers if 0 <= n < _DAYS_END]
        today = datetime.now(UTC).date()
        for day in sorted(days):
            month = day.replace(day=1)
            if month in self._months or not is_month_of_samples(day, today):
                continue
            async with self._repo.transaction() as db:
                await make_partition(db, month)
            self._months.add(month)

    async def _unknown(
        self, offsets: Sequence[int], batches: Mapping[int, SampleBatch]
    ) -> dict[int, tuple[str, str]]:
        """Reasons to park records of unknown devices; none for those of customers whose key has
        gone since it was read: who is erased during a replay leaves nothing in the clear."""
        owners = {batches[offset].customer_id for offset in offsets}
        there = {owner for owner in owners if await self._keys.is_there(owner)}
        left = [offset for offset in offsets if batches[offset].customer_id in there]
        self.totals.without_key += len(offsets) - len(left)
        return dict.fromkeys(left, UNKNOWN)

    def _count(self, records: int, parked: int, written: Written) -> None:
        self.totals.records += records
        self.totals.parked += parked
        self.totals.samples += written.samples
        self.totals.inserted += written.inserted
        self.totals.updated += written.updated
        self.totals.without_key += written.erased

    async def _finish(self, part: Part | None, tell: Callable[[str], None]) -> None:
        """Lets the ledger go on behind what was replayed, unless it has moved by itself."""
        if part is None or not self._order.is_whole or part.coverage.end == part.coverage.begin:
            return
        async with self._repo.transaction() as db:
            await progress.start_progress(db, *part.where, 0)
            has_moved = await progress.pass_replayed(db, *part.where, part.passed())
        said = f"goes on from {part.coverage.end}" if has_moved else "has moved on by itself"
        tell(f"{part.name}: the ledger {said}")

    def _tell(self, tell: Callable[[str], None], key: str) -> None:
        if time.monotonic() - self._told_at >= _TELL_EVERY_S:
            self._told_at = time.monotonic()
            tell(f"{self.totals.records:,} records, {self.totals.inserted:,} rows new, at {key}")
