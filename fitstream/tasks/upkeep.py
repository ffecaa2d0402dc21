"""Nightly upkeep: partitions of the ledger for the months to come, and what has expired goes."""

from datetime import timedelta

from fitstream.repo import idempotency, jobs, links, models, oauth, throttle, training
from fitstream.repo.migrate import make_partitions
from fitstream.tasks.context import JobContext
from fitstream.tasks.old_datasets import forget_datasets
from fitstream.tasks.old_jobs import forget_jobs
from fitstream.tasks.old_models import forget_models


async def upkeep(context: JobContext) -> None:
    """A repeat changes nothing, or goes on with what was too much for one night."""
    forgotten = await forget_jobs(context.repo, context.settings.job_keep_days)
    gone = await forget_datasets(context)
    models_gone = await forget_models(context)
    async with context.repo.transaction() as db:
        await make_partitions(db, context.now().date())
        await links.forget_links(db, context.now())
        await jobs.forget_letters(db)
        await models.flag_withdrawn(db)
        await training.forget_old_trials(db, context.settings.job_keep_days)
        await throttle.forget(db)
        await idempotency.forget_answers(db)
        await oauth.forget_old(db, context.now() - timedelta(days=1))
        result = {
            "jobs_forgotten": forgotten,
            "datasets_forgotten": gone,
            "models_forgotten": models_gone,
        }
        await jobs.finish_job(db, context.job, "succeeded", result)
