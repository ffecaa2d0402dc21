"""Pages: time to answer of what administrators open, and the slowest query behind it."""

import asyncio
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from statistics import median

import msgspec
from aiohttp import ClientSession, CookieJar

from benchmarks import posts
from benchmarks.people import seed
from benchmarks.report import Bar, Report
from benchmarks.stack import Stack, gateway, stack
from fitstream.repo import tally
from fitstream.repo.database import Db, open_repo

_TIMES = 20
_PAGE_MS, _QUERY_MS = 30.0, 20.0
_LOGGED = re.compile(rb"duration: ([0-9.]+) ms")
_FULL_DAYS = 56

_SAMPLES = """INSERT INTO sample (tie, src, customer_no, slot, device_no, rev, received_s,
        distance_m, calories_kcal, tz_offset_min, steps, heart_rate_bpm, sedentary_min, sleep_min)
    SELECT 7::bigint << 59, 0, d.customer_no, $1::int + s, d.device_no, 0, 0,
        s * 7, 2000 + s, 60, s % 300, 600 + s % 300, 100, 0
    FROM device d CROSS JOIN generate_series(0, $2::int - 1) s WHERE d.customer_no BETWEEN $3 AND $4
    ORDER BY 4"""
_YEAR = 52  # rolled weeks of each customer
_WEEKS = """INSERT INTO week_state (customer_no, week, start_slot, end_slot, closed_at, rolled_at,
        dirty_seq, rolled_seq, current_version)
    SELECT customer_no, '2025-W' || lpad(n::text, 2, '0'), $1::int - 672 * ($2::int + 1 - n),
        $1::int - 672 * ($2::int - n), now(), now(), 2, 2, 1
    FROM customer, generate_series(1, $2::int) n WHERE customer_no BETWEEN $3 AND $4
    ORDER BY 1, 2"""
_VERSIONS = """INSERT INTO week_version (customer_no, week, version, content_sha, rows, slots,
        measured, files, reason, changed)
    SELECT customer_no, week, 1, '', 672, 672, 672, '[]', 'week closed', '{}' FROM week_state
    WHERE customer_no BETWEEN $1 AND $2 ORDER BY 1, 2"""
_STATS = """INSERT INTO customer_stat
    SELECT customer_no, now() - customer_no * interval '1 second', $1::int, $1::int + $2::int,
           $2::bigint FROM customer"""


def run(customers: int = 10_000, samples: int = 1_000_000) -> Report:
    """`customers` with `samples` in all, one of them with eight weeks of full days."""
    with stack() as running:
        first = asyncio.run(_fill(running, customers, samples))
        with gateway(running) as (_, port):
            times = asyncio.run(_open_all(running, f"http://127.0.0.1:{port}", first))
            walk_ms = asyncio.run(_log_queries(running))
            asyncio.run(_open_all(running, f"http://127.0.0.1:{port}", first))
        queries = _LOGGED.findall((running.folder / "logs" / "postgres.log").read_bytes())
    slowest = max((float(found) for found in queries), default=0.0)
    report = _report(times, slowest, {"customers": customers, "samples": samples})
    counted = f"{walk_ms:.0f} ms"
    beside = Bar("… counted beside the calls, in slices", counted, "reported")
    return msgspec.structs.replace(report, bars=[*report.bars, beside])


async def _fill(running: Stack, customers: int, samples: int) -> str:
    """Rows as the ledger leaves them; the id of the customer with eight weeks."""
    each = max(samples // customers, 1)
    start = posts.midnight(3)
    async with open_repo(running.settings) as repo:
        wearers = await seed(repo, customers, with_keys=False)
        async with repo.connection() as db:
            await db.execute("SET statement_timeout = 0")
            full, last = wearers[0].customer_no, wearers[-1].customer_no
            await _insert(db, posts.midnight(_FULL_DAYS + 1), _FULL_DAYS * 96, (full, full))
            for number in range(full + 1, last + 1, 1000):
                await _insert(db, start, each, (number, min(number + 999, last)))
            for number in range(full, last + 1, 10_000):
                some = (number, min(number + 9_999, last))
                await db.execute(_WEEKS, start, _YEAR, *some, timeout=600)
                await db.execute(_VERSIONS, *some, timeout=600)
            await db.execute(_STATS, start, each, timeout=600)
            await db.execute("VACUUM ANALYZE", timeout=600)
    return wearers[0].customer_id


async def _insert(db: Db, start: int, count: int, between: tuple[int, int]) -> None:
    await db.execute(_SAMPLES, start, count, *between, timeout=600)


async def _log_queries(running: Stack) -> float:
    """From now on Postgres logs every statement that takes longer than a millisecond, those of the
    overview's counts too; the milliseconds that all of these take, beside the calls."""
    async with open_repo(running.settings) as repo:
        async with repo.connection() as db:
            await db.execute("ALTER SYSTEM SET log_min_duration_statement = '1ms'")
            await db.execute("SELECT pg_reload_conf()")
        await asyncio.sleep(1)
        started = time.perf_counter()
        await tally.count_all(repo, datetime.now(UTC))
        return (time.perf_counter() - started) * 1000


async def _open_all(running: Stack, address: str, customer: str) -> dict[str, list[float]]:
    """Milliseconds of each page or answer, opened one after another."""
    assert running.run.admin is not None
    admin = running.run.admin
    key = {"Authorization": f"Bearer {admin.api_key}"}
    async with ClientSession(address, cookie_jar=CookieJar(unsafe=True)) as http:
        await _log_in(http, admin.email, admin.password)
        return {
            "GET /v1/customers": await _times(http, "/v1/customers?limit=50", key),
            "GET /v1/customers?search=": await _times(http, "/v1/customers?search=bench-00", key),
            "GET /v1/pipeline": await _times(http, "/v1/pipeline", key),
            "overview page": await _times(http, "/admin", {}),
            "customer list page": await _times(http, "/admin/customers", {}),
            "customer page": await _times(http, f"/admin/customers/{customer}", {}),
        }


async def _log_in(http: ClientSession, email: str, password: str) -> None:
    async with http.get("/admin/login") as answer:
        found = re.search(r'name="csrf"[^>]*value="([^"]+)"', await answer.text())
        found = found or re.search(r'value="([^"]+)"[^>]*name="csrf"', await answer.text())
    assert found is not None, "the login form has no token"
    fields = {"email": email, "password": password, "csrf": found.group(1)}
    origin = {"Origin": str(http._base_url).rstrip("/")}
    async with http.post("/admin/login", data=fields, headers=origin) as answer:
        assert answer.status == 200, answer.status


async def _times(http: ClientSession, path: str, headers: Mapping[str, str]) -> list[float]:
    found = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        async with http.get(path, headers=headers) as answer:
            await answer.read()
            assert answer.status == 200, (path, answer.status)
        found.append((time.perf_counter() - started) * 1000)
    return found


def _report(times: dict[str, list[float]], slowest: float, sizes: dict[str, int]) -> Report:
    rows = [
        {"page": name, "first_ms": round(found[0], 1), "median_ms": round(median(found), 1),
         "least_ms": round(min(found), 1), "most_ms": round(max(found), 1)}
        for name, found in times.items()
    ]  # fmt: skip
    worst = max(times, key=lambda name: median(times[name]))
    middle = median(times[worst])
    about = f"{sizes['customers']:,} customers, {sizes['samples']:,} samples"
    bars = [
        Bar(f"pages, {about}", f"{middle:.0f} ms ({worst})", "≤ 30 ms median", middle <= _PAGE_MS),
        Bar("… slowest query", f"{slowest:.0f} ms", "≤ 20 ms", slowest <= _QUERY_MS),
    ]
    return Report(rows, bars, sizes)
