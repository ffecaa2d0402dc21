"""One walk: a file of other wearers → HTTP → Kafka → ledger, week files, model, forecast, page."""

import asyncio
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fitstream.client import Client, open_client
from fitstream.client.data import Customer
from fitstream.trainer.data import load
from tests.conftest import RunningStack, clean_environ
from tests.real import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
WEARERS = ("a", "b", "c")
DAYS = 24


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other wearers than the shared ones, years earlier, without most columns."""
    path = tmp_path_factory.mktemp("walk") / "others.parquet"
    rng = np.random.default_rng(1)
    start = datetime(2014, 2, 3)  # noqa: DTZ001 - local wall time
    local = [start + timedelta(minutes=15 * i) for i in range(96 * DAYS)]
    hour = np.array([at.hour for at in local])
    steps = [np.where((hour > 7) & (hour < 22), rng.poisson(90, len(local)), 0) for _ in WEARERS]
    table = pa.table(
        {
            "wearer": [name for name in WEARERS for _ in local],
            "slot_local": local * len(WEARERS),
            "steps": np.concatenate(steps),
            "wear_day": [at.day != 20 for at in local] * len(WEARERS),
        }
    )
    pq.write_table(table, path)
    return path


async def test_other_wearers_walk_the_whole_way_to_a_forecast_on_a_page(
    stack: RunningStack, admin: Client, file: Path
) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "fitstream", "import", str(file), "--consent", "training"]
        + ["--verify", "--data", str(stack.folder)],
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    customers = [await _customer(admin, name) for name in WEARERS]
    for customer in customers:
        await eventually(lambda customer=customer: _is_rolled(admin, customer), 90)  # type: ignore[misc]
    await eventually(lambda: _has_forecast(admin, customers[0]), 120)
    await _week_file_holds_the_days(admin, customers[0])
    await _page_shows_the_forecast(stack, admin, customers[0])


async def _customer(admin: Client, name: str) -> Customer:
    found = (await admin.customers(search=f"wearer-{name}")).items
    return next(each for each in found if each.external_id == f"wearer-{name}")


async def _is_rolled(admin: Client, customer: Customer) -> bool:
    weeks = (await admin.weeks(customer.id)).items
    finished = [week for week in weeks if week.state != "open"]
    return len(finished) >= 3 and {week.state for week in finished} == {"rolled"}


async def _has_forecast(admin: Client, customer: Customer) -> bool:
    found = await admin.forecast(customer.id, "steps")
    assert len(found.items) == 96
    assert all(item.q10 <= item.q50 <= item.q90 for item in found.items)
    return found.based_on is not None


async def _week_file_holds_the_days(admin: Client, customer: Customer) -> None:
    weeks = [week for week in (await admin.weeks(customer.id)).items if week.current_version]
    body = await admin.week_file(customer.id, weeks[1].week, weeks[1].current_version or 0)
    series = load([body])[customer.id]
    assert series.days == 7
    assert 5000 < float(np.nansum(series.values["steps"][2])) < 8000


async def _page_shows_the_forecast(stack: RunningStack, admin: Client, customer: Customer) -> None:
    from aiohttp import ClientSession

    email, password = f"{customer.id}@example.org", "a quiet long walk"
    await admin.set_login(customer.id, email, password)
    async with open_client(stack.gateway) as anyone:
        token = (await anyone.login(email, password)).token
    cookies = {"fs_me": token}
    async with (
        ClientSession(stack.pages, cookies=cookies) as session,
        session.get("/forecast") as answer,
    ):
        text = await answer.text()
    assert answer.status == 200
    assert "steps expected" in text
    assert "Weighted climatology" in text or "your own history" in text
