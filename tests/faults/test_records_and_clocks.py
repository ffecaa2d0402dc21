"""Records that nobody can read, records that come again and backwards, clocks that jump.

A full disk has its own test: tests/integration/test_disk_full.py.
"""

import asyncio
from collections.abc import Sequence
from zlib import crc32

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from fitstream.broker import Record, open_producer
from fitstream.broker.source import record_of
from fitstream.simulate.fleet import Fleet, Order
from tests.faults.invariants import Observed
from tests.faults.posting import checked, rest
from tests.faults.system import System

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(400)]
ALWAYS = ("gateway", "ledger", "archive", "roller", "dispatcher")
WORK = ("ledger", "archive", "roller")
NO_TRAINING = {"FITSTREAM_COHORT_QUIET_S": "86400", "FITSTREAM_COHORT_MAX_S": "86400"}
JUMP_S, FAULT_S = 5400, 3.0
POISON: tuple[tuple[bytes | None, bytes, bytes | None], ...] = (  # key, value, batch id
    (b"cus_poison0", b"", b"b"),
    (b"cus_poison1", b"\x00", b"b"),
    (b"cus_poison2", b"no sample batch", b"\0"),
    (b"cus_poison3", b"\x81\xa4type\xa6future", b"\xff"),
    (b"cus_poison4", b"\xff" * 5000, None),
    (b"cus_poison5", b"\x81\xa4type\xa3a\0b", b"b"),
    (b"cus/../\0" + b"k" * 2000, b"a key that names no object", b"b"),
    (None, b"no key", b"b"),
    (b"cus_poison8", b"larger than our own producer sends" * 40_000, b"b"),
)


async def _posted(system: System, fleets: list[Fleet], name: str) -> Fleet:
    fleet = await system.post(Order(2, 15, seed=crc32(name.encode()), faults="many"))
    fleets.append(fleet)
    return fleet


async def test_records_that_nobody_can_read_are_kept_as_they_came_and_stop_nobody(
    system: System, stores: Observed, fleets: list[Fleet]
) -> None:
    await system.start_all(*ALWAYS)
    async with stores.repo.connection() as db:
        before = await db.fetchval("SELECT count(*) FROM dead_letter")
    posting = asyncio.create_task(_posted(system, fleets, "poison"))
    foreign = AIOKafkaProducer(
        bootstrap_servers=stores.settings.kafka, compression_type="zstd", max_request_size=2**22
    )
    await foreign.start()
    try:
        for key, value, name in POISON:
            headers = [("batch_id", name)]
            await foreign.send_and_wait(stores.settings.topic, value, key, headers=headers)
            await asyncio.sleep(0.2)
    finally:
        await foreign.stop()
    await posting
    assert await rest(stores, WORK) == []
    await asyncio.gather(*(system.start(name) for name in ("ledger", "archive")))
    assert await rest(stores, WORK) == []
    async with stores.repo.connection() as db:
        kept = await db.fetch("SELECT value FROM dead_letter ORDER BY at")
    values = [row["value"] for row in kept[before:]]
    assert sorted(values) == sorted(value for _, value, _ in POISON)
    assert (await checked(system, stores, fleets, WORK)).all == []


async def test_every_record_once_more_and_backwards_changes_nothing(
    system: System, stores: Observed, fleets: list[Fleet]
) -> None:
    await system.start_all(*ALWAYS)
    await _posted(system, fleets, "again")
    assert await rest(stores, WORK) == []
    async with stores.repo.connection() as db:
        rows = await db.fetchval(_LEDGER)
    # Those of fleets that are still whole: other tests have emptied the ledger of what came before.
    known = {d.enrolled.customer_id.encode() for f in fleets for d in f.devices if d.enrolled}
    records = [record for record in await _records(stores) if record.key in known]
    assert len({record.key for record in records}) == len(known)
    async with open_producer(stores.settings) as producer:
        for record in reversed(records):
            headers = list(record.headers.items())
            await producer.send(record.topic, record.key or b"", record.value, headers)
    assert await rest(stores, WORK) == []
    async with stores.repo.connection() as db:
        assert await db.fetchval(_LEDGER) == rows
    assert (await checked(system, stores, fleets, WORK)).all == []


@pytest.mark.parametrize("victim", [*ALWAYS, "worker"])
async def test_a_clock_that_jumps_forth_and_back_costs_nothing(
    victim: str, system: System, stores: Observed, fleets: list[Fleet]
) -> None:
    await system.start_all(*ALWAYS)
    posting = asyncio.create_task(_posted(system, fleets, f"{victim} clock"))
    for offset_s in (JUMP_S, -JUMP_S, 0):
        settings = {"FITSTREAM_CLOCK_OFFSET_S": str(offset_s)}
        await system.start(victim, settings=settings | NO_TRAINING)
        await asyncio.sleep(FAULT_S)
    fleet = await posting
    assert fleet.totals.finished == 2
    assert (await checked(system, stores, fleets, WORK)).all == []


async def _records(stores: Observed) -> Sequence[Record]:
    """Every record of the sample topic that a gateway sent, partition by partition."""
    settings = stores.settings
    ends = (await stores.offsets()).ends
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, group_id=None)
    found: list[Record] = []
    await consumer.start()
    try:
        for partition, end in ends.items():
            of = TopicPartition(settings.topic, partition)
            consumer.assign([of])
            consumer.seek(of, 0)
            position = 0
            while position < end:
                messages = (await consumer.getmany(of, timeout_ms=2000)).get(of, [])
                found += [record_of(message) for message in messages]
                position = await consumer.position(of)
    finally:
        await consumer.stop()
    return [record for record in found if record.headers.get("device_id")]


_LEDGER = """
SELECT md5(string_agg(concat_ws(',', customer_no, slot, device_no, rev, tie), ';'
    ORDER BY customer_no, slot, device_no)) FROM sample
"""
