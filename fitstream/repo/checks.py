"""What `fitstream verify` and the collection of orphans read; the first also marks weeks.

Pages of bounded size, in order of their keys, so that a whole system fits into little memory.
"""

from datetime import datetime

import msgspec

from fitstream.repo.database import Db, execute, fetch, fetch_one


class CheckedWeek(msgspec.Struct, frozen=True):
    """A week as it stands; `is_overdue`: closed, and dirty for longer than rolling may take."""

    customer_no: int
    customer_id: str
    week: str
    start_slot: int
    end_slot: int
    dirty_seq: int
    rolled_seq: int
    current_version: int | None
    closed_at: datetime | None
    rolled_at: datetime | None
    is_overdue: bool


class StrayVersion(msgspec.Struct, frozen=True):
    """A version of a week that does not exist."""

    customer_no: int
    week: str
    version: int


class CountedCustomer(msgspec.Struct, frozen=True):
    """Rows of a customer: in the ledger, in a week, and counted as they came."""

    customer_no: int
    customer_id: str
    rows: int
    in_weeks: int
    counted: int


class DeviceGap(msgspec.Struct, frozen=True):
    """Slots that a device never sent between its first and its last."""

    device_id: str
    first_slot: int
    last_slot: int
    missing: int


class Loss(msgspec.Struct, frozen=True):
    """A range of offsets that Kafka no longer had when the ledger (or archive) came to it."""

    reader: str
    generation: int
    partition: int
    first_offset: int
    next_offset: int
    found_at: datetime


class RepeatedRun(msgspec.Struct, frozen=True):
    """A dataset and recipe that more than one run has finished on."""

    dataset_hash: str
    recipe_hash: str
    runs: int


class LedgerPosition(msgspec.Struct, frozen=True):
    """The ledger's position and counts in a partition."""

    partition: int
    next_offset: int
    records: int
    samples: int
    inserted: int
    updated: int


class LedgerSums(msgspec.Struct, frozen=True):
    """Rows inserted by chunks, rows gained by customers, dead letters that wait."""

    inserted: int
    gained: int
    parked: int


class WeekFiles(msgspec.Struct, frozen=True):
    """Objects that the versions of a week name."""

    week: str
    current_version: int | None
    keys: list[str]


async def weeks_after(
    db: Db, after: tuple[int, str], customer_no: int | None, overdue_s: float, limit: int
) -> list[CheckedWeek]:
    """A page of weeks after (customer, week)."""
    args = (*after, customer_no, overdue_s, limit)
    return await fetch(db, CheckedWeek, "checks.weeks_after", *args)


async def stray_versions(db: Db, customer_no: int | None) -> list[StrayVersion]:
    """Versions whose week is gone; a thousand at most."""
    return await fetch(db, StrayVersion, "checks.stray_versions", customer_no)


async def customers_after(
    db: Db, after: int, customer_no: int | None, limit: int
) -> list[CountedCustomer]:
    """A page of customers after a number, with their rows counted three ways."""
    args = (after, customer_no, limit)
    return await fetch(db, CountedCustomer, "checks.customers_after", *args)


async def device_gaps(db: Db, customer_no: int) -> list[DeviceGap]:
    """Devices of a customer that left slots out."""
    return await fetch(db, DeviceGap, "checks.device_gaps", customer_no)


async def losses(db: Db) -> list[Loss]:
    """Losses that nobody has acknowledged."""
    return await fetch(db, Loss, "checks.losses")


async def acknowledge_losses(db: Db) -> int:
    """Marks every loss as seen by a person; how many there were."""
    return await execute(db, "checks.acknowledge_losses")


async def repeated_runs(db: Db) -> list[RepeatedRun]:
    """Runs that were done twice."""
    return await fetch(db, RepeatedRun, "checks.repeated_runs")


async def ledger_positions(db: Db, generation: int) -> list[LedgerPosition]:
    """Partitions that the ledger has read in a generation."""
    return await fetch(db, LedgerPosition, "checks.ledger_positions", generation)


async def ledger_sums(db: Db) -> LedgerSums:
    """Sums over all partitions and customers."""
    found = await fetch_one(db, LedgerSums, "checks.ledger_sums")
    return found or LedgerSums(0, 0, 0)


async def files_of_customer(db: Db, customer_id: str) -> list[WeekFiles]:
    """Objects that the customer's versions name, by week."""
    return await fetch(db, WeekFiles, "checks.files_of_customer", customer_id)


async def roll_again(db: Db, customer_no: int, week: str) -> None:
    """Raises dirty_seq: the roller compares and, where it must, makes a new version."""
    await execute(db, "checks.roll_again", customer_no, week)
