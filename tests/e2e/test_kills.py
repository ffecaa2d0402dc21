"""Every process is killed once while devices post: what was accepted is in the ledger."""

import asyncio
import os
from contextlib import suppress
from datetime import timedelta
from signal import SIGKILL

import pytest

from fitstream.client import Client
from fitstream.errors import FitstreamError
from tests.conftest import RunningStack
from tests.real import Wearer, at, day_of_samples, eventually, last_monday, ledger_of, new_wearer

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(400)]
MONDAY = last_monday(4)
DAYS = 28
VICTIMS = (
    "ledger", "gateway", "archive", "roller", "dispatcher", "worker", "pages", "redis", "s3",
    "postgres", "kafka",
)  # fmt: skip


async def test_every_process_is_killed_once_and_the_ledger_equals_what_was_accepted(
    stack: RunningStack, admin: Client
) -> None:
    wearers = [await new_wearer(admin) for _ in range(3)]
    posting = [asyncio.create_task(_post_days(wearer)) for wearer in wearers]
    for victim in VICTIMS:
        before = stack.pid(victim)
        os.kill(before, SIGKILL)
        await _wait_for_successor(stack, victim, before)
    accepted = await asyncio.gather(*posting)
    for wearer, expected in zip(wearers, accepted, strict=True):
        await _wait_for_ledger(wearer, expected)

    async def are_rolled() -> bool:
        found = [(await admin.weeks(wearer.customer.id)).items for wearer in wearers]
        return all(len(weeks) == 4 and {w.state for w in weeks} == {"rolled"} for weeks in found)

    await eventually(are_rolled, 120)


async def _post_days(wearer: Wearer) -> dict[str, int]:
    """Posts days one after the other, each until it is acknowledged; slot → steps accepted."""
    accepted: dict[str, int] = {}
    for day in range(DAYS):
        start = MONDAY + timedelta(days=day)
        rows = [row | {"steps": row["steps"] + day} for row in day_of_samples(start)]
        while True:
            with suppress(FitstreamError):
                await wearer.post(rows, complete_through=at(start, 96))
                break
            await asyncio.sleep(0.5)
        accepted |= {row["slot"]: row["steps"] for row in rows}
        await asyncio.sleep(0.3)
    return accepted


async def _wait_for_successor(stack: RunningStack, name: str, before: int) -> None:
    async def has_one() -> bool:
        return stack.pid(name) != before

    await eventually(has_one, 60)
    await asyncio.sleep(0.5)


async def _wait_for_ledger(wearer: Wearer, expected: dict[str, int]) -> None:
    wanted = {slot.replace("+00:00", "Z"): steps for slot, steps in expected.items()}

    async def is_equal() -> bool:
        rows = await ledger_of(wearer)
        return {row["slot"].replace("+00:00", "Z"): row["steps"] for row in rows} == wanted

    await eventually(is_equal, 120)
