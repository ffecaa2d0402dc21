"""What a roller asks every second, with many customers: which weeks to close, which to roll."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from benchmarks.report import Bar, Report
from benchmarks.stack import Stack, stack
from fitstream.clock import slot_of
from fitstream.repo import weeks
from fitstream.repo.database import Db, open_repo
from fitstream.repo.migrate import migrate
from fitstream.repo.queries import sql
from fitstream.repo.weeks import OpenPlace, Waiting

_MS = 50.0
_TIMES = 9
_LOOKED_AT = 2_000  # as the roller does
_ROLLED = 2  # weeks per customer that are finished and quiet
_CUSTOMERS = "INSERT INTO customer (id, programme_no, zone) SELECT 'c' || n, 1, 'UTC' FROM n"
_DEVICES = """INSERT INTO device (id, customer_no, kind, name, priority, last_contact_at,
        complete_through)
    SELECT 'd' || customer_no, customer_no, 'watch', 'w', 1, now(), $1 FROM customer"""
_WEEKS = """INSERT INTO week_state (customer_no, week, start_slot, end_slot, dirty_seq, rolled_seq,
        closed_at, rolled_at, current_version)
    SELECT customer_no, $1, $2, $2 + 672, 5, CASE WHEN $3 THEN 5 ELSE 0 END,
        CASE WHEN $3 THEN now() END, CASE WHEN $3 THEN now() END, CASE WHEN $3 THEN 1 END
    FROM customer"""


def run(customers: int = 100_000) -> Report:
    """Shortly after a week's end: nobody is complete yet, the week before is rolled."""
    with stack() as running:
        return asyncio.run(_measure(running, customers))


async def _measure(running: Stack, customers: int) -> Report:
    now = datetime.now(UTC)
    monday = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=now.weekday())
    end = slot_of(monday)
    async with open_repo(running.settings) as repo:
        await migrate(repo, now.date())
        async with repo.connection() as db:
            await _fill(db, customers, end)
        waiting = Waiting(end + 4, end - 20, now - timedelta(hours=48))
        async with repo.transaction() as db:
            args = (*waiting, *OpenPlace(), _LOOKED_AT)
            rows = [
                await _line(db, "close_due", lambda: _close(db, waiting), args),
                await _line(db, "claim_due", lambda: _claim(db), ("me", 300, 900, 3600, 16)),
            ]
    bars = [
        Bar(
            f"roller asks: {row['query']}, {customers:,} customers",
            f"{row['ms']:.1f} ms, {row['buffers']:,} pages",
            f"≤ {_MS:.0f} ms",
            row["ms"] <= _MS,
        )
        for row in rows
    ]
    return Report(rows, bars, {"customers": customers})


async def _fill(db: Db, customers: int, end: int) -> None:
    await db.execute("SET statement_timeout = 0")
    numbers = f"WITH n AS (SELECT n FROM generate_series(1, {customers}) n) "
    await db.execute(numbers + _CUSTOMERS, timeout=600)
    await db.execute(_DEVICES, end - 100, timeout=600)
    for back in range(_ROLLED + 2):  # the one that runs, the one that has just ended, rolled ones
        start = end - 672 * back
        await db.execute(_WEEKS, f"2026-W{40 - back}", start, back >= 2, timeout=600)
    await db.execute("VACUUM ANALYZE", timeout=600)


async def _close(db: Db, waiting: Waiting) -> object:
    return await weeks.close_due(db, waiting, OpenPlace(), _LOOKED_AT)


async def _claim(db: Db) -> object:
    return await weeks.claim_due(db, "me", 300, (900, 3600), 16)


async def _line(
    db: Db, name: str, ask: Callable[[], Awaitable[object]], args: tuple[object, ...]
) -> dict[str, Any]:
    """The median of some calls, and the pages that one touches."""
    times = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        await ask()
        times.append((time.perf_counter() - started) * 1000)
    query = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql(f'weeks.{name}')}"
    ((plan,),) = await db.fetch(query, *args)
    top = msgspec.json.decode(plan)[0]["Plan"]
    pages = top.get("Shared Hit Blocks", 0) + top.get("Shared Read Blocks", 0)
    return {"query": name, "ms": round(statistics.median(times), 2), "buffers": pages}
