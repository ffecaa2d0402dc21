"""Weeks: closing, leases, the roller's snapshot and commit, versions."""

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from fitstream.errors import Conflict, NotFound
from fitstream.repo.database import Db, execute, fetch, fetch_one, fetch_value


class Looked(msgspec.Struct, frozen=True):
    """How many weeks were closed, of how many looked at, and the last of these."""

    closed: int
    looked: int
    end_slot: int
    customer_no: int
    week: str

    @property
    def place(self) -> "OpenPlace":
        """Where the next look begins."""
        return OpenPlace(self.end_slot, self.customer_no, self.week)


class OpenPlace(NamedTuple):
    """A place among the open weeks, in the order in which they end."""

    end_slot: int = -(2**31)
    customer_no: int = 0
    week: str = ""


class Waiting(NamedTuple):
    """What closes a week: its end has passed and all devices heard of `silent_since` are complete,
    or it ended by `grace_slot`."""

    now_slot: int
    grace_slot: int
    silent_since: datetime


class Claim(msgspec.Struct, frozen=True):
    """A lease on a week; the epoch unmasks a worker that wakes up too late.

    `is_taken_over` when somebody held it before and neither finished nor gave it back.
    """

    customer_no: int
    customer_id: str
    week: str
    lease_epoch: int
    is_taken_over: bool = False


class WeekState(msgspec.Struct, frozen=True):
    """A week at the instant of a roll's snapshot."""

    customer_no: int
    customer_id: str
    programme_no: int
    week: str
    start_slot: int
    end_slot: int
    dirty_seq: int
    rolled_seq: int
    closed_at: datetime | None
    rolled_at: datetime | None
    current_version: int | None
    forced_job_id: str | None
    lease_epoch: int
    content_sha: str | None
    files: list[dict[str, Any]] | None


class WeekRow(msgspec.Struct, frozen=True):
    """A week as lists show it."""

    week: str
    start_slot: int
    end_slot: int
    state: str
    current_version: int | None
    closed_at: datetime | None
    measured: int


class WeekVersion(msgspec.Struct, frozen=True):
    """One published state of a week; `files` name object, kind, bytes and SHA-256."""

    version: int
    content_sha: str
    rows: int
    slots: int
    measured: int
    files: list[dict[str, Any]]
    reason: str
    changed: dict[str, Any]
    created_at: datetime


class NewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version to be published."""

    version: int
    content_sha: str
    rows: int
    slots: int
    measured: int
    files: list[dict[str, Any]]
    reason: str
    changed: dict[str, Any]


async def close_due(db: Db, waiting: Waiting, behind: OpenPlace, limit: int) -> Looked | None:
    """Closes what is to be closed of the next `limit` open weeks that have ended; None when there
    are none behind `behind`. A repeat closes nothing twice."""
    return await fetch_one(db, Looked, "weeks.close_due", *waiting, *behind, limit)


async def claim_due(
    db: Db, owner: str, lease_s: float, quiet_s: tuple[float, float], limit: int
) -> list[Claim]:
    """Leases on due weeks; `quiet_s` is (quiet time, longest wait)."""
    return await fetch(db, Claim, "weeks.claim_due", owner, lease_s, *quiet_s, limit)


async def snapshot_state(db: Db, customer_no: int, week: str) -> WeekState:
    """The state of a week; call it in the snapshot that also reads the rows."""
    found = await fetch_one(db, WeekState, "weeks.snapshot_state", customer_no, week)
    if found is None:
        raise NotFound(f"week {week}")
    return found


async def finish_roll(db: Db, state: WeekState, claim: Claim, version: int | None) -> None:
    """Publishes `version` as current and `state.dirty_seq` as rolled.

    Raises Conflict(lease_lost) when the lease was stolen or another version came first.
    """
    done = await execute(
        db,
        "weeks.finish_roll",
        state.customer_no,
        state.week,
        claim.lease_epoch,
        state.current_version,
        state.dirty_seq,
        version,
        state.closed_at is not None,
        state.forced_job_id,
    )
    if not done:
        raise Conflict("lease_lost", f"{state.week} was taken over before the commit")


async def release_lease(db: Db, claim: Claim, retry_after_s: float) -> None:
    """Gives the week back; another try after `retry_after_s`."""
    args = (claim.customer_no, claim.week, claim.lease_epoch, retry_after_s)
    await execute(db, "weeks.release_lease", *args)


async def insert_version(db: Db, customer_no: int, week: str, new: NewVersion) -> None:
    """Adds a version, in the transaction of `finish_roll`."""
    await execute(db, "weeks.insert_version", customer_no, week, *msgspec.structs.astuple(new))


async def force_roll(db: Db, customer_no: int, week: str, job_id: str) -> str:
    """Asks for a roll now; the job that stands for it (an earlier one if still waiting)."""
    found = await fetch_value(db, "weeks.force_roll", customer_no, week, job_id)
    if found is None:
        raise NotFound(f"week {week}")
    return str(found)


async def list_weeks(db: Db, customer_no: int, before: str | None, limit: int) -> list[WeekRow]:
    """Weeks before the name `before` (None: from the newest), newest first."""
    return await fetch(db, WeekRow, "weeks.list_weeks", customer_no, before, None, limit)


async def get_week(db: Db, customer_no: int, week: str) -> WeekRow:
    """One week; raises NotFound."""
    found = await fetch_one(db, WeekRow, "weeks.list_weeks", customer_no, None, week, 1)
    if found is None:
        raise NotFound(f"week {week}")
    return found


async def list_versions(db: Db, customer_no: int, week: str) -> list[WeekVersion]:
    """Versions of a week, newest first."""
    return await fetch(db, WeekVersion, "weeks.list_versions", customer_no, week)
