"""Replay from the archive on real Postgres and S3: ledger and weeks come back as they were."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pytest

from fitstream import events
from fitstream.archived import archive_key
from fitstream.clock import slot_of
from fitstream.consumers.archive import ArchiveEffect
from fitstream.consumers.loop import Span
from fitstream.consumers.roller import Roller
from fitstream.consumers.stream import Stream
from fitstream.errors import NotFound
from fitstream.events import SampleBatch, SampleColumns
from fitstream.ids import new_id
from fitstream.operations.replay import Order, Replay, Totals
from fitstream.repo import customers, devices, erased, progress
from fitstream.repo.customers import NewCustomer
from fitstream.repo.database import Repo, open_repo
from fitstream.repo.ledger import Chunk, LedgerWriter
from fitstream.repo.migrate import migrate
from fitstream.sealing import DataKeys, master_keys
from fitstream.settings import Settings
from fitstream.store import Store, open_store
from tests.databases import create_database
from tests.factories import record
from tests.real import last_monday

pytestmark = pytest.mark.stack
FIRST = slot_of(last_monday(3))
DERIVED = "sample, week_state, week_version, customer_stat, ingest_progress, sample_conflict"
EVERYTHING = Order()


class Wearer(NamedTuple):
    """A customer with a device, and the partition their records go to."""

    customer_id: str
    device_id: str
    partition: int


class Line(NamedTuple):
    """A record of a partition: whose, and its bytes."""

    customer_id: str
    value: bytes


@pytest.fixture
async def rebuilt(services: Settings) -> AsyncIterator["System"]:
    """A database and a topic of this test's own."""
    name = new_id("replay").lower().replace("-", "_")
    await create_database(services, name)
    settings = msgspec.structs.replace(
        services,
        postgres=f"{services.postgres.rpartition('/')[0]}/{name}",
        topic=new_id("topic"),
        late_quiet_s=0,
        late_max_s=0,
    )
    async with open_repo(settings) as own, open_store(settings) as store:
        await migrate(own, datetime.now(UTC).date())
        yield System(settings, own, store)


class System:
    """Ledger, archive and roller without processes or Kafka."""

    def __init__(self, settings: Settings, repo: Repo, store: Store) -> None:
        self.settings = settings
        self.repo = repo
        self.store = store
        self.keys = DataKeys(store, master_keys(settings))
        self.wearers: list[Wearer] = []
        self.lines: dict[int, list[Line]] = {}

    async def fill(self) -> None:
        """Weeks of three wearers, with corrections, a deletion, and two records that are bad."""
        for number in range(3):
            await self._enrol(number)
        for wearer in self.wearers:
            for day in range(14):
                self.post(wearer, range(FIRST + day * 96, FIRST + day * 96 + 96), day)
            self.post(wearer, [FIRST + 5, FIRST + 700], 50, rev=3)
            self.post(wearer, [FIRST + 6], None, rev=4, deleted=[0])
        first = self.wearers[0]
        self.lines[first.partition].append(Line(first.customer_id, b"\xc1 not a batch"))
        self.post(first._replace(device_id="dev_nobody"), [FIRST], 1)
        self.post(first, [FIRST + 1400], 9)
        for partition in self.lines:
            await self.read(partition)

    async def _enrol(self, number: int) -> None:
        async with self.repo.transaction() as db:
            new = NewCustomer(external_id=new_id("x"), zone="Europe/Berlin")
            customer = await customers.create_customer(db, new)
            device = await devices.create_device(db, customer.customer_no, "watch", "w", None)
        self.wearers.append(Wearer(customer.id, device.id, (0, 10, 2)[number]))

    def post(self, wearer: Wearer, slots: Sequence[int], steps: int | None, **more: Any) -> None:
        columns = SampleColumns(slot=list(slots), steps=[steps] * len(slots), **more)
        batch = SampleBatch(
            batch_id=new_id("b"),
            customer_id=wearer.customer_id,
            device_id=wearer.device_id,
            received_at=int(datetime.now(UTC).timestamp() * 1000),
            columns=columns,
        )
        line = Line(wearer.customer_id, events.encode(batch))
        self.lines.setdefault(wearer.partition, []).append(line)

    async def read(self, partition: int) -> None:
        """What the ledger consumer does with a partition, from its beginning."""
        batches = []
        for offset, line in enumerate(self.lines[partition]):
            if line.value[:1] != b"\xc1":
                batches.append((offset, events.decode(line.value)))
        end = len(self.lines[partition])
        chunk = Chunk(1, partition, 0, end, batches[-1][1].batch_id, batches)
        async with self.repo.transaction() as db:
            await progress.start_progress(db, 1, partition, 0)
            await LedgerWriter().write(db, chunk)

    async def archive(self, partition: int, *cuts: tuple[int, int]) -> None:
        """Objects of a partition, by the offsets [first, next) that each holds; all in one else."""
        effect = ArchiveEffect(
            None, (self.store, self.keys), None, Stream(None, self.settings.topic, 1)
        )  # type: ignore[arg-type]
        lines = self.lines[partition]
        for first, end in cuts or [(0, len(lines))]:
            items = [
                (
                    record(
                        offset,
                        line.value,
                        topic=self.settings.topic,
                        partition=partition,
                        key=line.customer_id.encode(),
                    ),
                    line.customer_id,
                )
                for offset, line in enumerate(lines[first:end], first)
            ]
            await effect.write(partition, Span(first, end, ""), items)

    async def roll(self) -> None:
        """Closes and rolls until nothing is due."""
        roller = Roller(self.repo, self.store, self.settings)
        await roller.close_due(datetime.now(UTC))
        while await roller.roll_due():
            pass

    async def replay(self, order: Order = EVERYTHING, *, stop_at_once: bool = False) -> Totals:
        stop = asyncio.Event()
        if stop_at_once:
            stop.set()
        archive = (self.store, DataKeys(self.store, master_keys(self.settings)))
        run = Replay(self.repo, archive, self.settings.topic, order)
        return await run.run(stop, lambda _: None)

    async def truncate(self) -> None:
        async with self.repo.connection() as db:
            await db.execute(f"TRUNCATE {DERIVED}")

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.repo.connection() as db:
            return [tuple(row) for row in await db.fetch(query)]

    async def samples(self) -> list[tuple[Any, ...]]:
        return await self.rows("SELECT * FROM sample ORDER BY customer_no, slot, device_no")

    async def versions(self) -> list[tuple[Any, ...]]:
        return await self.rows(
            "SELECT customer_no, week, version, content_sha FROM week_version ORDER BY 1, 2, 3"
        )

    async def progress(self) -> list[tuple[Any, ...]]:
        return await self.rows(
            "SELECT partition, next_offset, last_batch_id, records, samples, inserted, newest_at"
            " FROM ingest_progress ORDER BY 1"
        )

    async def parked(self) -> list[tuple[Any, ...]]:
        return await self.rows("SELECT reason, record_offset FROM dead_letter ORDER BY 1")


async def test_weeks_and_progress_come_back_as_they_were(rebuilt: System) -> None:
    await rebuilt.fill()
    await rebuilt.archive(0, (0, 7), (3, 9), (9, 12), (12, 19), (12, 15))
    await rebuilt.archive(10)
    await rebuilt.archive(2, (0, 10), (10, 16))
    await rebuilt.roll()
    before = (await rebuilt.samples(), await rebuilt.versions())
    stood = await rebuilt.progress()
    assert (len(before[0]), len(before[1])) == (3 * 14 * 96 + 1, 9)  # in Berlin weeks begin earlier
    await rebuilt.truncate()
    totals = await rebuilt.replay()
    assert totals.is_complete
    assert (totals.inserted, totals.parked) == (len(before[0]), 2)
    assert await rebuilt.parked() == [("undecodable", 16), ("unknown_device", 17)]
    now_at = await rebuilt.progress()
    assert [row[:3] for row in now_at] == [row[:3] for row in stood]
    assert [row[5:] for row in now_at] == [row[5:] for row in stood]
    await rebuilt.roll()
    assert (await rebuilt.samples(), await rebuilt.versions()) == before
    again = await rebuilt.replay()
    assert (again.inserted, again.updated, again.parked) == (0, 0, 2)
    assert await rebuilt.progress() == now_at
    assert len(await rebuilt.parked()) == 2
    await rebuilt.roll()
    assert await rebuilt.versions() == before[1]


async def test_progress_never_passes_a_hole_but_what_lies_behind_it_is_written(
    rebuilt: System,
) -> None:
    await rebuilt.fill()
    before = await rebuilt.samples()
    await rebuilt.archive(10, (0, 4), (6, 16))
    await rebuilt.archive(2, (3, 16))
    await rebuilt.truncate()
    totals = await rebuilt.replay()
    assert not totals.is_complete
    assert len(totals.holes) == 2
    assert "partition 10: offsets 4 to 5" in totals.holes[0]
    assert [row[:2] for row in await rebuilt.progress()] == [(10, 4)]
    assert 0 < totals.inserted < len(before)


async def test_an_offset_that_was_parked_before_the_archive_is_no_hole(rebuilt: System) -> None:
    await rebuilt.fill()
    await rebuilt.archive(10, (0, 4), (5, 16))
    await rebuilt.truncate()
    async with rebuilt.repo.transaction() as db:
        place = (rebuilt.settings.topic, 1, 10, 4)
        await progress.insert_dead_letter(db, (*place, "no_key", "", None, b"x"))
    assert (await rebuilt.replay()).is_complete
    assert [row[:2] for row in await rebuilt.progress()] == [(10, 16)]


async def test_of_an_erased_customer_nothing_comes_back_and_no_key_is_made(
    rebuilt: System,
) -> None:
    await rebuilt.fill()
    for partition in rebuilt.lines:
        await rebuilt.archive(partition)
    gone = rebuilt.wearers[1].customer_id
    await rebuilt.store.delete(f"keys/{gone}")
    await rebuilt.truncate()
    async with rebuilt.repo.transaction() as db:
        await erased.remember(db, [gone])
    totals = await rebuilt.replay()
    assert (totals.without_key, totals.is_complete) == (16, True)
    owners = await rebuilt.rows(
        "SELECT DISTINCT c.id FROM sample JOIN customer c USING (customer_no)"
    )
    assert len(owners) == 2
    assert (gone,) not in owners
    with pytest.raises(NotFound):
        await rebuilt.store.get(f"keys/{gone}")


async def test_a_key_that_is_missing_without_an_erasure_stops_progress_before_it(
    rebuilt: System,
) -> None:
    await rebuilt.fill()
    for partition in rebuilt.lines:
        await rebuilt.archive(partition)
    await rebuilt.truncate()
    lost = rebuilt.wearers[1].customer_id
    kept = await rebuilt.store.get(f"keys/{lost}")
    await rebuilt.store.delete(f"keys/{lost}")
    totals = await rebuilt.replay()
    assert not totals.is_complete
    assert any(f"keys/{lost} is missing" in text for text in totals.unreadable)
    await rebuilt.store.put_new(f"keys/{lost}", kept)
    totals = await rebuilt.replay()
    assert totals.is_complete
    assert totals.inserted > 0


async def test_who_is_erased_while_a_replay_runs_leaves_nothing_in_the_clear(
    rebuilt: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rebuilt.fill()
    for partition in rebuilt.lines:
        await rebuilt.archive(partition)
    await rebuilt.truncate()
    gone = rebuilt.wearers[1]
    merge = LedgerWriter.merge

    async def erase_first(writer: LedgerWriter, db: Any, *chunk: Any) -> Any:
        """The customer goes between the opening of their records and the write."""
        await rebuilt.store.delete(f"keys/{gone.customer_id}")
        async with rebuilt.repo.transaction() as other:
            await other.execute("DELETE FROM device WHERE id = $1", gone.device_id)
            await erased.remember(other, [gone.customer_id, gone.device_id])
        return await merge(writer, db, *chunk)

    monkeypatch.setattr(LedgerWriter, "merge", erase_first)
    totals = await rebuilt.replay()
    assert totals.without_key == 16
    assert {reason for reason, _ in await rebuilt.parked()} == {"undecodable", "unknown_device"}
    held = await rebuilt.rows("SELECT convert_from(key, 'utf8') FROM dead_letter")
    assert (gone.customer_id,) not in held
    assert (
        await rebuilt.rows(
            "SELECT 1 FROM sample JOIN customer c USING (customer_no) WHERE c.id ="
            f" '{gone.customer_id}'"
        )
        == []
    )


async def test_a_part_is_written_without_moving_progress(rebuilt: System) -> None:
    await rebuilt.fill()
    for partition in rebuilt.lines:
        await rebuilt.archive(partition)
    await rebuilt.truncate()
    one = rebuilt.wearers[1].customer_id
    await rebuilt.replay(Order(one, (FIRST + 96, FIRST + 192)))
    found = await rebuilt.rows(
        "SELECT c.id, min(slot), max(slot) FROM sample JOIN customer c USING (customer_no)"
        " GROUP BY c.id"
    )
    assert found == [(one, FIRST + 96, FIRST + 191)]
    assert await rebuilt.progress() == []
    await rebuilt.replay(Order(one))
    assert len(await rebuilt.samples()) == 14 * 96
    assert await rebuilt.progress() == []


async def test_what_is_older_than_a_new_database_comes_back_too(rebuilt: System) -> None:
    await rebuilt.fill()
    wearer, years_ago = rebuilt.wearers[1], FIRST - 96 * 1200
    rebuilt.post(wearer, [years_ago, FIRST + 1401], 7)
    await rebuilt.archive(10)
    await rebuilt.truncate()
    totals = await rebuilt.replay()
    assert (totals.is_complete, totals.parked) == (True, 0)
    query = f"SELECT slot, steps FROM sample WHERE slot IN ({years_ago}, {FIRST + 1401})"
    assert await rebuilt.rows(f"{query} ORDER BY slot") == [(years_ago, 7), (FIRST + 1401, 7)]


async def test_what_was_stopped_goes_on_where_the_ledger_stands(rebuilt: System) -> None:
    await rebuilt.fill()
    before = await rebuilt.samples()
    for partition in rebuilt.lines:
        await rebuilt.archive(partition)
    await rebuilt.truncate()
    stopped = await rebuilt.replay(stop_at_once=True)
    assert stopped.is_stopped
    assert await rebuilt.progress() == []
    assert (await rebuilt.replay(Order(resume=True))).is_complete
    assert await rebuilt.samples() == before
    assert (await rebuilt.replay(Order(resume=True))).objects == 0


async def test_a_ledger_that_goes_on_meanwhile_is_left_alone(rebuilt: System) -> None:
    await rebuilt.fill()
    for partition in rebuilt.lines:
        await rebuilt.archive(partition)
    stood = await rebuilt.progress()
    assert (await rebuilt.replay()).inserted == 0
    assert await rebuilt.progress() == stood


async def test_a_damaged_object_is_told_and_nothing_behind_it_counts(rebuilt: System) -> None:
    await rebuilt.fill()
    await rebuilt.archive(10, (0, 4), (6, 16))
    key = archive_key(rebuilt.settings.topic, 1, 10, (4, 5))
    await rebuilt.store.put_new(key, b"\xc1")
    await rebuilt.truncate()
    totals = await rebuilt.replay()
    assert totals.unreadable == [key]
    assert [row[:2] for row in await rebuilt.progress()] == [(10, 4)]


async def test_a_row_that_no_table_can_hold_is_parked_alone(rebuilt: System) -> None:
    await rebuilt.fill()
    wearer = rebuilt.wearers[1]
    rebuilt.post(wearer, [FIRST - 96 * 365 * 35], 1)  # no watch was worn then
    rebuilt.post(wearer, [FIRST + 1401], 1)
    await rebuilt.archive(10)
    await rebuilt.truncate()
    assert (await rebuilt.replay()).is_complete
    assert await rebuilt.parked() == [("unwritable", 16)]
    assert [row[:2] for row in await rebuilt.progress()] == [(10, 18)]
