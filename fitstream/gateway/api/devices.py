"""Devices of a customer: their keys, which are shown once, and what they are told from afar."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from fitstream.client import data
from fitstream.clock import slot_start
from fitstream.errors import Rejected
from fitstream.gateway.api.answers import answer, body, now, without
from fitstream.gateway.api.listing import page_of, slice_of
from fitstream.gateway.device_keys import issue_key
from fitstream.gateway.keys import REPO
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.privacy import hides_persons, masked_device
from fitstream.gateway.routes import Route
from fitstream.repo import audit, customers, devices, keys
from fitstream.repo.database import Db
from fitstream.repo.devices import Device, NewDevice
from fitstream.repo.sorts import DEVICES
from fitstream.samples import Text

Priority = Annotated[int, Meta(ge=0, le=1000)]
PostInterval = Annotated[int, Meta(ge=60, le=86_400)]
Overlap = Annotated[int, Meta(ge=0, le=604_800)]
Kind = Literal["watch", "phone", "upload", "other"]


class CreateDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/customers/{id}/devices."""

    kind: Kind
    name: Text
    priority: Priority | None = None


class PatchDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of PATCH …/devices/{did}; what is left out stays.

    `post_interval_s` is in seconds, null to follow the deployment; a device that is `paused` is
    told to measure nothing.
    """

    name: Text | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    post_interval_s: PostInterval | None | UnsetType = UNSET
    paused: bool | UnsetType = UNSET


class RotateKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST …/devices/{did}/keys: how many seconds the old key still works."""

    overlap_s: Overlap = 0


def shown(device: Device) -> dict[str, Any]:
    """A device as the API shows it."""
    through, skew = device.complete_through, device.clock_skew_s
    return without(device, "device_no", "customer_no") | {
        "complete_through": None if through is None else slot_start(through),
        "clock_skew_s": None if skew is None else round(skew, 1),
    }


async def create_device(request: web.Request) -> web.Response:
    wanted = await body(request, CreateDevice)
    async with request.app[REPO].transaction() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        new = NewDevice(wanted.kind, wanted.name, wanted.priority)
        device = await devices.add_device(db, customer.customer_no, new)
        key = await issue_key(request.app, db, device.device_no)
        await note(db, request, "device.added", device)
    return answer(shown(device) | {"key": key.text}, 201)


async def list_devices(request: web.Request) -> web.Response:
    """Devices of a customer, removed ones too. Whoever may not see their names sorts by none."""
    asked = slice_of(request, DEVICES, with_personal=not hides_persons(request[PRINCIPAL]))
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        found = await devices.list_devices(db, customer.customer_no, asked)
    items = [masked_device(request[PRINCIPAL], shown(device)) for device in found.items]
    return page_of(items, asked, found.following)


async def get_device(request: web.Request) -> web.Response:
    async with request.app[REPO].connection() as db:
        device = await _device(db, request)
    return answer(masked_device(request[PRINCIPAL], shown(device)))


async def patch_device(request: web.Request) -> web.Response:
    change = await body(request, PatchDevice)
    async with request.app[REPO].transaction() as db:
        changed = await apply(db, request, change)
    return answer(shown(changed))


async def apply(db: Db, request: web.Request, change: PatchDevice) -> Device:
    """The device of the path with what is given, in the caller's transaction."""
    device = await _device(db, request)
    await change_device(db, device, change)
    given = msgspec.structs.asdict(change)
    fields = [name for name, value in given.items() if value is not UNSET]
    await note(db, request, "device.changed", device, *fields)
    return await devices.get_device(db, device.customer_no, device.id)


async def change_device(db: Db, device: Device, change: PatchDevice) -> None:
    """Applies what is given, in the caller's transaction."""
    if change.name is not UNSET:
        await devices.rename(db, device, change.name)
    if change.priority is not UNSET and change.priority != device.priority:
        await devices.set_priority(db, device, change.priority)
    interval_s, paused = change.post_interval_s, change.paused
    interval_s = device.post_interval_s if interval_s is UNSET else interval_s
    paused = device.paused if paused is UNSET else paused
    if (interval_s, paused) != (device.post_interval_s, device.paused):
        await devices.set_settings(db, device, interval_s, paused)


async def delete_device(request: web.Request) -> web.Response:
    async with request.app[REPO].transaction() as db:
        device = await _device(db, request)
        await devices.remove_device(db, device)
        await note(db, request, "device.removed", device)
    return web.Response(status=204)


async def create_device_key(request: web.Request) -> web.Response:
    """Another key; the one before ends now, or after the overlap that the caller names."""
    wanted = await body(request, RotateKey) if request.body_exists else RotateKey()
    async with request.app[REPO].transaction() as db:
        made = await rotate(db, request, wanted)
    return answer(made, 201)


async def rotate(db: Db, request: web.Request, wanted: RotateKey) -> data.KeyMade:
    """Another key of the device of the path. Raises Rejected(device_removed)."""
    device = await _device(db, request)
    if device.removed_at is not None:
        raise Rejected("device_removed", "the device was removed; add a new one", 409)
    old_until = await _end_old(db, device, timedelta(seconds=wanted.overlap_s))
    key = await issue_key(request.app, db, device.device_no)
    await note(db, request, "device.key_rotated", device)
    return data.KeyMade(key.text, old_until or now(request))


async def _end_old(db: Db, device: Device, overlap: timedelta) -> datetime | None:
    if overlap:
        return await keys.expire_device_keys(db, device.device_no, overlap)
    await keys.revoke_device_keys(db, device.device_no)
    return None


async def note(db: Db, request: web.Request, action: str, device: Device, *fields: str) -> None:
    """Adds to the audit log what the caller did to a device."""
    subject = audit.Subject("device", device.id, device.customer_no)
    await audit.record(db, request[PRINCIPAL].actor, action, subject, fields)


async def _device(db: Db, request: web.Request) -> Device:
    customer = await customers.get_customer(db, request.match_info["customer"])
    return await devices.get_device(db, customer.customer_no, request.match_info["device"])


_DEVICES = "/v1/customers/{customer}/devices"
ROUTES = (
    Route(
        "GET", _DEVICES, list_devices, "list_devices",
        gives=data.Items[data.Device], query=("devices_sort", "after", "limit"), tag="devices",
        summary="List the devices of a customer, best priority first by default",
    ),
    Route(
        "POST", _DEVICES, create_device, "create_device",
        takes=CreateDevice, gives=data.NewDevice, status=201, tag="devices",
        summary="Add a device; its key is shown only here",
        problems=(409,), example={"kind": "watch", "name": "left wrist"},
    ),
    Route(
        "GET", f"{_DEVICES}/{{device}}", get_device, "get_device",
        gives=data.Device, tag="devices", summary="Read a device",
    ),
    Route(
        "PATCH", f"{_DEVICES}/{{device}}", patch_device, "patch_device",
        takes=PatchDevice, gives=data.Device, tag="devices",
        summary="Rename a device, set its priority, its post interval, or pause it",
        example={"priority": 5},
    ),
    Route(
        "DELETE", f"{_DEVICES}/{{device}}", delete_device, "delete_device",
        status=204, writes="", tag="devices", summary="Remove a device: its posts are refused",
    ),
    Route(
        "POST", f"{_DEVICES}/{{device}}/keys", create_device_key, "create_device_key",
        state_of="/v1/customers/{customer}/devices/{device}",
        takes=RotateKey, gives=data.KeyMade, status=201, tag="devices",
        summary="Make another key, shown only here; the old one ends", problems=(409,),
        example={"overlap_s": 3600},
    ),
)  # fmt: skip
