"""Which slots of this week the ledger lacks from a device, so that a phone can send them again."""

from datetime import datetime

from fitstream.clock import gaps, slot_of, week_of
from fitstream.repo import customers, devices
from fitstream.repo.database import Repo


async def missing_slots(
    repo: Repo, customer_id: str, device_id: str, now: datetime
) -> list[tuple[int, int]]:
    """Half-open runs of finished slots of the current week that the device has not sent."""
    async with repo.connection() as db:
        customer = await customers.get_customer(db, customer_id)
        device = await devices.get_device(db, customer.customer_no, device_id)
        current = slot_of(now)
        week = week_of(current, await customers.zones_of(db, customer.customer_no))
        span = (week.start_slot, current)
        known = await devices.reported_slots(db, customer.customer_no, device.device_no, span)
    return gaps(known, *span)
