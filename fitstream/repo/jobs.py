"""The job table: outbox, queue of record and what people see, in one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from fitstream.errors import Conflict, NotFound
from fitstream.ids import new_id
from fitstream.repo.database import Db, execute, fetch, fetch_one, fetch_value
from fitstream.repo.paging import Listed, Slice, fetch_page

ROLL = "roll_week"  # a roll asked for by hand: the roller does it, not arq
CANDIDATE = "train_candidate"  # a part of a training run: the run's job waits for it
_PRUNED = (
    "week_finished", ROLL, "upkeep", "collect_orphans", "forecast", "cohort_prepare", CANDIDATE,
    "forecast_today", "score_forecasts",
)  # fmt: skip


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job to be done once per dedupe key; queue `none` is never told to arq."""

    kind: str
    queue: str
    dedupe_key: str
    payload: dict[str, Any] = {}
    programme_no: int | None = None
    customer_no: int | None = None
    parent_id: str | None = None
    run_after: datetime | None = None


class DueJob(msgspec.Struct, frozen=True):
    """A job that arq must be told of."""

    id: str
    kind: str
    queue: str
    lease_epoch: int


class ClaimedJob(msgspec.Struct, frozen=True):
    """A job with the lease under which it may be worked on.

    `is_taken_over` when the worker before let its lease run out. `started_at` is when it was
    claimed for the first time: all its attempts share it.
    """

    id: str
    kind: str
    programme_no: int | None
    customer_no: int | None
    payload: dict[str, Any]
    lease_epoch: int
    attempts: int
    cancel_requested: bool
    is_taken_over: bool = False
    waits: int = 0
    parent_id: str | None = None
    started_at: datetime | None = None


class Job(msgspec.Struct, frozen=True):
    """A job as people see it."""

    id: str
    parent_id: str | None
    kind: str
    queue: str
    state: str
    payload: dict[str, Any]
    progress: dict[str, Any]
    result: dict[str, Any]
    attempts: int
    error: str | None
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    done_at: datetime | None
    run_after: datetime


class Child(msgspec.Struct, frozen=True):
    """A job below another one."""

    id: str
    kind: str
    state: str
    payload: dict[str, Any]
    progress: dict[str, Any]
    result: dict[str, Any]
    error: str | None


class FinishedWeek(msgspec.Struct, frozen=True):
    """Whose week has finished."""

    programme_no: int
    customer_no: int


class QuietProgramme(msgspec.Struct, frozen=True):
    """A programme whose model is due, and since when it was stale."""

    programme_no: int
    stale_since: datetime


class ProgrammeNo(msgspec.Struct, frozen=True):
    """Number of a programme."""

    programme_no: int


async def insert_job(db: Db, new: NewJob) -> str:
    """Id of the job for `new.dedupe_key`, inserted now or before."""
    values = (new_id("job"), new.parent_id, new.kind, new.queue, new.dedupe_key)
    about = (new.programme_no, new.customer_no, new.payload, new.run_after)
    inserted = await fetch_value(db, "jobs.insert_job", *values, *about)
    return str(inserted or await fetch_value(db, "jobs.job_by_dedupe_key", new.dedupe_key))


async def due_jobs(db: Db, resend_s: float) -> list[DueJob]:
    """Jobs to tell arq of, or to tell again after `resend_s`."""
    return await fetch(db, DueJob, "jobs.due_jobs", resend_s)


async def mark_sent(db: Db, ids: Sequence[str]) -> None:
    """Notes that arq was told."""
    await execute(db, "jobs.mark_sent", list(ids))


async def claim_job(db: Db, job_id: str, owner: str, lease_s: float) -> ClaimedJob | None:
    """The job under a new lease, or None when it is done, taken or not due."""
    return await fetch_one(db, ClaimedJob, "jobs.claim_job", job_id, owner, lease_s)


async def renew_job(
    db: Db, job: ClaimedJob, lease_s: float, progress: dict[str, Any] | None
) -> bool:
    """Whether a cancel was asked for. Raises Conflict(lease_lost)."""
    found = await fetch_value(db, "jobs.renew_job", job.id, job.lease_epoch, lease_s, progress)
    if found is None:
        raise Conflict("lease_lost", f"job {job.id} was taken over")
    return bool(found)


async def finish_job(
    db: Db, job: ClaimedJob, state: str, result: dict[str, Any], error: str | None = None
) -> None:
    """Ends a job as succeeded, failed or cancelled. Raises Conflict(lease_lost).

    A parent that waits goes on when this was the last of its children, or has not succeeded.
    """
    await _hold_parent(db, job.parent_id)
    if not await execute(db, "jobs.finish_job", job.id, job.lease_epoch, state, result, error):
        raise Conflict("lease_lost", f"job {job.id} was taken over")
    await _child_ended(db, job.parent_id, state)


async def wait_for_children(
    db: Db, job: ClaimedJob, children: Sequence[NewJob], progress: dict[str, Any]
) -> bool:
    """Inserts the children and waits until they have ended; False, with no child, when the job was
    to be cancelled and is now. Raises Conflict(lease_lost).

    The job is claimed again when the last child has succeeded, or as soon as one has not.
    """
    if not await execute(db, "jobs.wait_for_children", job.id, job.lease_epoch, progress):
        await finish_job(db, job, "cancelled", {})
        return False
    for child in children:
        await insert_or_repeat(db, child)
    return True


async def children_of(db: Db, job_id: str) -> list[Child]:
    """The children of a job in the order they were inserted."""
    return await fetch(db, Child, "jobs.children_of", job_id)


async def cancel_children(db: Db, job_id: str) -> None:
    """Cancels what is queued below a job and asks what runs to stop."""
    await execute(db, "jobs.cancel_children", job_id)


async def _hold_parent(db: Db, parent_id: str | None) -> None:
    """Locks a waiting parent: of its last two children one sees that the other has ended."""
    if parent_id is not None:
        await fetch_value(db, "jobs.hold_parent", parent_id)


async def _child_ended(db: Db, parent_id: str | None, state: str) -> None:
    if parent_id is not None:
        await execute(db, "jobs.child_ended", parent_id, state)


async def retry_later(db: Db, job: ClaimedJob, delay_s: float, error: str) -> None:
    """Puts a job back in the queue."""
    await execute(db, "jobs.retry_job_later", job.id, job.lease_epoch, delay_s, error)


async def wait_for_service(db: Db, job: ClaimedJob, delay_s: float, error: str) -> None:
    """Puts a job back that a service kept from its work; this was no attempt of its own."""
    await execute(db, "jobs.wait_for_service", job.id, job.lease_epoch, delay_s, error)


async def give_back(db: Db, job: ClaimedJob) -> None:
    """Leaves the job to another worker at once; a lease that was lost meanwhile is no error."""
    await execute(db, "jobs.give_back", job.id, job.lease_epoch)


async def complete_roll(db: Db, job_id: str, result: dict[str, Any]) -> None:
    """Completes a roll asked for by hand, in the roller's commit."""
    await execute(db, "jobs.complete_roll_job", job_id, result)


async def cancel(db: Db, job_id: str) -> None:
    """Cancels a queued job, asks a running one to stop, and what it waits for with it.

    Raises NotFound, Conflict(done).
    """
    job = await get_job(db, job_id)
    await _hold_parent(db, job.parent_id)
    if not await execute(db, "jobs.request_cancel", job_id):
        raise Conflict("done", f"the job has already {job.state}")
    await cancel_children(db, job_id)
    if (await get_job(db, job_id)).state == "cancelled":
        await _child_ended(db, job.parent_id, "cancelled")
    if job.kind == ROLL:
        await execute(db, "jobs.forget_forced_roll", job_id)


async def retry(db: Db, job_id: str) -> None:
    """Runs a failed or cancelled job again. Raises NotFound, Conflict(not_failed)."""
    job = await get_job(db, job_id)
    if job.kind == ROLL:
        raise Conflict("not_failed", "ask for the roll of the week again instead")
    if job.kind == CANDIDATE:
        raise Conflict("not_failed", "retry the training run that it is a part of instead")
    if not await _requeue(db, job_id):
        raise Conflict("not_failed", f"only failed or cancelled jobs can be retried: {job.state}")


async def insert_or_repeat(db: Db, new: NewJob) -> str:
    """Id of the job for `new.dedupe_key`; one that failed or was cancelled before runs again."""
    job_id = await insert_job(db, new)
    await _requeue(db, job_id)
    return job_id


async def _requeue(db: Db, job_id: str) -> bool:
    """Whether it runs again; children that have failed or were cancelled do so first."""
    if not await execute(db, "jobs.requeue", job_id):
        return False
    if await execute(db, "jobs.requeue_children", job_id):
        await execute(db, "jobs.wait_again", job_id)
    return True


async def prune(db: Db, keep_days: int, limit: int) -> int:
    """Forgets up to `limit` jobs that ended well `keep_days` ago; how many. A repeat goes on.

    Kinds that a training run or a model refers to stay, and so does what failed.
    """
    return await execute(db, "jobs.prune_jobs", list(_PRUNED), keep_days, limit)


async def list_jobs(
    db: Db,
    only: tuple[str | None, str | None],
    asked: Slice,
    within: Sequence[int] | None = None,
) -> Listed[Job]:
    """A page of jobs; `only` is (state, kind), `within` the numbers of programmes."""
    return await fetch_page(db, Job, "jobs.list_jobs", asked, *only, None, within)


async def get_job(db: Db, job_id: str) -> Job:
    """One job; raises NotFound."""
    found = await fetch_one(db, Job, "jobs.list_jobs", None, None, job_id, None)
    if found is None:
        raise NotFound(f"job {job_id}")
    return found


async def take_finished_weeks(db: Db) -> list[FinishedWeek]:
    """Finished weeks not looked at yet; their programmes are marked stale."""
    found = await fetch(db, FinishedWeek, "jobs.take_finished_weeks")
    if found:
        await execute(db, "jobs.mark_stale", sorted({week.programme_no for week in found}))
    return found


async def widen_forecast(db: Db, programme_no: int, customers: Sequence[int]) -> bool:
    """Whether a forecast that still waits has taken these customers in."""
    args = (programme_no, list(customers))
    return await fetch_value(db, "jobs.widen_forecast", *args) is not None


async def quiet_programmes(db: Db, quiet_s: float, max_s: float) -> list[QuietProgramme]:
    """Stale programmes whose training is due, held until the caller's transaction ends."""
    return await fetch(db, QuietProgramme, "jobs.quiet_programmes", quiet_s, max_s)


async def mark_fresh(db: Db, programme_no: int) -> None:
    """A programme whose training is planned is not stale until its next week."""
    await execute(db, "jobs.mark_fresh", programme_no)


async def programmes(db: Db) -> list[int]:
    """Numbers of all programmes."""
    return [row.programme_no for row in await fetch(db, ProgrammeNo, "jobs.programmes")]


async def claimed(db: Db, job_id: str, epoch: int) -> ClaimedJob:
    """The job under the lease that its worker took. Raises Conflict(lease_lost)."""
    found = await fetch_one(db, ClaimedJob, "jobs.claimed_job", job_id, epoch)
    if found is None:
        raise Conflict("lease_lost", f"job {job_id} was taken over")
    return found


async def forget_letter(db: Db, job_id: str) -> None:
    """Removes what was in a letter from its job."""
    await execute(db, "jobs.forget_letter", job_id)


async def forget_letters(db: Db) -> None:
    """The same for every letter that has ended."""
    await execute(db, "jobs.forget_letters")
