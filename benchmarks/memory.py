"""Memory: how gateway, ledger and roller grow with the samples, and what a whole stack takes."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.cpu import own_bytes, rss_bytes
from benchmarks.ingest import seed_people
from benchmarks.load import Plan, Started
from benchmarks.report import Bar, Report
from benchmarks.stack import UNLIMITED, Stack, stack
from benchmarks.whole_way import Way, ledger_samples, post_days, wait_for_samples

_MB = 1024 * 1024
_WATCHED = ("gateway", "ledger", "archive", "roller", "dispatcher", "worker", "pages")
_JAVA = ("kafka", "s3")
_BAR = 10_000_000  # samples; a slope over fewer is reported, not judged
_PORTION = 500  # day posts between two looks
_ROWS = 20  # of the table: looks that are shown
_CONNECTIONS = 16
_QUICK = {"FITSTREAM_LATE_QUIET_S": "1", "FITSTREAM_LATE_MAX_S": "5", "FITSTREAM_GRACE_HOURS": "1"}

Look = dict[str, float]


def run(samples: int = 1_000_000, customers: int = 500, rate: int = 150) -> Report:
    """A whole stack takes `samples` in day posts; weeks close and are rolled meanwhile."""
    with stack(UNLIMITED | _QUICK, whole=True) as running:
        wearers = asyncio.run(seed_people(running, customers))
        way = Way(running, int(running.run.gateway.rpartition(":")[2]), running.run.pids)
        looks, done = [_look(running, 0)], 0
        while done * 96 < samples:
            requests = post_days(way, wearers, _PORTION, done)
            Started(Plan(way.port, rate, _CONNECTIONS, requests)).go().check()
            done += _PORTION
            wait_for_samples(running, done * 96)
            looks.append(_look(running, done * 96))
        parts = _without_java(running)
        read = asyncio.run(ledger_samples(running))
    return _report(looks, parts, {"samples": read, "customers": customers})


def _look(running: Stack, samples: int) -> Look:
    """Megabytes of every watched process after so many samples."""
    sizes = {name: round(rss_bytes(running.run.pids[name]) / _MB, 1) for name in _WATCHED}
    return {"samples": samples, **sizes}


def _without_java(running: Stack) -> dict[str, float]:
    """Megabytes of every part that is no JVM; pages shared by several count once."""
    parts = running.run.pids
    return {name: own_bytes(pid) / _MB for name, pid in parts.items() if name not in (*_JAVA, "up")}


def slope(looks: list[Look], name: str) -> float:
    """Megabytes per 10^6 samples over the second half, when caches and pools are filled."""
    late = looks[len(looks) // 2 :]
    if len(late) < 2:
        return 0.0
    at = np.array([look["samples"] for look in late]) / 1e6
    return float(np.polyfit(at, [look[name] for look in late], 1)[0])


def _report(looks: list[Look], parts: Mapping[str, float], sizes: dict[str, Any]) -> Report:
    every = max(len(looks) // _ROWS, 1)
    shown = [*looks[:-1:every], looks[-1]]
    is_judged = sizes["samples"] >= _BAR
    bars = [
        Bar(
            f"memory, {name}",
            f"{grown:+.2f} MB per 10^6, over {sizes['samples']:,}; {looks[-1][name]:.0f} MB",
            "< 1 over 10^7",
            grown < 1 if is_judged else None,
        )
        for name in _WATCHED
        for grown in (slope(looks, name),)
    ]
    total = sum(parts.values())
    bars.append(Bar("memory, stack without JVMs", f"{total:.0f} MB", "≤ 1024", total <= 1024))
    own = {name: round(size, 1) for name, size in parts.items()}
    return Report(list[dict[str, Any]](shown), bars, {**sizes, "mb_with_children_at_last": own})
