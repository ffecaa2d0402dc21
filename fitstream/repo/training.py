"""What a training run fixes before it begins, what its candidates have come to, and whose model is
due to be made anew."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from fitstream.errors import Conflict, NotFound
from fitstream.repo.database import Db, execute, fetch, fetch_one, fetch_value
from fitstream.repo.jobs import ClaimedJob


class RunPlan(msgspec.Struct, frozen=True):
    """A run as it was planned; `plan` is None until the sizes of its data are known."""

    scope: str
    recipe: dict[str, Any]
    dataset_hash: str
    plan: dict[str, Any] | None
    customer_no: int | None
    base_model_id: str | None


class TrialState(msgspec.Struct, frozen=True):
    """The checkpoint of a candidate, or its weights when it has ended."""

    job_id: str
    state: bytes


class Due(msgspec.Struct, frozen=True):
    """A customer whose model wants to be made anew."""

    customer_no: int
    programme_no: int
    since: datetime


async def run_plan(db: Db, run_id: str) -> RunPlan:
    """What a run was asked to do and has fixed so far; raises NotFound."""
    found = await fetch_one(db, RunPlan, "training.run_plan", run_id)
    if found is None:
        raise NotFound(f"training run {run_id}")
    return found


async def fix_plan(db: Db, run_id: str, plan: dict[str, Any]) -> None:
    """Stores the plan of a run; one that is there stays."""
    await execute(db, "training.fix_plan", run_id, plan)


async def save_trial(db: Db, job: ClaimedJob, run_id: str, state: bytes) -> None:
    """Stores how far a candidate has come. Raises Conflict(lease_lost)."""
    if not await execute(db, "training.save_trial", job.id, job.lease_epoch, run_id, state):
        raise Conflict("lease_lost", f"job {job.id} was taken over")


async def trial_state(db: Db, job_id: str) -> bytes | None:
    """The last stored state of a candidate, None without one."""
    found: bytes | None = await fetch_value(db, "training.trial_state", job_id)
    return found


async def trial_states(db: Db, job_ids: Sequence[str]) -> dict[str, bytes]:
    """The stored states of candidates, by the ids of their jobs."""
    found = await fetch(db, TrialState, "training.trial_states", list(job_ids))
    return {each.job_id: each.state for each in found}


async def forget_trials(db: Db, run_id: str) -> None:
    """Removes what the candidates of a run have left; their results stay in their jobs."""
    await execute(db, "training.forget_trials", run_id)


async def forget_old_trials(db: Db, keep_days: int) -> None:
    """The same for runs that ended otherwise than well so long ago."""
    await execute(db, "training.forget_old_trials", keep_days)


async def mark_due(db: Db, customers: Sequence[int]) -> None:
    """Notes that the models of customers want to be made anew; a repeat changes nothing."""
    await execute(db, "training.mark_due", list(customers))


async def mark_adapted_due(db: Db, programme_no: int) -> None:
    """The same for all customers of a programme who have a model of their own."""
    await execute(db, "training.mark_adapted_due", programme_no)


async def take_due(db: Db, at_once: int) -> list[Due]:
    """Whose models are made now: as many as leaves no more than `at_once` runs under way.

    Nobody of a programme without a model, or whose cohort is about to be trained.
    """
    return await fetch(db, Due, "training.take_due", at_once)
