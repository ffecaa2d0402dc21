"""A device renews its own key, without anybody's help: the new one is shown once."""

from datetime import timedelta
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from fitstream.client import data
from fitstream.errors import NotFound
from fitstream.gateway.api.answers import answer, body, now
from fitstream.gateway.device_keys import issue_key
from fitstream.gateway.keys import REPO
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.routes import Route
from fitstream.repo import audit, keys

OwnOverlap = Annotated[int, Meta(ge=60, le=604_800)]


class RotateOwnKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/device/keys: how many seconds the key of this call still works.

    At least a minute: a device whose answer was lost has to ask again with the key that it has.
    """

    overlap_s: OwnOverlap = 86_400


async def rotate_own_key(request: web.Request) -> web.Response:
    """Another key of the device that asks. The one it asks with goes on for the overlap, any other
    ends now: so an answer that was lost leaves no key in nobody's hands."""
    wanted = await body(request, RotateOwnKey) if request.body_exists else RotateOwnKey()
    principal = request[PRINCIPAL]
    number = principal.device_no
    if number is None:
        raise NotFound("the device of this key")
    async with request.app[REPO].transaction() as db:
        await keys.revoke_other_keys(db, number, principal.key_id)
        overlap = timedelta(seconds=wanted.overlap_s)
        old_until = await keys.expire_device_keys(db, number, overlap)
        key = await issue_key(request.app, db, number)
        subject = audit.Subject("device", str(principal.device_id), principal.customer_no)
        await audit.record(db, principal.actor, "device.key_rotated", subject)
    return answer(data.KeyMade(key.text, old_until or now(request)), 201)


ROUTES = (
    Route(
        "POST", "/v1/device/keys", rotate_own_key, "rotate_own_key",
        takes=RotateOwnKey, gives=data.KeyMade, status=201, tag="devices",
        summary="Make this device another key, shown only here; this one ends later",
        example={"overlap_s": 86_400},
    ),
)  # fmt: skip
