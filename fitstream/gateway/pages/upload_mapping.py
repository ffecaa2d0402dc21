"""What the columns of a customer's file are: their own form, with the first rows beside it.

It begins with how the newest file of the same columns was read, where there is one.
"""

from typing import NamedTuple

import msgspec
from aiohttp import web

from fitstream.client.uploads import MappingSource, PreviewedRow, Upload
from fitstream.errors import Conflict, Rejected
from fitstream.gateway.pages.door import Viewer
from fitstream.gateway.pages.uploads import HOME
from fitstream.gateway.view.mapping_form import (
    Edited,
    Editor,
    begin_with,
    editor,
    raw_of,
    refused,
    spec_of,
)
from fitstream.gateway.view.templates import html, see

_EARLIER = "50"


class ColumnsPage(msgspec.Struct, frozen=True, kw_only=True):
    """The form, and what else it could begin with."""

    upload: Upload
    editor: Editor
    earlier: list[Upload]
    like: str
    sources: list[MappingSource]


class _Shown(NamedTuple):
    """What the form holds, and the file it was taken from, if any."""

    upload: Upload
    edited: Edited
    earlier: list[Upload]
    like: str = ""


async def show_mapping(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The form as the file is read, as an earlier one was, or as it is suggested."""
    upload = await _upload(request, viewer)
    earlier = await _earlier(viewer, upload)
    like = request.query.get("like", "")
    alike = [each for each in earlier if each.id == like]
    if not like and upload.spec is None:
        alike = [each for each in earlier if each.columns == upload.columns]
    if not alike:
        return await _render(request, viewer, _Shown(upload, begin_with(upload), earlier))
    edited = Edited(alike[0].spec or {})
    return await _render(request, viewer, _Shown(upload, edited, earlier, alike[0].id))


async def map_upload(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Shows the first rows by the form, or has the whole file checked by it."""
    posted = {name: str(value) for name, value in (await request.post()).items()}
    upload = await _upload(request, viewer)
    earlier = await _earlier(viewer, upload)
    raw = raw_of(posted, upload)
    try:
        spec_of(raw)
        if posted.get("way") == "check":
            await viewer.client.uploads(viewer.customer.id).check(upload.id, spec=raw)
            return see(f"{HOME}/{upload.id}")
    except Rejected as error:
        if error.status in (401, 403):
            raise
        return await _render(request, viewer, _Shown(upload, refused(raw, "", error), earlier), 422)
    except Conflict:
        return see(f"{HOME}/{upload.id}?done=moved")
    return await _render(request, viewer, _Shown(upload, Edited(raw), earlier))


async def use_source(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Has the file checked by a mapping that the programme keeps."""
    upload_id = request.match_info["upload"]
    name = str((await request.post()).get("mapping", ""))[:64]
    try:
        await viewer.client.uploads(viewer.customer.id).check(upload_id, mapping=name)
    except Conflict:
        return see(f"{HOME}/{upload_id}?done=moved")
    return see(f"{HOME}/{upload_id}")


async def _upload(request: web.Request, viewer: Viewer) -> Upload:
    return await viewer.client.uploads(viewer.customer.id).get(request.match_info["upload"])


async def _earlier(viewer: Viewer, upload: Upload) -> list[Upload]:
    """Files of this customer whose columns somebody has named, newest first."""
    found = await viewer.client.uploads(viewer.customer.id).list(limit=_EARLIER)
    return [each for each in found.items if each.spec and each.name and each.id != upload.id]


async def _render(
    request: web.Request, viewer: Viewer, shown: _Shown, status: int = 200
) -> web.StreamResponse:
    upload, edited = shown.upload, shown.edited
    rows, why = await _preview(viewer, upload, edited)
    page = ColumnsPage(
        upload=upload,
        editor=editor(upload, edited, rows, why),
        earlier=shown.earlier,
        like=shown.like,
        sources=(await viewer.client.mapping_sources(viewer.customer.id)).items,
    )
    return html(request, "pages/upload_mapping.html", viewer.shell("devices"), page, status)


async def _preview(
    viewer: Viewer, upload: Upload, edited: Edited
) -> tuple[list[PreviewedRow], str]:
    """The first rows as samples, or as they stand and why they cannot be read."""
    files = viewer.client.uploads(viewer.customer.id)
    why = edited.error
    if edited.spec and not why:
        try:
            return (await files.preview(upload.id, spec=edited.spec)).rows, ""
        except Rejected as error:
            if error.status != 422:
                raise
            why = error.message
    return (await files.preview(upload.id)).rows, why
