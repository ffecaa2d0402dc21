"""Removes datasets of training runs that nobody needs, and those of people who have withdrawn.

A model keeps its dataset's hash, and its card what it was made of; only the days themselves go.
"""

from datetime import datetime, timedelta

from fitstream.logs import get
from fitstream.repo import cohort_runs, datasets
from fitstream.repo.datasets import Dataset, Written
from fitstream.store import Store
from fitstream.tasks.context import JobContext
from fitstream.tasks.dataset import MANIFEST, folder

log = get(__name__)
_UNCLAIMED = timedelta(days=1)  # a preparation that still writes one is younger
_AT_ONCE = 500


async def forget_datasets(context: JobContext) -> int:
    """Removes datasets, some hundreds at most; how many. A repeat goes on with the rest."""
    found = await written(context.store)
    forgotten = 0
    for key in [(each.programme_no, each.dataset_hash) for each in await _spent(context, found)]:
        own = [each for each in found if (each.programme_no, each.dataset_hash) == key]
        forgotten += await _forget(context, own)
        if forgotten >= _AT_ONCE:
            break
    return forgotten


async def written(store: Store) -> list[Written]:
    """Every dataset that lies in S3."""
    newest: dict[tuple[int, str], datetime] = {}
    async for each in store.list_objects("datasets/"):
        _, programme, name, *rest = each.key.split("/")
        if rest and programme.isdigit():
            key = (int(programme), name)
            newest[key] = max(newest.get(key, each.modified), each.modified)
    return [Written(*key, at) for key, at in newest.items()]


async def _spent(context: JobContext, found: list[Written]) -> list[Dataset]:
    unused = context.now() - timedelta(days=context.settings.dataset_keep_days)
    unclaimed = context.now() - _UNCLAIMED
    async with context.repo.connection() as db:
        return await datasets.spent_datasets(db, found, unused, unclaimed)


async def _forget(context: JobContext, own: list[Written]) -> int:
    """Removes one dataset, unless somebody has asked for a run on it meanwhile; 1 where it is gone.

    The manifest goes first: what is left of a dataset without one is read by nobody.
    """
    (dataset,) = own
    home = folder(dataset.programme_no, dataset.dataset_hash)
    async with context.repo.joined() as db:
        await cohort_runs.hold_programme(db, dataset.programme_no)  # nobody plans a run meanwhile
        if not await _spent(context, own):
            return 0
        await context.store.delete(f"{home}/{MANIFEST}")
        async for key in context.store.list_keys(f"{home}/"):
            await context.store.delete(key)
    log.info("dataset_forgotten", dataset=dataset.dataset_hash)
    return 1
