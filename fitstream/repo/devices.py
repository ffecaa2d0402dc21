"""Devices of a customer."""

from datetime import datetime

import msgspec

from fitstream.errors import Conflict, NotFound
from fitstream.ids import new_id
from fitstream.repo import keys, sessions
from fitstream.repo.database import Db, execute, fetch_one, fetch_value
from fitstream.repo.paging import Listed, Slice, fetch_page
from fitstream.repo.queries import sql
from fitstream.repo.sorts import DEVICES

PRIORITIES = {"watch": 10, "upload": 15, "phone": 20, "other": 30}
LIVE_MAX = 20  # per customer, uploads apart
_ALL = Slice(DEVICES.order(), 10_000)


class Device(msgspec.Struct, frozen=True):
    """What posts for one customer; a smaller `priority` wins where devices overlap.

    `clock_skew_s` says how far its clock is ahead of ours; `post_interval_s` is None while it
    follows the deployment.
    """

    device_no: int
    id: str
    customer_no: int
    kind: str
    name: str
    priority: int
    created_at: datetime
    removed_at: datetime | None
    last_contact_at: datetime | None
    complete_through: int | None
    app_version: str | None
    clock_skew_s: float | None
    post_interval_s: int | None
    paused: bool


class NewDevice(msgspec.Struct, frozen=True):
    """What a device is created from; without a priority it takes that of its kind."""

    kind: str
    name: str
    priority: int | None = None
    app_version: str | None = None


async def create_device(
    db: Db, customer_no: int, kind: str, name: str, priority: int | None
) -> Device:
    """A new device; without a priority it takes that of its kind (watch before phone)."""
    return await add_device(db, customer_no, NewDevice(kind, name, priority))


async def add_device(db: Db, customer_no: int, new: NewDevice) -> Device:
    """A new device. Raises Conflict(too_many_devices) beyond LIVE_MAX of one customer."""
    if new.kind != "upload":
        await _check_room(db, customer_no)
    ranked = PRIORITIES[new.kind] if new.priority is None else new.priority
    values = (new_id("dev"), customer_no, new.kind, new.name, ranked, new.app_version)
    found = await fetch_one(db, Device, "devices.insert_device", *values)
    if found is None:
        raise NotFound("the new device")
    return found


async def _check_room(db: Db, customer_no: int) -> None:
    await execute(db, "devices.lock_customer", customer_no)
    if await fetch_value(db, "devices.count_live", customer_no) >= LIVE_MAX:
        text = f"a customer has at most {LIVE_MAX} devices; remove one that is not used any more"
        raise Conflict("too_many_devices", text)


async def list_devices(db: Db, customer_no: int, asked: Slice = _ALL) -> Listed[Device]:
    """A page of devices, removed ones too; all of them, best priority first, unless asked so."""
    return await fetch_page(db, Device, "devices.list_devices", asked, customer_no, None)


async def get_device(db: Db, customer_no: int, device_id: str) -> Device:
    """One device of the customer; raises NotFound."""
    found = await fetch_one(db, Device, "devices.list_devices", customer_no, device_id)
    if found is None:
        raise NotFound(f"device {device_id}")
    return found


async def remove_device(db: Db, device: Device) -> None:
    """Refuses the device's posts and ends what was granted through it; what it sent stays."""
    await execute(db, "devices.remove_device", device.device_no)
    await keys.revoke_device_keys(db, device.device_no)
    await sessions.revoke_for(db, "device_removed", device_no=device.device_no)


async def rename(db: Db, device: Device, name: str) -> None:
    """Changes what people call it."""
    await execute(db, "devices.rename", device.device_no, name)


async def set_settings(db: Db, device: Device, post_interval_s: int | None, paused: bool) -> None:
    """Changes what the device is told with each receipt; every gateway knows within its poll."""
    await execute(db, "devices.set_settings", device.device_no, post_interval_s, paused)
    await keys.touch_device_keys(db, device.device_no)


async def set_priority(db: Db, device: Device, priority: int) -> None:
    """Changes whose values win, and marks the weeks it touches dirty, in one transaction."""
    await execute(db, "devices.set_priority", device.device_no, priority)
    await execute(db, "devices.touch_weeks_of", device.customer_no, device.device_no)


async def reported_slots(
    db: Db, customer_no: int, device_no: int, span: tuple[int, int]
) -> list[int]:
    """Slots of [from, to) that the ledger has from the device, in order."""
    rows = await db.fetch(sql("devices.reported_slots"), customer_no, device_no, *span)
    return [row["slot"] for row in rows]
