"""What the dispatcher plans to train: programmes with new weeks, models that must be made anew
because of whose data they have seen, and models of single customers. A programme's cohort runs come
one after the other: what cannot begin now is looked at again.

Must not decide what a run reads: its preparation does.
"""

from collections.abc import Sequence
from datetime import datetime

from fitstream.repo import cohort_runs, jobs, models, training
from fitstream.repo.database import Db
from fitstream.repo.jobs import FinishedWeek, NewJob
from fitstream.settings import Settings


async def plan_training(
    db: Db, settings: Settings, finished: Sequence[FinishedWeek], now: datetime
) -> None:
    """Job rows for all of them; a repeat adds nothing."""
    await _train_stale(db, settings)
    await _retrain_flagged(db, settings, now)
    await _customer_runs(db, settings, finished)


async def _train_stale(db: Db, settings: Settings) -> None:
    """A programme with new weeks that is quiet; it stays stale while a run is under way, which has
    perhaps not seen them."""
    args = (settings.cohort_quiet_s, settings.cohort_max_s)
    for programme in await jobs.quiet_programmes(db, *args):
        new = NewJob(
            kind="cohort_prepare",
            queue="light",
            dedupe_key=f"cohort:{programme.programme_no}:{programme.stale_since}",
            payload={"budget_s": settings.train_budget_s},
            programme_no=programme.programme_no,
        )
        if (await cohort_runs.ask_for_run(db, programme.programme_no, new)).is_new:
            await jobs.mark_fresh(db, programme.programme_no)


async def _retrain_flagged(db: Db, settings: Settings, now: datetime) -> None:
    """A flagged champion starts a run, once a day until another has taken its place; after its
    days of grace it serves no more, whatever became of them."""
    for model in await models.flagged_champions(db):
        new = NewJob(
            kind="cohort_prepare",
            queue="light",
            dedupe_key=f"cohort:{model.programme_no}:flagged:{model.id}:{now:%Y-%m-%d}",
            payload={"budget_s": settings.train_budget_s},
            programme_no=model.programme_no,
        )
        await cohort_runs.ask_for_run(db, model.programme_no, new)
    await models.retire_overdue(db)


async def _customer_runs(db: Db, settings: Settings, finished: Sequence[FinishedWeek]) -> None:
    """Where they start by themselves: for whose week has finished, some at a time."""
    if not settings.customer_runs_at_once:
        return
    await training.mark_due(db, sorted({week.customer_no for week in finished}))
    for due in await training.take_due(db, settings.customer_runs_at_once):
        new = NewJob(
            kind="customer_prepare",
            queue="light",
            dedupe_key=f"adapt:{due.customer_no}:{due.since.isoformat()}",
            programme_no=due.programme_no,
            customer_no=due.customer_no,
        )
        await jobs.insert_job(db, new)
