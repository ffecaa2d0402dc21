"""One partition of the archive on its way through a replay. Pure: reads and writes nothing."""

from collections.abc import Sequence
from typing import NamedTuple

from fitstream import events
from fitstream.errors import Rejected
from fitstream.events import SampleBatch
from fitstream.operations.coverage import Coverage
from fitstream.repo.contacts import instant_of
from fitstream.repo.ledger import LedgerWriter, Written
from fitstream.repo.progress import Passed

ALL_SLOTS = (-(2**31), 2**31)
UNKNOWN = ("unknown_device", "no such device of that customer")


class Opened(NamedTuple):
    """A record with its original bytes."""

    offset: int
    customer_id: str
    value: bytes


class Part:
    """A partition on its way: what was seen of it, and what came of that."""

    def __init__(self, topic: str, where: tuple[int, int], begin: int) -> None:
        self.topic = topic
        self.where = where
        self.name = f"generation {where[0]}, partition {where[1]}"
        self.writer = LedgerWriter()
        self.coverage = Coverage(begin)
        self.next = 0
        self._last = (-1, "")
        self._gained = Passed(begin, begin, "", 0, 0, 0, 0, None)

    def decode(
        self, chunk: Sequence[Opened], span: tuple[int, int]
    ) -> tuple[dict[int, SampleBatch], dict[int, tuple[str, str]]]:
        """Batches, and reasons why there is none, by offset."""
        batches: dict[int, SampleBatch] = {}
        rejects: dict[int, tuple[str, str]] = {}
        for record in chunk:
            try:
                batch = events.decode(record.value)
            except Rejected as error:
                rejects[record.offset] = (error.code, error.message)
                continue
            if span == ALL_SLOTS or any(span[0] <= at < span[1] for at in batch.columns.slot):
                batches[record.offset] = batch
        return batches, rejects

    def letters(
        self, chunk: Sequence[Opened], reasons: dict[int, tuple[str, str]]
    ) -> list[tuple[object, ...]]:
        """Dead letters of those records of `chunk` that have a reason."""
        generation, partition = self.where
        return [
            (
                *(self.topic, generation, partition, record.offset),
                *reasons[record.offset],
                *(record.customer_id.encode(), record.value),
            )
            for record in chunk
            if record.offset in reasons
        ]

    def note(
        self, chunk: Sequence[Opened], batches: dict[int, SampleBatch], written: Written
    ) -> None:
        """The chunk is in: what the ledger had not read before counts for its progress."""
        for offset, batch in batches.items():
            if offset < self.coverage.end:
                self._last = (offset, batch.batch_id)
        if chunk[0].offset < self.coverage.begin:
            return
        had = self._gained
        newest = max((batch.received_at for batch in batches.values()), default=None)
        at = None if newest is None else instant_of(newest)
        self._gained = had._replace(
            records=had.records + len(batches),
            samples=had.samples + written.samples,
            inserted=had.inserted + written.inserted,
            updated=had.updated + written.updated,
            newest_at=max((each for each in (had.newest_at, at) if each), default=None),
        )

    def passed(self) -> Passed:
        """What the ledger's progress must know to go on behind it."""
        end = self.coverage.end
        batch_id = self._last[1] if self._last[0] == end - 1 else ""
        return self._gained._replace(end=end, last_batch_id=batch_id)
