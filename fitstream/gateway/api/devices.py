"""Devices of a customer and their keys; a key is shown once."""

from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from fitstream.clock import slot_start
from fitstream.errors import Rejected
from fitstream.gateway.api.answers import answer, body, without
from fitstream.gateway.keys import REPO
from fitstream.gateway.routes import Route
from fitstream.ids import new_key
from fitstream.repo import customers, devices, keys
from fitstream.repo.database import Db
from fitstream.repo.devices import Device
from fitstream.samples import Text

Priority = Annotated[int, Meta(ge=0, le=1000)]


class CreateDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/customers/{id}/devices."""

    kind: Literal["watch", "phone", "upload", "other"]
    name: Text
    priority: Priority | None = None


class PatchDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of PATCH …/devices/{did}."""

    priority: Priority


def shown(device: Device) -> dict[str, Any]:
    """A device as the API shows it."""
    through = device.complete_through
    return without(device, "device_no", "customer_no") | {
        "complete_through": None if through is None else slot_start(through)
    }


async def create_device(request: web.Request) -> web.Response:
    wanted = await body(request, CreateDevice)
    key = new_key()
    async with request.app[REPO].transaction() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        device = await devices.create_device(
            db, customer.customer_no, wanted.kind, wanted.name, wanted.priority
        )
        await keys.insert_device_key(db, key, device.device_no)
    return answer(shown(device) | {"key": key.text}, 201)


async def list_devices(request: web.Request) -> web.Response:
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        found = await devices.list_devices(db, customer.customer_no)
    return answer({"items": [shown(device) for device in found], "next": None})


async def patch_device(request: web.Request) -> web.Response:
    change = await body(request, PatchDevice)
    async with request.app[REPO].transaction() as db:
        device = await _device(db, request)
        await devices.set_priority(db, device, change.priority)
        changed = await devices.get_device(db, device.customer_no, device.id)
    return answer(shown(changed))


async def delete_device(request: web.Request) -> web.Response:
    async with request.app[REPO].transaction() as db:
        await devices.remove_device(db, await _device(db, request))
    return web.Response(status=204)


async def create_device_key(request: web.Request) -> web.Response:
    key = new_key()
    async with request.app[REPO].transaction() as db:
        device = await _device(db, request)
        if device.removed_at is not None:
            raise Rejected("device_removed", "the device was removed; add a new one", 409)
        await keys.revoke_device_keys(db, device.device_no)
        await keys.insert_device_key(db, key, device.device_no)
    return answer({"key": key.text}, 201)


async def _device(db: Db, request: web.Request) -> Device:
    customer = await customers.get_customer(db, request.match_info["customer"])
    return await devices.get_device(db, customer.customer_no, request.match_info["device"])


ROUTES = (
    Route("GET", "/v1/customers/{customer}/devices", list_devices, "list_devices"),
    Route("POST", "/v1/customers/{customer}/devices", create_device, "create_device"),
    Route("PATCH", "/v1/customers/{customer}/devices/{device}", patch_device, "patch_device"),
    Route("DELETE", "/v1/customers/{customer}/devices/{device}", delete_device, "delete_device"),
    Route(
        "POST",
        "/v1/customers/{customer}/devices/{device}/keys",
        create_device_key,
        "create_device_key",
    ),
)
