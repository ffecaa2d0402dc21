"""A few live devices: each posts its wearer's quarter hours of a week ago as those of today."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from fitstream.client import Client
from fitstream.clock import DAY_SLOTS, slot_of, slot_start
from fitstream.errors import FitstreamError
from fitstream.merge import unscaled
from fitstream.simulate.acknowledged import Acknowledged, Versions
from fitstream.simulate.enrol import Enrolled

_WEEK_SLOTS = 7 * DAY_SLOTS
_REST = timedelta(seconds=5)


async def run_live(
    admin: Client, wearers: Iterable[Enrolled], kept: Acknowledged, devices: int
) -> None:
    """Posts until cancelled, when each device's `next_post_at` comes."""

    def slots(who: Enrolled) -> int:
        return len(kept.of(who.customer_id, who.device_id))

    chosen = sorted(wearers, key=slots, reverse=True)[:devices]
    async with asyncio.TaskGroup() as group:
        for who in chosen:
            history = kept.of(who.customer_id, who.device_id)
            group.create_task(_device(admin, who.customer_id, history))


async def _device(admin: Client, customer_id: str, history: Versions) -> None:
    device = await admin.create_device(customer_id, "phone", "live demo phone")
    phone = admin.as_who(device.key)
    sent = slot_of(datetime.now(UTC)) - DAY_SLOTS
    while True:
        now = datetime.now(UTC)
        current = slot_of(now)
        due = [slot for slot in range(sent, current) if slot - _WEEK_SLOTS in history]
        post = {
            "device_id": device.id,
            "sent_at": now.isoformat(),
            "complete_through": slot_start(current).isoformat(),
            "samples": [_row(slot, history) for slot in due],
        }
        next_at = now
        try:
            receipt = await phone.post_samples(post)
            sent, next_at = current, receipt.next_post_at
        except FitstreamError:
            pass  # a device keeps what it has and comes again
        wait = max(next_at - datetime.now(UTC), _REST)
        await asyncio.sleep(wait.total_seconds())


def _row(slot: int, history: Versions) -> dict[str, object]:
    then = history[slot - _WEEK_SLOTS]
    offset = {"tz_offset_min": then.tz_offset_min}
    return {"slot": slot_start(slot).isoformat(), **offset, **unscaled(then.values)}
