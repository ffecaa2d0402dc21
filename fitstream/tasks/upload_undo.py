"""Takes an upload back: every row that its devices put into the ledger, and nothing else.

From the moment the upload is `undoing` no ledger and no replay writes its rows any more, so what is
still on its way cannot come after.
"""

from fitstream.repo import jobs, uploads
from fitstream.tasks.context import JobContext
from fitstream.tasks.upload_daily import undo_daily
from fitstream.tasks.uploading import claimed_upload


async def upload_undo(context: JobContext) -> None:
    """Customer by customer, each in one transaction; a repeat goes on with those that are left."""
    upload = await claimed_upload(context, "undoing")
    if upload.format == "legacy_daily":
        await undo_daily(context, upload)
        return
    async with context.repo.connection() as db:
        devices = await uploads.devices_of(db, upload)
    removed = 0
    for done, device in enumerate(devices, 1):
        async with context.repo.transaction() as db:
            removed += await uploads.remove_rows(db, upload, device)
        context.tell(phase="undoing", customers=done, of=len(devices))
    async with context.repo.transaction() as db:
        await uploads.end_undo(db, upload)
        await jobs.finish_job(db, context.job, "succeeded", {"removed": removed})
