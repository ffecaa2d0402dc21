"""What one gateway learns of a device holds on another: nonces, pairings, settings, removals."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from fitstream.client import Client, open_client
from fitstream.errors import Rejected
from fitstream.gateway.app import make_app
from tests.conftest import RunningStack
from tests.real import Wearer, eventually, new_wearer

pytestmark = pytest.mark.stack
TARGET = "/v1/samples"


@pytest.fixture
async def other(stack: RunningStack) -> AsyncIterator[str]:
    """Address of a second gateway on the same services."""
    async with TestServer(make_app(stack.settings)) as server:
        yield str(server.make_url("/"))


@pytest.fixture
async def other_admin(stack: RunningStack, other: str) -> AsyncIterator[Client]:
    """The administrator at the second gateway."""
    async with open_client(other, stack.admin_key) as client:
        yield client


def hexed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def digest_header(challenge: str, key: str) -> str:
    """RFC 7616's answer to a challenge, for a POST to TARGET."""
    _, key_id, secret = key.split("_")
    nonce = challenge.partition('nonce="')[2].partition('"')[0]
    ha1, ha2 = hexed(f"{key_id}:fitstream:{secret}"), hexed(f"POST:{TARGET}")
    response = hexed(f"{ha1}:{nonce}:00000001:abcd:auth:{ha2}")
    return (
        f'Digest username="{key_id}", realm="fitstream", nonce="{nonce}", uri="{TARGET}",'
        f' algorithm=SHA-256, qop=auth, nc=00000001, cnonce="abcd", response="{response}"'
    )


def heartbeat(wearer: Wearer) -> dict[str, object]:
    now = datetime.now(UTC).isoformat()
    return wearer.envelope([]) | {"complete_through": now}


async def test_a_nonce_of_one_gateway_is_taken_by_another_and_once_by_each(
    admin: Client, stack: RunningStack, other: str
) -> None:
    wearer = await new_wearer(admin)
    async with ClientSession(stack.gateway) as one, ClientSession(other) as two:
        async with one.post(TARGET, json=heartbeat(wearer)) as response:
            assert response.status == 401
            challenge = response.headers["WWW-Authenticate"]  # the first one
        auth = {"Authorization": digest_header(challenge, wearer.device.key)}
        for gateway in (two, one):
            async with gateway.post(TARGET, json=heartbeat(wearer), headers=auth) as response:
                assert response.status == 202
            async with gateway.post(TARGET, json=heartbeat(wearer), headers=auth) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"].endswith("stale=true")
                assert (await response.json())["code"] == "stale_nonce"


async def test_a_pairing_begun_here_is_polled_there_and_the_removed_device_fails_there(
    admin: Client, other_admin: Client
) -> None:
    customer = await admin.create_customer("UTC")
    email, password = f"{customer.id}@example.org", "a quiet long walk"
    await admin.set_login(customer.id, email, password)
    me = other_admin.as_who((await other_admin.as_who("").login(email, password)).token)
    begun = await admin.as_who("").begin_pairing("phone", "Pixel")
    await me.decide_pairing(begun.user_code)
    paired = await other_admin.as_who("").poll_pairing(begun.device_code)
    wearers = [
        Wearer(customer, paired, who, who.as_who(paired.key)) for who in (admin, other_admin)
    ]
    for wearer in wearers:
        await wearer.phone.post_samples(heartbeat(wearer))
    await admin.change_device(customer.id, paired.id, post_interval_s=120)

    async def told() -> bool:
        receipt = await wearers[1].phone.post_samples(heartbeat(wearers[1]))
        return receipt.settings is not None and receipt.settings.post_interval_s == 120

    await eventually(told, 5)
    await admin.remove_device(customer.id, paired.id)

    async def refused() -> bool:
        try:
            await wearers[1].phone.post_samples(heartbeat(wearers[1]))
        except Rejected as error:
            return error.code == "unauthorized"
        return False

    await eventually(refused, 5)


async def test_wrong_codes_are_counted_over_both_gateways(
    admin: Client, other_admin: Client
) -> None:
    customer = await admin.create_customer("UTC")
    email, password = f"{customer.id}@example.org", "a quiet long walk"
    await admin.set_login(customer.id, email, password)
    token = (await admin.as_who("").login(email, password)).token
    kinds = []
    for number in range(14):
        me = (admin, other_admin)[number % 2].as_who(token)
        try:
            await me.look_pairing("BBBB-BBBB")
        except Exception as error:  # of both kinds
            kinds.append(type(error).__name__)
    assert kinds[0] == "NotFound"
    assert kinds[-2:] == ["TooMany", "TooMany"]
