"""The roller: weeks per second, beside bare Parquet encoding and the same number of PUTs."""

import asyncio
import io
import time
from hashlib import sha256
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import posts
from benchmarks.cpu import Meter
from benchmarks.ingest import seed_people
from benchmarks.ledger import Speed
from benchmarks.people import Wearer
from benchmarks.report import Bar, Report
from benchmarks.stack import Stack, process, stack
from fitstream import clock, weekfile
from fitstream.clock import FIRST_WEEK, Week, ZoneSpan
from fitstream.merge import NAMES
from fitstream.repo import samples
from fitstream.repo.database import Repo, open_repo
from fitstream.repo.staging import COLUMNS
from fitstream.store import Store, open_store

Columns = dict[str, Any]

_ZONES = (ZoneSpan(FIRST_WEEK, "UTC"),)
_PEOPLE = 100


def run(weeks: int = 120) -> Report:
    """`weeks` closed weeks of full days: rolled, and then encoded and put with nothing else."""
    with stack() as running:
        wearers = asyncio.run(seed_people(running, _PEOPLE))
        asyncio.run(_fill(running, wearers, weeks))
        rolled = _roll(running, weeks)
        bare = asyncio.run(_bare(running, weeks))
    return _report(rolled, bare, {"weeks": weeks})


async def _fill(running: Stack, wearers: list[Wearer], count: int) -> None:
    """Rows and closed, dirty week states, as the ledger and the closing leave them."""
    latest = clock.week_of(posts.midnight(8), _ZONES).start_slot
    async with open_repo(running.settings) as repo:
        for number in range(count):
            wearer = wearers[number % _PEOPLE]
            start = latest - number // _PEOPLE * 672
            await _fill_week(repo, wearer, clock.week_of(start, _ZONES))


async def _fill_week(repo: Repo, wearer: Wearer, week: Week) -> None:
    rows = posts.day_rows(wearer.number, week.start_slot, week.end_slot - week.start_slot)
    batch = posts.batch(wearer, rows)
    async with repo.transaction() as db:
        await db.copy_records_to_table(
            "sample", records=posts.tuples(batch, wearer), columns=COLUMNS
        )
        await db.execute(
            "INSERT INTO week_state (customer_no, week, start_slot, end_slot, closed_at)"
            " VALUES ($1, $2, $3, $4, now())",
            wearer.customer_no,
            *week,
        )


def _roll(running: Stack, count: int) -> Speed:
    quick = {"FITSTREAM_LATE_QUIET_S": "0.1", "FITSTREAM_LATE_MAX_S": "0.1"}
    with process(running, "consume", "roller", **quick) as pid:
        first = asyncio.run(_rolled(running, 1))
        meter, started = Meter({"roller": pid}), time.perf_counter()
        asyncio.run(_rolled(running, count))
        took = time.perf_counter() - started
        return Speed((count - first) / took, meter.used()["roller"] / (count - first))


async def _rolled(running: Stack, wanted: int) -> int:
    async with open_repo(running.settings) as repo, repo.connection() as db:
        deadline = time.monotonic() + 240
        while (done := await db.fetchval("SELECT count(*) FROM week_version")) < wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {done} weeks were rolled")
            await asyncio.sleep(0.05)
    return int(done)


async def _bare(running: Stack, count: int) -> Speed:
    """The same weeks: only their files encoded, and two objects put for each."""
    async with open_repo(running.settings) as repo, open_store(running.settings) as store:
        contents = await _contents(repo, count)
        todo, at_once = list(enumerate(contents)), running.settings.roll_concurrency
        own, started = time.process_time(), time.perf_counter()
        await asyncio.gather(*(_encode_and_put(store, todo) for _ in range(at_once)))
        took, used = time.perf_counter() - started, time.process_time() - own
    return Speed(count / took, used / count)


async def _encode_and_put(store: Store, todo: list[tuple[int, Columns]]) -> None:
    while todo:
        number, content = todo.pop()
        body = await asyncio.to_thread(_parquet, content)
        manifest = msgspec.json.encode({"sha256": sha256(body).hexdigest(), "number": number})
        await store.put_new(f"bare/{number}.parquet", body)
        await store.put_new(f"bare/{number}.json", manifest)


def _parquet(columns: Columns) -> bytes:
    """What pyarrow makes of arrays that are there already."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd", write_statistics=False)
    return sink.getvalue()


async def _contents(repo: Repo, count: int) -> list[Columns]:
    found = []
    async with repo.connection() as db:
        for number, week, start, end in await db.fetch(
            "SELECT customer_no, week, start_slot, end_slot FROM week_state LIMIT $1", count
        ):
            rows = await samples.rows_of(db, number, (start, end))
            content = weekfile.week_content(f"cus_{number}", (week, start, end), "UTC", rows)
            table = pq.read_table(io.BytesIO(weekfile.encode_week(content)))
            found.append({name: table.column(name) for name in table.column_names})
    return found


def _report(rolled: Speed, bare: Speed, sizes: dict[str, int]) -> Report:
    rows = [
        {"what": name, "weeks_per_s": round(speed.rows_per_s, 1), "cpu_s_per_week": speed.cpu_s}
        for name, speed in (("roller", rolled), ("bare Parquet + 2 PUTs", bare))
    ]
    share = rolled.rows_per_s / bare.rows_per_s
    name = f"roller, of bare Parquet + PUTs ({len(NAMES)} metrics)"
    return Report(rows, [Bar(name, f"{share:.0%}", "≥ 60 %", share >= 0.6)], sizes)
