"""What the jobs of an upload share: the file, its table and mapping, whose rows it may give.

Each runs in a child process that has a limit of memory: whatever a file does, it does to that one.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec

from fitstream.errors import Conflict, Rejected
from fitstream.repo import uploads
from fitstream.repo.database import Db
from fitstream.repo.uploads import Upload, WearerRow
from fitstream.settings import Settings
from fitstream.tasks.context import JobContext
from fitstream.tasks.memory import limit_memory
from fitstream.uploads.judging import Wearer
from fitstream.uploads.mapper import Mapper, bind
from fitstream.uploads.opening import open_table
from fitstream.uploads.spec import MappingSpec
from fitstream.uploads.tabular import Bounds, TableFile

CHUNK_ROWS = 2000  # of one customer they still fit one record of the topic
_CUSTOMERS_MAX = 200_000


class Source(NamedTuple):
    """A file that is read by a mapping."""

    table: TableFile
    mapper: Mapper
    is_strict: bool


async def claimed_upload(context: JobContext, phase: str) -> Upload:
    """The upload that this job is for. Raises Conflict(superseded) when another job has it."""
    async with context.repo.connection() as db:
        upload = await uploads.get_upload(db, str(context.job.payload["upload"]))
    if upload.phase != phase or upload.job_id != context.job.id:
        raise Conflict("superseded", f"the upload is {upload.state} by another job")
    return upload


@asynccontextmanager
async def file_of(context: JobContext, upload: Upload) -> AsyncIterator[Path]:
    """The file on this machine, gone afterwards; memory is limited from here on."""
    limit_memory(context.settings.upload_memory_bytes)
    with TemporaryDirectory(prefix="fitstream-upload-") as folder:
        path = Path(folder) / "file"
        await context.store.get_file(upload.object_key, path)
        try:
            yield path
        except MemoryError as error:
            text = "the file needs more memory than a job may take; send it in parts"
            raise Rejected("file_too_large", text, 422) from error


def table_of(path: Path, upload: Upload, settings: Settings) -> TableFile:
    """The file as a table. Raises Rejected when it is none."""
    bounds = Bounds(settings.upload_rows_max, settings.upload_inflated_max_bytes)
    return open_table(path, upload.format, bounds)  # type: ignore[arg-type]  # a CHECK holds it


def source_of(table: TableFile, spec: dict[str, Any]) -> Source:
    """The table read by a mapping. Raises Rejected(bad_mapping)."""
    mapping = msgspec.convert(spec, MappingSpec)
    return Source(table, bind(mapping, table.header), mapping.others == "refuse")


class Wearers:
    """Customers by the names that the file has for them; those of other programmes are nobody."""

    def __init__(self, upload: Upload, spec: dict[str, Any] | None) -> None:
        self._upload = upload
        self._by = str((spec or {}).get("customer_by", "external_id"))
        self._known: dict[str, Wearer] = {}
        self._asked: set[str] = set()

    async def of(self, db: Db, keys: Iterable[str]) -> dict[str, Wearer]:
        """Every customer known so far, these among them. Raises Rejected for too many names."""
        new = [key for key in keys if key not in self._asked]
        self._asked.update(new)
        if len(self._asked) > _CUSTOMERS_MAX:
            text = f"the file names more than {_CUSTOMERS_MAX} customers; send it in parts"
            raise Rejected("too_many_customers", text, 422)
        if "" in new and self._upload.customer_no is not None:
            self._know(await uploads.wearer_no(db, self._upload.customer_no))
        named = [key for key in new if key]
        if named:
            await self._look_up(db, named)
        return self._known

    async def _look_up(self, db: Db, names: list[str]) -> None:
        for row in await uploads.wearers_of(db, self._upload.programme_no, self._by, names):
            if self._upload.customer_no in (None, row.customer_no):
                self._know(row)

    def _know(self, row: WearerRow) -> None:
        """Who is deactivated is sent nothing, by files as by devices."""
        if row.is_active:
            self._known[row.key] = Wearer(row.customer_no, row.id, row.zone)
