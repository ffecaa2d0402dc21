"""Ingest: the gateway's CPU-seconds per 1,000 samples beside the bare handlers of the same run.

The load is more than one core can take, so that every server is measured at its fullest: below that
each post costs more, since fewer share one round of the loop and one request to Kafka.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import NamedTuple

from benchmarks import posts
from benchmarks.cpu import Meter
from benchmarks.load import Outcome, Plan, Started
from benchmarks.people import Wearer, seed
from benchmarks.report import Bar, Report
from benchmarks.stack import Stack, clean_environ, free_port, gateway, program, stack
from fitstream.repo.database import open_repo

ROUNDS = 3
_TURNS = 5
_CONNECTIONS = 32
_WARM = 200  # requests of the first round, before anything is measured


class Case(NamedTuple):
    """Requests of one kind: their bodies, the samples in each, and how fast they come."""

    bodies: list[tuple[str, bytes]]
    samples: int
    rate_per_s: float


class Figure(NamedTuple):
    """CPU-seconds per 1,000 samples, and what the generator saw."""

    cpu_s: float
    outcome: Outcome


Figures = dict[str, list[Figure]]


def run(
    batches: int = 700, singles: int = 4000, batch_rate: int = 1200, rate: int = 4000
) -> Report:
    """Five rounds of each server and case in turn."""
    with (
        stack() as running,
        gateway(running) as ours,
        _bare(running) as bare,
        _empty() as empty,
    ):
        wearers = asyncio.run(seed_people(running, 200))
        days, spoiled = _days(wearers, batches, batch_rate)
        single = _single(wearers, singles, rate)
        figures = _measure(
            {
                "gateway, 96": (ours, days),
                "bare handler, 96": (bare, days),
                "gateway, 96 with 5 bad": (ours, spoiled),
                "gateway, 1": (ours, single),
                "bare handler, 1": (bare, single),
                "empty handler, 1": (empty, single),
            }
        )
    return _report(figures, {"batches": batches, "singles": singles})


async def seed_people(running: Stack, count: int, first: int = 0) -> list[Wearer]:
    """So many customers with devices and keys, numbered from `first`."""
    async with open_repo(running.settings) as repo:
        return await seed(repo, count, first=first)


def _days(wearers: list[Wearer], count: int, rate: float) -> tuple[Case, Case]:
    good, spoiled = [], []
    for number in range(count):
        wearer = wearers[number % len(wearers)]
        rows = posts.day_rows(number, posts.midnight(1 + number // len(wearers)))
        good.append((wearer.key, posts.body(wearer, rows)))
        spoiled.append((wearer.key, posts.body(wearer, posts.spoil(rows))))
    return Case(good, 96, rate), Case(spoiled, 96, rate)


def _single(wearers: list[Wearer], count: int, rate: float) -> Case:
    bodies = []
    for number in range(count):
        wearer = wearers[number % len(wearers)]
        rows = posts.day_rows(number, posts.midnight(1) + number // len(wearers), 1)
        bodies.append((wearer.key, posts.body(wearer, rows)))
    return Case(bodies, 1, rate)


def _measure(pairs: dict[str, tuple[tuple[int, int], Case]]) -> Figures:
    found: dict[str, list[Figure]] = {name: [] for name in pairs}
    for turn in range(_TURNS):
        for name, ((pid, port), case) in pairs.items():
            found[name].append(measure(pid, port, case, warm=_WARM if turn == 0 else 0))
    return found


def _share(figures: Figures, limit: str, ours: str) -> float:
    """How much of the limit is reached, turn by turn; the middle one, as the machine is shared."""
    pairs = zip(figures[limit], figures[ours], strict=True)
    return median(bare.cpu_s / own.cpu_s for bare, own in pairs)


def measure(pid: int, port: int, case: Case, warm: int = 0) -> Figure:
    """CPU-seconds per 1,000 samples of process `pid` while it answers `case`."""
    requests = [posts.request(port, key, body) for key, body in case.bodies]
    if warm:
        Started(Plan(port, case.rate_per_s, _CONNECTIONS, requests[:warm])).go().check()
    load = Started(Plan(port, case.rate_per_s, _CONNECTIONS, requests))
    meter = Meter({"server": pid})
    outcome = load.go().check()
    return Figure(meter.used()["server"] * 1000 / (len(requests) * case.samples), outcome)


@contextmanager
def _bare(running: Stack) -> Iterator[tuple[int, int]]:
    arguments = (running.run.kafka, running.settings.topic)
    with _reference("benchmarks.reference_batches", *arguments) as found:
        yield found


@contextmanager
def _empty() -> Iterator[tuple[int, int]]:
    with _reference("benchmarks.reference_empty") as found:
        yield found


@contextmanager
def _reference(module: str, *arguments: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    words = (str(port), *arguments)
    with program(module, *words, environ=clean_environ(), port=port, has_health=False) as pid:
        yield pid, port


def _report(figures: Figures, sizes: dict[str, int]) -> Report:
    rows = [
        {
            "server": name,
            "least_cpu_s_per_1000": round(best.cpu_s, 5),
            "all": [round(figure.cpu_s, 4) for figure in figures[name]],
            "p50_ms": best.outcome.p50_ms,
            "p99_ms": best.outcome.p99_ms,
            "generator_kept_up": best.outcome.kept_up,
        }
        for name in figures
        for best in (min(figures[name], key=lambda figure: figure.cpu_s),)
    ]
    cost = {name: min(figure.cpu_s for figure in found) for name, found in figures.items()}
    days, spoiled, single = cost["gateway, 96"], cost["gateway, 96 with 5 bad"], cost["gateway, 1"]
    day_share = _share(figures, "bare handler, 96", "gateway, 96")
    bare_share = _share(figures, "bare handler, 1", "gateway, 1")
    single_share = _share(figures, "empty handler, 1", "gateway, 1")
    bars = [
        Bar("ingest, 96 per post", f"{days:.4f} CPU-s/1,000", "≤ 0.0085", days <= 0.0085),
        Bar("… of the bare handler", f"{day_share:.0%}", "≥ 75 %", day_share >= 0.75),
        Bar("… with 5 bad rows", f"{spoiled:.4f} CPU-s/1,000", "reported"),
        Bar("ingest, 1 per post", f"{single:.3f} CPU-s/1,000", "≤ 0.28", single <= 0.28),
        Bar("… of the bare handler", f"{bare_share:.0%}", "reported"),
        Bar("… of the empty handler", f"{single_share:.0%}", "≥ 50 %", single_share >= 0.5),
    ]
    return Report(rows, bars, sizes)
