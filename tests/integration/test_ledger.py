"""The ledger's one write on real Postgres: any order, any cut, any repeat gives the pure merge."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pytest

from fitstream.clock import slot_of, slot_start
from fitstream.errors import Conflict
from fitstream.events import SampleBatch, SampleColumns, rows
from fitstream.ids import new_id
from fitstream.merge import NAMES, Row, make_row, merged, wins
from fitstream.repo import customers, devices, erased, progress, samples, weeks
from fitstream.repo.customers import NewCustomer
from fitstream.repo.database import Repo
from fitstream.repo.ledger import Chunk, LedgerWriter, Written

pytestmark = pytest.mark.stack
FIRST = slot_of(datetime.now(UTC)) - 2000


class Place(NamedTuple):
    """A customer with a device, and a partition of their own to read from."""

    customer_id: str
    customer_no: int
    device_id: str
    partition: int


@pytest.fixture
async def place(repo: Repo) -> Place:
    partition = random.randrange(10_000, 2**31 - 1)
    async with repo.transaction() as db:
        customer = await customers.create_customer(db, NewCustomer(external_id=new_id("x")))
        device = await devices.create_device(db, customer.customer_no, "watch", "w", None)
        await progress.start_progress(db, 1, partition, 0)
    return Place(customer.id, customer.customer_no, device.id, partition)


def batch(
    place: Place, slots: list[int], *, rev: int = 0, **metrics: list[int | None]
) -> SampleBatch:
    return SampleBatch(
        batch_id=new_id("b"),
        customer_id=place.customer_id,
        device_id=place.device_id,
        received_at=int(datetime.now(UTC).timestamp() * 1000),
        columns=SampleColumns(slot=slots, rev=rev, **(metrics or {"steps": [1] * len(slots)})),
    )


async def write(repo: Repo, place: Place, first: int, *batches: SampleBatch) -> Written:
    numbered = list(enumerate(batches, first))
    chunk = Chunk(1, place.partition, first, first + len(batches), "last", numbered)
    async with repo.transaction() as db:
        return await LedgerWriter().write(db, chunk)


async def held(repo: Repo, place: Place) -> dict[int, Row]:
    async with repo.connection() as db:
        found = await samples.rows_of(db, place.customer_no, (0, 2**31 - 1))
    return {row.slot: row.row for row in found}


async def test_rows_are_held_once_however_often_they_come(repo: Repo, place: Place) -> None:
    one = batch(place, [FIRST, FIRST + 1])
    assert (await write(repo, place, 0, one)).inserted == 2
    again = await write(repo, place, 1, one, one)
    assert (again.samples, again.inserted, again.updated) == (4, 0, 0)


async def test_a_correction_replaces_and_an_older_one_does_not(repo: Repo, place: Place) -> None:
    await write(repo, place, 0, batch(place, [FIRST], rev=5, steps=[50]))
    written = await write(repo, place, 1, batch(place, [FIRST], rev=4, steps=[40]))
    assert written.updated == 0
    written = await write(repo, place, 2, batch(place, [FIRST], rev=6, steps=[60]))
    assert (written.inserted, written.updated) == (0, 1)
    assert (await held(repo, place))[FIRST].values[0] == 60


@pytest.mark.parametrize("seed", range(4))
async def test_any_order_and_cut_gives_the_pure_merge(repo: Repo, place: Place, seed: int) -> None:
    rng = random.Random(seed)
    batches = [_random_batch(place, rng) for _ in range(30)]
    expected: dict[int, list[Row]] = {}
    for each in batches:
        for slot, row in rows(each.columns):
            expected.setdefault(slot, []).append(row)
    sent = batches + rng.choices(batches, k=10)
    rng.shuffle(sent)
    at = 0
    while at < len(sent):
        size = rng.randint(1, 9)
        await write(repo, place, at, *sent[at : at + size])
        at = min(at + size, len(sent))
    assert await held(repo, place) == {
        slot: merged(versions) for slot, versions in expected.items()
    }


async def test_the_merge_rule_is_the_same_in_memory_in_sql_and_as_defined(
    repo: Repo, place: Place
) -> None:
    """For each of many pairs of versions: within a chunk, between chunks, and `merge.wins`."""
    rng = random.Random(7)
    slots = list(range(FIRST, FIRST + 600))
    older, newer = ([_random_version(rng) for _ in slots] for _ in range(2))
    expected = {
        slot: second if wins(second, first) else first
        for slot, first, second in zip(slots, older, newer, strict=True)
    }
    one, other = (_batch_of(place, slots, versions) for versions in (older, newer))
    await write(repo, place, 0, one, other)
    assert await held(repo, place) == expected
    async with repo.transaction() as db:
        await db.execute("DELETE FROM sample WHERE customer_no = $1", place.customer_no)
    await write(repo, place, 2, one)
    await write(repo, place, 3, other)
    assert await held(repo, place) == expected
    kinds = [
        (a.rev == b.rev, a.tie >> 59 == b.tie >> 59) for a, b in zip(older, newer, strict=True)
    ]
    assert set(kinds) == {(True, True), (True, False), (False, True), (False, False)}


def _random_version(rng: random.Random) -> Row:
    measured = [rng.choice([None, 0, 1]) if index < 3 else None for index in range(len(NAMES))]
    return make_row(tuple(measured), 60, rng.randint(0, 2), rng.random() < 0.2)


def _batch_of(place: Place, slots: list[int], versions: list[Row]) -> SampleBatch:
    columns = SampleColumns(
        slot=slots,
        tz_offset_min=60,
        rev=[row.rev for row in versions],
        deleted=[index for index, row in enumerate(versions) if row.deleted],
        **{name: [row.values[i] for row in versions] for i, name in enumerate(NAMES[:3])},
    )
    return msgspec.structs.replace(batch(place, slots), columns=columns)


def _random_batch(place: Place, rng: random.Random) -> SampleBatch:
    slots = rng.sample(range(FIRST, FIRST + 40), rng.randint(1, 20))
    metrics: dict[str, Any] = {
        name: [rng.choice([None, 0, rng.randint(1, 9)]) for _ in slots]
        for name in rng.sample(NAMES, 3)
    }
    gone = [i for i in range(len(slots)) if rng.random() < 0.1]
    made = batch(place, slots, rev=rng.randint(0, 2), **metrics)
    columns = SampleColumns(slot=slots, rev=made.columns.rev, deleted=gone, **metrics)
    return SampleBatch(
        batch_id=made.batch_id,
        customer_id=made.customer_id,
        device_id=made.device_id,
        received_at=made.received_at,
        columns=columns,
    )


async def test_equal_rev_and_completeness_with_other_content_is_recorded(
    repo: Repo, place: Place
) -> None:
    await write(repo, place, 0, batch(place, [FIRST], steps=[1]))
    await write(repo, place, 1, batch(place, [FIRST], steps=[2]))
    async with repo.connection() as db:
        count = await db.fetchval(
            "SELECT count(*) FROM sample_conflict WHERE customer_no = $1", place.customer_no
        )
    assert count == 1


async def test_it_is_recorded_also_where_both_come_in_one_chunk(repo: Repo, place: Place) -> None:
    more = {"steps": [1], "floors": [1]}
    await write(
        repo, place, 0,
        batch(place, [FIRST], steps=[1]), batch(place, [FIRST], steps=[2]),
        batch(place, [FIRST], steps=[1]), batch(place, [FIRST], **more),
    )  # fmt: skip
    async with repo.connection() as db:
        found = await db.fetch(
            "SELECT slot, kept_tie > other_tie AS larger FROM sample_conflict"
            " WHERE customer_no = $1",
            place.customer_no,
        )
    assert [tuple(row) for row in found] == [(FIRST, True)]


async def test_a_chunk_that_waits_for_a_move_files_by_the_zone_it_made(
    repo: Repo, place: Place
) -> None:
    now = datetime.now(UTC)
    ahead = slot_of(now + timedelta(days=14))
    async with repo.transaction() as db:
        await customers.move(db, place.customer_no, "Asia/Tokyo", now)
        writing = asyncio.create_task(write(repo, place, 0, batch(place, [ahead])))
        await asyncio.sleep(0.3)
        assert not writing.done()
    await writing
    async with repo.connection() as db:
        (start,) = await db.fetchrow(
            "SELECT start_slot FROM week_state WHERE customer_no = $1", place.customer_no
        )
    assert slot_start(start).astimezone(ZoneInfo("Asia/Tokyo")).strftime("%a %H:%M") == "Mon 00:00"


async def test_a_chunk_that_does_not_begin_where_the_ledger_stands_changes_nothing(
    repo: Repo, place: Place
) -> None:
    await write(repo, place, 0, batch(place, [FIRST]))
    with pytest.raises(Conflict) as error:
        await write(repo, place, 0, batch(place, [FIRST + 1]))
    assert error.value.code == "stale_consumer"
    assert set(await held(repo, place)) == {FIRST}


async def test_rows_of_an_unknown_or_foreign_device_are_told_apart(
    repo: Repo, place: Place
) -> None:
    foreign = place._replace(device_id="dev_nobody")
    written = await write(repo, place, 0, batch(place, [FIRST]), batch(foreign, [FIRST + 1]))
    assert written.unknown == [1]
    assert set(await held(repo, place)) == {FIRST}


@pytest.mark.parametrize("what", ["customer_id", "device_id"])
async def test_what_comes_of_the_erased_is_dropped_and_nothing_beside_it(
    what: str, repo: Repo, place: Place
) -> None:
    gone = place._replace(customer_id=new_id("cus"), device_id=new_id("dev"))
    async with repo.transaction() as db:
        await erased.remember(db, [getattr(gone, what)])
        await erased.remember(db, [getattr(gone, what)])
    batches = (batch(gone, [FIRST]), batch(place, [FIRST]), batch(place, [FIRST + 1]))
    stranger = batch(place._replace(device_id="dev_nobody"), [FIRST + 2])
    written = await write(repo, place, 0, *batches, stranger)
    assert (written.unknown, written.erased, written.samples) == ([3], 1, 2)
    assert set(await held(repo, place)) == {FIRST, FIRST + 1}


async def test_only_a_changed_week_becomes_dirty(repo: Repo, place: Place) -> None:
    one = batch(place, [FIRST])
    await write(repo, place, 0, one)
    before = await _dirty(repo, place)
    await write(repo, place, 1, one)
    assert await _dirty(repo, place) == before
    await write(repo, place, 2, batch(place, [FIRST + 1]))
    assert await _dirty(repo, place) == before + 1


async def _dirty(repo: Repo, place: Place) -> int:
    async with repo.connection() as db:
        found = await weeks.list_weeks(db, place.customer_no, None, 1)
        state = await weeks.snapshot_state(db, place.customer_no, found[0].week)
    return state.dirty_seq


async def test_counts_in_customer_lists_follow_the_rows(repo: Repo, place: Place) -> None:
    await write(repo, place, 0, batch(place, [FIRST, FIRST + 1]))
    await write(repo, place, 1, batch(place, [FIRST + 1, FIRST + 2]))
    async with repo.connection() as db:
        assert (await customers.get_customer(db, place.customer_id)).samples == 3
