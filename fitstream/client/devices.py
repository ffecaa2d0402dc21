"""Calls about devices: their keys and settings, and pairing in both directions."""

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from fitstream.client.data import (
    Device,
    Items,
    KeyMade,
    NewDevice,
    PairedDevice,
    PairingAsked,
    PairingBegun,
    PairingDecided,
    PairingOffer,
)
from fitstream.client.http import Api, Call
from fitstream.client.paging import every

T = TypeVar("T")
_READ_ATTEMPTS = 3


class DeviceCalls:
    """The part of `Client` that is about devices."""

    _api: Api

    async def create_device(
        self, customer_id: str, kind: str, name: str, priority: int | None = None
    ) -> NewDevice:
        """A new device with its key, which is shown only here."""
        body = {"kind": kind, "name": name, "priority": priority}
        return await self._put(_of(customer_id), NewDevice, body)

    async def renew_key(self, customer_id: str, device: Device, overlap_s: int = 0) -> NewDevice:
        """The device with a new key; the one it had ends, at once or after `overlap_s`."""
        path = f"{_of(customer_id)}/{quote(device.id)}/keys"
        key = await self._put(path, KeyMade, {"overlap_s": overlap_s})
        return NewDevice(**msgspec.structs.asdict(device) | {"key": key.key})

    async def rotate_own_key(self, overlap_s: int = 86_400) -> KeyMade:
        """Another key for the device that calls; the one it calls with works for `overlap_s` more.

        Store the new key before using it. When no answer comes, ask again with the old one.
        """
        return await self._put("/v1/device/keys", KeyMade, {"overlap_s": overlap_s})

    async def change_device(self, customer_id: str, device_id: str, **fields: Any) -> Device:
        """Changes name, priority, post interval or pause; what is left out stays."""
        path = f"{_of(customer_id)}/{quote(device_id)}"
        return await self._put(path, Device, fields, "PATCH")

    async def remove_device(self, customer_id: str, device_id: str) -> None:
        """Refuses the device's posts from now on; what it sent stays."""
        path = f"{_of(customer_id)}/{quote(device_id)}"
        await self._api.send(Call("DELETE", path))

    async def devices(self, customer_id: str) -> list[Device]:
        """Devices of a customer, best priority first, removed ones too."""
        return await every(lambda after: self.devices_after(customer_id, after, 500))

    async def devices_after(
        self, customer_id: str, after: str = "", limit: int = 50, sort: str = ""
    ) -> Items[Device]:
        """A page of them, best priority first unless sorted otherwise."""
        query = {"limit": str(limit), "after": after, "sort": sort}
        call = Call("GET", _of(customer_id), query, attempts=_READ_ATTEMPTS)
        return msgspec.json.decode((await self._api.send(call)).body, type=Items[Device])

    async def device(self, customer_id: str, device_id: str) -> Device:
        """One device; raises NotFound."""
        call = Call("GET", f"{_of(customer_id)}/{quote(device_id)}", attempts=_READ_ATTEMPTS)
        return msgspec.json.decode((await self._api.send(call)).body, type=Device)

    async def begin_pairing(self, kind: str, name: str, app_version: str = "") -> PairingBegun:
        """Codes for a device that nobody knows yet: one to show, one to poll with."""
        body = {"kind": kind, "name": name, "app_version": app_version or None}
        return await self._put("/v1/devices/pair", PairingBegun, body)

    async def poll_pairing(self, device_code: str) -> PairedDevice:
        """The device and its key, once approved. Raises Rejected(authorization_pending),
        Rejected(slow_down), Rejected(access_denied), Rejected(expired_token)."""
        body = {"device_code": device_code}
        return await self._put("/v1/devices/pair/token", PairedDevice, body)

    async def redeem_code(self, code: str, app_version: str = "") -> PairedDevice:
        """The device and its key, for the code that its person's page shows."""
        body = {"code": code, "app_version": app_version or None}
        return await self._put("/v1/devices/redeem", PairedDevice, body)

    async def offer_pairing(self, kind: str, name: str) -> PairingOffer:
        """A code for a phone to redeem, as the customer who calls."""
        return await self._put("/v1/me/devices/codes", PairingOffer, {"kind": kind, "name": name})

    async def look_pairing(self, user_code: str) -> PairingAsked:
        """Which device shows this code."""
        return await self._put("/v1/me/devices/pairing", PairingAsked, {"user_code": user_code})

    async def decide_pairing(
        self, user_code: str, approve: bool = True, name: str = ""
    ) -> PairingDecided:
        """Lets the device that shows this code post for the customer who calls, or not."""
        body = {"user_code": user_code, "approve": approve, "name": name or None}
        return await self._put("/v1/me/devices/approve", PairingDecided, body)

    async def _put(
        self, path: str, kind: type[T], body: Mapping[str, Any], method: str = "POST"
    ) -> T:
        call = Call(method, path, body=msgspec.json.encode(body))
        return msgspec.json.decode((await self._api.send(call)).body, type=kind)


def _of(customer_id: str) -> str:
    return f"/v1/customers/{quote(customer_id, safe='')}/devices"
