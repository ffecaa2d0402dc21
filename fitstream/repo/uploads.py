"""Uploads: what was sent, how far it is, and the devices that stand for it in the ledger.

An upload's rows are undone by its device numbers: nothing else is ever taken out of the ledger
here. A ledger that still has records of an undone upload to read passes over them, see `ledger`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from fitstream.errors import Conflict, NotFound
from fitstream.ids import new_id
from fitstream.merge import Values
from fitstream.repo.database import Db, execute, fetch, fetch_one, fetch_value
from fitstream.repo.jobs import ClaimedJob
from fitstream.repo.paging import Listed, Slice, fetch_page

Phase = Literal[
    "checking", "unmapped", "checked", "ingesting", "ingested", "undoing", "undone", "deleted"
]


class Upload(msgspec.Struct, frozen=True):
    """An upload as people see it; `state` is its phase, or how the job of the phase ended."""

    upload_no: int
    id: str
    programme: str
    programme_no: int
    customer_no: int | None
    customer: str | None
    created_by: str
    name: str
    format: str
    size: int
    sha256: str
    object_key: str
    priority: int
    phase: str
    state: str
    job_id: str | None
    error: str | None
    progress: dict[str, Any]
    cancel_requested: bool
    mapping: str | None
    mapping_version: int | None
    spec: dict[str, Any] | None
    head: dict[str, Any]
    report: dict[str, Any]
    result: dict[str, Any]
    sent: int
    removed: int
    devices: int
    created_at: datetime
    checked_at: datetime | None
    ingested_at: datetime | None
    undone_at: datetime | None


class NewUpload(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload begins as."""

    id: str
    programme_no: int
    customer_no: int | None
    created_by: str
    name: str
    format: str
    size: int
    sha256: str
    object_key: str
    priority: int


class WearerRow(msgspec.Struct, frozen=True):
    """A customer that a row of a file names by `key`."""

    key: str
    customer_no: int
    id: str
    zone: str
    is_active: bool


class ThereRow(msgspec.Struct, frozen=True):
    """What a device says of a slot, tombstones left out; metrics are scaled integers."""

    customer_no: int
    slot: int
    priority: int
    steps: int | None
    distance_m: int | None
    calories_kcal: int | None
    heart_rate_bpm: int | None
    heart_rate_min_bpm: int | None
    heart_rate_max_bpm: int | None
    light_min: int | None
    moderate_min: int | None
    vigorous_min: int | None
    sedentary_min: int | None
    sleep_min: int | None
    floors: int | None

    @property
    def values(self) -> Values:
        """The metrics in the order of merge.METRICS."""
        found: Values = msgspec.structs.astuple(self)[_METRICS_AT:]
        return found


_METRICS_AT = 3


class UploadDevice(msgspec.Struct, frozen=True):
    """The device that stands for an upload with one customer."""

    device_no: int
    id: str
    customer_no: int
    customer: str


class Position(msgspec.Struct, frozen=True):
    """How far the ledger has read a partition."""

    partition: int
    next_offset: int


async def insert_upload(db: Db, new: NewUpload) -> None:
    """A file that was stored, about to be checked."""
    await execute(db, "uploads.insert_upload", *msgspec.structs.astuple(new))


async def get_upload(db: Db, upload_id: str, customer_id: str | None = None) -> Upload:
    """One upload, of that customer if one is given; raises NotFound."""
    args = (upload_id, customer_id, None, None, None, None)
    found = await fetch_one(db, Upload, "uploads.list_uploads", *args)
    if found is None:
        raise NotFound(f"upload {upload_id}")
    return found


class Only(NamedTuple):
    """Which uploads to list: of one customer alone, or all with rows of one; None does not filter.

    `programmes` are numbers, `name` is any part of a file's name.
    """

    owner: str | None = None
    about: str | None = None
    state: str | None = None
    programmes: Sequence[int] | None = None
    name: str | None = None


async def list_uploads(db: Db, only: Only, asked: Slice) -> Listed[Upload]:
    """A page of uploads."""
    return await fetch_page(db, Upload, "uploads.list_uploads", asked, None, *only)


async def same_file(db: Db, programme_no: int, sha256: str, but: str) -> str | None:
    """Another upload of the same bytes that lies in the ledger, if there is one."""
    found = await fetch_value(db, "uploads.same_file", programme_no, sha256, but)
    return None if found is None else str(found)


async def start_phase(
    db: Db, upload: Upload, phase: Phase, job_id: str, allowed: Sequence[str]
) -> None:
    """Gives the upload to a job. Raises Conflict(wrong_state) unless its state is allowed."""
    if not await execute(db, "uploads.start_phase", upload.upload_no, phase, job_id, list(allowed)):
        text = f"the upload is {upload.state}; that needs one that is {' or '.join(allowed)}"
        raise Conflict("wrong_state", text)


async def set_mapping(
    db: Db, upload: Upload, mapping_no: int | None, spec: dict[str, Any] | None
) -> None:
    """How the file is to be read from now on."""
    await execute(db, "uploads.set_mapping", upload.upload_no, mapping_no, spec)


async def set_head(db: Db, upload: Upload, head: dict[str, Any]) -> None:
    """What the file begins with, and the mapping that is suggested for it."""
    await execute(db, "uploads.set_head", upload.upload_no, head)


async def set_object(db: Db, upload: Upload, object_key: str) -> None:
    """Where what is kept of the file lies from now on."""
    await execute(db, "uploads.set_object", upload.upload_no, object_key)


async def end_check(db: Db, upload: Upload, phase: Phase, report: dict[str, Any]) -> None:
    """The verdict on the file is there, or a mapping is wanted."""
    await execute(db, "uploads.end_check", upload.upload_no, phase, report)


async def note_sent(
    db: Db, upload: Upload, job: ClaimedJob, sent: int, result: dict[str, Any]
) -> None:
    """Rows of the file that Kafka has. Raises Conflict(lease_lost)."""
    values = (upload.upload_no, sent, result, job.id, job.lease_epoch)
    if not await execute(db, "uploads.note_sent", *values):
        raise Conflict("lease_lost", f"job {job.id} was taken over")


async def end_ingest(db: Db, upload: Upload) -> None:
    """Every row that was accepted is in Kafka."""
    await execute(db, "uploads.end_ingest", upload.upload_no)


async def end_undo(db: Db, upload: Upload) -> None:
    """Nothing of the upload lies in the ledger any more."""
    await execute(db, "uploads.end_undo", upload.upload_no)


async def end_delete(db: Db, upload: Upload) -> None:
    """Nothing is told of the file any more; the row stays for what the archive still has."""
    await execute(db, "uploads.end_delete", upload.upload_no)


async def wearers_of(db: Db, programme_no: int, by: str, keys: Sequence[str]) -> list[WearerRow]:
    """Customers of the programme by id or external id; unknown ones are left out."""
    return await fetch(db, WearerRow, "uploads.wearers_of", programme_no, by, list(keys))


async def wearer_no(db: Db, customer_no: int) -> WearerRow:
    """One customer by number; raises NotFound."""
    found = await fetch_one(db, WearerRow, "uploads.wearer_no", customer_no)
    if found is None:
        raise NotFound("the customer of the upload")
    return found


async def rows_at(
    db: Db, places: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], list[ThereRow]]:
    """What all devices say of these (customer number, slot), best device first in each."""
    found: dict[tuple[int, int], list[ThereRow]] = {}
    columns = [[place[at] for place in places] for at in (0, 1)]
    for row in await fetch(db, ThereRow, "uploads.rows_at", *columns):
        found.setdefault((row.customer_no, row.slot), []).append(row)
    return found


async def device_for(db: Db, upload: Upload, customer_no: int) -> UploadDevice:
    """The device that stands for the upload with a customer, made unless it is there.

    It counts as removed from the start: it has no key, and no week waits for it.
    """
    values = (new_id("dev"), customer_no, upload.name, upload.priority, upload.upload_no)
    await execute(db, "uploads.insert_device", *values)
    found = await fetch(db, UploadDevice, "uploads.devices_of", upload.upload_no, customer_no)
    return found[0]


async def devices_of(db: Db, upload: Upload) -> list[UploadDevice]:
    """All devices that stand for the upload, by customer."""
    return await fetch(db, UploadDevice, "uploads.devices_of", upload.upload_no, None)


async def remove_rows(db: Db, upload: Upload, device: UploadDevice) -> int:
    """Takes a device's rows out of the ledger, in the caller's transaction; how many.

    The weeks they lay in are dirty then, and the customer's counts are right again.
    """
    numbers = (device.customer_no, device.device_no)
    await execute(db, "uploads.lock_zones", device.customer_no)
    await execute(db, "devices.touch_weeks_of", *numbers)
    removed = await execute(db, "uploads.delete_samples", *numbers)
    await execute(db, "uploads.delete_rejects", *numbers)
    await execute(db, "uploads.delete_conflicts", *numbers)
    if removed:
        await execute(db, "uploads.recount_customer", device.customer_no, removed)
        await execute(db, "uploads.add_removed", upload.upload_no, removed)
    return removed


async def ledger_positions(db: Db, generation: int) -> dict[int, int]:
    """The next offset that the ledger reads, by partition."""
    found = await fetch(db, Position, "uploads.ledger_positions", generation)
    return {each.partition: each.next_offset for each in found}


async def object_prefixes(db: Db, customer_no: int) -> list[str]:
    """Where files lie that hold rows of a customer: what an erasure has to remove in full."""
    found = await fetch(db, _Prefix, "uploads.objects_of_customer", customer_no)
    return [each.object_key.rpartition("/")[0] + "/" for each in found]


class _Prefix(msgspec.Struct, frozen=True):
    object_key: str
