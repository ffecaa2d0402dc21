"""The consumer loop: what is written, parked and committed when things go wrong."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from fitstream.broker import Record
from fitstream.consumers.buffer import Limits
from fitstream.consumers.loop import Loop, Reject, Span, batch_id_of
from fitstream.errors import Conflict, Halted, Rejected, Unavailable
from tests.fakes.broker import FakeBroker, FakeSource

TOPIC, GROUP = "samples.v1", "ledger"
LIMITS = Limits(
    max_records=1000,
    max_bytes=10**9,
    max_age_s=0,
    unavailable_max_s=30,
    stuck_after_s=1000,
    rejects_max=50,
)


class FakeEffect:
    """Keeps what was applied, and its own progress; values may ask for trouble.

    `poison`: decode refuses · `unwritable`: a write with it is refused · `unknown`: a write parks
    it by itself · `bug` and `write bug`: decode, or a write, fails as a program does.
    """

    def __init__(self) -> None:
        self.writes: list[tuple[int, Span, list[bytes]]] = []
        self.parked: list[tuple[int, str]] = []
        self.progress: dict[int, int] = {}
        self.resumed: list[int] = []
        self.holes: list[tuple[int, tuple[int, int]]] = []
        self.failures: list[Exception] = []
        self.before_write: Callable[[], Awaitable[None]] | None = None

    @property
    def applied(self) -> list[bytes]:
        return [value for _, _, values in self.writes for value in values]

    def decode(self, record: Record) -> bytes:
        if record.value == b"poison":
            raise Rejected("undecodable", "no batch")
        if record.value == b"bug":
            raise KeyError("bug")
        return record.value

    async def resume(self, partition: int, ends: tuple[int, int]) -> int:
        self.resumed.append(partition)
        return self.progress.get(partition, ends[0])

    async def write(self, partition: int, span: Span, items: Sequence[tuple[Record, bytes]]) -> int:
        if self.before_write is not None:
            await self.before_write()
        if self.failures:
            raise self.failures.pop(0)
        values = [value for _, value in items]
        if b"unwritable" in values:
            raise Rejected("unwritable", "out of range")
        if b"write bug" in values:
            raise TypeError("no such argument")
        if span.first != self.progress.get(partition, 0):
            raise Conflict("stale", "another consumer was here")
        self.writes.append((partition, span, values))
        self.progress[partition] = span.next
        return values.count(b"unknown")

    async def skip(self, partition: int, hole: tuple[int, int]) -> None:
        self.holes.append((partition, hole))
        self.progress[partition] = hole[1]

    async def park(self, rejects: Sequence[Reject]) -> None:
        self.parked += [(reject.record.offset, reject.code) for reject in rejects]


class Stage:
    """One partition with a loop over it."""

    def __init__(self, limits: Limits = LIMITS, partitions: int = 1) -> None:
        self.broker = FakeBroker(partitions)
        self.effect = FakeEffect()
        self.stop = asyncio.Event()
        self.limits = limits

    def send(self, *values: bytes, key: bytes = b"cus_1") -> None:
        for value in values:
            self.broker.append(TOPIC, key, value, [("batch_id", b"id-" + value)])

    @property
    def committed(self) -> int | None:
        return self.broker.committed(GROUP, TOPIC, 0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeSource]:
        """The loop at work; at the end it is told to stop, and what it raised is raised."""
        async with self.broker.source(TOPIC, GROUP) as source:
            loop = Loop(source, self.effect, self.limits, self.stop)
            task = asyncio.create_task(loop.run())
            try:
                yield source
                self.stop.set()
                await task
            finally:
                task.cancel()

    async def run_until(self, condition: Callable[[], bool]) -> None:
        async with self.running():
            await until(condition)

    async def fails(self) -> Exception:
        """What ends the loop by itself."""
        async with asyncio.timeout(20), self.broker.source(TOPIC, GROUP) as source:
            with pytest.raises(Exception) as error:  # noqa: PT011 - the caller looks at it
                await Loop(source, self.effect, self.limits, self.stop).run()
        return error.value


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the loop under test knows no event of ours
            await asyncio.sleep(0.001)


async def rounds(count: int = 20) -> None:
    """Lets the loop go round a few times."""
    for _ in range(count):
        await asyncio.sleep(0.002)


async def test_records_are_written_in_order_with_the_loops_own_positions() -> None:
    stage = Stage()
    stage.send(b"a", b"b", b"c")
    await stage.run_until(lambda: len(stage.effect.applied) == 3)
    ((partition, span, values),) = stage.effect.writes
    assert (partition, values) == (0, [b"a", b"b", b"c"])
    assert span == Span(0, 3, "id-c")
    assert stage.committed == 3


async def test_a_batch_closes_by_count() -> None:
    stage = Stage(LIMITS._replace(max_records=2, max_age_s=1000))
    async with stage.running():
        stage.send(b"a")
        await rounds()
        assert stage.effect.writes == []
        stage.send(b"b")
        await until(lambda: stage.effect.applied == [b"a", b"b"])


async def test_a_batch_closes_by_bytes() -> None:
    stage = Stage(LIMITS._replace(max_bytes=10, max_age_s=1000))
    async with stage.running():
        stage.send(b"x" * 9)
        await rounds()
        assert stage.effect.writes == []
        stage.send(b"y")
        await until(lambda: len(stage.effect.applied) == 2)


async def test_a_batch_closes_by_age() -> None:
    stage = Stage(LIMITS._replace(max_age_s=0.02))
    stage.send(b"a")
    await stage.run_until(lambda: stage.effect.applied == [b"a"])


async def test_partitions_are_batched_apart() -> None:
    stage = Stage(partitions=4)
    for number in range(8):
        stage.send(b"a", b"b", key=f"cus_{number}".encode())
    await stage.run_until(lambda: len(stage.effect.applied) == 16)
    assert len({partition for partition, _, _ in stage.effect.writes}) > 1
    for partition, at in stage.effect.progress.items():
        assert stage.broker.committed(GROUP, TOPIC, partition) == at


async def test_stop_writes_what_is_held_and_commits_it() -> None:
    stage = Stage(LIMITS._replace(max_age_s=1000))
    stage.send(b"a", b"b")
    async with stage.running() as source:
        await until(lambda: source._next[0] == 2)
        await rounds()
        assert stage.effect.writes == []
    assert stage.effect.applied == [b"a", b"b"]
    assert stage.committed == 2


async def test_offset_is_not_committed_when_write_fails() -> None:
    stage = Stage(LIMITS._replace(unavailable_max_s=0))
    stage.send(b"a")
    stage.effect.failures = [Unavailable("postgres")] * 100
    assert isinstance(await stage.fails(), Unavailable)
    assert (stage.committed, stage.broker.commits, stage.effect.writes) == (None, [], [])


async def test_offset_is_not_committed_when_parking_fails() -> None:
    stage = Stage(LIMITS._replace(unavailable_max_s=0))
    stage.send(b"poison", b"a")

    async def away(_: Sequence[Reject]) -> None:
        raise Unavailable("kafka")

    stage.effect.park = away  # type: ignore[method-assign]
    assert isinstance(await stage.fails(), Unavailable)
    assert (stage.committed, stage.effect.writes) == (None, [])


async def test_the_same_batch_is_tried_again_until_the_service_is_back() -> None:
    stage = Stage()
    stage.send(b"a", b"b")
    stage.effect.failures = [Unavailable("postgres"), Unavailable("postgres")]
    await stage.run_until(lambda: stage.effect.applied == [b"a", b"b"])
    assert stage.effect.parked == []


async def test_an_outage_of_the_broker_is_waited_out() -> None:
    stage = Stage()
    async with stage.running():
        await rounds()
        stage.broker.failing = True
        await rounds()
        stage.broker.failing = False
        stage.send(b"a")
        await until(lambda: stage.effect.applied == [b"a"])


async def test_stop_in_an_outage_leaves_and_commits_nothing() -> None:
    stage = Stage()
    stage.send(b"a")
    stage.effect.failures = [Unavailable("postgres")] * 100
    async with stage.running():
        await until(lambda: len(stage.effect.failures) < 100)
    assert (stage.committed, stage.effect.writes) == (None, [])


async def test_a_poison_record_is_parked_and_its_neighbours_are_applied() -> None:
    stage = Stage()
    stage.send(b"a", b"poison", b"b", b"poison", b"c")
    await stage.run_until(lambda: len(stage.effect.applied) == 3)
    assert stage.effect.applied == [b"a", b"b", b"c"]
    assert stage.effect.parked == [(1, "undecodable"), (3, "undecodable")]
    assert stage.committed == 5


@pytest.mark.parametrize("value", [b"bug", b"write bug"])
async def test_an_error_of_the_program_halts_and_parks_nothing(value: bytes) -> None:
    stage = Stage()
    stage.send(b"a", b"b", value, b"c")
    error = await stage.fails()
    assert isinstance(error, Halted)
    assert error.code == "program_error"
    assert "offset" in str(error)
    assert (stage.effect.parked, stage.effect.writes, stage.committed) == ([], [], None)


async def test_a_batch_of_poison_alone_still_moves_on() -> None:
    stage = Stage()
    stage.send(b"poison", b"poison")
    await stage.run_until(lambda: stage.effect.progress.get(0) == 2)
    assert stage.effect.writes == [(0, Span(0, 2, "id-poison"), [])]
    assert stage.committed == 2


@pytest.mark.parametrize("at", range(5))
async def test_a_write_error_is_narrowed_down_to_its_record(at: int) -> None:
    stage = Stage()
    values = [b"a", b"b", b"c", b"d", b"e"]
    values[at] = b"unwritable"
    stage.send(*values)
    await stage.run_until(lambda: stage.effect.progress.get(0) == 5)
    assert stage.effect.applied == [value for value in values if value != b"unwritable"]
    assert stage.effect.parked == [(at, "unwritable")]
    assert stage.committed == 5


async def test_the_spans_of_a_narrowed_batch_touch_and_never_overlap() -> None:
    stage = Stage()
    stage.send(b"a", b"poison", b"unwritable", b"b", b"unwritable", b"c")
    await stage.run_until(lambda: stage.effect.progress.get(0) == 6)
    at = 0
    for _, span, _ in stage.effect.writes:
        assert span.first == at
        at = span.next
    assert at == 6
    assert stage.effect.parked == [(1, "undecodable"), (2, "unwritable"), (4, "unwritable")]


async def test_one_moment_of_trouble_parks_nothing() -> None:
    stage = Stage()
    stage.send(b"a", b"b")
    stage.effect.failures = [Rejected("unwritable", "once")]
    await stage.run_until(lambda: stage.effect.applied == [b"a", b"b"])
    assert stage.effect.parked == []


async def test_too_many_poison_records_halt_and_stay_where_they_are() -> None:
    stage = Stage()
    stage.send(*[b"poison"] * 200)
    assert isinstance(await stage.fails(), Halted)
    assert (stage.effect.parked, stage.committed) == ([], None)


async def test_whoever_has_looked_can_have_them_all_parked() -> None:
    stage = Stage(LIMITS._replace(rejects_max=0))
    stage.send(*[b"poison"] * 200, b"good")
    await stage.run_until(lambda: stage.effect.applied == [b"good"])
    assert len(stage.effect.parked) == 200


async def test_records_that_a_write_parks_count_as_well() -> None:
    stage = Stage()
    stage.send(*[b"unknown"] * 51)
    error = await stage.fails()
    assert isinstance(error, Halted)
    assert error.code == "too_many_rejects"


@pytest.mark.parametrize("name", [None, b"", b"\0", b"\xff\xfe", b"b" * 5000])
async def test_a_batch_id_that_nobody_can_store_stops_nobody(name: bytes | None) -> None:
    headers = {} if name == b"" else {"batch_id": name}
    found = batch_id_of(Record(TOPIC, 0, 0, b"", b"", headers, 0))  # type: ignore[arg-type]
    assert "\0" not in found
    assert len(found) <= 100
    found.encode()


async def test_a_bad_deploy_that_can_write_nothing_halts() -> None:
    stage = Stage()
    stage.send(*[b"unwritable"] * 200)
    assert isinstance(await stage.fails(), Halted)
    assert len(stage.effect.parked) <= 100
    assert stage.committed is None


async def test_a_few_bad_records_among_many_do_not_halt() -> None:
    stage = Stage()
    for _ in range(40):
        stage.send(b"poison", *[b"a"] * 40)
    await stage.run_until(lambda: len(stage.effect.applied) == 1600)
    assert len(stage.effect.parked) == 40


async def test_a_halt_of_the_effect_ends_the_loop() -> None:
    stage = Stage()
    stage.send(b"a")
    stage.effect.failures = [Halted("the topic was recreated")]
    assert isinstance(await stage.fails(), Halted)
    assert stage.committed is None


async def test_a_rebalance_drops_what_was_held_and_resumes_anew() -> None:
    stage = Stage(LIMITS._replace(max_records=3, max_age_s=1000))
    stage.send(b"a", b"b")
    async with stage.running() as source:
        await until(lambda: source._next[0] == 2)
        stage.effect.progress[0] = 1  # meanwhile another consumer has written the first
        stage.broker.rebalance(GROUP, TOPIC)
        await until(lambda: len(stage.effect.resumed) == 2)
        stage.send(b"c", b"d")
        await until(lambda: bool(stage.effect.writes))
    assert stage.effect.writes[0] == (0, Span(1, 4, "id-d"), [b"b", b"c", b"d"])


async def test_a_rebalance_during_a_write_commits_nothing_of_the_old_epoch() -> None:
    stage = Stage()
    stage.send(b"a")

    async def lose() -> None:
        stage.effect.before_write = None
        stage.broker.rebalance(GROUP, TOPIC)

    stage.effect.before_write = lose
    async with stage.running():
        await until(lambda: len(stage.effect.resumed) == 2)
        assert stage.effect.applied == [b"a"]
        assert stage.broker.commits == []
        stage.send(b"b")
        await until(lambda: len(stage.effect.applied) == 2)
    assert stage.effect.applied == [b"a", b"b"]


async def test_a_partition_that_was_lost_is_not_written_to() -> None:
    stage = Stage(LIMITS._replace(max_records=100, max_age_s=1000))
    stage.send(b"a", b"b")
    async with stage.running() as source:
        await until(lambda: source._next[0] == 2)
        source.take(set())
        await rounds()
    assert (stage.effect.writes, stage.broker.commits) == ([], [])


async def test_a_stale_consumer_drops_its_chunk_and_resumes_where_the_other_left() -> None:
    stage = Stage()
    stage.send(b"a", b"b", b"c")

    async def lose() -> None:
        stage.effect.before_write = None
        stage.effect.progress[0] = 1  # another consumer wrote the first record just now

    stage.effect.before_write = lose
    await stage.run_until(lambda: bool(stage.effect.writes))
    assert stage.effect.writes == [(0, Span(1, 3, "id-c"), [b"b", b"c"])]
    assert stage.effect.parked == []
    assert stage.committed == 3


async def test_the_effect_says_where_to_start_and_not_the_group() -> None:
    stage = Stage()
    stage.send(b"a", b"b", b"c")
    stage.broker.commit(GROUP, TOPIC, {0: 3})
    stage.effect.progress[0] = 1
    await stage.run_until(lambda: stage.effect.applied == [b"b", b"c"])


async def test_a_repeated_record_is_dropped() -> None:
    stage = Stage(LIMITS._replace(max_age_s=1000))
    stage.send(b"a", b"b")
    async with stage.running() as source:
        await until(lambda: source._next[0] == 2)
        await rounds(3)
        source._next[0] = 0  # a stale fetch brings the same again
        await rounds(10)  # it is noticed, and read once more from where the ledger stands
        await until(lambda: source._next[0] == 2)
        await rounds(3)
    assert stage.effect.applied == [b"a", b"b"]


async def test_a_partition_that_stops_delivering_ends_the_loop() -> None:
    stage = Stage(LIMITS._replace(stuck_after_s=0))
    async with stage.broker.source(TOPIC, GROUP) as source:
        source.stuck = True
        stage.send(b"a")
        with pytest.raises(Unavailable, match="stopped delivering"):
            async with asyncio.timeout(20):
                await Loop(source, stage.effect, stage.limits, stage.stop).run()


async def test_a_record_that_arrives_while_we_look_is_no_reason_to_leave() -> None:
    stage = Stage(LIMITS._replace(stuck_after_s=0))
    async with stage.broker.source(TOPIC, GROUP) as source:
        look = source.ends

        async def arrives(partition: int) -> tuple[int, int]:
            if stage.effect.resumed and len(stage.effect.applied) < 5:
                stage.send(b"a")
            return await look(partition)

        source.ends = arrives  # type: ignore[method-assign]
        task = asyncio.create_task(Loop(source, stage.effect, stage.limits, stage.stop).run())
        await until(lambda: len(stage.effect.applied) == 5 or task.done())
        stage.stop.set()
        await task


async def test_what_was_done_before_a_death_is_committed_although_nothing_more_comes() -> None:
    stage = Stage()
    stage.send(b"a", b"b")
    stage.effect.progress[0] = 2
    async with stage.running():
        await until(lambda: bool(stage.effect.resumed))
        await rounds()
    assert stage.effect.applied == []
    assert stage.committed == 2


async def test_commits_do_not_follow_every_write() -> None:
    stage = Stage(LIMITS._replace(max_records=1))
    async with stage.running():
        for number in range(20):
            stage.send(b"a")
            await until(lambda number=number: len(stage.effect.applied) == number + 1)
    assert stage.committed == 20
    assert len(stage.broker.commits) < 10


async def test_a_log_that_begins_after_our_position_is_asked_about_and_not_skipped() -> None:
    stage = Stage()
    stage.send(b"a")
    async with stage.running() as source:
        await until(lambda: stage.effect.applied == [b"a"])
        asked = len(stage.effect.resumed)
        stage.send(b"b", b"c")
        source._next[0] = 2  # retention took `b` before we read it: the client goes on by itself
        stage.effect.progress[0] = 2  # what the ledger's resume does: the loss is on record
        await until(lambda: stage.effect.applied == [b"a", b"c"])
    assert len(stage.effect.resumed) == asked + 1
    assert [span for _, span, _ in stage.effect.writes] == [Span(0, 1, "id-a"), Span(2, 3, "id-c")]


async def test_a_log_that_ended_before_our_position_is_asked_about_and_not_skipped() -> None:
    stage = Stage()
    stage.send(b"a", b"b")
    async with stage.broker.source(TOPIC, GROUP) as source:
        task = asyncio.create_task(Loop(source, stage.effect, stage.limits, stage.stop).run())
        await until(lambda: stage.effect.applied == [b"a", b"b"])

        async def halts(partition: int, ends: tuple[int, int]) -> int:
            raise Halted(f"partition {partition} ends at {ends[1]}")

        stage.effect.resume = halts  # type: ignore[method-assign]
        source._next[0] = 0  # the broker lost its end: the client starts again by itself
        with pytest.raises(Halted, match="partition 0 ends at"):
            await asyncio.wait_for(task, 20)


async def test_a_hole_in_the_middle_of_a_log_is_recorded_and_passed_and_nothing_beside_it() -> None:
    stage = Stage()
    stage.send(b"a", b"b", b"c", b"d")
    read = stage.broker.read

    def without_b(topic: str, partition: int, offset: int) -> Record | None:
        return read(topic, partition, 2 if offset == 1 else offset)

    stage.broker.read = without_b  # type: ignore[method-assign]
    await stage.run_until(lambda: stage.effect.applied == [b"a", b"c", b"d"])
    assert stage.effect.holes == [(0, (1, 2))]
    assert [span for _, span, _ in stage.effect.writes] == [Span(0, 1, "id-a"), Span(2, 4, "id-d")]
    assert stage.committed == 4


async def test_a_hole_at_the_end_of_a_log_is_no_sign_of_being_stuck() -> None:
    stage = Stage(LIMITS._replace(stuck_after_s=0))
    stage.send(b"a")
    async with stage.running() as source:

        async def one_more(_: int) -> tuple[int, int]:
            return 0, 2

        async def over_it(_: int) -> int:
            return 2

        source.ends, source.passed = one_more, over_it  # type: ignore[method-assign]
        await until(lambda: stage.effect.holes == [(0, (1, 2))])
    assert stage.effect.applied == [b"a"]
    assert stage.committed == 2


async def test_a_hole_that_another_consumer_has_passed_is_left_to_it() -> None:
    stage = Stage()
    stage.send(b"a", b"b", b"c")
    read = stage.broker.read

    def without_b(topic: str, partition: int, offset: int) -> Record | None:
        return read(topic, partition, 2 if offset == 1 else offset)

    async def beaten(partition: int, hole: tuple[int, int]) -> None:
        stage.effect.progress[partition] = hole[1]
        raise Conflict("stale_consumer", "another was faster")

    stage.broker.read = without_b  # type: ignore[method-assign]
    stage.effect.skip = beaten  # type: ignore[method-assign]
    await stage.run_until(lambda: stage.effect.applied == [b"a", b"c"])
    assert [span.first for _, span, _ in stage.effect.writes] == [0, 2]


async def test_a_log_that_goes_on_before_our_place_twice_halts() -> None:
    stage = Stage()
    stage.send(b"a", b"b", b"c")
    stage.effect.progress[0] = 2
    read = stage.broker.read

    def older(topic: str, partition: int, offset: int) -> Record | None:
        return read(topic, partition, 0 if offset == 2 else offset)

    stage.broker.read = older  # type: ignore[method-assign]
    assert getattr(await stage.fails(), "code", "") == "log_changed"
