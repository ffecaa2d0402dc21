"""What a run of faults has seen: each interesting event, counted where the system tells of it.

Tables for what is stored, log lines for what happens. Nothing is counted because it was provoked.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Redis

from fitstream.repo.database import Db
from tests.faults.invariants import Observed

_QUERIES = {
    "duplicates merged": "SELECT sum(samples - inserted - updated) FROM ingest_progress",
    "conflict rows": "SELECT count(*) FROM sample_conflict",
    "late re-rolls": (
        "SELECT count(*) FROM week_version WHERE version > 1 AND reason LIKE '%late data%'"
    ),
}
Line = dict[str, Any]
_LINES: dict[str, tuple[str, Callable[[Line], bool]]] = {
    "rebalances in mid-chunk": ("rebalanced", lambda line: line["dropped"] > 0),
    "producers rebuilt": ("producer_rebuilt", lambda line: True),
    "objects put again (412)": ("object_same", lambda line: True),
    "compare-and-sets lost by a roller": (
        "roll_given_up",
        lambda line: "before the commit" in line["detail"],
    ),
    "compare-and-sets lost by a ledger": (
        "chunk_dropped",
        lambda line: line["reason"] == "stale_consumer",
    ),
    "leases taken over, weeks": ("lease_taken_over", lambda line: line["of"] == "week"),
    "leases taken over, jobs": ("lease_taken_over", lambda line: line["of"] == "job"),
}
RESENT = "jobs told again after Redis forgot"
EVENTS = (*_QUERIES, *_LINES, RESENT)
# A ledger's rival rarely reads the same chunk: one of the two kinds is enough.
_EITHER = ("compare-and-sets lost by a roller", "compare-and-sets lost by a ledger")


class Flush(NamedTuple):
    """The moment at which Redis forgot, and the jobs that it had been told of."""

    at: Any
    jobs: list[str]


class Seen:
    """Counts events of one system; logs are read on from where the last look ended."""

    def __init__(self, stores: Observed, logs: Path) -> None:
        self._stores = stores
        self._logs = logs
        self._read: dict[Path, int] = {}
        self._lines: Counter[str] = Counter()
        self._flushes: list[Flush] = []

    async def flush(self) -> None:
        """Redis forgets everything that it was told."""
        async with self._stores.repo.connection() as db:
            at = await db.fetchval("SELECT clock_timestamp()")
            rows = await db.fetch(_WAITING)
        async with Redis.from_url(self._stores.settings.redis) as redis:
            await redis.flushall()
        self._flushes.append(Flush(at, [row["id"] for row in rows]))

    async def counts(self) -> dict[str, int]:
        """How often each of EVENTS was seen so far."""
        self._read_logs()
        async with self._stores.repo.connection() as db:
            stored = {name: int(await db.fetchval(query) or 0) for name, query in _QUERIES.items()}
            resent = sum([await _told_again(db, flush) for flush in self._flushes])
        return {**stored, **{name: self._lines[name] for name in _LINES}, RESENT: resent}

    def _read_logs(self) -> None:
        for path in self._logs.glob("*.log"):
            for line in self._new_lines(path):
                for name, (event, holds) in _LINES.items():
                    if line.get("event") == event and holds(line):
                        self._lines[name] += 1

    def _new_lines(self, path: Path) -> Iterator[Line]:
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            text = file.read()
        whole = text.rfind(b"\n") + 1
        self._read[path] = self._read.get(path, 0) + whole
        for line in text[:whole].splitlines():
            if line.startswith(b"{"):
                try:
                    yield msgspec.json.decode(line, type=Line)
                except msgspec.DecodeError:  # two processes wrote at once, or one died writing
                    continue


def never_seen(counts: dict[str, int]) -> list[str]:
    """Events that a run must see and has not."""
    lost = sum(counts[name] for name in _EITHER)
    missing = [name for name in EVENTS if name not in _EITHER and not counts[name]]
    return missing + ([] if lost else ["compare-and-sets lost"])


async def _told_again(db: Db, flush: Flush) -> int:
    return int(await db.fetchval(_TOLD_AGAIN, flush.jobs, flush.at))


_WAITING = "SELECT id FROM job WHERE state = 'queued' AND sent_at IS NOT NULL"
_TOLD_AGAIN = "SELECT count(*) FROM job WHERE id = ANY($1::text[]) AND sent_at > $2"
