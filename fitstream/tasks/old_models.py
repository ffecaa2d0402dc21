"""Removes the objects of models that no run has registered: of one that was killed, or cancelled,
between storing them and its commit. What they hold of people's days no flag would ever reach.
"""

from datetime import datetime, timedelta

from fitstream.logs import get
from fitstream.repo import datasets
from fitstream.tasks.context import JobContext

log = get(__name__)
_UNCLAIMED = timedelta(days=1)  # a run that is about to commit is younger
_HOME = "models/"
_AT_ONCE = 500


async def forget_models(context: JobContext) -> int:
    """Removes such objects of some hundreds of models at most; of how many. A repeat goes on with
    the rest."""
    newest: dict[str, datetime] = {}
    async for each in context.store.list_objects(_HOME):
        model_id = each.key.split("/")[1]
        newest[model_id] = max(newest.get(model_id, each.modified), each.modified)
    before = context.now() - _UNCLAIMED
    old = [model_id for model_id, modified in newest.items() if modified < before]
    async with context.repo.connection() as db:
        found = await datasets.unregistered_models(db, old)
    for model_id in found[:_AT_ONCE]:
        async for key in context.store.list_keys(f"{_HOME}{model_id}/"):
            await context.store.delete(key)
        log.info("model_forgotten", model=model_id)
    return len(found[:_AT_ONCE])
