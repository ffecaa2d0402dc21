"""Schema mapping of an upload: what each column is, with the first rows read by it beside."""

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
from fitstream.gateway.view.mapping_form import (
    Edited,
    Editor,
    begin_with,
    editor,
    raw_of,
    refused,
    spec_of,
    target_names,
)
from fitstream.gateway.view.templates import html, see
from fitstream.repo import customers
from fitstream.repo import mappings as mapping_rows
from fitstream.repo import uploads as upload_rows

_KEPT_MAX = 200


class MappingPage(msgspec.Struct, frozen=True, kw_only=True):
    """The editor, and the kept mappings that it can begin with."""

    upload: Upload
    zone: str
    editor: Editor
    kept: list[tuple[str, str]]


class KeptPage(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping with its versions."""

    mapping: SchemaMappings
    names: dict[str, str]


async def show_mapping(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The editor, filled with a kept mapping, with that of the upload, or with the suggestion."""
    upload = await reads.ask(request, upload_views.get_upload, Upload)
    name, _, version = request.query.get("mapping", "").partition("@")
    if name:
        kept = await _kept_version(request, upload, name, version)
        edited = Edited(kept.spec, kept.name, f"{kept.name}@{kept.version}")
    else:
        edited = begin_with(upload)
    page = await _page(request, upload, edited)
    return html(request, "admin/upload_mapping.html", viewer.shell("uploads"), page)


async def map_upload(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Shows the first rows by the mapping of the form, or has the whole file run dry by it."""
    posted = {name: str(value) for name, value in (await request.post()).items()}
    async with request.app[REPO].connection() as db:
        upload = await uploading.shown(db, await uploading.find(db, request))
    save_as = posted.get("save_as", "").strip()
    raw = raw_of(posted, upload)
    try:
        spec = spec_of(raw, save_as)
        if posted.get("way") == "check":
            await uploading.check(request, ReadAs(spec=spec, save_as=save_as or None))
            return see(f"/admin/uploads/{upload.id}")
    except Rejected as error:
        page = await _page(request, upload, refused(raw, save_as, error))
        return html(request, "admin/upload_mapping.html", viewer.shell("uploads"), page, 422)
    page = await _page(request, upload, Edited(raw, save_as))
    return html(request, "admin/upload_mapping.html", viewer.shell("uploads"), page)


async def show_kept(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """A mapping with all its versions."""
    programme = request.query.get("programme", "")
    found = await reads.ask(request, mapping_views.get_mapping, SchemaMappings, programme=programme)
    page = KeptPage(mapping=found, names=target_names())
    return html(request, "admin/mapping.html", viewer.shell("uploads"), page)


async def _kept_version(
    request: web.Request, upload: Upload, name: str, version: str
) -> SchemaMapping:
    """A version of a mapping of the upload's programme, the newest by default."""
    number = upload_views.whole(version, "version", 2**31 - 1)
    async with request.app[REPO].connection() as db:
        programme = await customers.get_programme(db, upload.programme)
        found = await mapping_rows.get_mapping(db, programme.programme_no, name, number)
    return mapping_views.shown(found)


async def _kept(request: web.Request, upload: Upload, name: str) -> list[tuple[str, str]]:
    """What the editor can begin with: every mapping, and every version of the chosen one."""
    async with request.app[REPO].connection() as db:
        number = (await customers.get_programme(db, upload.programme)).programme_no
        newest = await mapping_rows.list_mappings(db, number, "", _KEPT_MAX)
        versions = await mapping_rows.list_versions(db, number, name) if name else []
    older = [each for each in versions if each not in newest]
    return [(f"{each.name}@{each.version}", _label(each)) for each in [*newest, *older]]


def _label(kept: mapping_rows.Mapping) -> str:
    return f"{kept.name}, version {kept.version} of {kept.created_at:%d %b %Y}"


async def _page(request: web.Request, upload: Upload, edited: Edited) -> MappingPage:
    zone = await _zone(request, upload)
    rows, why = await _preview(request, upload, edited, zone or "UTC")
    name = edited.chosen.rpartition("@")[0]
    return MappingPage(
        upload=upload,
        zone=zone,
        editor=editor(upload, edited, rows, why),
        kept=await _kept(request, upload, name),
    )


async def _zone(request: web.Request, upload: Upload) -> str:
    """Where the customer is at home, "" for a file of many."""
    if upload.customer_id is None:
        return ""
    async with request.app[REPO].connection() as db:
        return (await customers.get_customer(db, upload.customer_id)).zone


async def _preview(
    request: web.Request, upload: Upload, edited: Edited, zone: str
) -> tuple[list[PreviewedRow], str]:
    """The first rows as samples, or as they stand and why they cannot be read."""
    async with request.app[REPO].connection() as db:
        row = await upload_rows.get_upload(db, upload.id)
    why = edited.error
    if edited.spec and not why:
        try:
            spec = msgspec.to_builtins(spec_of(edited.spec))
            return upload_views.previewed(request, row, spec, zone).rows, ""
        except Rejected as error:
            why = error.message
    return upload_views.previewed(request, row, None, zone).rows, why
