"""Uploads and schema mappings as the API answers them, and the calls for both."""

import asyncio
from collections.abc import Mapping as MappingType
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from fitstream.client.data import Items
from fitstream.client.http import Api, Call

T = TypeVar("T")
_READ_ATTEMPTS = 3
_UPLOAD_S = 600.0
_MOVING = ("checking", "ingesting", "undoing")


class MappingRef(msgspec.Struct, frozen=True):
    """Which version of which mapping."""

    name: str
    version: int


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of a dry run: how many rows would have which outcome, and how many which code."""

    rows: int
    outcomes: dict[str, int]
    codes: dict[str, int]
    customers: int
    by_customer: dict[str, dict[str, int]]
    start: datetime | None = msgspec.field(name="from", default=None)
    end: datetime | None = msgspec.field(name="to", default=None)


class SentRows(msgspec.Struct, frozen=True, kw_only=True):
    """What Kafka has acknowledged; `is_in_ledger` once the ledger has read all of it."""

    rows: int = 0
    accepted: int = 0
    refused: int = 0
    batches: int = 0
    is_in_ledger: bool = False


class UploadProblem(msgspec.Struct, frozen=True):
    """Why the mapping does not fit the file; `column` is "" where it is no single one."""

    column: str
    message: str


class UploadSuggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping to begin with, and what is unsure about it."""

    spec: dict[str, Any] | None = None
    is_sure: bool = False
    notes: list[str] = []


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was uploaded, and how far it is.

    `state` is checking, unmapped, checked, ingesting, ingested, undoing, undone or deleted; or
    failed or cancelled, where `phase` says which of them that was.
    """

    id: str
    programme: str
    customer_id: str | None
    name: str
    format: str
    size: int
    sha256: str
    priority: int
    state: str
    phase: str
    error: str | None
    job: str | None
    progress: dict[str, Any]
    is_stopping: bool
    mapping: MappingRef | None
    spec: dict[str, Any] | None
    columns: list[str]
    kinds: list[str]
    suggestion: UploadSuggestion | None
    problem: UploadProblem | None
    report: CheckReport | None
    sent: SentRows | None
    removed: int
    devices: int
    same_as: str | None
    created_at: datetime
    checked_at: datetime | None
    ingested_at: datetime | None
    undone_at: datetime | None

    @property
    def is_moving(self) -> bool:
        """Whether it may change by itself."""
        return self.state in _MOVING


class UploadRow(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of a row, counted from 0; `changes` are (before, after) by metric."""

    index: int
    outcome: str
    customer_id: str | None
    slot: datetime | None
    code: str | None
    message: str | None
    changes: dict[str, tuple[float | None, float | None]]


class PreviewedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the file as it stands, and as a sample, or why it would be refused."""

    index: int
    cells: list[Any]
    customer: str | None = None
    sample: dict[str, Any] | None = None
    code: str | None = None
    message: str | None = None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The first rows of a file, read by a mapping."""

    columns: list[str]
    kinds: list[str]
    rows: list[PreviewedRow]


class SchemaMapping(msgspec.Struct, frozen=True, kw_only=True):
    """One version of how a source's files are read; `uploads` counts those it was used for."""

    name: str
    version: int
    programme: str
    spec: dict[str, Any]
    created_by: str
    created_at: datetime
    uploads: int


class MappingSource(msgspec.Struct, frozen=True):
    """A mapping that a file may name, in its newest version."""

    name: str
    version: int


class SchemaMappings(msgspec.Struct, frozen=True, kw_only=True):
    """The newest version of a mapping, and all of them, newest first."""

    name: str
    version: int
    programme: str
    spec: dict[str, Any]
    versions: list[SchemaMapping]


class Uploads:
    """The calls about uploads of one caller; with `customer_id` about that customer's own."""

    def __init__(self, api: Api, customer_id: str = "") -> None:
        self._api = api
        owner = f"/customers/{quote(customer_id, safe='')}" if customer_id else ""
        self._home = f"/v1{owner}/uploads"

    async def send(self, path: Path, **query: str) -> Upload:
        """Uploads a file; takes `name`, `format`, `mapping`, `version`, `priority`, `programme`.

        Its check begins by itself. Raises Rejected(file_too_large, unsupported_encoding).
        """
        asked = {"name": path.name, **{name: value for name, value in query.items() if value}}
        call = Call(
            "POST", self._home, asked, path, content_type="application/octet-stream",
            timeout_s=_UPLOAD_S,
        )  # fmt: skip
        return msgspec.json.decode((await self._api.send(call)).body, type=Upload)

    async def get(self, upload_id: str) -> Upload:
        """One upload."""
        return await self._read(f"/{quote(upload_id)}", Upload)

    async def list(self, **query: str) -> Items[Upload]:
        """A page; takes `search`, `state`, `customer`, `sort`, `after`, `limit`."""
        return await self._read("", Items[Upload], query)

    async def rows(self, upload_id: str, **query: str) -> Items[UploadRow]:
        """A page of the dry run's verdicts; takes `outcome`, `after`, `limit`. It may be short."""
        return await self._read(f"/{quote(upload_id)}/rows", Items[UploadRow], query)

    async def preview(self, upload_id: str, **read_as: Any) -> Preview:
        """The first rows read by `spec`, or by `mapping` (and `version`); as they stand without."""
        return await self._send(f"/{quote(upload_id)}/preview", Preview, read_as)

    async def check(self, upload_id: str, **read_as: Any) -> Upload:
        """Another dry run; takes `spec` (and `save_as`), or `mapping` (and `version`)."""
        return await self._send(f"/{quote(upload_id)}/check", Upload, read_as)

    async def ingest(self, upload_id: str) -> Upload:
        """Sends what the check accepted on its way to the ledger. Raises Conflict(wrong_state)."""
        return await self._send(f"/{quote(upload_id)}/ingest", Upload, None)

    async def undo(self, upload_id: str) -> Upload:
        """Takes everything back that it brought. Raises Conflict(wrong_state)."""
        return await self._send(f"/{quote(upload_id)}/undo", Upload, None)

    async def cancel(self, upload_id: str) -> Upload:
        """Asks what is going on to stop. Raises Conflict(wrong_state) when nothing is."""
        return await self._send(f"/{quote(upload_id)}/cancel", Upload, None)

    async def delete(self, upload_id: str) -> None:
        """Removes the file and its check; what was ingested must be undone first."""
        await self._api.send(Call("DELETE", f"{self._home}/{quote(upload_id)}"))

    async def wait(self, upload_id: str, poll_s: float = 0.5) -> Upload:
        """The upload once it has stopped moving; waits for ever, so bound it."""
        while (found := await self.get(upload_id)).is_moving:  # noqa: ASYNC110 - state of a server
            await asyncio.sleep(poll_s)
        return found

    async def save_mapping(
        self, name: str, spec: MappingType[str, Any], programme: str = ""
    ) -> SchemaMapping:
        """A new version of a mapping, or the newest one when it says the same."""
        body = {"name": name, "spec": spec} | ({"programme": programme} if programme else {})
        call = Call("POST", "/v1/mappings", body=msgspec.json.encode(body))
        return msgspec.json.decode((await self._api.send(call)).body, type=SchemaMapping)

    async def mapping(self, name: str, programme: str = "") -> SchemaMappings:
        """A mapping with all its versions."""
        asked = {"programme": programme} if programme else {}
        call = Call("GET", f"/v1/mappings/{quote(name, safe='')}", asked, attempts=_READ_ATTEMPTS)
        return msgspec.json.decode((await self._api.send(call)).body, type=SchemaMappings)

    async def _read(self, path: str, kind: type[T], query: MappingType[str, str] = {}) -> T:
        asked = {name: value for name, value in query.items() if value}
        call = Call("GET", f"{self._home}{path}", asked, attempts=_READ_ATTEMPTS)
        return msgspec.json.decode((await self._api.send(call)).body, type=kind)

    async def _send(self, path: str, kind: type[T], body: MappingType[str, Any] | None) -> T:
        packed = None if body is None else msgspec.json.encode(body)
        answer = await self._api.send(Call("POST", f"{self._home}{path}", body=packed))
        return msgspec.json.decode(answer.body, type=kind)
