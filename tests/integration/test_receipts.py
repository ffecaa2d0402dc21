"""Receipts of the running system: signed on request, and compared with what is stored."""

import base64
import json

import pytest
from aiohttp import ClientSession

from fitstream.client import Client
from fitstream.receipts import PublicKey, public_key, verify
from tests.real import day_of_samples, last_monday, new_wearer

pytestmark = pytest.mark.stack


async def published(admin: Client) -> list[PublicKey]:
    """The published keys, whose ids must be those that their bytes give."""
    keys = [public_key(_raw(jwk["x"])) for jwk in await admin.receipt_keys()]
    assert [jwk["kid"] for jwk in await admin.receipt_keys()] == [key.kid for key in keys]
    return keys


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=")


async def test_a_signed_receipt_verifies_with_the_published_key(admin: Client) -> None:
    wearer = await new_wearer(admin)
    samples = day_of_samples(last_monday())[:4]
    receipt = await wearer.phone.post_samples(wearer.envelope(samples), signed=True)
    assert receipt.receipt_jws is not None
    signed = json.loads(verify(receipt.receipt_jws, await published(admin)))
    assert signed["batch_id"] == receipt.batch_id
    assert signed["content_sha"] == receipt.content_sha
    assert signed["accepted"] == 4
    assert "receipt_jws" not in signed


async def test_a_receipt_is_signed_only_on_request(admin: Client, http: ClientSession) -> None:
    wearer = await new_wearer(admin)
    body = wearer.envelope(day_of_samples(last_monday())[:1])
    head = {"Authorization": f"Bearer {wearer.device.key}"}
    async with http.post("/v1/samples", json=body, headers=head) as plain:
        assert "receipt_jws" not in await plain.json()
    asked = head | {"Prefer": "respond-async, Signed-Receipt; x=1"}
    async with http.post("/v1/samples", json=body, headers=asked) as signed:
        assert signed.headers["Preference-Applied"] == "signed-receipt"
        answer = await signed.json()
    payload = json.loads(verify(answer.pop("receipt_jws"), await published(admin)))
    assert payload == answer


async def test_published_keys_can_be_cached(http: ClientSession) -> None:
    async with http.get("/.well-known/fitstream-keys") as first:
        assert first.status == 200
        assert "max-age" in first.headers["Cache-Control"]
        assert first.content_type == "application/jwk-set+json"
        etag = first.headers["ETag"]
    async with http.get("/.well-known/fitstream-keys", headers={"If-None-Match": etag}) as again:
        assert again.status == 304
        assert await again.read() == b""
