"""Freshness: from the receipt of a post until the API shows its rows, at half of full load."""

import asyncio
import time

import msgspec
from aiohttp import ClientSession, TCPConnector

from benchmarks import posts
from benchmarks.ingest import seed_people
from benchmarks.load import Outcome, Plan, Started, percentile
from benchmarks.people import Wearer
from benchmarks.report import Bar, Report
from benchmarks.stack import UNLIMITED, Stack, stack
from benchmarks.whole_way import Way, post_days, wait_for_samples

_BURST = 400
_CONNECTIONS = 32
_PROBERS = 20


def run(seconds: int = 20) -> Report:
    """A burst shows what the whole stack takes on this machine; then half of it, with probes."""
    with stack(UNLIMITED, whole=True) as running:
        wearers = asyncio.run(seed_people(running, 500))
        way = Way(running, int(running.run.gateway.rpartition(":")[2]), running.run.pids)
        capacity = _capacity(way, wearers[_PROBERS:])
        rate = capacity / 2
        requests = post_days(way, wearers[_PROBERS:], int(rate * seconds), _BURST)
        load = Started(Plan(way.port, rate, _CONNECTIONS, requests))
        outcome, waits = asyncio.run(_probe(running, load, wearers[:_PROBERS]))
    p50, p99 = percentile(waits, 0.5), percentile(waits, 0.99)
    rows = [
        {"posts_per_s": round(rate, 1), "probes": len(waits), "p50_s": p50, "p99_s": p99,
         "post_p99_ms": outcome.p99_ms, "generator_kept_up": outcome.kept_up}
    ]  # fmt: skip
    name = "freshness, receipt to API at half load"
    measured = f"p50 {p50:.2f} s, p99 {p99:.2f} s"
    return Report(rows, [Bar(name, measured, "p99 ≤ 2 s", p99 <= 2)], {"seconds": seconds})


def _capacity(way: Way, wearers: list[Wearer]) -> float:
    """Day posts per second until the last row is in the ledger."""
    requests = post_days(way, wearers, _BURST, 0)
    load = Started(Plan(way.port, 0, _CONNECTIONS, requests))
    started = time.perf_counter()
    load.go().check()
    wait_for_samples(way.stack, _BURST * 96)
    return _BURST / (time.perf_counter() - started)


async def _probe(
    running: Stack, load: Started, wearers: list[Wearer]
) -> tuple[Outcome, list[float]]:
    """Probers post one slot each, again and again, while the load runs."""
    loading = asyncio.create_task(asyncio.to_thread(load.go))
    waits: list[float] = []
    async with ClientSession(running.run.gateway, connector=TCPConnector(limit=100)) as http:
        probing = [_prober(http, running, wearer, loading, waits) for wearer in wearers]
        await asyncio.gather(*probing)
    return (await loading).check(), waits


async def _prober(
    http: ClientSession,
    running: Stack,
    wearer: Wearer,
    loading: "asyncio.Task[Outcome]",
    waits: list[float],
) -> None:
    assert running.run.admin is not None
    admin = {"Authorization": f"Bearer {running.run.admin.api_key}"}
    slot = posts.midnight(1)
    while not loading.done():
        rows = posts.day_rows(slot, slot, 1)
        device = {"Authorization": f"Bearer {wearer.key}", "Content-Type": "application/json"}
        async with http.post(
            "/v1/samples", data=posts.body(wearer, rows), headers=device
        ) as posted:
            assert posted.status == 202, posted.status
        acknowledged = time.perf_counter()
        query = {"from": rows[0]["slot"], "to": posts.slot_text(slot + 1)}
        address = f"/v1/customers/{wearer.customer_id}/samples"
        while True:
            async with http.get(address, params=query, headers=admin) as answer:
                if msgspec.json.decode(await answer.read())["items"]:
                    break
            await asyncio.sleep(0.05)
        waits.append(time.perf_counter() - acknowledged)
        slot += 1
        await asyncio.sleep(0.5)
