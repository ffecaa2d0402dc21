"""One device: how it stands, what it is told from afar, and another key for it."""

import msgspec
from aiohttp import web

from fitstream.client.data import Customer, Device
from fitstream.errors import NotFound, Rejected
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.devices import KINDS
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.api import customers as customer_views
from fitstream.gateway.api import devices as device_views
from fitstream.gateway.api.devices import PatchDevice, RotateKey
from fitstream.gateway.keys import REPO, SETTINGS
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.words import sentence_of
from fitstream.repo import customers, devices

OVERLAPS = {"0": "at once", "3600": "in an hour", "86400": "in a day", "604800": "in a week"}


class DevicePage(msgspec.Struct, frozen=True, kw_only=True):
    """The device, its form, and its new key if it was just made."""

    customer: Customer
    tab: str
    device: Device
    kinds: dict[str, str]
    overlaps: dict[str, str]
    usual_interval_s: int
    key: str = ""
    error: str = ""
    said: str = ""


async def show_device(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """How it stands."""
    found = await reads.devices(request)
    device = next((one for one in found if one.id == request.match_info["device"]), None)
    if device is None:
        raise NotFound("this device")
    said = "The device hears of it with its next post." if "changed" in request.query else ""
    page = _page(request, await reads.customer(request), device, said=said)
    return html(request, "admin/device.html", viewer.shell("customers"), page)


async def change_device(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Name, priority, interval and pause as the form has them."""
    posted = {name: str(value).strip() for name, value in (await request.post()).items()}
    try:
        change = _change(posted)
    except Rejected as error:
        return await _again(request, viewer, error=sentence_of(error), status=422)
    async with request.app[REPO].transaction() as db:
        await device_views.apply(db, request, change)
    return see(f"{request.path}?changed")


async def rotate_key(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The page with the new key: no redirect, because it is shown only here."""
    overlap = str((await request.post()).get("overlap", "0"))
    wanted = RotateKey(int(overlap) if overlap in OVERLAPS else 0)
    async with request.app[REPO].transaction() as db:
        made = await device_views.rotate(db, request, wanted)
    return await _again(request, viewer, key=made.key, status=201)


def _change(posted: dict[str, str]) -> PatchDevice:
    interval = posted.get("post_interval_s", "")
    fields: dict[str, object] = {
        "name": posted.get("name", ""),
        "priority": posted.get("priority", ""),
        "post_interval_s": interval or None,
        "paused": posted.get("paused") == "on",
    }
    try:
        return msgspec.convert(fields, PatchDevice, strict=False)
    except msgspec.ValidationError as error:
        text = "name it, and use a priority from 0 to 1000 and an interval of 60 to 86400 seconds"
        raise Rejected("invalid", text, 422) from error


async def _again(
    request: web.Request, viewer: Viewer, *, status: int, key: str = "", error: str = ""
) -> web.StreamResponse:
    """The page after a form of it was read; a request that was read cannot be asked again."""
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        device = await devices.get_device(db, customer.customer_no, request.match_info["device"])
    page = _page(
        request,
        msgspec.convert(customer_views.shown(customer), Customer),
        msgspec.convert(device_views.shown(device), Device),
        key=key,
        error=error,
    )
    return html(request, "admin/device.html", viewer.shell("customers"), page, status)


def _page(request: web.Request, customer: Customer, device: Device, **more: str) -> DevicePage:
    return DevicePage(
        customer=customer,
        tab="devices",
        device=device,
        kinds=KINDS,
        overlaps=OVERLAPS,
        usual_interval_s=request.app[SETTINGS].post_interval_s,
        **more,
    )
