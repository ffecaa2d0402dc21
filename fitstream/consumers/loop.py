"""The only consumer loop: poll, decode, write, commit. A new consumer is one more Effect.

Nothing correct may depend on a rebalance listener or on the Kafka commit: positions are the
loop's own, and an effect's write changes nothing when it is repeated.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, ParamSpec, Protocol, TypeVar

from fitstream.broker import Record, Source
from fitstream.consumers.buffer import Buffer, Limits
from fitstream.errors import Conflict, FitstreamError, Halted, Rejected, Unavailable
from fitstream.logs import get

log = get(__name__)
T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")

_POLL_S = 0.1
_COMMIT_EVERY_S = 1.0
_REJECTS_KEPT = 1000
_BATCH_ID_MAX = 100  # bytes


class Span(NamedTuple):
    """Offsets [first, next) that one write covers; `first` is the loop's own position."""

    first: int
    next: int
    last_batch_id: str


class Reject(NamedTuple):
    """A record that cannot be applied, and why."""

    record: Record
    code: str
    detail: str


class Effect(Protocol[T]):
    """A consumer's outside change."""

    def decode(self, record: Record) -> T:
        """Pure; raises Rejected for a record that can never be applied."""
        ...

    async def resume(self, partition: int, ends: tuple[int, int]) -> int:
        """The offset to go on from, given (log start, log end). Raises Halted."""
        ...

    async def skip(self, partition: int, hole: tuple[int, int]) -> None:
        """Records that the log lacks [from, to) before it goes on; a repeat changes nothing.

        Raises Unavailable, Conflict(stale).
        """
        ...

    async def write(self, partition: int, span: Span, items: Sequence[tuple[Record, T]]) -> int:
        """Applies a batch; a repeat changes nothing. How many of the items it parked instead.

        Raises Unavailable, Conflict(stale), and Rejected when the values of some record cannot be
        stored. Any other error is a bug and halts.
        """
        ...

    async def park(self, rejects: Sequence[Reject]) -> None:
        """Keeps what cannot be applied, original bytes and all."""
        ...


class Loop(Generic[T]):
    """Runs one effect over one source until `stop` is set, then finishes what it holds."""

    def __init__(
        self, source: Source, effect: Effect[T], limits: Limits, stop: asyncio.Event
    ) -> None:
        self._source = source
        self._effect = effect
        self._limits = limits
        self._stop = stop
        self._epoch = -1
        self._positions: dict[int, int] = {}
        self._buffers: dict[int, Buffer] = {}
        self._commits: dict[int, int] = {}
        self._committed_at = 0.0
        self._behind: dict[int, int] = {}
        self._moved: dict[int, int] = {}
        self._holes: dict[int, tuple[int, int]] = {}
        self._look_at = time.monotonic() + limits.stuck_after_s
        self._recent: deque[bool] = deque(maxlen=_REJECTS_KEPT)

    async def run(self) -> None:
        """Returns after `stop`; raises Unavailable or Halted when going on makes no sense."""
        try:
            while not self._stop.is_set():
                await self._round()
            await self._write_closed(rest=True)
            await self._commit()
        except Unavailable as error:
            if not self._stop.is_set():
                raise
            # what was not written is not committed either: the next start reads it again
            log.warning("stopped_in_outage", service=error.service)

    async def _round(self) -> None:
        await self._forget_revoked()
        await self._resume_assigned()
        records = await self._retry(self._source.poll, _POLL_S)
        if self._source.epoch() != self._epoch:
            return  # what came belongs to other positions than ours
        for record in records:
            self._keep(record)
        await self._pass_holes()
        await self._write_closed()
        await self._commit_due()
        await self._check_stuck()

    async def _forget_revoked(self) -> None:
        if self._source.epoch() != self._epoch:
            held = sum(len(buffer.records) for buffer in self._buffers.values())
            log.info("rebalanced", partitions=len(self._positions), dropped=held)
            self._epoch = self._source.epoch()
            self._positions.clear()
            self._buffers.clear()
            self._commits.clear()
            self._behind.clear()
            self._holes.clear()

    async def _resume_assigned(self) -> None:
        for partition in sorted(self._source.assigned() - set(self._positions)):
            offset = await self._retry(self._resume_point, partition)
            await self._source.seek(partition, offset)
            self._positions[partition] = offset
            self._buffers[partition] = Buffer()
            if offset:  # a death may have come before the commit, and nothing more after it
                self._commits[partition] = offset

    async def _resume_point(self, partition: int) -> int:
        return await self._effect.resume(partition, await self._source.ends(partition))

    def _keep(self, record: Record) -> None:
        """Buffers the record that comes next; any other shows that the log has moved under us.

        Kafka's client starts again at the beginning by itself when the log ends before its
        position, or begins after it: the effect must say where to go on. Where the same place is
        missing after that too, the log has a hole there: an end mark of a transaction, say.
        """
        buffer = self._buffers.get(record.partition)
        if buffer is None or record.partition in self._holes:
            return
        partition, position = record.partition, self._positions[record.partition]
        expected = buffer.records[-1].offset + 1 if buffer.records else position
        if record.offset == expected:
            buffer.add(record)
            return
        if self._moved.get(partition) == expected:
            if record.offset < expected:
                text = f"partition {partition} does not go on at {expected}: its log has changed"
                raise Halted(text, "log_changed")
            self._holes[partition] = (expected, record.offset)
            return
        log.error("log_moved", partition=partition, expected=expected, found=record.offset)
        self._moved[partition] = expected
        del self._positions[partition], self._buffers[partition]

    async def _pass_holes(self) -> None:
        """Writes what stands before a hole, has the hole recorded, and goes on behind it."""
        for partition, (first, end) in list(self._holes.items()):
            if self._source.epoch() != self._epoch:
                return
            del self._holes[partition]
            if self._buffers[partition].records:
                await self._write_one(partition)
            if self._positions.get(partition) != first:
                continue  # another consumer was faster: the effect is asked anew
            try:
                await self._retry(self._effect.skip, partition, (first, end))
            except Conflict as error:
                self._drop(partition, error)
                continue
            log.error("records_missing", partition=partition, first=first, next=end)
            await self._source.seek(partition, end)
            self._positions[partition] = self._commits[partition] = end

    async def _write_closed(self, *, rest: bool = False) -> None:
        """Writes every closed batch, or whatever is held; a rebalance leaves it to the next."""
        for partition, buffer in list(self._buffers.items()):
            if self._source.epoch() != self._epoch:
                return
            if buffer.is_closed(self._limits) or (rest and buffer.records):
                await self._write_one(partition)

    async def _write_one(self, partition: int) -> None:
        records = self._buffers[partition].records
        self._buffers[partition] = Buffer()
        try:
            await self._handle(partition, records)
        except Conflict as error:
            self._drop(partition, error)

    def _drop(self, partition: int, error: Conflict) -> None:
        """Leaves a partition to whoever was faster; the effect says where to go on."""
        log.warning("chunk_dropped", partition=partition, reason=error.code)
        del self._positions[partition], self._buffers[partition]

    async def _handle(self, partition: int, records: Sequence[Record]) -> None:
        first = self._positions[partition]
        items, rejects = self._decode_all(records)
        if rejects:
            await self._retry(self._effect.park, rejects)  # dead letters first, or we do not go on
        span = Span(first, records[-1].offset + 1, batch_id_of(records[-1]))
        await self._write(partition, span, items)
        self._positions[partition] = span.next
        self._commits[partition] = span.next

    def _decode_all(self, records: Sequence[Record]) -> tuple[list[tuple[Record, T]], list[Reject]]:
        items: list[tuple[Record, T]] = []
        rejects: list[Reject] = []
        for record in records:
            try:
                items.append((record, self._effect.decode(record)))
                self._note(rejected=False)
            except Rejected as error:
                rejects.append(Reject(record, error.code, error.message))
                self._note(rejected=True)
            except Exception as error:
                raise _bug(record.partition, record.offset, error) from error
        return items, rejects

    async def _write(self, partition: int, span: Span, items: Sequence[tuple[Record, T]]) -> None:
        """Writes a batch; a refusal is narrowed down to the record that earns it, and parked."""
        failure = await self._attempt(partition, span, items)
        if failure is None:
            return
        if not items:
            raise failure
        if len(items) > 1:
            await self._write_halves(partition, span, items)
            return
        self._note(rejected=True)
        await self._retry(self._effect.park, [Reject(items[0][0], failure.code, failure.message)])
        await self._retry(self._effect.write, partition, span, [])

    async def _attempt(
        self, partition: int, span: Span, items: Sequence[tuple[Record, T]]
    ) -> Rejected | None:
        """Why a write was refused that may succeed without some record, None after a good one."""
        try:
            parked = await self._retry(self._effect.write, partition, span, items)
            for _ in range(parked):
                self._note(rejected=True)
        except Rejected as error:
            about = {"partition": partition, "first": span.first, "next": span.next}
            log.warning("write_refused", **about, code=error.code)
            return error
        except FitstreamError:
            raise
        except Exception as error:
            raise _bug(partition, span.first, error) from error
        return None

    async def _write_halves(
        self, partition: int, span: Span, items: Sequence[tuple[Record, T]]
    ) -> None:
        middle = len(items) // 2
        last = items[middle - 1][0]
        cut = Span(span.first, last.offset + 1, batch_id_of(last))
        await self._write(partition, cut, items[:middle])
        await self._write(partition, span._replace(first=cut.next), items[middle:])

    async def _retry(self, call: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """The same call until the service is back; after the limit the process gives up."""
        deadline = time.monotonic() + self._limits.unavailable_max_s
        delay_s = 0.1
        while True:
            try:
                return await call(*args, **kwargs)
            except Unavailable as error:
                if time.monotonic() > deadline or self._stop.is_set():
                    raise
                log.warning("waiting", service=error.service, detail=str(error))
                await asyncio.sleep(delay_s * random.uniform(0.5, 1.5))
                delay_s = min(delay_s * 2, 5.0)

    def _note(self, *, rejected: bool) -> None:
        self._recent.append(rejected)
        if rejected and 0 < self._limits.rejects_max < sum(self._recent):
            text = (
                f"over {self._limits.rejects_max} of the last {_REJECTS_KEPT:,} records cannot be"
                " applied: this looks like a bad deploy, not bad data. If the records themselves"
                " are bad, start once with FITSTREAM_REJECTS_MAX=0, which parks them all"
            )
            raise Halted(text, "too_many_rejects")

    async def _commit_due(self) -> None:
        if self._commits and time.monotonic() - self._committed_at >= _COMMIT_EVERY_S:
            await self._commit()

    async def _commit(self) -> None:
        if self._commits and self._source.epoch() == self._epoch:
            await self._source.commit(self._commits)
        self._commits = {}
        self._committed_at = time.monotonic()

    async def _check_stuck(self) -> None:
        """Leaves when a partition has more to read, and had at the last look, but did not move."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + self._limits.stuck_after_s
        for partition, position in self._positions.items():
            _, end = await self._retry(self._source.ends, partition)
            if end <= position or self._buffers[partition].records:
                self._behind.pop(partition, None)
            elif self._behind.get(partition) == position:
                if await self._retry(self._source.passed, partition) < end:
                    raise Unavailable("kafka", f"partition {partition} has stopped delivering")
                self._holes[partition] = (position, end)  # at the end of the log
            else:
                self._behind[partition] = position


def _bug(partition: int, offset: int, error: Exception) -> Halted:
    """What no data is to blame for stops us: parking the records would hide a bad deploy."""
    log.error("consumer_bug", partition=partition, offset=offset, exc_info=error)
    text = f"an error of the program at partition {partition}, offset {offset}, not of the data:"
    return Halted(f"{text} {type(error).__name__}: {error}", "program_error")


def batch_id_of(record: Record) -> str:
    """What the record is called in its headers, as text that a table can hold; whoever wrote it."""
    named = record.headers.get("batch_id") or b""
    return named[:_BATCH_ID_MAX].decode(errors="replace").replace("\0", "\ufffd")
