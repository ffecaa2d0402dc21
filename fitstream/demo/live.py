"""A few live devices: each posts its wearer's quarter hours of a week ago as those of today."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fitstream.client import Client
from fitstream.errors import FitstreamError
from fitstream.logs import get

log = get(__name__)
Rows = Sequence[Mapping[str, Any]]
_WEEK = timedelta(weeks=1)
_REST_S = 5.0


async def run_live(admin: Client, acknowledged: Mapping[str, Rows], devices: int) -> None:
    """Posts until cancelled, when each device's `next_post_at` comes."""
    chosen = sorted(acknowledged, key=lambda name: len(acknowledged[name]), reverse=True)[:devices]
    async with asyncio.TaskGroup() as group:
        for customer_id in chosen:
            group.create_task(_device(admin, customer_id, acknowledged[customer_id]))


async def _device(admin: Client, customer_id: str, rows: Rows) -> None:
    device = await admin.create_device(customer_id, "phone", "live demo phone")
    phone = admin.as_who(device.key)
    week_ago = [(datetime.fromisoformat(row["slot"]) + _WEEK, row) for row in rows]
    sent_until = datetime.now(UTC) - timedelta(days=1)
    while True:
        now = datetime.now(UTC)
        due = [_moved(row, slot) for slot, row in week_ago if sent_until <= slot <= now]
        post = {
            "device_id": device.id,
            "sent_at": now.isoformat(),
            "complete_through": now.isoformat(),
            "samples": due,
        }
        try:
            receipt = await phone.post_samples(post)
        except FitstreamError as error:
            log.warning("live_post_failed", detail=str(error))
            await asyncio.sleep(_REST_S)
            continue
        sent_until = now
        wait_s = (receipt.next_post_at - receipt.server_time).total_seconds()
        await asyncio.sleep(max(wait_s, _REST_S))


def _moved(row: Mapping[str, Any], slot: datetime) -> dict[str, Any]:
    return {**row, "slot": slot.isoformat()}
