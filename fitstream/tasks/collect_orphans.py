"""Nightly collection: removes objects of weeks that no version refers to and none ever will.

Only names that the roller gives, older than a day, of a version that its week has reached: what a
roll that still runs has put is newer, or above the current version.
"""

from datetime import datetime
from typing import NamedTuple

from fitstream.logs import get
from fitstream.orphans import is_collectable, orphans
from fitstream.repo import jobs
from fitstream.repo.database import Repo
from fitstream.store import Store
from fitstream.tasks.context import JobContext

log = get(__name__)


class Collected(NamedTuple):
    """Orphans that were removed, and those that are kept for now."""

    removed: int
    kept: int


async def collect_orphans(context: JobContext) -> None:
    """A repeat removes what has become old since."""
    done = await collect(context.store, context.repo, context.now())
    async with context.repo.transaction() as db:
        result = {"removed": done.removed, "kept": done.kept}
        await jobs.finish_job(db, context.job, "succeeded", result)


async def collect(store: Store, repo: Repo, now: datetime) -> Collected:
    """Removes every orphan that is collectable at `now`. Raises Unavailable."""
    removed = kept = 0
    async for orphan in orphans(store, repo):
        if not is_collectable(orphan, now):
            kept += 1
            continue
        await store.delete(orphan.object.key)
        log.info("orphan_removed", key=orphan.object.key)
        removed += 1
    return Collected(removed, kept)
