"""Memory: how gateway, ledger and roller grow with the samples, and what a whole stack takes."""

import asyncio
from collections.abc import Mapping

import numpy as np

from benchmarks.cpu import own_bytes, rss_bytes
from benchmarks.ingest import seed_people
from benchmarks.load import Plan, Started
from benchmarks.report import Bar, Report
from benchmarks.stack import UNLIMITED, Stack, stack
from benchmarks.whole_way import Way, ledger_samples, post_days, wait_for_samples

_MB = 1024 * 1024
_WATCHED = ("gateway", "ledger", "roller", "archive")
_JAVA = ("kafka", "s3")
_BAR = 10_000_000  # samples; a slope over fewer is reported, not judged
_PORTION = 500  # day posts between two looks
_CONNECTIONS = 16
_QUICK = {"FITSTREAM_LATE_QUIET_S": "1", "FITSTREAM_LATE_MAX_S": "5", "FITSTREAM_GRACE_HOURS": "1"}


def run(samples: int = 1_000_000, customers: int = 500, rate: int = 150) -> Report:
    """A whole stack takes `samples` in day posts; weeks close and are rolled meanwhile."""
    with stack(UNLIMITED | _QUICK, whole=True) as running:
        wearers = asyncio.run(seed_people(running, customers))
        way = Way(running, int(running.run.gateway.rpartition(":")[2]), running.run.pids)
        looks, done = [_look(running)], 0
        while done * 96 < samples:
            requests = post_days(way, wearers, _PORTION, done)
            Started(Plan(way.port, rate, _CONNECTIONS, requests)).go().check()
            done += _PORTION
            wait_for_samples(running, done * 96)
            looks.append(_look(running))
        total = _without_java(running)
        read = asyncio.run(ledger_samples(running))
    return _report(looks, total, {"samples": read, "customers": customers})


def _look(running: Stack) -> dict[str, float]:
    return {name: rss_bytes(running.run.pids[name]) / _MB for name in _WATCHED}


def _without_java(running: Stack) -> dict[str, float]:
    """Megabytes of every part that is no JVM; pages shared by several count once."""
    parts = running.run.pids
    return {name: own_bytes(pid) / _MB for name, pid in parts.items() if name not in (*_JAVA, "up")}


def slope(looks: list[dict[str, float]], name: str) -> float:
    """Megabytes per 10^6 samples over the second half, when caches and pools are filled."""
    late = [look[name] for look in looks[len(looks) // 2 :]]
    if len(late) < 2:
        return 0.0
    at = np.arange(len(late)) * _PORTION * 96 / 1e6
    return float(np.polyfit(at, late, 1)[0])


def _report(
    looks: list[dict[str, float]], parts: Mapping[str, float], sizes: dict[str, int]
) -> Report:
    first, last = looks[0], looks[-1]
    rows = [
        {"process": name, "first_mb": round(first[name], 1), "last_mb": round(last[name], 1),
         "mb_per_million": round(slope(looks, name), 2)}
        for name in _WATCHED
    ]  # fmt: skip
    total = sum(parts.values())
    bars = [
        Bar(
            f"memory, {name}",
            f"{grown:+.1f} MB per 10^6, over {sizes['samples']:,}",
            "< 1 over 10^7",
            grown < 1 if sizes["samples"] >= _BAR else None,
        )
        for name in _WATCHED[:3]
        for grown in (slope(looks, name),)
    ]
    bars.append(Bar("memory, stack without JVMs", f"{total:.0f} MB", "≤ 1024", total <= 1024))
    return Report([*rows, *_rest(parts)], bars, sizes)


def _rest(parts: Mapping[str, float]) -> list[dict[str, float | str]]:
    empty = {"first_mb": "", "mb_per_million": ""}
    return [
        {"process": f"{name} (with its children)", "last_mb": round(size, 1), **empty}
        for name, size in parts.items()
    ]
