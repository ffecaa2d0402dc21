"""Sets up the folders of new customers: what is in each, as a file, and the key of their archive.

So that the first post of a device waits for neither. A repeat changes nothing.
"""

import asyncio
from contextlib import suppress

import msgspec

from fitstream.errors import Conflict
from fitstream.repo import jobs, people
from fitstream.repo.people import Folderless
from fitstream.sealing import DataKeys, master_keys
from fitstream.store import Store
from fitstream.tasks.context import JobContext

FOLDERS = ("weeks", "uploads", "forecasts", "models", "exports", "profile")
_BATCH = 200
_AT_ONCE = 8


async def set_up_customers(context: JobContext) -> None:
    """Ends the job when nobody is without a folder."""
    keys = DataKeys(context.store, master_keys(context.settings))
    after, done = 0, 0
    while True:
        async with context.repo.connection() as db:
            found = await people.without_folder(db, after, _BATCH)
        if not found:
            break
        await _set_up(context, keys, found)
        after, done = found[-1].customer_no, done + len(found)
    async with context.repo.transaction() as db:
        await jobs.finish_job(db, context.job, "succeeded", {"customers": done})


async def _set_up(context: JobContext, keys: DataKeys, found: list[Folderless]) -> None:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(customer: Folderless) -> None:
        async with turns:
            await make_folder(context.store, customer.id)
            await keys.key_for(customer.id)

    await asyncio.gather(*(one(customer) for customer in found))
    async with context.repo.transaction() as db:
        await people.mark_folders(db, [customer.customer_no for customer in found])


async def make_folder(store: Store, customer_id: str) -> None:
    """The folder's own description; S3 knows no empty folders."""
    described = {"customer_id": customer_id, "layout": 1, "folders": FOLDERS}
    body = msgspec.json.format(msgspec.json.encode(described))
    with suppress(Conflict):  # described by another version of this program
        await store.put_new(f"users/{customer_id}/folder.json", body, "application/json")
