"""Growth: what a sample costs on the whole way as customers become more."""

import asyncio
import random
from collections.abc import Sequence

from benchmarks.ingest import ROUNDS, seed_people
from benchmarks.people import Wearer
from benchmarks.report import Bar, Report
from benchmarks.stack import Stack
from benchmarks.whole_way import Cost, Way, measure, post_days, way
from fitstream.repo.database import open_repo

_RATE = 60
_BAR = 100_000  # customers; fewer are reported, not judged


def run(most: int = 10_000, posts: int = 180) -> Report:
    """10^3 customers, then ten times as many, up to `most`; posts of customers drawn at random."""
    found: dict[int, Cost] = {}
    with way() as open_way:
        people: list[Wearer] = []
        count, at = 1000, 2
        while count <= most:
            people += asyncio.run(seed_people(open_way.stack, count - len(people), len(people)))
            asyncio.run(_settle(open_way.stack))
            costs = []
            for _ in range(ROUNDS):
                costs.append(_cost(open_way, people, posts, at))
                at += posts
            found[count] = min(costs, key=lambda cost: cost.total)
            count *= 10
    return _report(found, {"most": most, "posts": posts})


async def _settle(running: Stack) -> None:
    """What Postgres does by itself after so many new rows is no part of a sample's cost."""
    async with open_repo(running.settings) as repo, repo.connection() as db:
        await db.execute("SET statement_timeout = 0")
        await db.execute("VACUUM ANALYZE", timeout=300)


def _cost(open_way: Way, people: Sequence[Wearer], posts: int, seed: int) -> Cost:
    drawn = random.Random(seed).sample(people, posts)
    return measure(open_way, post_days(open_way, drawn, posts, seed), _RATE, 96)


def _report(found: dict[int, Cost], sizes: dict[str, int]) -> Report:
    rows = [
        {"customers": count, **{name: round(v, 4) for name, v in cost.parts.items()},
         "total": round(cost.total, 4)}
        for count, cost in found.items()
    ]  # fmt: skip
    least, most = found[min(found)].total, found[max(found)].total
    reached = most / least <= 1.3 if max(found) >= _BAR else None
    name = f"growth, {min(found):,} to {max(found):,} customers"
    return Report(rows, [Bar(name, f"× {most / least:.2f}", "≤ × 1.3 up to 10^5", reached)], sizes)
