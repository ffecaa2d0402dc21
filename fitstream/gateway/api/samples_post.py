"""POST /v1/samples, the hot path: decode, judge, publish, and answer only after Kafka has it.

Asks no database (but for `?missing=1`). Unknown outcome is 503: the device keeps the data.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from fitstream import events, posts, samples
from fitstream.client import data
from fitstream.clock import slot_of, slot_start
from fitstream.crash import crash_point
from fitstream.errors import FitstreamError, Rejected, Unavailable
from fitstream.gateway.api.missing import missing_slots
from fitstream.gateway.encodings import encoding_of
from fitstream.gateway.keys import (
    IN_FLIGHT,
    KEYS,
    PRODUCER,
    RATES,
    REPO,
    RETRY_LATER,
    SETTINGS,
    SIGNER,
)
from fitstream.gateway.limits import Take
from fitstream.gateway.principal import PRINCIPAL, Principal
from fitstream.gateway.routes import Route
from fitstream.ids import new_batch_id
from fitstream.metrics import count
from fitstream.samples import Checked, Decoded, Verdict
from fitstream.settings import Settings

_REJECTS_KEPT = 100
_EARLIEST_NEXT = timedelta(seconds=60)
_PAUSED_S = 3600  # a device that is paused asks again once an hour
_SIGNED = "signed-receipt"


class RejectedRow(msgspec.Struct, frozen=True):
    """Verdict on a row that was not accepted."""

    index: int
    code: str
    message: str
    retry: bool


class DeviceSettings(msgspec.Struct, frozen=True):
    """What the device should do from now on."""

    post_interval_s: int
    paused: bool


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a 202 says: where the accepted rows stand, and what became of the others."""

    batch_id: str
    device_id: str
    generation: int
    partition: int
    offset: int
    accepted: int
    content_sha: str
    rejected: list[RejectedRow]
    server_time: datetime
    next_post_at: datetime
    settings: DeviceSettings
    missing: list[tuple[datetime, datetime]] | None = None


_encode = msgspec.json.Encoder().encode


async def post_samples(request: web.Request) -> web.Response:
    """One post of one device; see docs/api.md."""
    try:
        response = await _post(request)
    except FitstreamError as error:
        if isinstance(error, Unavailable) and error.service == "kafka":
            error.retry_after_s = request.app[RETRY_LATER].failed()
        count("posts", status=type(error).__name__)
        raise
    request.app[RETRY_LATER].worked()
    count("posts", status="accepted")
    return response


async def _post(request: web.Request) -> web.Response:
    settings = request.app[SETTINGS]
    principal: Principal = request[PRINCIPAL]
    request.app[RATES].take(principal.key_id)
    with request.app[IN_FLIGHT].holding() as take:
        body = await read_body(request, settings, take)
        now = datetime.now(UTC) + timedelta(seconds=settings.clock_offset_s)
        decoded = _decode(request, body, settings.rows_max)
        if decoded.envelope.device_id != principal.device_id:
            text = f"this key posts for device {principal.device_id} only"
            raise Rejected("device_mismatch", text, 403)
        checked = samples.check(decoded, samples.window(now, settings.backfill_days))
        _refuse_empty(decoded, checked)
        receipt = await _publish(request, decoded, checked, now)
    content = _encode(receipt)
    headers = None
    if "Prefer" in request.headers and _wants_signed(request):
        signed = request.app[SIGNER].sign(content)
        content = content[:-1] + b',"receipt_jws":"' + signed + b'"}'
        headers = {"Preference-Applied": _SIGNED}
    return web.Response(body=content, status=202, content_type="application/json", headers=headers)


def _wants_signed(request: web.Request) -> bool:
    """Whether `Prefer` (RFC 7240) asks for a signature."""
    asked = ",".join(request.headers.getall("Prefer")).split(",")
    return any(one.partition(";")[0].strip().lower() == _SIGNED for one in asked)


async def read_body(request: web.Request, settings: Settings, take: Take) -> bytes:
    """The body, gunzipped, within its limits of size and time; `take` counts it as it comes.

    Raises Rejected(413, 415, 408), Unavailable.
    """
    encoding = encoding_of(request)
    if (request.content_length or 0) > settings.body_max_bytes:
        raise _too_large(settings)
    try:
        if request.content.is_eof():  # it came with its head: nothing to wait for
            body = await request.read()
            take(len(body))
        else:
            async with asyncio.timeout(settings.body_timeout_s):
                body = await _read_slowly(request, settings, take)
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(settings) from None
    except TimeoutError:
        raise Rejected("slow_body", "the body did not arrive in time", 408) from None
    except (web.RequestPayloadError, ContentEncodingError) as error:
        raise Rejected("unreadable", "the body is not valid gzip") from error
    if encoding == "identity" and len(body) > settings.body_max_bytes:
        raise _too_large(settings)
    return body


async def _read_slowly(request: web.Request, settings: Settings, take: Take) -> bytes:
    body = bytearray()
    async for part in request.content.iter_any():
        take(len(part))
        body += part
        if len(body) > settings.inflated_max_bytes:
            raise _too_large(settings)
    return bytes(body)


def _too_large(settings: Settings) -> Rejected:
    text = (
        f"a post may have {settings.body_max_bytes} bytes ({settings.inflated_max_bytes} inflated);"
        " send it in parts"
    )
    return Rejected("body_too_large", text, 413)


def _decode(request: web.Request, body: bytes, rows_max: int) -> Decoded:
    match request.content_type:
        case "application/json":
            return posts.decode_json(body, rows_max)
        case "text/csv":
            return posts.decode_csv(body, request.query, rows_max)
    raise Rejected("unsupported_type", "send application/json or text/csv", 415)


def _refuse_empty(decoded: Decoded, checked: Checked) -> None:
    if checked.accepted:
        return
    if checked.rejected:
        count_rejected(checked.rejected)
        text = "every row was refused; `rejected` says why"
        raise Rejected(
            "nothing_acceptable", text, 422, {"rejected": _rejected_rows(checked.rejected)}
        )
    if decoded.envelope.complete_through is None:
        text = "the post has neither samples nor complete_through"
        raise Rejected("empty", text, 422)


async def _publish(
    request: web.Request, decoded: Decoded, checked: Checked, now: datetime
) -> Receipt:
    principal: Principal = request[PRINCIPAL]
    settings = request.app[SETTINGS]
    customer_id, device_id = str(principal.customer_id), str(principal.device_id)
    envelope = decoded.envelope
    batch_id = new_batch_id()
    columns = events.encode_columns(checked.columns)
    received_ms = int(now.timestamp() * 1000)
    value = events.encode_with(
        columns,
        batch_id=batch_id,
        customer_id=customer_id,
        device_id=device_id,
        received_at=received_ms,
        sent_at=int(envelope.sent_at.timestamp() * 1000),
        complete_through=_complete_through(envelope.complete_through, now),
        app_version=envelope.app_version,
        rejects=[(row.slot, row.code) for row in checked.rejected[:_REJECTS_KEPT]],
    )
    headers = (
        ("batch_id", batch_id.encode()),
        ("device_id", device_id.encode()),
        ("received_at", str(received_ms).encode()),
        ("schema", events.SCHEMA.encode()),
    )
    crash_point("gateway_before_send")
    stored = await request.app[PRODUCER].send(settings.topic, customer_id.encode(), value, headers)
    crash_point("gateway_after_ack")
    told = settings_for(request.app, principal.key_id)
    count("samples_accepted", checked.accepted)
    count_rejected(checked.rejected)
    return Receipt(
        batch_id,
        device_id,
        request.app[KEYS].generation,
        stored.partition,
        stored.offset,
        checked.accepted,
        sha256(columns).hexdigest(),
        _rejected_rows(checked.rejected),
        now,
        next_post_at(device_id, now, _pace_s(told)),
        told,
        await _missing(request, principal, now),
    )


def settings_for(app: web.Application, key_id: str) -> DeviceSettings:
    """How the device of a key should post, from the key cache: no question to the database."""
    interval_s, paused = app[KEYS].settings_of(key_id)
    return DeviceSettings(interval_s or app[SETTINGS].post_interval_s, paused)


def _pace_s(told: DeviceSettings) -> int:
    return max(told.post_interval_s, _PAUSED_S) if told.paused else told.post_interval_s


def next_post_at(device_id: str, now: datetime, interval_s: int) -> datetime:
    """The device's own moment of the interval: devices spread over it, and keep their place."""
    phase = _spread(device_id) % interval_s
    earliest = (now + _EARLIEST_NEXT).timestamp()
    rounds = -((phase - earliest) // interval_s)
    return datetime.fromtimestamp(phase + rounds * interval_s, UTC)


@lru_cache(maxsize=200_000)
def _spread(device_id: str) -> int:
    return int.from_bytes(sha256(device_id.encode()).digest()[:4], "big")


def count_rejected(rejected: list[Verdict]) -> None:
    """Counts refused rows by code."""
    for row in rejected:
        count("samples_rejected", code=row.code)


def _rejected_rows(rejected: list[Verdict]) -> list[RejectedRow]:
    return [RejectedRow(row.index, row.code, row.message, row.retry) for row in rejected]


def _complete_through(instant: datetime | None, now: datetime) -> int | None:
    """As an exclusive end in slots; a clock that runs ahead must not close weeks early."""
    return None if instant is None else slot_of(min(instant, now))


async def _missing(
    request: web.Request, principal: Principal, now: datetime
) -> list[tuple[datetime, datetime]] | None:
    """Runs of this week's slots that the ledger lacks; left out when the database is away."""
    if request.query.get("missing") != "1":
        return None
    try:
        runs = await missing_slots(
            request.app[REPO], str(principal.customer_id), str(principal.device_id), now
        )
    except Unavailable:
        return None
    return [(slot_start(start), slot_start(end)) for start, end in runs]


ROUTES = (
    Route(
        "POST", "/v1/samples", post_samples, "post_samples",
        takes=posts.Post, gives=data.Receipt, status=202, reads=("application/json", "text/csv"),
        query=("missing", "device_id", "sent_at", "complete_through", "app_version"),
        is_keyed=False, tag="samples", summary="Post samples of a device",
        example={
            "device_id": "dev_01hzy3v7k8m9n0p1q2r3s4t5",
            "sent_at": "2026-11-23T12:01:07Z",
            "complete_through": "2026-11-23T12:00:00Z",
            "samples": [
                {"slot": "2026-11-23T11:45:00Z", "steps": 420, "heart_rate_bpm": 97.3},
            ],
        },
    ),
)  # fmt: skip
