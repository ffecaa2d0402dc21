"""Nightly upkeep: partitions of the ledger for the months to come."""

from fitstream.repo import jobs
from fitstream.repo.migrate import make_partitions
from fitstream.tasks.context import JobContext


async def upkeep(context: JobContext) -> None:
    """A repeat changes nothing."""
    async with context.repo.transaction() as db:
        await make_partitions(db, context.now().date())
        await jobs.finish_job(db, context.job, "succeeded", {})
