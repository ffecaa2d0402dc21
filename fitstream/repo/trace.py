"""What one sample became: its row, the week, datasets, runs, models, forecasts. Reads only."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from fitstream.combined import LedgerRow
from fitstream.repo.database import Db, fetch, fetch_one, fetch_value


class Owner(msgspec.Struct, frozen=True):
    """The numbers behind a device's public id."""

    device_no: int
    customer_no: int
    customer_id: str


class ConflictAt(msgspec.Struct, frozen=True):
    """Two rows of one key and rev with other content; the larger tie was kept."""

    slot: int
    device_no: int
    rev: int
    at: datetime


class ParkedAt(msgspec.Struct, frozen=True):
    """What became of a record that could not be applied."""

    state: str
    reason: str


class WeekAt(msgspec.Struct, frozen=True):
    """A week that some slots lie in."""

    week: str
    start_slot: int
    end_slot: int
    state: str
    current_version: int | None


class MemberOf(msgspec.Struct, frozen=True):
    """A dataset that a week went into, and with which version."""

    dataset_hash: str
    version: int


class RunOn(msgspec.Struct, frozen=True):
    """A training run on a dataset."""

    id: str
    state: str
    dataset_hash: str
    model_id: str | None
    created_at: datetime


class ModelOn(msgspec.Struct, frozen=True):
    """A model trained on a dataset."""

    id: str
    kind: str
    stage: str
    dataset_hash: str
    object_key: str
    created_at: datetime


class ForecastOn(msgspec.Struct, frozen=True):
    """A forecast that rests on a week version."""

    target: str
    version: int | None
    model_id: str
    issued_at: datetime
    object_key: str


async def owner_of(db: Db, device_id: str) -> Owner | None:
    """Who a device belongs to, None when it is unknown."""
    return await fetch_one(db, Owner, "trace.owner_of", device_id)


async def was_undone(db: Db, device_ids: Sequence[str]) -> bool:
    """Whether one of the devices is that of an upload which was undone, or is being undone."""
    return bool(await fetch_value(db, "trace.was_undone", list(device_ids)))


async def rows_at(
    db: Db, customer_no: int, slots: Sequence[int], device_no: int | None
) -> list[LedgerRow]:
    """Rows of a customer at `slots`, tombstones too, perhaps of one device."""
    return await fetch(db, LedgerRow, "trace.rows_at", customer_no, list(slots), device_no)


async def conflicts_at(db: Db, customer_no: int, slots: Sequence[int]) -> list[ConflictAt]:
    """Conflicts that were noted at `slots`."""
    return await fetch(db, ConflictAt, "trace.conflicts_at", customer_no, list(slots))


async def parked_at(db: Db, topic: str, generation: int, place: tuple[int, int]) -> ParkedAt | None:
    """The dead letter of a record at (partition, offset), None when it was not parked."""
    return await fetch_one(db, ParkedAt, "trace.parked_at", topic, generation, *place)


async def weeks_at(db: Db, customer_no: int, slots: Sequence[int], limit: int) -> list[WeekAt]:
    """Weeks that hold any of `slots`, newest first."""
    return await fetch(db, WeekAt, "trace.weeks_at", customer_no, list(slots), limit)


async def members_of(db: Db, customer_no: int, week: str, limit: int) -> list[MemberOf]:
    """Datasets that the week went into."""
    return await fetch(db, MemberOf, "trace.members_of", customer_no, week, limit)


async def runs_on(db: Db, datasets: Sequence[str]) -> list[RunOn]:
    """Training runs on these datasets, newest first."""
    return await fetch(db, RunOn, "trace.runs_on", list(datasets))


async def models_on(db: Db, datasets: Sequence[str]) -> list[ModelOn]:
    """Models trained on these datasets, newest first."""
    return await fetch(db, ModelOn, "trace.models_on", list(datasets))


async def forecasts_on(db: Db, customer_no: int, week: str) -> list[ForecastOn]:
    """The customer's latest forecasts that rest on the week."""
    return await fetch(db, ForecastOn, "trace.forecasts_on", customer_no, week)
