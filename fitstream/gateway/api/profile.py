"""What customers tell of themselves, and their picture. Only what is needed, all of it optional."""

from contextlib import suppress
from datetime import date
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from fitstream.client.people import Profile, Sex
from fitstream.errors import NotFound, Rejected, Unavailable
from fitstream.gateway.api.answers import answer, body, now
from fitstream.gateway.body import read_bounded
from fitstream.gateway.keys import REPO, STORE
from fitstream.gateway.pictures import BYTES_MAX, CONTENT_TYPE, re_encode
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.routes import Route
from fitstream.ids import new_id
from fitstream.repo import audit, customers, people
from fitstream.repo.audit import Subject
from fitstream.repo.customers import Customer
from fitstream.repo.database import Db
from fitstream.samples import Text
from fitstream.store import Store

_OLDEST_YEARS, _YOUNGEST_YEARS = 120, 5
_TYPES = ("image/jpeg", "image/png", "image/webp")


class PutProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of PUT /v1/customers/{id}/profile; what is left out is forgotten."""

    zone: Text
    name: Text | None = None
    birth_date: date | None = None
    sex: Sex | None = None
    height_cm: Annotated[float, Meta(ge=50, le=260)] | None = None
    weight_kg: Annotated[float, Meta(ge=10, le=400)] | None = None


async def get_profile(request: web.Request) -> web.Response:
    """The profile."""
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        return answer(await profile_of(db, customer))


async def put_profile(request: web.Request) -> web.Response:
    """Another profile; a new zone holds from the next full week on."""
    wanted = await body(request, PutProfile)
    _check_age(wanted.birth_date, now(request).date())
    async with request.app[REPO].transaction() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        before = await people.profile_of(db, customer.customer_no)
        after = msgspec.structs.replace(
            before,
            name=wanted.name,
            birth_date=wanted.birth_date,
            sex=wanted.sex,
            height_cm=wanted.height_cm,
            weight_kg=wanted.weight_kg,
        )
        await people.set_profile(db, customer.customer_no, after)
        if wanted.zone != customer.zone:
            await customers.move(db, customer.customer_no, wanted.zone, now(request))
        await _note(request, db, customer, _changed(before, after, wanted.zone))
        return answer(await profile_of(db, customer))


async def put_picture(request: web.Request) -> web.Response:
    """Another picture: decoded, made small and written anew."""
    if request.content_type not in _TYPES:
        text = f"send the picture itself, as {', '.join(_TYPES)}"
        raise Rejected("unsupported_type", text, 415)
    picture = await re_encode(await read_bounded(request, BYTES_MAX))
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
    # A name of its own, also for equal bytes: whoever takes one away takes nobody else's.
    key = f"users/{customer.id}/profile/{new_id('pic')}.jpg"
    await request.app[STORE].put_new(key, picture, CONTENT_TYPE)
    await _replace(request, customer, key)
    return web.Response(status=204)


async def get_picture(request: web.Request) -> web.Response:
    """The picture as JPEG. Raises NotFound when there is none."""
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        profile = await people.profile_of(db, customer.customer_no)
    if profile.picture_key is None:
        raise NotFound("a picture of this customer")
    headers = {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    picture = await request.app[STORE].get(profile.picture_key)
    return web.Response(body=picture, content_type=CONTENT_TYPE, headers=headers)


async def delete_picture(request: web.Request) -> web.Response:
    """No picture any more; a repeat changes nothing."""
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
    await _replace(request, customer, None)
    return web.Response(status=204)


async def _replace(request: web.Request, customer: Customer, key: str | None) -> None:
    async with request.app[REPO].transaction() as db:
        before = await people.set_picture(db, customer.customer_no, key)
        await _note(request, db, customer, ["picture"])
    if before is not None and before != key:
        await _forget(request.app[STORE], before)


async def _forget(store: Store, key: str) -> None:
    """What stays behind when the store is away goes with the customer's folder."""
    with suppress(Unavailable):
        await store.delete(key)


async def profile_of(db: Db, customer: Customer) -> Profile:
    """The profile as the API and pages show it."""
    found = await people.profile_of(db, customer.customer_no)
    fields = msgspec.structs.asdict(found)
    return msgspec.convert(fields | {"has_picture": found.picture_key is not None}, Profile)


async def _note(request: web.Request, db: Db, customer: Customer, fields: list[str]) -> None:
    if fields:
        subject = Subject("customer", customer.id, customer.customer_no, customer.programme_no)
        actor = request[PRINCIPAL].actor
        await audit.record(db, actor, "profile.changed", subject, fields)


def _changed(before: people.Profile, after: people.Profile, zone: str) -> list[str]:
    moved = msgspec.structs.replace(after, zone=zone)
    return [
        name for name in people.Profile.__struct_fields__
        if getattr(before, name) != getattr(moved, name)
    ]  # fmt: skip


def _check_age(born: date | None, today: date) -> None:
    """Raises Rejected(invalid) for a birth date that cannot be right."""
    if born is None:
        return
    years = today.year - born.year
    if not _YOUNGEST_YEARS <= years <= _OLDEST_YEARS or born > today:
        text = f"the birth date must lie {_YOUNGEST_YEARS} to {_OLDEST_YEARS} years back"
        raise Rejected("invalid", text, 422)


ROUTES = (
    Route(
        "GET", "/v1/customers/{customer}/profile", get_profile, "profile", gives=Profile,
        tag="customers", summary="Read what a customer told of themselves",
    ),
    Route(
        "PUT", "/v1/customers/{customer}/profile", put_profile, "put_profile", takes=PutProfile,
        gives=Profile, problems=(400,), tag="customers", summary="Replace the profile",
        example={"zone": "Europe/Berlin", "name": "Ada", "height_cm": 168},
    ),
    Route(
        "GET", "/v1/customers/{customer}/picture", get_picture, "picture", writes=CONTENT_TYPE,
        tag="customers", summary="The customer's picture",
    ),
    Route(
        "PUT", "/v1/customers/{customer}/picture", put_picture, "put_picture", reads=_TYPES,
        status=204, writes="", problems=(408, 413, 415, 422), is_keyed=False,
        tag="customers", summary="Replace the picture (JPEG, PNG or WebP, 5 MiB)",
    ),
    Route(
        "DELETE", "/v1/customers/{customer}/picture", delete_picture, "delete_picture",
        status=204, writes="", tag="customers", summary="Remove the picture",
    ),
)  # fmt: skip
