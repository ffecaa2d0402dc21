"""Counts for the overview: what stands at each hop, as far as it costs next to nothing to ask.

What grows with the customers is counted slice by slice in `tally`.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from fitstream.repo.database import Db, fetch_one


class LedgerCounts(msgspec.Struct, frozen=True):
    """Records and samples read, rows added and replaced, newest receipt."""

    records: int
    samples: int
    inserted: int
    updated: int
    newest_at: datetime | None


class OtherCounts(msgspec.Struct, frozen=True):
    """Dead letters that wait for somebody, models, training runs."""

    dead_letters: int
    models: int
    training_runs: int


class Champion(msgspec.Struct, frozen=True):
    """The model in use."""

    id: str
    kind: str
    created_at: datetime


async def ledger_counts(db: Db) -> LedgerCounts:
    """What went through the ledger, of all programmes: it is not known by one."""
    found = await fetch_one(db, LedgerCounts, "pipeline.ledger_counts")
    return found or LedgerCounts(0, 0, 0, 0, None)


async def other_counts(db: Db, within: Sequence[int] | None = None) -> OtherCounts:
    """Dead letters, models and runs."""
    found = await fetch_one(db, OtherCounts, "pipeline.other_counts", within)
    return found or OtherCounts(0, 0, 0)


async def newest_champion(db: Db, within: Sequence[int] | None = None) -> Champion | None:
    """The champion trained last, None before the first run."""
    return await fetch_one(db, Champion, "pipeline.newest_champion", within)
