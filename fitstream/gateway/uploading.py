"""What people do with uploads, for API and pages alike: each in one transaction, with its job.

Must not read a file: jobs do, in processes of their own.
"""

from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from fitstream.client import uploads as shapes
from fitstream.clock import slot_start
from fitstream.errors import Conflict, Rejected, told_of
from fitstream.gateway.keys import REPO, STORE
from fitstream.gateway.principal import PRINCIPAL, Principal
from fitstream.gateway.receiving import Received
from fitstream.gateway.scoping import programme_of
from fitstream.ids import new_id
from fitstream.repo import audit, customers, jobs, mappings, uploads
from fitstream.repo.audit import Subject
from fitstream.repo.database import Db
from fitstream.repo.jobs import NewJob
from fitstream.repo.mappings import Mapping
from fitstream.repo.uploads import NewUpload, Phase, Upload
from fitstream.uploads.opening import Format, format_of
from fitstream.uploads.report import Report
from fitstream.uploads.spec import MappingSpec, Name, check_spec

QUEUE = "uploads"
LOWEST = 1000
_CHECKABLE = ("checked", "unmapped", "checking_failed", "checking_cancelled", "checking_new")
_INGESTIBLE = ("checked", "ingesting_failed", "ingesting_cancelled")
_UNDOABLE = (
    "ingested", "ingesting_failed", "ingesting_cancelled", "undoing_failed", "undoing_cancelled",
)  # fmt: skip
_DELETABLE = frozenset({"unmapped", "checked", "undone", "deleted", "failed", "cancelled"})
_UNSENT = frozenset({"checking", "unmapped", "checked", "undone", "deleted"})


class Wanted(NamedTuple):
    """What a caller says of a file beside its bytes."""

    name: str
    format: Format | None = None
    customer: str | None = None
    programme: str = "default"
    mapping: str | None = None
    version: int | None = None
    priority: int = LOWEST


class ReadAs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to read the file: a kept mapping, or one that is given (and perhaps kept)."""

    mapping: str | None = None
    version: int | None = None
    spec: MappingSpec | None = None
    save_as: Name | None = None


async def create(request: web.Request, file: Received, wanted: Wanted) -> Upload:
    """Stores a file and has it checked."""
    principal: Principal = request[PRINCIPAL]
    async with request.app[REPO].connection() as db:
        number, programme_no, folder = await _place(db, principal, wanted)
        mapping = await _mapping(db, programme_no, wanted.mapping, wanted.version)
    upload_id = new_id("upl")
    key = f"{folder}/{upload_id}/file"
    await request.app[STORE].put_file(key, file.path)
    async with request.app[REPO].transaction() as db:
        new = NewUpload(
            id=upload_id,
            programme_no=programme_no,
            customer_no=number,
            created_by=principal.account_id or principal.key_id,
            name=wanted.name,
            format=wanted.format or format_of(file.first),
            size=file.size,
            sha256=file.sha256,
            object_key=key,
            priority=wanted.priority,
        )
        await uploads.insert_upload(db, new)
        upload = await uploads.get_upload(db, upload_id)
        if mapping is not None:
            await uploads.set_mapping(db, upload, mapping.mapping_no, mapping.spec)
        await _start(db, request, upload, ("checking", _CHECKABLE))
        return await uploads.get_upload(db, upload_id)


async def find(db: Db, request: web.Request) -> Upload:
    """The upload of the path, of the path's customer where it names one; raises NotFound."""
    customer = request.match_info.get("customer")
    return await uploads.get_upload(db, request.match_info["upload"], customer)


async def check(request: web.Request, read_as: ReadAs) -> Upload:
    """Another dry run by the mapping that is named. Raises Rejected(bad_mapping), Conflict."""
    async with request.app[REPO].transaction() as db:
        upload = await find(db, request)
        mapping_no, spec = await spec_of(db, request, upload, read_as)
        await _start(db, request, upload, ("checking", _CHECKABLE))
        await uploads.set_mapping(db, upload, mapping_no, spec)
        return await uploads.get_upload(db, upload.id)


async def spec_of(
    db: Db, request: web.Request, upload: Upload, read_as: ReadAs
) -> tuple[int | None, dict[str, Any] | None]:
    """Number (of a kept one) and content of the mapping that is named."""
    if read_as.spec is not None:
        spec: dict[str, Any] = msgspec.to_builtins(check_spec(read_as.spec))
        if not read_as.save_as:
            return None, spec
        principal: Principal = request[PRINCIPAL]
        if not principal.is_staff:
            text = "only administrators keep mappings; send it without save_as"
            raise Rejected("forbidden", text, 403)
        kept = await keep(db, request, (upload.programme_no, read_as.save_as), read_as.spec)
        return kept.mapping_no, spec
    mapping = await _mapping(db, upload.programme_no, read_as.mapping, read_as.version)
    if mapping is None:
        return None, None
    return mapping.mapping_no, mapping.spec


async def keep(db: Db, request: web.Request, place: tuple[int, str], spec: MappingSpec) -> Mapping:
    """The next version of a mapping of (programme number, name)."""
    principal: Principal = request[PRINCIPAL]
    content = msgspec.to_builtins(check_spec(spec))
    by = principal.account_id or principal.key_id
    kept = await mappings.insert_mapping(db, *place, content, by)
    subject = Subject("mapping", str(kept.mapping_no), None, place[0])
    await audit.record(db, principal.actor, "mapping.saved", subject)
    return kept


def as_spec(spec: dict[str, Any]) -> MappingSpec:
    """A mapping as it was stored."""
    return msgspec.convert(spec, MappingSpec)


async def ingest(request: web.Request) -> Upload:
    """Sends a checked file on its way, or on from where it stopped. Raises Conflict."""
    return await _go(request, "ingesting", _INGESTIBLE)


async def undo(request: web.Request) -> Upload:
    """Takes back what an upload brought. Raises Conflict."""
    return await _go(request, "undoing", _UNDOABLE)


async def cancel(request: web.Request) -> Upload:
    """Asks the job of the upload to stop. Raises Conflict(wrong_state, done)."""
    async with request.app[REPO].transaction() as db:
        upload = await find(db, request)
        if upload.job_id is None or upload.state not in ("checking", "ingesting", "undoing"):
            raise Conflict("wrong_state", f"the upload is {upload.state}; nothing is going on")
        await jobs.cancel(db, upload.job_id)
        await _note(db, request, upload, "cancelled")
        return await uploads.get_upload(db, upload.id)


async def remove(request: web.Request) -> None:
    """Removes the file and its check. Raises Conflict(wrong_state) while rows are in the ledger."""
    async with request.app[REPO].transaction() as db:
        upload = await find(db, request)
        if upload.state not in _DELETABLE or (upload.phase not in _UNSENT and upload.devices):
            text = f"the upload is {upload.state}; undo it first, then its file can go"
            raise Conflict("wrong_state", text)
        await uploads.end_delete(db, upload)
        await _note(db, request, upload, "deleted")
    if not upload.object_key:
        return
    store = request.app[STORE]
    async for key in store.list_keys(upload.object_key.rpartition("/")[0] + "/"):
        await store.delete(key)
    async with request.app[REPO].transaction() as db:
        await uploads.set_object(db, upload, "")  # a repeat after a crash still finds them


async def shown(db: Db, upload: Upload) -> shapes.Upload:
    """An upload as API and pages show it."""
    sent = await _sent(db, upload)
    head, problem = upload.head, upload.report.get("problem")
    suggestion = head.get("suggestion")
    is_mapped = upload.mapping is not None and upload.mapping_version is not None
    return shapes.Upload(
        id=upload.id,
        programme=upload.programme,
        customer_id=upload.customer,
        name=upload.name,
        format=upload.format,
        size=upload.size,
        sha256=upload.sha256,
        priority=upload.priority,
        state=upload.state,
        phase=upload.phase,
        error=upload.error and told_of(upload.error),
        job=upload.job_id,
        progress=upload.progress if upload.state in ("checking", "ingesting", "undoing") else {},
        is_stopping=upload.cancel_requested and upload.state == upload.phase,
        mapping=shapes.MappingRef(str(upload.mapping), upload.mapping_version or 0)
        if is_mapped
        else None,
        spec=upload.spec,
        columns=head.get("columns", []),
        kinds=head.get("kinds", []),
        suggestion=msgspec.convert(suggestion, shapes.UploadSuggestion) if suggestion else None,
        problem=msgspec.convert(problem, shapes.UploadProblem) if problem else None,
        report=_report(upload),
        sent=sent,
        removed=upload.removed,
        devices=upload.devices,
        same_as=await uploads.same_file(db, upload.programme_no, upload.sha256, upload.id),
        created_at=upload.created_at,
        checked_at=upload.checked_at,
        ingested_at=upload.ingested_at,
        undone_at=upload.undone_at,
    )


def report_of(upload: Upload) -> Report | None:
    """The sums of the dry run, None before there are any."""
    return msgspec.convert(upload.report, Report) if "rows" in upload.report else None


def _report(upload: Upload) -> shapes.CheckReport | None:
    found = report_of(upload)
    if found is None:
        return None
    return shapes.CheckReport(
        rows=found.rows,
        outcomes=found.outcomes,
        codes=found.codes,
        customers=found.customers,
        by_customer=found.by_customer,
        start=None if found.first_slot is None else slot_start(found.first_slot),
        end=None if found.last_slot is None else slot_start(found.last_slot + 1),
    )


async def _sent(db: Db, upload: Upload) -> shapes.SentRows | None:
    """What Kafka has of it; in the ledger once that has read beyond the last offsets."""
    if not upload.result:
        return None
    result = upload.result
    there = await uploads.ledger_positions(db, int(result.get("generation", 1)))
    offsets = {int(partition): int(at) for partition, at in result.get("offsets", {}).items()}
    is_read = all(there.get(partition, 0) > offset for partition, offset in offsets.items())
    counts = {name: int(result.get(name, 0)) for name in ("rows", "accepted", "refused", "batches")}
    return shapes.SentRows(is_in_ledger=is_read and upload.phase == "ingested", **counts)


async def _place(db: Db, principal: Principal, wanted: Wanted) -> tuple[int | None, int, str]:
    """Customer's number, programme's number, and the folder in the store."""
    if wanted.customer is not None:
        customer = await customers.get_customer(db, wanted.customer)
        return customer.customer_no, customer.programme_no, f"users/{customer.id}/uploads"
    programme = await programme_of(db, principal, wanted.programme)
    return None, programme.programme_no, f"uploads/{programme.id}"


async def _mapping(
    db: Db, programme_no: int, name: str | None, version: int | None
) -> Mapping | None:
    return await mappings.get_mapping(db, programme_no, name, version) if name else None


async def _go(request: web.Request, phase: Phase, allowed: tuple[str, ...]) -> Upload:
    async with request.app[REPO].transaction() as db:
        upload = await find(db, request)
        await _start(db, request, upload, (phase, allowed))
        return await uploads.get_upload(db, upload.id)


_KINDS = {"checking": "upload_check", "ingesting": "upload_ingest", "undoing": "upload_undo"}


async def _start(
    db: Db, request: web.Request, upload: Upload, step: tuple[Phase, tuple[str, ...]]
) -> None:
    """A job for the next phase, in the transaction that gives it the upload."""
    phase, allowed = step
    job = NewJob(
        kind=_KINDS[phase],
        queue=QUEUE,
        dedupe_key=f"{_KINDS[phase]}:{upload.id}:{new_id('try')}",
        payload={"upload": upload.id},
        programme_no=upload.programme_no,
        customer_no=upload.customer_no,
    )
    await uploads.start_phase(db, upload, phase, await jobs.insert_job(db, job), allowed)
    await _note(db, request, upload, phase)


async def _note(db: Db, request: web.Request, upload: Upload, what: str) -> None:
    principal: Principal = request[PRINCIPAL]
    subject = Subject("upload", upload.id, upload.customer_no, upload.programme_no)
    await audit.record(db, principal.actor, f"upload.{what}", subject)
