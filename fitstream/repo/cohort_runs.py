"""One run of a programme's cohort at a time, and one answer at a time to which model serves.

Two runs side by side would be judged by the same model, and the later one would take the place of
the earlier one without having met it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from fitstream.errors import Conflict
from fitstream.repo import jobs
from fitstream.repo.database import Db, fetch_value
from fitstream.repo.jobs import NewJob


class Asked(NamedTuple):
    """The job of a run, and whether it is new: not so where one was under way."""

    id: str
    is_new: bool


async def hold_programme(db: Db, programme_no: int) -> None:
    """Until the caller's transaction ends, nobody else plans a run or decides who serves."""
    await fetch_value(db, "cohort_runs.hold_programme", programme_no)


async def run_under_way(db: Db, programme_no: int, besides: Sequence[str] = ()) -> str | None:
    """The job of the run that is queued, running or waiting now, other than those named."""
    args = (programme_no, list(besides))
    found: str | None = await fetch_value(db, "cohort_runs.run_under_way", *args)
    return found


async def ask_for_run(db: Db, programme_no: int, new: NewJob) -> Asked:
    """Plans a run, in the caller's transaction; where one is under way it stands for this one."""
    await hold_programme(db, programme_no)
    under_way = await run_under_way(db, programme_no)
    if under_way is not None:
        return Asked(under_way, is_new=False)
    return Asked(await jobs.insert_job(db, new), is_new=True)


async def retry_job(db: Db, job_id: str) -> None:
    """Runs a failed or cancelled job again. Raises NotFound, Conflict(not_failed), also for a run
    while another one of its programme is under way."""
    programme_no: int | None = await fetch_value(db, "cohort_runs.programme_of", job_id)
    if programme_no is not None:
        await hold_programme(db, programme_no)
        if await run_under_way(db, programme_no, [job_id]) is not None:
            text = "another training run of the programme is under way; retry when it has ended"
            raise Conflict("not_failed", text)
    await jobs.retry(db, job_id)


async def serving(db: Db, programme_no: int) -> str | None:
    """The id of the model in use for everybody; None without one."""
    found: str | None = await fetch_value(db, "cohort_runs.serving", programme_no)
    return found
