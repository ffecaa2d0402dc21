"""Bytes per sample: in Postgres with its indexes, and in week files, on real and synthetic rows."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks import posts
from benchmarks.ingest import seed_people
from benchmarks.people import Wearer
from benchmarks.report import Bar, Report
from benchmarks.stack import Stack, stack
from fitstream import clock, weekfile
from fitstream.clock import FIRST_WEEK, ZoneSpan
from fitstream.repo import samples
from fitstream.repo.database import Db, open_repo
from fitstream.repo.staging import COLUMNS

_DATASET = Path(__file__).parent.parent / "dataset" / "wearers_15min.parquet"
_ZONES = (ZoneSpan(FIRST_WEEK, "UTC"),)
_SIZE = (
    "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint"
    " FROM pg_inherits WHERE inhparent = 'sample'::regclass"
)
_EMPTY = "TRUNCATE sample"


def run(days: int = 2000) -> Report:
    """The real wearers' rows, and `days` synthetic days with every metric."""
    with stack() as running:
        found = asyncio.run(_measure(running, days))
    real, made = found["real wearers"], found["synthetic, all metrics"]
    rows = [{"rows": name, **figures} for name, figures in found.items()]
    name = "size, real data"
    table, file = real["table"], real["week_file"]
    bars = [
        Bar(f"{name}: Postgres", f"{table:.0f} bytes/sample", "≤ 148", table <= 148),
        Bar(f"{name}: week file", f"{file:.1f} bytes/sample", "≤ 25", file <= 25),
        Bar("size, synthetic: Postgres", f"{made['table']:.0f} bytes/sample", "≤ 148",
            made["table"] <= 148),
    ]  # fmt: skip
    return Report(rows, bars, {"days": days})


async def _measure(running: Stack, days: int) -> dict[str, dict[str, float]]:
    wearers = await _people(running)
    async with open_repo(running.settings) as repo, repo.connection() as db:
        return {
            "real wearers": await _store(db, _real(wearers)),
            "synthetic, all metrics": await _store(db, _made(wearers, days)),
        }


async def _people(running: Stack) -> list[Wearer]:
    return await asyncio.to_thread(lambda: asyncio.run(seed_people(running, 100)))


async def _store(db: Db, batches: Iterable[list[posts.SampleTuple]]) -> dict[str, float]:
    """Rows as they come over weeks: day by day, each wearer's day at once."""
    await db.execute(_EMPTY)
    empty, count = await db.fetchval(_SIZE), 0
    for rows in batches:
        await db.copy_records_to_table("sample", records=rows, columns=COLUMNS)
        count += len(rows)
    await db.execute("VACUUM ANALYZE sample")
    table = (await db.fetchval(_SIZE) - empty) / count
    size, measured = await _week_files(db)
    return {"samples": count, "table": round(table, 1), "week_file": round(size / measured, 2)}


async def _week_files(db: Db) -> tuple[int, int]:
    """Bytes of every week's file and the samples in them."""
    size = count = 0
    for number, first, last in await db.fetch(
        "SELECT customer_no, min(slot), max(slot) FROM sample GROUP BY 1"
    ):
        slot = first
        while slot <= last:
            week = clock.week_of(slot, _ZONES)
            rows = await samples.rows_of(db, number, (week.start_slot, week.end_slot))
            if rows:
                content = weekfile.week_content(f"cus_{number}", week, "UTC", rows)
                size += len(weekfile.encode_week(content))
                count += len(rows)
            slot = week.end_slot
    return size, count


def _real(wearers: list[Wearer]) -> Iterator[list[posts.SampleTuple]]:
    """The dataset's days, moved by whole weeks into the partitions that exist now."""
    table = pq.read_table(_DATASET).to_pylist()
    latest = max(row["slot_local"] for row in table)
    shift = (posts.midnight(2) - posts.slot_of_local(latest)) // 672 * 672
    numbers = {name: i for i, name in enumerate(sorted({row["wearer"] for row in table}))}
    days: dict[tuple[object, int], list[posts.Row]] = {}
    for row in table:
        slot = posts.slot_of_local(row["slot_local"]) + shift
        made: posts.Row = {"slot": posts.slot_text(slot), "tz_offset_min": -240}
        for field in ("steps", "distance_m", "calories_kcal", "heart_rate_bpm"):
            if row[field] is not None:
                made[field] = int(row[field]) if field == "steps" else row[field]
        days.setdefault((slot // 96, numbers[row["wearer"]]), []).append(made)
    for (_, number), rows in sorted(days.items()):
        yield posts.tuples(posts.batch(wearers[number], rows), wearers[number])


def _made(wearers: list[Wearer], days: int) -> Iterator[list[posts.SampleTuple]]:
    for number in range(days):
        wearer = wearers[number % len(wearers)]
        first = posts.midnight(2 + (days - number) // len(wearers))
        yield posts.tuples(posts.batch(wearer, posts.day_rows(number, first)), wearer)
