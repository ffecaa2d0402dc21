"""Pairing a device with a customer by a short code or QR, in both directions (RFC 8628's shape).

A device begins, shows its code, and polls while its person approves on their page; or the person's
page shows a code that the device redeems. Either way the device gets its key once. A device exists
from that moment on, so that an answer that is lost leaves nothing that could post.
"""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from msgspec import Meta

from fitstream.client import data
from fitstream.errors import Rejected, TooMany
from fitstream.gateway import pairing_codes
from fitstream.gateway.api import devices as device_routes
from fitstream.gateway.api.answers import answer, body, now
from fitstream.gateway.api.samples_post import settings_for
from fitstream.gateway.device_keys import issue_key
from fitstream.gateway.held_session import hold
from fitstream.gateway.keys import MASTERS, REPO, SETTINGS
from fitstream.gateway.pairing_codes import SHOWN_BY_DEVICE, SHOWN_BY_PAGE, code_sha, new_code
from fitstream.gateway.principal import PRINCIPAL, Principal
from fitstream.gateway.routes import Route
from fitstream.ids import hashed, new_secret
from fitstream.repo import audit, devices, pairing
from fitstream.repo.database import Db
from fitstream.repo.devices import NewDevice
from fitstream.repo.pairing import Codes, Pairing
from fitstream.samples import Text
from fitstream.settings import pages_url

LIFETIME_S = 600
INTERVAL_S = 5
_SLOWER_S = 5  # RFC 8628, section 3.5
_TOLERANCE_S = 0.5
_INTERVAL_MAX_S = 60
_OPEN_MAX = 10_000
_ATTEMPTS = 5
_OPEN_WAIT_S = 60.0

Kind = Literal["watch", "phone", "other"]
Typed = Annotated[str, Meta(min_length=1, max_length=64)]


class StartPairing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/devices/pair."""

    kind: Kind
    name: Text
    app_version: Text | None = None


class PollPairing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/devices/pair/token."""

    device_code: Annotated[str, Meta(min_length=1, max_length=128)]


class RedeemCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/devices/redeem."""

    code: Typed
    app_version: Text | None = None


class OfferPairing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/me/devices/codes: what the device will be called."""

    kind: Kind
    name: Text


class LookPairing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/me/devices/pairing: in a body, so that no log of addresses has the code."""

    user_code: Typed


class DecidePairing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/me/devices/approve; without a name the device keeps its own."""

    user_code: Typed
    name: Text | None = None
    approve: bool = True


async def start(request: web.Request) -> web.Response:
    """Codes for a device that nobody knows yet."""
    wanted = await body(request, StartPairing)
    await pairing_codes.count_start(request)
    at = now(request)
    device_code = new_secret()
    new = Pairing(
        code_sha=b"", kind=wanted.kind, name=wanted.name, app_version=wanted.app_version,
        customer_no=None, state="pending", interval_s=INTERVAL_S, polled_at=None, created_at=at,
        expires_at=at + timedelta(seconds=LIFETIME_S),
    )  # fmt: skip
    code = await _begin(request, new, SHOWN_BY_DEVICE, hashed(device_code))
    address = f"{pages_url(request.app[SETTINGS])}/devices/add"
    begun = data.PairingBegun(
        device_code=device_code,
        user_code=code,
        verification_uri=address,
        verification_uri_complete=f"{address}?code={code}",
        expires_in=LIFETIME_S,
        interval=INTERVAL_S,
    )
    return answer(begun)


async def poll(request: web.Request) -> web.Response:
    """The key, once its person has approved; until then 400 with RFC 8628's words as `code`."""
    wanted = await body(request, PollPairing)
    at = now(request)
    async with request.app[REPO].transaction() as db:
        found = await pairing.find_polled(db, hashed(wanted.device_code))
        refusal = await _refusal(db, found, at)
        if found is not None and refusal is None:
            return answer(await _claim(request, db, found, found.app_version))
    raise refusal or _expired()  # after the commit: what it noted must last


async def offer(request: web.Request) -> web.Response:
    """A code for a phone to scan or type; whoever redeems it posts for this customer."""
    wanted = await body(request, OfferPairing)
    me = _customer(request)
    at = now(request)
    new = Pairing(
        code_sha=b"", kind=wanted.kind, name=wanted.name, app_version=None,
        customer_no=me.customer_no, state="offered", interval_s=INTERVAL_S, polled_at=None,
        created_at=at, expires_at=at + timedelta(seconds=LIFETIME_S),
    )  # fmt: skip
    code = await _begin(request, new, SHOWN_BY_PAGE, None)
    shown = data.PairingOffer(
        code=code, redeem_uri=_redeem_uri(request, code), expires_at=new.expires_at
    )
    return answer(shown, 201)


async def redeem(request: web.Request) -> web.Response:
    """The key, for the code that a customer's page shows."""
    wanted = await body(request, RedeemCode)
    bucket = await pairing_codes.count_redeem(request)
    sha = code_sha(request.app[MASTERS], wanted.code)
    async with request.app[REPO].transaction() as db:
        found = await pairing.take_offer(db, sha, now(request))
        if found is None:
            raise pairing_codes.unknown_code()
        claimed = await _claim(request, db, found, wanted.app_version)
    await pairing_codes.give_back(request, bucket)
    return answer(claimed, 201)


async def look(request: web.Request) -> web.Response:
    """Which device shows this code, to compare before approving."""
    wanted = await body(request, LookPairing)
    bucket = await pairing_codes.count_approve(request, _customer(request).account_id or "")
    async with request.app[REPO].transaction() as db:
        found = await _pending(request, db, wanted.user_code)
    await pairing_codes.give_back(request, bucket)
    asked = data.PairingAsked(
        kind=found.kind,
        name=found.name,
        app_version=found.app_version,
        created_at=found.created_at,
        expires_at=found.expires_at,
    )
    return answer(asked)


async def decide(request: web.Request) -> web.Response:
    """Lets the device that shows this code post for this customer, or turns it away."""
    wanted = await body(request, DecidePairing)
    me = _customer(request)
    decision: pairing.Decision = "approved" if wanted.approve else "denied"
    bucket = await pairing_codes.count_approve(request, me.account_id or "")
    async with request.app[REPO].transaction() as db:
        await hold(db, request)
        found = await _pending(request, db, wanted.user_code)
        name = wanted.name or found.name
        await pairing.settle(db, found, decision, me.customer_no or 0, name)
        subject = audit.Subject("customer", str(me.customer_no), me.customer_no)
        await audit.record(db, me.actor, f"pairing.{decision}", subject)
    await pairing_codes.give_back(request, bucket)
    return answer(data.PairingDecided(decision, found.kind, name))


def _customer(request: web.Request) -> Principal:
    """Who calls, as a customer. Raises Rejected(forbidden) for anybody else."""
    principal = request[PRINCIPAL]
    if principal.customer_no is None:
        raise Rejected("forbidden", "only a customer pairs a device; log in as one", 403)
    return principal


async def _begin(request: web.Request, new: Pairing, length: int, device_sha: bytes | None) -> str:
    """Stores a pairing under a code of its own; the code. Raises TooMany when too many are open."""
    async with request.app[REPO].transaction() as db:
        if new.customer_no is not None:
            await hold(db, request)
        if await pairing.count_open(db, new.created_at) >= _OPEN_MAX:
            raise TooMany(_OPEN_WAIT_S)
        for _ in range(_ATTEMPTS):
            code = new_code(request.app[MASTERS], length)
            if await pairing.begin(db, Codes(code.sha, device_sha), new):
                return code.text
    raise TooMany(_OPEN_WAIT_S)


async def _pending(request: web.Request, db: Db, typed: str) -> Pairing:
    """The device that shows the code. Raises Rejected(unknown_code)."""
    found = await pairing.find_pending(db, code_sha(request.app[MASTERS], typed), now(request))
    if found is None:
        raise pairing_codes.unknown_code()
    return found


async def _claim(
    request: web.Request, db: Db, found: Pairing, app_version: str | None
) -> data.PairedDevice:
    """The new device with its key; the pairing ends with it."""
    customer_no = found.customer_no or 0
    if not await pairing.is_active(db, customer_no):
        raise Rejected("inactive", "this customer may not post; ask the programme", 403)
    new = NewDevice(found.kind, found.name, app_version=app_version)
    device = await devices.add_device(db, customer_no, new)
    key = await issue_key(request.app, db, device.device_no)
    await pairing.forget(db, found)
    actor = audit.Actor("device", device.device_no, key.id)
    subject = audit.Subject("device", device.id, customer_no)
    await audit.record(db, actor, "device.paired", subject)
    shown = device_routes.shown(device)
    settings = settings_for(request.app, key.id)
    return msgspec.convert(
        shown | {"key": key.text, "settings": msgspec.structs.asdict(settings)}, data.PairedDevice
    )


async def _refusal(db: Db, found: Pairing | None, at: datetime) -> Rejected | None:
    """Why the device gets no key yet, or ever; None when it does."""
    if found is None or found.expires_at <= at:
        return _expired()
    if found.state == "approved":
        return None
    if found.state == "denied":
        await pairing.forget(db, found)
        return _waiting("access_denied", "the person said no")
    earliest = found.interval_s - _TOLERANCE_S
    is_early = found.polled_at is not None and at - found.polled_at < timedelta(seconds=earliest)
    interval_s = (
        min(found.interval_s + _SLOWER_S, _INTERVAL_MAX_S) if is_early else found.interval_s
    )
    await pairing.note_poll(db, found, at, interval_s)
    if is_early:
        return _waiting("slow_down", f"wait {interval_s} seconds between two questions")
    return _waiting("authorization_pending", "nobody has approved yet; ask again")


def _expired() -> Rejected:
    return _waiting("expired_token", "the code has expired or was used; begin again")


def _redeem_uri(request: web.Request, code: str) -> str:
    """What a phone scans: where the API is, and the code."""
    settings = request.app[SETTINGS]
    gateway = settings.public_url or settings.gateway_url
    return f"fitstream:pair?{urlencode({'gateway': gateway.rstrip('/'), 'code': code})}"


def _waiting(code: str, text: str) -> Rejected:
    """An answer of RFC 8628, section 3.5: as our `code` and as OAuth's `error`."""
    return Rejected(code, text, 400, {"error": code})


_CODE = "WDJB-MJHT"
ROUTES = (
    Route(
        "POST", "/v1/devices/pair", start, "pair_start", takes=StartPairing,
        gives=data.PairingBegun, problems=(429,), is_keyed=False, tag="devices",
        summary="Begin to pair this device; its person approves the code",
        example={"kind": "phone", "name": "Pixel 9", "app_version": "2.1"},
    ),
    Route(
        "POST", "/v1/devices/pair/token", poll, "pair_poll", takes=PollPairing,
        gives=data.PairedDevice, problems=(400, 403, 409), is_keyed=False, tag="devices",
        summary="Ask for the key of this device, until its person has approved",
    ),
    Route(
        "POST", "/v1/devices/redeem", redeem, "pair_redeem", takes=RedeemCode,
        gives=data.PairedDevice, status=201, problems=(403, 404, 409, 429), is_keyed=False,
        tag="devices", summary="Pair this device by the code that its person's page shows",
        example={"code": "BCDF-GHJK-LMNP"},
    ),
    Route(
        "POST", "/v1/me/devices/codes", offer, "pair_offer", takes=OfferPairing,
        gives=data.PairingOffer, status=201, problems=(429,), is_keyed=False, tag="devices",
        summary="Make a code for a phone to redeem", example={"kind": "phone", "name": "My phone"},
    ),
    Route(
        "POST", "/v1/me/devices/pairing", look, "pair_look", takes=LookPairing,
        gives=data.PairingAsked, problems=(404, 429), is_keyed=False, tag="devices",
        summary="Which device shows this code", example={"user_code": _CODE},
    ),
    Route(
        "POST", "/v1/me/devices/approve", decide, "pair_decide", takes=DecidePairing,
        gives=data.PairingDecided, problems=(404, 429), is_keyed=False, tag="devices",
        summary="Approve the device that shows this code, or turn it away",
        example={"user_code": _CODE},
    ),
)  # fmt: skip
