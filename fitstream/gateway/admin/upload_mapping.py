"""Schema mapping of an upload: what each column is, with the first rows read by it beside."""

from collections.abc import Mapping as MappingType
from typing import Any, NamedTuple, get_args

import msgspec
from aiohttp import web

from fitstream.client.uploads import PreviewedRow, SchemaMapping, SchemaMappings, Upload
from fitstream.errors import Rejected
from fitstream.gateway import uploading
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.api import mappings as mapping_views
from fitstream.gateway.api import uploads as upload_views
from fitstream.gateway.keys import REPO
from fitstream.gateway.uploading import ReadAs
from fitstream.gateway.view import words
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.words import sentence_of
from fitstream.repo import customers
from fitstream.repo import mappings as mapping_rows
from fitstream.repo import uploads as upload_rows
from fitstream.uploads.spec import MappingSpec, Name, Target, Unit, check_spec

TARGETS: tuple[str, ...] = get_args(Target)
UNITS: tuple[str, ...] = get_args(Unit)
_SAMPLES = 3
_KEPT_MAX = 200
_NAMES = {
    "slot": "Time", "date": "Date", "time": "Time of day", "customer": "Customer",
    "tz_offset_min": "Offset from UTC", "rev": "Revision", "deleted": "Deleted",
    "ignore": "Leave out",
}  # fmt: skip
_DEFAULTS = {"format": "iso", "zone": "", "stamp": "start"}


class ColumnRow(NamedTuple):
    """A column of the file, what it is said to be, and what it holds."""

    name: str
    kind: str
    samples: list[str]
    to: str
    unit: str
    is_wrong: bool


class MappingPage(msgspec.Struct, frozen=True, kw_only=True):
    """The editor."""

    upload: Upload
    columns: list[ColumnRow]
    targets: dict[str, str]
    units: tuple[str, ...]
    time: dict[str, str]
    decimal: str
    others: str
    customer_by: str
    save_as: str
    kept: list[SchemaMapping]
    chosen: str
    notes: list[str]
    shown: list[tuple[str, str]]
    rows: list[PreviewedRow]
    error: str = ""


class KeptPage(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping with its versions."""

    mapping: SchemaMappings
    names: dict[str, str]


class _Edited(NamedTuple):
    """A mapping as it stands in the form, and what is wrong with it."""

    spec: MappingType[str, Any]
    save_as: str
    chosen: str
    error: str = ""
    column: str = ""


async def show_mapping(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The editor, filled with a kept mapping, with that of the upload, or with the suggestion."""
    upload = await reads.ask(request, upload_views.get_upload, Upload)
    name = request.query.get("mapping", "")
    if name:
        kept = await _kept(request, upload, name)
        edited = _Edited(kept.spec, kept.name, kept.name)
    else:
        known = upload.spec or (upload.suggestion.spec if upload.suggestion else None) or {}
        save_as = upload.mapping.name if upload.mapping else ""
        error = words.capital(upload.problem.message) if upload.problem else ""
        column = upload.problem.column if upload.problem else ""
        edited = _Edited(known, save_as, save_as, error, column)
    page = await _page(request, upload, edited)
    return html(request, "admin/upload_mapping.html", viewer.shell("uploads"), page)


async def map_upload(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Shows the first rows by the mapping of the form, or has the whole file run dry by it."""
    posted = {name: str(value) for name, value in (await request.post()).items()}
    async with request.app[REPO].connection() as db:
        upload = await uploading.shown(db, await uploading.find(db, request))
    save_as = posted.get("save_as", "").strip()
    raw = _raw(posted, upload)
    try:
        spec = _spec(raw, save_as)
        if posted.get("way") == "check":
            await uploading.check(request, ReadAs(spec=spec, save_as=save_as or None))
            return see(f"/admin/uploads/{upload.id}")
        edited = _Edited(raw, save_as, "")
        page = await _page(request, upload, edited)
    except Rejected as error:
        column = str(error.extra.get("column", ""))
        edited = _Edited(raw, save_as, "", sentence_of(error), column)
        page = await _page(request, upload, edited)
        return html(request, "admin/upload_mapping.html", viewer.shell("uploads"), page, 422)
    return html(request, "admin/upload_mapping.html", viewer.shell("uploads"), page)


async def show_kept(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """A mapping with all its versions."""
    programme = request.query.get("programme", "")
    found = await reads.ask(request, mapping_views.get_mapping, SchemaMappings, programme=programme)
    page = KeptPage(mapping=found, names=_target_names())
    return html(request, "admin/mapping.html", viewer.shell("uploads"), page)


def _raw(posted: MappingType[str, str], upload: Upload) -> dict[str, Any]:
    """The form as a mapping that nobody has judged yet."""
    columns = [
        {
            "column": name,
            "to": posted.get(f"to-{at}", "ignore"),
            "unit": posted.get(f"unit-{at}", ""),
        }
        for at, name in enumerate(upload.columns)
        if name and upload.columns.index(name) == at
    ]
    time = {name: posted.get(name, "").strip() or value for name, value in _DEFAULTS.items()}
    return {
        "columns": columns,
        "time": time,
        "decimal": posted.get("decimal", "."),
        "others": posted.get("others", "ignore"),
        "customer_by": posted.get("customer_by", "external_id"),
    }


def _spec(raw: MappingType[str, Any], save_as: str) -> MappingSpec:
    try:
        if save_as:
            msgspec.convert(save_as, Name)
        return check_spec(msgspec.convert(raw, MappingSpec))
    except msgspec.ValidationError as error:
        text = f"the mapping cannot be read: {error}"
        if save_as and "pattern" in str(error):
            text = "the name of a mapping has letters, digits, spaces, dots and dashes"
        raise Rejected("bad_mapping", text, 422) from error


async def _kept(request: web.Request, upload: Upload, name: str) -> SchemaMapping:
    found = await _all_kept(request, upload)
    for mapping in found:
        if mapping.name == name:
            return mapping
    raise Rejected("invalid", "there is no mapping of that name", 404)


async def _all_kept(request: web.Request, upload: Upload) -> list[SchemaMapping]:
    """Mappings of the upload's programme; a request that was read cannot be asked again."""
    async with request.app[REPO].connection() as db:
        programme = await customers.get_programme(db, upload.programme)
        found = await mapping_rows.list_mappings(db, programme.programme_no, "", _KEPT_MAX)
    return [mapping_views.shown(mapping) for mapping in found]


async def _page(request: web.Request, upload: Upload, edited: _Edited) -> MappingPage:
    spec = edited.spec
    by_column = {each["column"]: each for each in spec.get("columns", [])}
    head_rows, rows = await _preview(request, upload, edited)
    columns = [
        ColumnRow(
            name=name,
            kind=upload.kinds[at] if at < len(upload.kinds) else "",
            samples=_samples(head_rows, at),
            to=by_column.get(name, {}).get("to", "ignore"),
            unit=by_column.get(name, {}).get("unit", ""),
            is_wrong=bool(edited.column) and name == edited.column,
        )
        for at, name in enumerate(upload.columns)
    ]
    return MappingPage(
        upload=upload,
        columns=columns,
        targets=_target_names(),
        units=UNITS,
        time={**_DEFAULTS, **spec.get("time", {})},
        decimal=spec.get("decimal", "."),
        others=spec.get("others", "ignore"),
        customer_by=spec.get("customer_by", "external_id"),
        save_as=edited.save_as,
        kept=await _all_kept(request, upload),
        chosen=edited.chosen,
        notes=_notes(upload),
        shown=_shown_columns(rows),
        rows=rows,
        error=edited.error,
    )


async def _preview(
    request: web.Request, upload: Upload, edited: _Edited
) -> tuple[list[list[Any]], list[PreviewedRow]]:
    """The first rows as they stand, and as samples where the mapping can be read at all."""
    async with request.app[REPO].connection() as db:
        row = await upload_rows.get_upload(db, upload.id)
        zone = "UTC"
        if row.customer is not None:
            zone = (await customers.get_customer(db, row.customer)).zone
    head: list[list[Any]] = row.head.get("rows", [])
    if edited.error or not edited.spec:
        return head, []
    try:
        return head, upload_views.previewed(request, row, dict(edited.spec), zone).rows
    except Rejected:
        return head, []


def _shown_columns(rows: list[PreviewedRow]) -> list[tuple[str, str]]:
    """Fields that any of the rows has, with their labels."""
    found = dict.fromkeys(name for row in rows for name in row.sample or {})
    hidden = {"rev", "deleted"} - {
        name for row in rows for name, value in (row.sample or {}).items() if value
    }
    label = _target_names()
    return [(name, label.get(name, words.plain(name))) for name in found if name not in hidden]


def _samples(rows: list[list[Any]], at: int) -> list[str]:
    cells = [str(row[at]) for row in rows if at < len(row) and row[at] not in (None, "")]
    return [cell[:24] for cell in dict.fromkeys(cells)][:_SAMPLES]


def _notes(upload: Upload) -> list[str]:
    if upload.spec is not None or upload.suggestion is None:
        return []
    return [words.capital(note) for note in upload.suggestion.notes]


def _target_names() -> dict[str, str]:
    """Targets with their labels, leaving out first."""
    ordered = ("ignore", *(name for name in TARGETS if name != "ignore"))
    return {name: _NAMES.get(name) or _metric(name) for name in ordered}


def _metric(name: str) -> str:
    unit = words.unit(name)
    return f"{words.metric(name)} ({unit})" if unit else words.metric(name)
