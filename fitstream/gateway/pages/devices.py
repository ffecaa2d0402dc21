"""Devices of the customer: last contact, and the end of one that is lost or not used any more."""

from contextlib import suppress

import msgspec
from aiohttp import web

from fitstream.client.data import Device
from fitstream.errors import NotFound
from fitstream.gateway.pages.door import Viewer
from fitstream.gateway.view.templates import html, see

_SAID = {
    "removed": "The device is removed. What it has sent stays; it can send no more.",
    "approved": "The device is yours. It appears here once it has fetched its key, in seconds.",
    "denied": "The device was turned away.",
}


class DevicesPage(msgspec.Struct, frozen=True, kw_only=True):
    """Devices that may post, and those that were removed."""

    devices: list[Device]
    removed: list[Device]
    zone: str
    said: str = ""


async def show_devices(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The list."""
    found = await viewer.client.devices(viewer.customer.id)
    page = DevicesPage(
        devices=[device for device in found if device.removed_at is None],
        removed=[device for device in found if device.removed_at is not None],
        zone=viewer.customer.zone,
        said=_SAID.get(request.query.get("done", ""), ""),
    )
    return html(request, "pages/devices.html", viewer.shell("devices"), page)


async def remove_device(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Refuses its posts from now on; one that is removed already is no error."""
    with suppress(NotFound):
        await viewer.client.remove_device(viewer.customer.id, request.match_info["device"])
    return see("/devices?done=removed")
