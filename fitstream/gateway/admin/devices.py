"""Devices of a customer, with the form that adds one; its key is shown once."""

from typing import get_args

import msgspec
from aiohttp import web

from fitstream.client.data import Customer, Device
from fitstream.errors import Rejected
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.api import customers as customer_views
from fitstream.gateway.api import devices as device_views
from fitstream.gateway.api.devices import CreateDevice
from fitstream.gateway.device_keys import issue_key
from fitstream.gateway.keys import REPO
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.words import sentence_of
from fitstream.repo import customers, devices
from fitstream.repo.devices import NewDevice

KINDS = {"watch": "Watch", "phone": "Phone", "upload": "Upload of files", "other": "Other"}


class DevicesPage(msgspec.Struct, frozen=True, kw_only=True):
    """The devices, and the key of one that was just added."""

    customer: Customer
    tab: str
    devices: list[Device]
    kinds: dict[str, str]
    is_new: bool = False
    key: str = ""
    key_of: str = ""
    name: str = ""
    error: str = ""


async def show_devices(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The list and the form."""
    page = DevicesPage(
        customer=await reads.customer(request),
        tab="devices",
        devices=await reads.devices(request),
        kinds=KINDS,
        is_new="new" in request.query,
    )
    return html(request, "admin/devices.html", viewer.shell("customers"), page)


async def add_device(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The list with the new device's key: no redirect, because it is shown only here."""
    posted = {name: str(value).strip() for name, value in (await request.post()).items()}
    try:
        wanted = _wanted(posted)
    except Rejected as error:
        page = await _page(request, {"error": sentence_of(error), "name": posted.get("name", "")})
        return html(request, "admin/devices.html", viewer.shell("customers"), page, 422)
    async with request.app[REPO].transaction() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        new = NewDevice(wanted.kind, wanted.name, wanted.priority)
        device = await devices.add_device(db, customer.customer_no, new)
        key = await issue_key(request.app, db, device.device_no)
        await device_views.note(db, request, "device.added", device)
    page = await _page(request, {"key": key.text, "key_of": device.name})
    return html(request, "admin/devices.html", viewer.shell("customers"), page, 201)


async def remove_device(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Refuses the device's posts from now on, and back to the list."""
    await device_views.delete_device(request)
    return see(f"/admin/customers/{request.match_info['customer']}/devices")


def _wanted(posted: dict[str, str]) -> CreateDevice:
    if not posted.get("name"):
        raise Rejected("invalid", "give the device a name, so that people know it again", 422)
    if posted.get("kind") not in get_args(CreateDevice.__annotations__["kind"]):
        raise Rejected("invalid", "choose what kind of device it is", 422)
    body = {"kind": posted["kind"], "name": posted["name"]}
    try:
        return msgspec.convert(body, CreateDevice)
    except msgspec.ValidationError as error:
        raise Rejected("invalid", "the name is longer than 256 characters", 422) from error


async def _page(request: web.Request, more: dict[str, str]) -> DevicesPage:
    """The page after its form was read; a request that was read cannot be asked again."""
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        found = (await devices.list_devices(db, customer.customer_no)).items
    return DevicesPage(
        customer=msgspec.convert(customer_views.shown(customer), Customer),
        tab="devices",
        devices=[msgspec.convert(device_views.shown(device), Device) for device in found],
        kinds=KINDS,
        **more,  # type: ignore[arg-type]  # only the page's own text fields
    )
