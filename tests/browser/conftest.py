"""A browser, and people with weeks of data in the running system."""

import math
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from playwright.async_api import Browser, async_playwright

from fitstream.client import Client
from tests.browser.visits import PASSWORD
from tests.real import eventually

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
DAYS = 24
WAIT_S = 240


@dataclass(frozen=True)
class Person:
    """A customer with a login."""

    id: str
    external_id: str
    email: str


@dataclass(frozen=True)
class People:
    """One with weeks of data and a forecast, and one without anything."""

    walker: Person
    newcomer: Person
    week: str


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
async def people(admin: Client) -> People:
    """Walkers with finished weeks, a model and forecasts; and a newcomer."""
    newcomer = await _register(admin, "B-0001")
    walkers = [await _register(admin, f"B-{100 + i}") for i in range(2)]
    for walker in walkers:
        await _walk(admin, walker)
    week = await _rolled_week(admin, walkers[0])
    # Finished weeks start a training by themselves, and its model the forecasts.
    await eventually(partial(admin.forecast, walkers[0].id), WAIT_S)
    return People(walkers[0], newcomer, week)


async def _register(admin: Client, external_id: str) -> Person:
    email = f"{external_id.lower()}@example.org"
    customer = await admin.create_customer(
        "Europe/Berlin", external_id=external_id, name="Ada", consents={"training": True}
    )
    await admin.set_login(customer.id, email, PASSWORD)
    return Person(customer.id, external_id, email)


async def _walk(admin: Client, walker: Person) -> None:
    """Posts weeks up to an hour ago: a morning walk each day, one gap, one refused row."""
    device = await admin.create_device(walker.id, "watch", "Watch")
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    start = now.replace(hour=0, minute=0) - timedelta(days=DAYS)
    slots = int((now - timedelta(hours=1) - start) / timedelta(minutes=15))
    times = [start + timedelta(minutes=15 * i) for i in range(slots)]
    rows = [_row(at) for at in times if (at.weekday(), at.hour) != (2, 14)]
    rows[5]["heart_rate_min_bpm"] = 200.0  # above the mean: refused
    posting = admin.as_who(device.key)
    through = times[-1].isoformat()
    for first in range(0, len(rows), 800):
        part = rows[first : first + 800]
        await posting.post_samples(
            {
                "device_id": device.id,
                "sent_at": now.isoformat(),
                "complete_through": through,
                "samples": part,
            }
        )


def _row(at: datetime) -> dict[str, object]:
    slot = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    if at.hour < 5:
        return {"slot": slot, "steps": 0, "calories_kcal": 16.0, "heart_rate_bpm": 55.0}
    steps = int(300 * (1 + math.sin(at.hour * 0.8 + at.weekday())) * (1 + at.minute / 60))
    return {
        "slot": slot,
        "steps": steps,
        "calories_kcal": 18 + steps / 25,
        "heart_rate_bpm": 60 + steps / 20,
        "moderate_min": min(steps / 100, 15),
    }


async def _rolled_week(admin: Client, walker: Person) -> str:
    """Waits until the weeks that are over have rolled; the name of one that is complete."""
    await eventually(partial(_has_rolled, admin, walker), WAIT_S)
    return (await admin.weeks(walker.id)).items[1].week


async def _has_rolled(admin: Client, walker: Person) -> bool:
    weeks = (await admin.weeks(walker.id)).items
    return len(weeks) > DAYS // 7 and all(week.current_version for week in weeks[1:])
