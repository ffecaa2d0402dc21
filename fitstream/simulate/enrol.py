"""A customer and a device for each wearer: made once, found again at every repeat.

A customer is known by its external id, a device by its name. Keys are shown once, so a device that
is found gets a new key, and the one it had ends.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from fitstream.client import Client
from fitstream.client.data import Customer, NewDevice
from fitstream.errors import Conflict, TooMany, Unavailable
from fitstream.simulate.delivery import PATIENCE_S

T = TypeVar("T")
_REST_MAX_S = 5.0


class Wanted(NamedTuple):
    """Whom to enrol: `fields` are further ones of the customer, such as name or consents."""

    external_id: str
    device_name: str
    zone: str
    kind: str = "watch"
    fields: Mapping[str, Any] = {}


class Enrolled(NamedTuple):
    """Who posts; `is_new` says that the ledger cannot hold anything of this device yet."""

    customer_id: str
    device_id: str
    key: str
    is_new: bool


async def enrol(admin: Client, wanted: Wanted, patience_s: float = PATIENCE_S) -> Enrolled:
    """The customer and its device; repeating it is safe, so an outage is waited out.

    Raises Conflict when something else, such as an e-mail, belongs to another customer.
    """
    return await patiently(lambda: _enrol(admin, wanted), patience_s)


async def patiently(call: Callable[[], Awaitable[T]], patience_s: float = PATIENCE_S) -> T:
    """What `call` returns, asked again while the API is away; only for calls that may repeat."""
    deadline = time.monotonic() + patience_s
    rest_s = 0.2
    while True:
        try:
            return await call()
        except (Unavailable, TooMany) as error:
            wait_s = max(rest_s, error.retry_after_s) * random.uniform(1.0, 1.5)
            if time.monotonic() + wait_s > deadline:
                raise
        await asyncio.sleep(wait_s)
        rest_s = min(rest_s * 2, _REST_MAX_S)


async def _enrol(admin: Client, wanted: Wanted) -> Enrolled:
    customer = await _customer(admin, wanted)
    device, is_new = await _device(admin, customer.id, wanted)
    return Enrolled(customer.id, device.id, device.key, is_new)


async def _customer(admin: Client, wanted: Wanted) -> Customer:
    try:
        return await admin.create_customer(
            wanted.zone, external_id=wanted.external_id, **wanted.fields
        )
    except Conflict as error:
        if error.existing_id is None:
            raise
        there = await admin.customer(error.existing_id)
        if there.external_id != wanted.external_id:
            raise
    granted = {k: v for k, v in dict(wanted.fields.get("consents", {})).items() if v}
    if all(there.consents.get(purpose) for purpose in granted):
        return there
    return await admin.change_customer(there.id, consents=granted)


async def _device(admin: Client, customer_id: str, wanted: Wanted) -> tuple[NewDevice, bool]:
    for device in await admin.devices(customer_id):
        if device.name == wanted.device_name and device.removed_at is None:
            return await admin.renew_key(customer_id, device), False
    return await admin.create_device(customer_id, wanted.kind, wanted.device_name), True
