"""Where the archive goes on: never under nonces that other records were sealed with."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fitstream.archived import ArchivedRecord, archive_key, archive_span, decode_archive
from fitstream.consumers import archive_place
from fitstream.consumers.archive import ArchiveEffect
from fitstream.consumers.archive_place import ArchivePlace
from fitstream.consumers.loop import Span
from fitstream.consumers.stream import Stream
from fitstream.errors import Halted
from fitstream.operations.topics import archived_generation
from fitstream.sealing import DataKeys, unseal
from tests.fakes.broker import FakeBroker, FakeSource
from tests.fakes.store import FakeStore

TOPIC, GROUP = "samples.v1", "archive"
MASTER = b"m" * 32


class Stage:
    """A topic of one partition with an archive behind it."""

    def __init__(self, source: FakeSource, broker: FakeBroker, generation: int = 1) -> None:
        self.broker = broker
        self.source = source
        self.store = FakeStore()
        self.keys = DataKeys(self.store, [MASTER])
        self.stream = Stream(None, TOPIC, generation)  # type: ignore[arg-type]

    def recreate(self, *values: bytes) -> None:
        """Other records from offset 0 on; Kafka has forgotten the group's offsets."""
        self.broker._logs.clear()
        self.broker._committed.clear()
        for value in values:
            self.broker.append(TOPIC, b"cus_1", value)

    async def archive(self, first: int, end: int, *, commit: bool = True) -> None:
        archive = (self.store, self.keys)
        effect = ArchiveEffect(self.source, archive, None, self.stream)  # type: ignore[arg-type]
        items = [
            (found, (found.key or b"").decode())
            for offset in range(first, end)
            if (found := self.broker.read(TOPIC, 0, offset)) is not None
        ]
        await effect.write(0, Span(first, end, ""), items)
        if commit:
            self.broker.commit(GROUP, TOPIC, {0: end})

    async def find(self) -> int:
        place = ArchivePlace(self.source, (self.store, self.keys), self.stream)
        return await place.find(0, self.broker.ends(TOPIC, 0))


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    broker = FakeBroker(partitions=1)
    for number in range(9):
        broker.append(TOPIC, f"cus_{number % 2}".encode(), b"value %d" % number)
    async with broker.source(TOPIC, GROUP) as source:
        yield Stage(source, broker)


async def test_nothing_archived_begins_at_the_beginning(stage: Stage) -> None:
    assert await stage.find() == 0


async def test_it_goes_on_where_its_group_stands(stage: Stage) -> None:
    await stage.archive(0, 4)
    await stage.archive(4, 7, commit=False)  # a crash before the commit: they are put again
    assert await stage.find() == 4


@pytest.mark.parametrize("records", [0, 5, 7, 30], ids=["empty", "short", "as long", "longer"])
async def test_objects_beyond_a_group_that_fell_back_halt_it_in_another_topic(
    stage: Stage, records: int
) -> None:
    await stage.archive(0, 7)
    stage.recreate(*[b"other"] * records)
    stage.broker.commit(GROUP, TOPIC, {0: 0})  # an adoption that failed after it had done this
    with pytest.raises(Halted, match="recreated"):
        await stage.find()


async def test_records_that_a_broker_lost_after_they_were_archived_halt_it(stage: Stage) -> None:
    await stage.archive(0, 3)
    await stage.archive(3, 7, commit=False)
    del stage.broker._log(TOPIC, 0)[5:]  # a power failure; the group fell back as well
    stage.broker.append(TOPIC, b"cus_1", b"posted afterwards")
    with pytest.raises(Halted):
        await stage.find()


async def test_a_group_that_kafka_has_forgotten_is_told_from_the_objects(stage: Stage) -> None:
    await stage.archive(0, 4)
    await stage.archive(4, 7)
    stage.broker._committed.clear()
    assert await stage.find() == 7


@pytest.mark.parametrize("records", [1, 7, 30], ids=["shorter", "as long", "longer"])
async def test_a_recreated_topic_halts_it_however_long_it_is(stage: Stage, records: int) -> None:
    await stage.archive(0, 7)
    stage.recreate(*[b"other"] * records)
    with pytest.raises(Halted, match="recreated") as error:
        await stage.find()
    assert error.value.code == "topic_recreated"


async def test_a_recreated_topic_is_noticed_although_its_group_stands_within(stage: Stage) -> None:
    await stage.archive(0, 7)
    stage.recreate(*[b"other"] * 30)
    stage.broker.commit(GROUP, TOPIC, {0: 7})
    with pytest.raises(Halted, match="recreated"):
        await stage.find()


async def test_what_kafka_has_dropped_is_left_out_of_the_proof(stage: Stage) -> None:
    await stage.archive(0, 4)
    stage.broker.trim(TOPIC, 0, 6)
    assert await stage.find() == 4  # the effect notes 4 and 5 as lost to the archive


async def test_the_records_of_an_erased_customer_prove_as_much_as_can_be(stage: Stage) -> None:
    await stage.archive(0, 4)
    stage.keys = DataKeys(stage.store, [MASTER])
    await stage.store.delete("keys/cus_1")  # whose record is the last one
    assert await stage.find() == 4


async def test_a_large_object_that_begins_far_before_is_found(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_place, "_LOOK_BACK", (2, 20_000))
    await stage.archive(0, 9)
    stage.broker.commit(GROUP, TOPIC, {0: 8})
    assert await stage.find() == 8
    stage.recreate(*[b"other"] * 30)
    stage.broker.commit(GROUP, TOPIC, {0: 8})
    with pytest.raises(Halted):
        await stage.find()


async def test_no_nonce_is_used_twice_when_a_topic_is_recreated_and_adopted(stage: Stage) -> None:
    """Under one key a place seals one record; an adopted topic has a generation of its own."""
    await stage.archive(0, 4)
    stage.recreate(*[b"other"] * 4)
    stage.stream = stage.stream._replace(generation=await archived_generation(stage.store, TOPIC))
    with pytest.raises(Halted):  # without a new generation it writes nothing
        await stage.find()
    stage.stream = stage.stream._replace(generation=stage.stream.generation + 1)
    assert await stage.find() == 0
    await stage.archive(0, 4)
    sealed: dict[tuple[str, int, int], bytes] = {}
    for key, body in stage.store.objects.items():
        if archive_span(key) is not None:
            generation = int(key.split("/")[2])
            for each in decode_archive(body):
                place = (each.customer_id, generation, each.offset)
                assert sealed.setdefault(place, each.sealed) == each.sealed
    assert len(sealed) == 8
    assert await _open(stage, 1, 1) == b"value 1"
    assert await _open(stage, 2, 1) == b"other"


async def test_a_restored_database_does_not_bring_an_old_generation_back(stage: Stage) -> None:
    for generation in (1, 2, 10):
        stage.stream = stage.stream._replace(generation=generation)
        await stage.archive(0, 2)
    assert await archived_generation(stage.store, TOPIC) == 10
    assert await archived_generation(stage.store, "other") == 0


async def test_keys_of_many_customers_are_fetched_side_by_side_and_bounded() -> None:
    store = SlowStore()
    keys = DataKeys(store, [MASTER])
    wanted = [f"cus_{n}" for n in range(100)]
    found = await keys.keys_for(wanted)
    assert sorted(found) == sorted(wanted)
    assert len(set(found.values())) == 100
    assert 1 < store.most <= 16
    calls = store.calls
    assert await keys.keys_for(wanted) == found
    assert store.calls == calls


class SlowStore(FakeStore):
    """Counts how many look-ups are under way at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = self.calls = 0

    async def get(self, key: str) -> bytes:
        self.now += 1
        self.calls += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return await super().get(key)


async def _open(stage: Stage, generation: int, offset: int) -> bytes:
    body = stage.store.objects[archive_key(TOPIC, generation, 0, (0, 3))]
    found: ArchivedRecord = decode_archive(body)[offset]
    key = await stage.keys.existing_key(found.customer_id)
    return unseal(key, (generation, 0, offset), found.sealed)
