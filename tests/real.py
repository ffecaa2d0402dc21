"""Customers, devices and posts for tests against a running system."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from fitstream.client import Client
from fitstream.client.data import Customer, NewDevice, Receipt
from fitstream.errors import NotFound, Unavailable

SLOT = timedelta(minutes=15)


class Wearer(NamedTuple):
    """A customer with one device, and the clients of both."""

    customer: Customer
    device: NewDevice
    admin: Client
    phone: Client

    async def post(self, samples: list[dict[str, Any]], **envelope: Any) -> Receipt:
        """Posts rows as the device."""
        return await self.phone.post_samples(self.envelope(samples) | envelope)

    def envelope(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        """The post that holds these rows."""
        now = datetime.now(UTC).isoformat()
        return {"device_id": self.device.id, "sent_at": now, "samples": samples}


async def new_wearer(
    admin: Client, zone: str = "UTC", kind: str = "watch", **fields: Any
) -> Wearer:
    """A customer nobody else uses."""
    customer = await admin.create_customer(zone, external_id=f"test-{uuid4()}", **fields)
    return await with_device(admin, customer, kind)


async def with_device(admin: Client, customer: Customer, kind: str = "watch") -> Wearer:
    """The same customer through another new device."""
    device = await admin.create_device(customer.id, kind, kind)
    return Wearer(customer, device, admin, admin.as_who(device.key))


def last_monday(weeks_back: int = 1) -> datetime:
    """Monday 00:00 UTC of a finished week: 1 is the one that ended last."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=today.weekday(), weeks=weeks_back)


def day_of_samples(start: datetime, **metrics: Any) -> list[dict[str, Any]]:
    """96 rows that differ from each other."""
    return [
        {"slot": at(start, i), "steps": i * 7 % 300, "heart_rate_bpm": 60 + i % 40} | metrics
        for i in range(96)
    ]


def at(start: datetime, slots: int) -> str:
    """The text of the slot so many quarter hours after `start`."""
    return (start + slots * SLOT).isoformat()


async def eventually(check: Callable[[], Awaitable[object]], timeout_s: float = 40.0) -> None:
    """Waits until `check` returns something true; fails the test when it never does."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    found: object = None
    while asyncio.get_running_loop().time() < deadline:
        try:
            found = await check()
        except (NotFound, Unavailable) as error:
            found = error
        if found and not isinstance(found, Exception):
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"not within {timeout_s:.0f} s; the last answer was {found!r}")


async def ledger_of(wearer: Wearer) -> list[dict[str, Any]]:
    """Every live row of a customer."""
    rows: list[dict[str, Any]] = []
    after = ""
    while True:
        page = await wearer.admin.samples(wearer.customer.id, after=after, limit="500")
        rows += page.items
        if page.next is None:
            return rows
        after = page.next


async def wait_for_rows(
    wearer: Wearer, count: int, timeout_s: float = 60.0
) -> list[dict[str, Any]]:
    """The ledger of a customer once it holds `count` rows."""

    async def check() -> bool:
        return len(await ledger_of(wearer)) == count

    await eventually(check, timeout_s)
    return await ledger_of(wearer)


async def wait_for_version(wearer: Wearer, week: str, version: int) -> None:
    """Waits until a week is rolled and its current version is `version`."""

    async def check() -> bool:
        found = await wearer.admin.week(wearer.customer.id, week)
        return found.state == "rolled" and found.current_version == version

    await eventually(check)
