"""The whole way, POST to row in Postgres: CPU-seconds of gateway, ledger and Postgres."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from benchmarks import posts
from benchmarks.cpu import Meter
from benchmarks.ingest import ROUNDS, seed_people
from benchmarks.load import Plan, Started
from benchmarks.people import Wearer
from benchmarks.report import Bar, Report
from benchmarks.stack import Stack, gateway, process, stack
from fitstream.repo.database import open_repo

PARTS = ("gateway", "ledger", "postgres")
_CONNECTIONS = 32


class Way(NamedTuple):
    """A gateway and a ledger on a stack."""

    stack: Stack
    port: int
    pids: Mapping[str, int]


class Cost(NamedTuple):
    """CPU-seconds per 1,000 samples, by process."""

    parts: dict[str, float]
    kept_up: bool

    @property
    def total(self) -> float:
        """Of all parts."""
        return sum(self.parts.values())


def run(
    days: int = 240, singles: int = 3000, day_rate: int = 100, single_rate: int = 1000
) -> Report:
    """Three rounds of day posts and of single samples, all new; the least counts."""
    with way() as open_way:
        wearers = asyncio.run(seed_people(open_way.stack, 500))
        best: dict[str, Cost] = {}
        for turn in range(ROUNDS):
            day = post_days(open_way, wearers, days, 2 + turn * days)
            single = [_single(open_way, wearers, turn * singles + n) for n in range(singles)]
            for name, cost in {
                "96 per post": measure(open_way, day, day_rate, 96),
                "1 per post": measure(open_way, single, single_rate, 1),
            }.items():
                best[name] = min(cost, best.get(name, cost), key=lambda each: each.total)
    return _report(best, {"days": days, "singles": singles})


@contextmanager
def way() -> Iterator[Way]:
    """Services with one gateway and one ledger."""
    with (
        stack() as running,
        gateway(running) as (pid, port),
        process(running, "consume", "ledger") as ledger,
    ):
        pids = dict(zip(PARTS, (pid, ledger, running.run.pids["postgres"]), strict=True))
        yield Way(running, port, pids)


def post_days(way: Way, wearers: Sequence[Wearer], count: int, first: int) -> list[bytes]:
    """Requests with a day each, the wearers in turn; `first` counts on from earlier ones."""
    made = []
    for number in range(first, first + count):
        wearer = wearers[number % len(wearers)]
        rows = posts.day_rows(number, posts.midnight(2 + number // len(wearers)))
        made.append(posts.request(way.port, wearer.key, posts.body(wearer, rows)))
    return made


def _single(way: Way, wearers: Sequence[Wearer], number: int) -> bytes:
    wearer = wearers[number % len(wearers)]
    rows = posts.day_rows(number, posts.midnight(1) + number // len(wearers), 1)
    return posts.request(way.port, wearer.key, posts.body(wearer, rows))


def measure(way: Way, requests: list[bytes], rate_per_s: float, samples: int) -> Cost:
    """What `requests` cost until the last of their rows is committed."""
    before = asyncio.run(ledger_samples(way.stack))
    load = Started(Plan(way.port, rate_per_s, _CONNECTIONS, requests))
    meter = Meter(way.pids)
    outcome = load.go().check()
    total = len(requests) * samples
    wait_for_samples(way.stack, before + total)
    used = meter.used()
    return Cost({name: used[name] * 1000 / total for name in PARTS}, outcome.kept_up)


def wait_for_samples(running: Stack, wanted: int, timeout_s: float = 120) -> None:
    """Returns when the ledger has read so many samples in all."""
    asyncio.run(_wait(running, wanted, timeout_s))


async def ledger_samples(running: Stack) -> int:
    """Samples that the ledger has read so far."""
    async with open_repo(running.settings) as repo, repo.connection() as db:
        return int(await db.fetchval(_SAMPLES))


_SAMPLES = "SELECT coalesce(sum(samples), 0) FROM ingest_progress"


async def _wait(running: Stack, wanted: int, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    async with open_repo(running.settings) as repo, repo.connection() as db:
        while int(await db.fetchval(_SAMPLES)) < wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the ledger did not get to {wanted} samples")
            await asyncio.sleep(0.05)


def _report(best: dict[str, Cost], sizes: dict[str, int]) -> Report:
    rows = [
        {"posts": name, **{part: round(v, 4) for part, v in cost.parts.items()},
         "total": round(cost.total, 4), "generator_kept_up": cost.kept_up}
        for name, cost in best.items()
    ]  # fmt: skip
    day, single = best["96 per post"].total, best["1 per post"].total
    bars = [
        Bar("whole way, 96 per post", f"{day:.3f} CPU-s/1,000", "≤ 0.06", day <= 0.06),
        Bar("whole way, 1 per post", f"{single:.2f} CPU-s/1,000", "≤ 0.6", single <= 0.6),
    ]
    return Report(rows, bars, sizes)
