"""The same data once more: an emptied ledger, and what its weeks come to.

Customers and devices stay, with their ids, so that equal content has equal hashes.
"""

from typing import NamedTuple

from fitstream.repo.database import Db


class WeekKey(NamedTuple):
    """One week of one customer."""

    customer_id: str
    week: str


async def empty_ledger(db: Db) -> None:
    """No sample and no week any more; call it while nobody has anything to do."""
    for statement in _EMPTY:
        await db.execute(statement)


async def hashes(db: Db) -> dict[WeekKey, str]:
    """Content hash of the current version of every week that is closed and rolled."""
    return {WeekKey(row["id"], row["week"]): row["content_sha"] for row in await db.fetch(_HASHES)}


_EMPTY = (
    "TRUNCATE sample, sample_conflict, slot_reject, week_state, week_version, dataset_member",
    "UPDATE customer_stat SET samples = 0",
    "UPDATE ingest_progress SET samples = 0, inserted = 0, updated = 0",
    "UPDATE device SET complete_through = NULL",
)
_HASHES = """
SELECT c.id, w.week, v.content_sha
FROM week_state w JOIN customer c USING (customer_no)
JOIN week_version v ON v.customer_no = w.customer_no AND v.week = w.week
    AND v.version = w.current_version
WHERE w.closed_at IS NOT NULL AND w.dirty_seq = w.rolled_seq
"""
