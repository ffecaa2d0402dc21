"""Devices: settings in the receipt, keys that end when they should, pairing in both directions."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from aiohttp import ClientSession

from fitstream.client import Client
from fitstream.client.data import Customer
from fitstream.errors import Conflict, Rejected
from tests.conftest import RunningStack
from tests.real import Wearer, at, eventually, last_monday, new_wearer, wait_for_rows

pytestmark = pytest.mark.stack
PASSWORD = "a quiet long walk"


class Person(NamedTuple):
    """A customer who is logged in."""

    customer: Customer
    me: Client


async def new_person(admin: Client) -> Person:
    customer = await admin.create_customer("UTC")
    email = f"{customer.id}@example.org"
    await admin.set_login(customer.id, email, PASSWORD)
    session = await admin.as_who("").login(email, PASSWORD)
    return Person(customer, admin.as_who(session.token))


async def refused(call: object) -> str:
    with pytest.raises(Rejected) as error:
        await call  # type: ignore[misc]
    return error.value.code


def heartbeat(device_id: str, sent_at: datetime) -> dict[str, object]:
    now = datetime.now(UTC).isoformat()
    return {
        "device_id": device_id,
        "sent_at": sent_at.isoformat(),
        "complete_through": now,
        "samples": [],
    }


async def test_a_receipt_tells_the_device_its_settings_and_when_to_post_next(
    admin: Client, stack: RunningStack
) -> None:
    wearer = await new_wearer(admin)
    sample = [{"slot": at(last_monday(), 0), "steps": 1}]
    first = await wearer.post(sample)
    assert first.settings is not None
    assert (first.settings.post_interval_s, first.settings.paused) == (900, False)
    changed = await admin.change_device(
        wearer.customer.id, wearer.device.id, post_interval_s=3600, paused=True
    )
    assert (changed.post_interval_s, changed.paused) == (3600, True)

    async def told() -> bool:
        receipt = await wearer.post(sample)
        assert receipt.settings is not None
        return (receipt.settings.post_interval_s, receipt.settings.paused) == (3600, True)

    await eventually(told, 5)
    receipt = await wearer.post(sample)
    assert timedelta(0) < receipt.next_post_at - receipt.server_time <= timedelta(seconds=3661)


async def test_an_interval_out_of_its_range_is_refused_and_null_follows_the_deployment(
    admin: Client,
) -> None:
    wearer = await new_wearer(admin)
    ids = (wearer.customer.id, wearer.device.id)
    for wrong in (0, 59, 86_401):
        assert await refused(admin.change_device(*ids, post_interval_s=wrong)) == "invalid"
    assert (await admin.change_device(*ids, post_interval_s=60)).post_interval_s == 60
    assert (await admin.change_device(*ids, name="right wrist")).post_interval_s == 60
    found = await admin.change_device(*ids, post_interval_s=None)
    assert (found.post_interval_s, found.name) == (None, "right wrist")
    assert await admin.device(*ids) == found


async def test_an_old_key_works_until_the_overlap_of_its_rotation_ends(admin: Client) -> None:
    wearer = await new_wearer(admin)
    sample = [{"slot": at(last_monday(), 0), "steps": 1}]
    renewed = await admin.renew_key(wearer.customer.id, wearer.device, overlap_s=6)
    both = [wearer, wearer._replace(phone=admin.as_who(renewed.key))]
    for one in both:
        assert (await one.post(sample)).accepted == 1

    async def ended() -> bool:
        return await code_of_post(both[0], sample) == "unauthorized"

    await eventually(ended)
    assert (await both[1].post(sample)).accepted == 1


async def code_of_post(wearer: Wearer, sample: list[dict[str, object]]) -> str:
    try:
        await wearer.post(sample)
    except Rejected as error:
        return error.code
    return ""


async def test_a_removed_device_fails_within_five_seconds_and_gets_no_key(admin: Client) -> None:
    wearer = await new_wearer(admin)
    sample = [{"slot": at(last_monday(), 0), "steps": 1}]
    assert (await wearer.post(sample)).accepted == 1
    await admin.remove_device(wearer.customer.id, wearer.device.id)

    async def refused_now() -> bool:
        return await code_of_post(wearer, sample) == "unauthorized"

    await eventually(refused_now, 5)
    assert len(await wait_for_rows(wearer, 1)) == 1
    with pytest.raises(Conflict):
        await admin.renew_key(wearer.customer.id, wearer.device)


async def test_the_clock_of_a_device_is_estimated_though_posts_come_late(admin: Client) -> None:
    wearer = await new_wearer(admin)
    for late_s in (0, 400, 0, 0, 30, 0):  # its clock is 120 s ahead; some posts lay on the way
        sent_at = datetime.now(UTC) + timedelta(seconds=120 - late_s)
        await wearer.phone.post_samples(heartbeat(wearer.device.id, sent_at))

    async def estimated() -> bool:
        (device,) = await admin.devices(wearer.customer.id)
        return device.clock_skew_s is not None and abs(device.clock_skew_s - 120) < 10

    await eventually(estimated)


async def test_a_device_that_shows_a_code_gets_its_key_once_its_person_has_approved(
    admin: Client,
) -> None:
    person, stranger = await new_person(admin), admin.as_who("")
    begun = await stranger.begin_pairing("phone", "Pixel", "2.1")
    assert begun.verification_uri_complete == f"{begun.verification_uri}?code={begun.user_code}"
    assert await refused(stranger.poll_pairing(begun.device_code)) == "authorization_pending"
    asked = await person.me.look_pairing(begun.user_code)
    assert (asked.kind, asked.name, asked.app_version) == ("phone", "Pixel", "2.1")
    typed = begun.user_code.lower().replace("-", " ")
    assert (await person.me.decide_pairing(typed, name="My phone")).state == "approved"
    paired = await stranger.poll_pairing(begun.device_code)
    assert (paired.name, paired.app_version) == ("My phone", "2.1")
    wearer = Wearer(person.customer, paired, admin, admin.as_who(paired.key))
    assert (await wearer.post([{"slot": at(last_monday(), 0), "steps": 9}])).accepted == 1
    for again in (begun.device_code, "never-was"):
        assert await refused(stranger.poll_pairing(again)) == "expired_token"
    assert [device.id for device in await person.me.devices(person.customer.id)] == [paired.id]
    await person.me.remove_device(person.customer.id, paired.id)


async def test_a_device_that_asks_too_often_is_slowed_down(admin: Client) -> None:
    stranger = admin.as_who("")
    begun = await stranger.begin_pairing("watch", "Band")
    assert await refused(stranger.poll_pairing(begun.device_code)) == "authorization_pending"
    assert await refused(stranger.poll_pairing(begun.device_code)) == "slow_down"


async def test_a_device_that_is_turned_away_gets_nothing(admin: Client) -> None:
    person, stranger = await new_person(admin), admin.as_who("")
    begun = await stranger.begin_pairing("watch", "Somebody's watch")
    await person.me.decide_pairing(begun.user_code, approve=False)
    assert await refused(stranger.poll_pairing(begun.device_code)) == "access_denied"
    assert await refused(stranger.poll_pairing(begun.device_code)) == "expired_token"
    assert await person.me.devices(person.customer.id) == []


async def test_a_code_of_the_page_is_redeemed_once(admin: Client) -> None:
    person, stranger = await new_person(admin), admin.as_who("")
    offer = await person.me.offer_pairing("phone", "My phone")
    assert offer.code in offer.redeem_uri
    tried = await asyncio.gather(
        *(stranger.redeem_code(offer.code.lower()) for _ in range(3)), return_exceptions=True
    )
    paired = [one for one in tried if not isinstance(one, BaseException)]
    assert len(paired) == 1
    assert (paired[0].name, paired[0].settings.post_interval_s) == ("My phone", 900)


async def test_wrong_codes_run_out_for_an_account_but_right_ones_cost_nothing(
    admin: Client,
) -> None:
    person, stranger = await new_person(admin), admin.as_who("")
    begun = await stranger.begin_pairing("watch", "Band")
    for _ in range(12):
        await person.me.look_pairing(begun.user_code)
    codes = [await _wrong(person.me) for _ in range(12)]
    assert codes[0] == "not_found"
    assert codes[-1] == "TooMany"


async def _wrong(me: Client) -> str:
    try:
        await me.look_pairing("BBBB-BBBB")
    except Exception as error:  # of both kinds
        return "TooMany" if type(error).__name__ == "TooMany" else "not_found"
    return ""


async def test_only_a_customer_pairs_and_only_their_own_devices(admin: Client) -> None:
    person, other = await new_person(admin), await new_wearer(admin)
    begun = await admin.as_who("").begin_pairing("watch", "Band")
    assert await refused(admin.decide_pairing(begun.user_code)) == "forbidden"
    assert await refused(other.phone.decide_pairing(begun.user_code)) == "forbidden"
    with pytest.raises(Exception, match="was not found"):
        await person.me.remove_device(other.customer.id, other.device.id)


async def test_a_customer_has_a_bounded_number_of_devices(admin: Client) -> None:
    customer = await admin.create_customer("UTC")
    made = await asyncio.gather(
        *(admin.create_device(customer.id, "watch", f"w{n}") for n in range(22)),
        return_exceptions=True,
    )
    refusals = [one for one in made if isinstance(one, Conflict)]
    assert len(refusals) == 2
    assert len(await admin.devices(customer.id)) == 20


async def test_a_device_renews_its_own_key_and_the_old_one_goes_on_for_a_while(
    http: ClientSession, admin: Client
) -> None:
    wearer = await new_wearer(admin)
    renewed = await wearer.phone.rotate_own_key(overlap_s=3600)
    second = wearer._replace(phone=admin.as_who(renewed.key))
    row = [{"slot": at(last_monday(), 0), "steps": 1}]
    await second.post(row)
    await wearer.post(row)
    left_s = (renewed.old_until - datetime.now(UTC)).total_seconds()
    assert 3500 < left_s <= 3600
    # An answer that was lost: the key that nobody got ends, the one that is known does not live
    # longer by that.
    third = await wearer.phone.rotate_own_key()
    assert third.old_until == renewed.old_until

    async def is_over() -> bool:
        return await _status(http, renewed.key) == 401

    await eventually(is_over)
    assert await _status(http, third.key) == 202
    found = await admin.audit(action="device.key_rotated", customer=wearer.customer.id)
    assert [(entry.actor, entry.subject) for entry in found.items] == [
        ("device", f"device:{wearer.device.id}")
    ] * 2


async def test_nobody_but_a_device_renews_a_key_of_its_own(
    http: ClientSession, admin: Client, stack: RunningStack
) -> None:
    for headers, status in (({}, 401), ({"Authorization": f"Bearer {stack.admin_key}"}, 403)):
        async with http.post("/v1/device/keys", headers=headers) as answer:
            assert answer.status == status
    wearer = await new_wearer(admin)
    headers = {"Authorization": f"Bearer {wearer.device.key}"}
    async with http.post("/v1/device/keys", json={"overlap_s": 0}, headers=headers) as answer:
        assert answer.status == 422


async def _status(http: ClientSession, key: str) -> int:
    """What a heartbeat with a key is answered."""
    wrong = {"device_id": "x", "sent_at": datetime.now(UTC).isoformat(), "samples": []}
    headers = {"Authorization": f"Bearer {key}"}
    async with http.post("/v1/samples", json=wrong, headers=headers) as answer:
        return 202 if answer.status == 403 else answer.status  # the key is known, the device is not
