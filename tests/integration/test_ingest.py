"""The way of a sample through the running system, and what a device is told when it is wrong."""

import gzip
import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import ClientSession

from fitstream.client import Client
from fitstream.errors import Rejected
from tests.conftest import RunningStack
from tests.real import (
    Wearer,
    at,
    day_of_samples,
    eventually,
    last_monday,
    new_wearer,
    wait_for_rows,
    wait_for_version,
    with_device,
)

pytestmark = pytest.mark.stack
MONDAY = last_monday()
WEEK = f"{MONDAY:%G-W%V}"


@pytest.fixture
async def wearer(admin: Client) -> Wearer:
    return await new_wearer(admin)


async def test_a_day_sent_three_times_in_two_orders_with_bad_rows_is_held_once(
    wearer: Wearer,
) -> None:
    good = day_of_samples(MONDAY)
    bad: list[dict[str, Any]] = [
        {"slot": at(MONDAY, 97), "steps": 6001},
        {"slot": (MONDAY + timedelta(days=1, minutes=7)).isoformat(), "steps": 1},
        {"slot": at(MONDAY, 99), "heart_rate_bpm": 60, "heart_rate_min_bpm": 70},
        {"slot": at(MONDAY, 100), "light_min": 9, "sedentary_min": 9},
        {"slot": at(MONDAY, 101), "stairs": 3},
    ]
    for rows in (good + bad, [*reversed(good), *bad], good + bad):
        receipt = await wearer.post(rows)
        assert receipt.accepted == 96
        assert [row.code for row in receipt.rejected] == [
            "out_of_range",
            "slot_misaligned",
            "heart_rate_order",
            "minutes_exceed_slot",
            "unknown_field",
        ]
    rows = await wait_for_rows(wearer, 96)
    assert [row["steps"] for row in rows] == [row["steps"] for row in good]
    slots = await wearer.admin.week_slots(wearer.customer.id, WEEK)
    states = [slot.state for slot in slots.slots]
    assert states.count("measured") + states.count("zero") == 96
    assert states.count("rejected") == 4  # the misaligned row has no slot of its own
    week = await wearer.admin.week(wearer.customer.id, WEEK)
    assert (week.slots, week.measured) == (672, 96)


async def test_a_late_row_makes_version_two_and_version_one_still_downloads(
    http: ClientSession, wearer: Wearer, stack: RunningStack
) -> None:
    await wearer.post(day_of_samples(MONDAY), complete_through=at(MONDAY, 672))
    await wait_for_version(wearer, WEEK, 1)
    first = await wearer.admin.week_file(wearer.customer.id, WEEK, 1)
    await wearer.post([{"slot": at(MONDAY, 100), "steps": 11}])
    await wait_for_version(wearer, WEEK, 2)
    week = await wearer.admin.week(wearer.customer.id, WEEK)
    assert [(v.version, v.reason) for v in week.versions] == [
        (2, "late data: 1 slot"),
        (1, "week closed"),
    ]
    assert week.versions[0].changed["added"] == 1
    again = await wearer.admin.week_file(wearer.customer.id, WEEK, 1)
    assert again == first
    assert hashlib.sha256(again).hexdigest() == week.versions[1].sha256
    path = f"/v1/customers/{wearer.customer.id}/weeks/{WEEK}/versions/1/file"
    known = f'"{week.versions[1].sha256}"'
    for tags, status in (("", 200), (known, 304), (f'"x", W/{known}', 304), ('"x"', 200)):
        own = {"Authorization": f"Bearer {stack.admin_key}"}
        async with http.get(path, headers=own | {"If-None-Match": tags}) as answer:
            assert (answer.status, answer.headers["ETag"]) == (status, known)
            assert answer.headers["Cache-Control"] == "no-store"  # no cache keeps a person's week


async def test_the_same_data_again_makes_no_version(wearer: Wearer) -> None:
    rows = day_of_samples(MONDAY)
    await wearer.post(rows, complete_through=at(MONDAY, 672))
    await wait_for_version(wearer, WEEK, 1)
    await wearer.post(rows)
    job = await wearer.admin.roll_week(wearer.customer.id, WEEK)

    async def is_rolled() -> bool:
        return (await wearer.admin.job(job)).state == "succeeded"

    await eventually(is_rolled)
    assert (await wearer.admin.job(job)).result == {"version": 1, "changed": False}


async def test_a_higher_rev_corrects_and_a_tombstone_deletes(wearer: Wearer) -> None:
    await wearer.post(day_of_samples(MONDAY), complete_through=at(MONDAY, 672))
    await wait_for_version(wearer, WEEK, 1)
    await wearer.post(
        [
            {"slot": at(MONDAY, 3), "steps": 1234, "rev": 2},
            {"slot": at(MONDAY, 4), "deleted": True, "rev": 2},
            {"slot": at(MONDAY, 5), "steps": 99, "rev": 0},
        ]
    )
    await wait_for_version(wearer, WEEK, 2)
    changed = (await wearer.admin.week(wearer.customer.id, WEEK)).versions[0].changed
    assert (changed["corrected"], changed["removed"], changed["added"]) == (1, 1, 0)
    rows = {row["slot"]: row for row in await wait_for_rows(wearer, 95)}
    kept = {json.dumps(slot): row for slot, row in rows.items()}
    assert sorted(row["steps"] for row in kept.values() if row["rev"] == 2) == [1234]


async def test_of_two_devices_the_watch_wins_until_its_priority_falls(wearer: Wearer) -> None:
    phone = await with_device(wearer.admin, wearer.customer, "phone")
    end = at(MONDAY, 672)
    await wearer.post([{"slot": at(MONDAY, 0), "steps": 10}], complete_through=end)
    row = {"slot": at(MONDAY, 0), "steps": 99, "floors": 2}
    await phone.post([row], complete_through=end)
    await wait_for_version(wearer, WEEK, 1)
    days = await wearer.admin.days(wearer.customer.id, MONDAY.date(), MONDAY.date())
    assert (days[0].steps, days[0].floors) == (10, 2)
    await _set_priority(wearer, 900)
    await wait_for_version(wearer, WEEK, 2)
    days = await wearer.admin.days(wearer.customer.id, MONDAY.date(), MONDAY.date())
    assert days[0].steps == 99


async def _set_priority(wearer: Wearer, priority: int) -> None:
    from fitstream.client.http import Call

    path = f"/v1/customers/{wearer.customer.id}/devices/{wearer.device.id}"
    await wearer.admin._api.send(Call("PATCH", path, body=b'{"priority":%d}' % priority))


async def test_csv_and_gzip_carry_the_same_rows_as_json(
    wearer: Wearer, http: ClientSession
) -> None:
    lines = [
        f"{row['slot']},{row['steps']},{row['heart_rate_bpm']}" for row in day_of_samples(MONDAY)
    ]
    body = gzip.compress("\n".join(["slot,steps,heart_rate_bpm", *lines]).encode())
    query = {"device_id": wearer.device.id, "sent_at": datetime.now(UTC).isoformat()}
    headers = _as_device(wearer) | {"Content-Type": "text/csv", "Content-Encoding": "gzip"}
    async with http.post("/v1/samples", params=query, data=body, headers=headers) as answer:
        assert answer.status == 202
        sha = (await answer.json())["content_sha"]
    assert sha == (await wearer.post(day_of_samples(MONDAY))).content_sha


async def test_a_heartbeat_without_rows_is_accepted_and_an_empty_post_is_not(
    wearer: Wearer,
) -> None:
    receipt = await wearer.post([], complete_through=datetime.now(UTC).isoformat())
    assert receipt.accepted == 0
    with pytest.raises(Rejected, match="neither samples nor complete_through") as error:
        await wearer.post([])
    assert error.value.status == 422


async def test_missing_names_the_slots_of_this_week_that_the_ledger_lacks(wearer: Wearer) -> None:
    monday = last_monday(0)
    slots = [{"slot": at(monday, i), "steps": 1} for i in (0, 2)]
    await wearer.post(slots)
    await wait_for_rows(wearer, 2)
    receipt = await wearer.phone.post_samples(wearer.envelope(slots[:1]), missing=True)
    assert receipt.missing is not None
    first = (monday + timedelta(minutes=15), monday + timedelta(minutes=30))
    assert receipt.missing[0] == first


async def test_next_post_at_is_the_devices_own_moment_of_the_quarter_hour(wearer: Wearer) -> None:
    one = await wearer.post([{"slot": at(MONDAY, 0), "steps": 1}])
    two = await wearer.post([{"slot": at(MONDAY, 1), "steps": 1}])
    assert one.next_post_at.timestamp() % 900 == two.next_post_at.timestamp() % 900
    assert timedelta(seconds=60) <= one.next_post_at - one.server_time <= timedelta(seconds=961)


BAD_BODIES = [
    ("application/json", b"{not json", (400, "unreadable", "send one object with device_id")),
    ("application/json", b"[1,2,3]", (400, "unreadable", "Expected `object`")),
    ("application/json", b'{"samples":[]}', (400, "missing_field", "`device_id`")),
    ("application/json", b"[" * 100_000, (400, "unreadable", "Expected `object`")),
    ("application/json", b" " * 2_097_152, (413, "body_too_large", "send it in parts")),
    ("text/plain", b"hello", (415, "unsupported_type", "send application/json or text/csv")),
    ("text/csv", b"slot,stairs\n2026-11-16T00:00:00Z,3", (422, "unknown_field", "columns are ")),
    ("text/csv", b"steps\n3", (422, "missing_field", "`slot`")),
    ("text/csv", b"\xff\xfe", (400, "unreadable", "write it as UTF-8")),
]


@pytest.mark.parametrize(("kind", "body", "told"), BAD_BODIES)
async def test_a_body_that_cannot_be_read_is_told_why_and_what_to_send(
    wearer: Wearer, http: ClientSession, kind: str, body: bytes, told: tuple[int, str, str]
) -> None:
    status, code, remedy = told
    query = {"device_id": wearer.device.id, "sent_at": datetime.now(UTC).isoformat()}
    headers = _as_device(wearer) | {"Content-Type": kind}
    async with http.post(
        "/v1/samples", params=query, data=io.BytesIO(body), headers=headers
    ) as answer:
        problem = await answer.json(content_type=None)
        assert (answer.status, problem["code"]) == (status, code)
        assert answer.content_type == "application/problem+json"
        assert problem["request_id"]
        assert remedy in problem["detail"]


async def test_a_gzip_bomb_is_refused_by_its_inflated_size(
    wearer: Wearer, http: ClientSession
) -> None:
    headers = _as_device(wearer) | {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    bomb = gzip.compress(b" " * 50_000_000)
    async with http.post("/v1/samples", data=bomb, headers=headers) as answer:
        assert answer.status == 413


@pytest.mark.parametrize(
    ("row", "code", "retry", "told"),
    [
        ({"slot": at(last_monday(-1), 0)}, "future_slot", True, "check the clock"),
        ({"slot": "2020-01-01T00:00:00Z"}, "too_old", False, "older than"),
        ({"slot": "2026-11-16T00:07:00Z"}, "slot_misaligned", False, "start of a quarter hour"),
        ({"slot": "2026-11-16T00:00:00"}, "wrong_type", False, "with its zone, like 2026"),
        ({"slot": at(MONDAY, 0), "steps": -1}, "out_of_range", False, "steps: Expected `int` >= 0"),
        ({"slot": at(MONDAY, 0), "steps": "many"}, "wrong_type", False, "steps: Expected `int"),
        ({"slot": at(MONDAY, 0), "stairs": 3}, "unknown_field", False, "`stairs`"),
    ],
)
async def test_a_bad_row_alone_is_422_with_its_code_and_what_is_wrong(
    wearer: Wearer, row: dict[str, Any], code: str, retry: bool, told: str
) -> None:
    with pytest.raises(Rejected) as error:
        await wearer.post([row])
    assert error.value.status == 422
    verdict = error.value.extra["rejected"][0]  # type: ignore[index]
    assert (verdict["code"], verdict["retry"]) == (code, retry)
    assert told in verdict["message"]


@pytest.mark.parametrize("key", ["", "fs_a_b", "Bearer", "x" * 5000])
async def test_a_wrong_key_is_401_and_says_how_to_send_one(http: ClientSession, key: str) -> None:
    async with http.post(
        "/v1/samples", data=b"{}", headers={"Authorization": f"Bearer {key}"}
    ) as a:
        assert a.status == 401
        assert "Bearer" in (told := (await a.json())["detail"]) or "new one made" in told
        assert any("Bearer" in way for way in a.headers.getall("WWW-Authenticate"))


async def test_a_key_posts_for_its_own_device_only(wearer: Wearer) -> None:
    other = await with_device(wearer.admin, wearer.customer)
    with pytest.raises(Rejected) as error:
        await wearer.phone.post_samples(other.envelope(day_of_samples(MONDAY)))
    assert (error.value.status, error.value.code) == (403, "device_mismatch")


async def test_a_device_key_may_not_read_and_an_admin_key_may_not_post(wearer: Wearer) -> None:
    with pytest.raises(Rejected) as error:
        await wearer.phone.customer(wearer.customer.id)
    assert error.value.status == 403
    with pytest.raises(Rejected) as error:
        await wearer.admin.post_samples(wearer.envelope(day_of_samples(MONDAY)))
    assert error.value.status == 403


async def test_a_removed_device_is_refused_within_seconds(wearer: Wearer) -> None:
    from fitstream.client.http import Call

    await wearer.post([{"slot": at(MONDAY, 0), "steps": 1}])
    path = f"/v1/customers/{wearer.customer.id}/devices/{wearer.device.id}"
    await wearer.admin._api.send(Call("DELETE", path))

    async def is_refused() -> bool:
        try:
            await wearer.post([{"slot": at(MONDAY, 0), "steps": 1}])
        except Rejected as error:
            return error.status == 401
        return False

    await eventually(is_refused, 5)


async def test_consent_is_no_unless_it_is_given(admin: Client) -> None:
    wearer = await new_wearer(admin)
    assert wearer.customer.consents == {"training": False, "sharing": False}
    changed = await admin.change_customer(wearer.customer.id, consents={"training": True})
    assert changed.consents == {"training": True, "sharing": False}


def _as_device(wearer: Wearer) -> dict[str, str]:
    return {"Authorization": f"Bearer {wearer.device.key}"}
