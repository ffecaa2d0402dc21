"""The ledger: rows per second from Kafka into the real table, beside bare stage and upsert."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks import posts
from benchmarks.cpu import Meter, seconds
from benchmarks.ingest import ROUNDS, seed_people
from benchmarks.people import Wearer
from benchmarks.report import Bar, Report
from benchmarks.stack import Stack, process, stack
from benchmarks.whole_way import ledger_samples, wait_for_samples
from fitstream import events
from fitstream.broker import open_producer
from fitstream.events import SampleBatch
from fitstream.repo.database import Db, open_repo
from fitstream.repo.queries import sql
from fitstream.repo.staging import COLUMNS

_CUSTOMERS = 600
_COPIED = "INSERT INTO sample SELECT * FROM stage ORDER BY customer_no, slot, device_no"


class Speed(NamedTuple):
    """Rows per second, and CPU-seconds per 1,000 rows of client and Postgres."""

    rows_per_s: float
    cpu_s: float


def run(days: int = 1200) -> Report:
    """Three rounds of `days` new day posts, each written bare and then by the ledger."""
    best: dict[str, Speed] = {}
    with stack() as running:
        wearers = asyncio.run(seed_people(running, _CUSTOMERS))
        for turn in range(ROUNDS):
            batches = _batches(wearers, days, 2 + turn * days)
            found = {
                "bare stage + upsert": asyncio.run(_bare(running, wearers, batches)),
                "ledger, new rows": _ledger(running, batches),
                "ledger, all of them again": _ledger(running, batches),
            }
            asyncio.run(_truncate(running))
            for name, speed in found.items():
                best[name] = max(speed, best.get(name, speed))
    return _report(best, {"days": days})


def _batches(wearers: Sequence[Wearer], count: int, first: int) -> list[SampleBatch]:
    return [
        posts.batch(
            wearers[n % len(wearers)], posts.day_rows(n, posts.midnight(2 + n // len(wearers)))
        )
        for n in range(first, first + count)
    ]


async def _bare(running: Stack, wearers: Sequence[Wearer], batches: list[SampleBatch]) -> Speed:
    """The same rows, ready as tuples, in chunks as large as the ledger's."""
    of_device = {wearer.device_id: wearer for wearer in wearers}
    rows = sorted(
        (row for batch in batches for row in posts.tuples(batch, of_device[batch.device_id])),
        key=lambda row: row[2:5],
    )
    size = len(rows) // running.settings.topic_partitions
    chunks = [rows[at : at + size] for at in range(0, len(rows), size)]
    meter = Meter({"postgres": running.run.pids["postgres"]})
    async with open_repo(running.settings) as repo:
        own, started = time.process_time(), time.perf_counter()
        for chunk in chunks:
            async with repo.transaction() as db:
                await _upsert(db, chunk)
        took = time.perf_counter() - started
        used = meter.used()["postgres"] + time.process_time() - own
    await _truncate(running)
    return Speed(len(rows) / took, used * 1000 / len(rows))


async def _upsert(db: Db, chunk: list[posts.SampleTuple]) -> None:
    await db.execute(sql("ledger.create_stage"))
    await db.copy_records_to_table("stage", records=chunk, columns=COLUMNS)
    upsert = sql("ledger.upsert_stage")
    clause = upsert[upsert.index("ON CONFLICT") : upsert.index("RETURNING")]
    await db.execute(f"{_COPIED} {clause}")


def _ledger(running: Stack, batches: list[SampleBatch]) -> Speed:
    """From the first commit to the last, over what lies between."""
    before = asyncio.run(ledger_samples(running))
    asyncio.run(_publish(running, batches))
    total = sum(len(batch.columns.slot) for batch in batches)
    postgres = running.run.pids["postgres"]
    with process(running, "consume", "ledger") as pid:
        wait_for_samples(running, before + 1)
        first = asyncio.run(ledger_samples(running)) - before
        started, used = time.perf_counter(), seconds(pid) + seconds(postgres)
        wait_for_samples(running, before + total)
        took, used = time.perf_counter() - started, seconds(pid) + seconds(postgres) - used
    rows = max(total - first, 1)
    return Speed(rows / took, used * 1000 / rows)


async def _publish(running: Stack, batches: list[SampleBatch]) -> None:
    topic = running.settings.topic
    async with open_producer(running.settings) as producer:
        sends = [
            producer.send(
                topic,
                batch.customer_id.encode(),
                events.encode(batch),
                [("batch_id", batch.batch_id.encode())],
            )
            for batch in batches
        ]
        await asyncio.gather(*sends)


async def _truncate(running: Stack) -> None:
    async with open_repo(running.settings) as repo, repo.connection() as db:
        await db.execute("TRUNCATE sample, week_state, customer_stat")


def _report(best: dict[str, Speed], sizes: dict[str, int]) -> Report:
    rows = [
        {"what": name, "rows_per_s": round(speed.rows_per_s), "cpu_s_per_1000": speed.cpu_s}
        for name, speed in best.items()
    ]
    share = best["ledger, new rows"].rows_per_s / best["bare stage + upsert"].rows_per_s
    bars = [Bar("ledger, of bare stage + upsert", f"{share:.0%}", "≥ 80 %", share >= 0.8)]
    return Report(rows, bars, sizes)
