"""Every version of a week says which slots changed and why; weeks are those of the home zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from fitstream.client import Client
from fitstream.client.http import Call
from tests.real import Wearer, at, last_monday, new_wearer, wait_for_version, with_device

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
MONDAY = last_monday(2)
WEEK = f"{MONDAY:%G-W%V}"
NOTHING = {"late": 0, "corrected": 0, "deleted": 0, "device_priority": 0}
BERLIN = ZoneInfo("Europe/Berlin")


async def test_each_version_tells_late_corrected_deleted_and_device_priority(
    admin: Client,
) -> None:
    watch = await new_wearer(admin)
    phone = await with_device(admin, watch.customer, "phone")
    await watch.post([{"slot": at(MONDAY, i), "steps": 10 + i} for i in range(4)])
    await phone.post([{"slot": at(MONDAY, 0), "steps": 99}])
    await wait_for_version(watch, WEEK, 1)

    await watch.post([{"slot": at(MONDAY, i), "steps": 7} for i in (8, 9, 20)])
    why = await _why(watch, 2)
    assert why == (NOTHING | {"late": 3}, [("added", "late", 8, 10), ("added", "late", 20, 21)])

    await watch.post([{"slot": at(MONDAY, 1), "steps": 500, "rev": 1}])
    assert await _why(watch, 3) == (
        NOTHING | {"corrected": 1},
        [("corrected", "corrected", 1, 2)],
    )

    await watch.post([{"slot": at(MONDAY, 2), "deleted": True, "rev": 1}])
    assert await _why(watch, 4) == (NOTHING | {"deleted": 1}, [("removed", "deleted", 2, 3)])

    await _set_priority(watch, 900)  # marks the week dirty in its own transaction
    assert await _why(watch, 5) == (
        NOTHING | {"device_priority": 1},
        [("corrected", "device_priority", 0, 1)],
    )
    week = await admin.week(watch.customer.id, WEEK)
    assert [version.reason for version in week.versions][::-1] == [
        "week closed", "late data: 3 slots", "corrected: 1 slot", "deleted: 1 slot",
        "device priority: 1 slot",
    ]  # fmt: skip
    assert len({version.content_sha for version in week.versions}) == 5


@pytest.mark.parametrize(
    ("day", "slots"),
    [
        pytest.param(datetime(2026, 3, 29, tzinfo=BERLIN), 668, id="spring"),
        pytest.param(datetime(2026, 10, 25, tzinfo=BERLIN), 676, id="autumn"),
    ],
)
async def test_a_week_in_which_the_clocks_change_is_filed_by_the_wall_clock(
    admin: Client, day: datetime, slots: int
) -> None:
    """The Sunday of the change, from its first to its last quarter hour."""
    if datetime.now(UTC) - day > timedelta(days=390):
        pytest.skip("that Sunday is older than what a gateway accepts")
    wearer = await new_wearer(admin, "Europe/Berlin")
    first = day.astimezone(UTC)
    last = (day + timedelta(days=1)).astimezone(UTC) - timedelta(minutes=15)
    beyond = last + timedelta(minutes=15)
    await wearer.post([{"slot": each.isoformat(), "steps": 1} for each in (first, last, beyond)])
    name, following = f"{day:%G-W%V}", f"{day + timedelta(days=1):%G-W%V}"
    await wait_for_version(wearer, name, 1)
    week = await admin.week(wearer.customer.id, name)
    assert (week.slots, week.measured) == (slots, 2)
    assert (await admin.week(wearer.customer.id, following)).start == week.end


async def test_a_move_leaves_the_weeks_before_it_as_they_are(admin: Client) -> None:
    wearer = await new_wearer(admin, "Europe/Berlin")
    monday = MONDAY.replace(tzinfo=BERLIN)
    await wearer.post([{"slot": monday.astimezone(UTC).isoformat(), "steps": 5}])
    await wait_for_version(wearer, WEEK, 1)
    before = await admin.week(wearer.customer.id, WEEK)
    await admin.change_customer(wearer.customer.id, zone="Asia/Tokyo")
    await wearer.post([{"slot": monday.astimezone(UTC).isoformat(), "steps": 6, "rev": 1}])
    await wait_for_version(wearer, WEEK, 2)
    after = await admin.week(wearer.customer.id, WEEK)
    assert (after.start, after.end, after.slots) == (before.start, before.end, before.slots)


async def _why(wearer: Wearer, version: int) -> tuple[dict[str, int], list[tuple[object, ...]]]:
    """What a version says of its slots: counts by reason, and runs as quarter hours of MONDAY."""
    await wait_for_version(wearer, WEEK, version)
    week = await wearer.admin.week(wearer.customer.id, WEEK)
    (found,) = [each for each in week.versions if each.version == version]
    runs = [
        (run["change"], run["why"], _quarter(run["from"]), _quarter(run["to"]))
        for run in found.changed["slots"]
    ]
    return found.changed["why"], runs


def _quarter(text: str) -> int:
    return round((datetime.fromisoformat(text) - MONDAY).total_seconds()) // 900


async def _set_priority(wearer: Wearer, priority: int) -> None:
    path = f"/v1/customers/{wearer.customer.id}/devices/{wearer.device.id}"
    await wearer.admin._api.send(Call("PATCH", path, body=b'{"priority":%d}' % priority))
