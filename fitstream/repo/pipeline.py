"""Counts for the overview: what stands at each hop."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from fitstream.repo.database import Db, fetch_one


class CustomerCounts(msgspec.Struct, frozen=True):
    """Active customers, and how many were heard of within an hour and a day."""

    total: int
    seen_1h: int
    seen_24h: int


class LedgerCounts(msgspec.Struct, frozen=True):
    """Records and samples read, rows added and replaced, rows in all, newest receipt."""

    records: int
    samples: int
    inserted: int
    updated: int
    rows: int
    newest_at: datetime | None


class OtherCounts(msgspec.Struct, frozen=True):
    """The rest of the overview."""

    devices: int
    dead_letters: int
    models: int
    training_runs: int
    forecasts: int
    forecast_customers: int


class Champion(msgspec.Struct, frozen=True):
    """The model in use."""

    id: str
    kind: str
    created_at: datetime


async def customer_counts(db: Db, within: Sequence[int] | None = None) -> CustomerCounts:
    """Customers by how lately they were heard of."""
    found = await fetch_one(db, CustomerCounts, "pipeline.customer_counts", within)
    return found or CustomerCounts(0, 0, 0)


async def ledger_counts(db: Db, within: Sequence[int] | None = None) -> LedgerCounts:
    """What went through the ledger; of some programmes what is known by customer."""
    if within is None:
        found = await fetch_one(db, LedgerCounts, "pipeline.ledger_counts")
    else:
        found = await fetch_one(db, LedgerCounts, "pipeline.ledger_counts_within", within)
    return found or LedgerCounts(0, 0, 0, 0, 0, None)


async def other_counts(db: Db, within: Sequence[int] | None = None) -> OtherCounts:
    """Devices, dead letters, models, runs and forecasts."""
    found = await fetch_one(db, OtherCounts, "pipeline.other_counts", within)
    return found or OtherCounts(0, 0, 0, 0, 0, 0)


async def newest_champion(db: Db, within: Sequence[int] | None = None) -> Champion | None:
    """The champion trained last, None before the first run."""
    return await fetch_one(db, Champion, "pipeline.newest_champion", within)
