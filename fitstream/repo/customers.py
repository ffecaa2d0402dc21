"""Customers, their programme, home zones and consents."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from fitstream import clock
from fitstream.clock import FIRST_WEEK, Zones, ZoneSpan
from fitstream.errors import Conflict, NotFound
from fitstream.ids import new_id
from fitstream.repo import keys, models, sessions
from fitstream.repo.database import Db, UniqueViolation, execute, fetch, fetch_one, fetch_value
from fitstream.repo.paging import Listed, Slice, fetch_page

PROGRAMMES_MAX = 500  # shown where a page lets one choose


class Programme(msgspec.Struct, frozen=True):
    """A study or scheme; `open_registration` says whether people may join it by themselves."""

    programme_no: int
    id: str
    name: str
    open_registration: bool


class ZoneRow(msgspec.Struct, frozen=True):
    """A home zone and the week it starts with."""

    from_week: str
    zone: str


class WeekName(msgspec.Struct, frozen=True):
    """A week that a move may touch."""

    week: str


class Customer(msgspec.Struct, frozen=True):
    """A customer as lists and pages show them."""

    customer_no: int
    id: str
    programme: str
    programme_no: int
    external_id: str | None
    email: str | None
    name: str | None
    zone: str
    created_at: datetime
    deactivated_at: datetime | None
    last_contact_at: datetime | None
    samples: int
    training: bool
    sharing: bool


class Asker(NamedTuple):
    """What of customers somebody may see: programmes by number (None: all), or ids alone."""

    within: Sequence[int] | None = None
    ids_only: bool = False


class NewCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer is created from."""

    zone: str = "UTC"
    programme: str = "default"
    external_id: str | None = None
    email: str | None = None
    name: str | None = None
    consents: Mapping[str, bool] = {}


async def get_programme(db: Db, programme_id: str) -> Programme:
    """One programme; raises NotFound."""
    found = await fetch_one(db, Programme, "customers.programme_by_id", programme_id)
    if found is None:
        raise NotFound(f"programme {programme_id}")
    return found


async def list_programmes(
    db: Db, within: Sequence[int] | None = None, after: int = 0, limit: int = PROGRAMMES_MAX
) -> list[Programme]:
    """Programmes in order, or those of the numbers in `within`, behind number `after`."""
    return await fetch(db, Programme, "customers.list_programmes", within, after, limit)


async def create_programme(db: Db, programme_id: str, name: str) -> Programme:
    """A new programme. Raises Conflict(exists) for an id that is taken."""
    try:
        async with db.transaction():
            made = await fetch_one(db, Programme, "customers.insert_programme", programme_id, name)
    except UniqueViolation as error:
        text = f"a programme {programme_id} exists"
        raise Conflict("exists", text, existing_id=programme_id) from error
    return made or await get_programme(db, programme_id)


async def create_customer(db: Db, new: NewCustomer) -> Customer:
    """A new customer. Raises Conflict(exists), NotFound(programme), Rejected(unknown_zone)."""
    clock.check_zone(new.zone)
    programme = await get_programme(db, new.programme)
    values = (programme.programme_no, new.external_id, new.email, new.name, new.zone)
    customer_id = new_id("cus")
    try:
        async with db.transaction():
            number = await fetch_value(db, "customers.insert_customer", customer_id, *values)
    except UniqueViolation as error:
        taken = await fetch_value(db, "customers.existing_customer", *values[:3])
        text = "a customer with this external id or e-mail exists"
        raise Conflict("exists", text, existing_id=taken) from error
    await execute(db, "customers.insert_zone", number, FIRST_WEEK, new.zone)
    for purpose, granted in new.consents.items():
        await execute(db, "customers.set_consent", number, purpose, granted)
    return await get_customer(db, customer_id)


async def get_customer(db: Db, customer_id: str) -> Customer:
    """One customer; raises NotFound."""
    found = await fetch_one(db, Customer, "customers.customer_by_id", customer_id)
    if found is None:
        raise NotFound(f"customer {customer_id}")
    return found


async def hold_customer(db: Db, customer_id: str) -> bool:
    """Keeps a customer from being erased until the caller's transaction ends; False when there is
    none (any more)."""
    return bool(await fetch_value(db, "customers.hold_customer", customer_id))


async def list_customers(
    db: Db, search: str | None, only: str | None, asked: Slice, asker: Asker
) -> Listed[Customer]:
    """A page of customers; `only` is silent, incomplete or no_forecast."""
    name = "customers.list_customers"
    return await fetch_page(db, Customer, name, asked, search, only, *asker)


async def update_profile(db: Db, customer_no: int, name: str | None, email: str | None) -> None:
    """Changes the fields that are given. Raises Conflict(exists) for a taken e-mail.

    With another e-mail, what was mailed to the one before works no more.
    """
    try:
        async with db.transaction():
            await execute(db, "customers.update_customer", customer_no, name, email)
    except UniqueViolation as error:
        raise Conflict("exists", "another customer has this e-mail") from error


async def set_consents(db: Db, customer_no: int, consents: Mapping[str, bool]) -> None:
    """Gives or withdraws consents by purpose; repeats change nothing.

    A withdrawal ends what the customer granted to other programs, too.
    """
    for purpose, granted in consents.items():
        was = await fetch_value(db, "customers.is_consented", customer_no, purpose)
        await execute(db, "customers.set_consent", customer_no, purpose, granted)
        if was and not granted:
            await sessions.revoke_grants(db, customer_no, "consent_withdrawn")
        if purpose == "training" and was and not granted:
            await models.flag_models_of(db, customer_no)


async def set_deactivated(db: Db, customer_no: int, deactivated: bool) -> None:
    """Refuses (or accepts again) new posts and logins; all data stays, sessions and grants end."""
    await execute(db, "customers.set_deactivated", customer_no, deactivated)
    if deactivated:
        await sessions.revoke_for(db, "deactivated", customer_no=customer_no)
    else:
        await keys.touch_customer_keys(db, customer_no)


async def zones_of(db: Db, customer_no: int) -> Zones:
    """Home zones, the first from FIRST_WEEK on."""
    rows = await fetch(db, ZoneRow, "customers.read_zones", customer_no)
    return tuple(ZoneSpan(row.from_week, row.zone) for row in rows)


async def move(db: Db, customer_no: int, zone: str, now: datetime) -> str:
    """A new home zone from the next full week on, in the caller's transaction; that week.

    Open weeks get their new bounds and are marked dirty; closed ones never change.
    """
    clock.check_zone(zone)
    rows = await fetch(db, ZoneRow, "customers.zones_of", customer_no)
    zones = tuple(ZoneSpan(row.from_week, row.zone) for row in rows)
    from_week = clock.week_after_move(now, zones, zone)
    kept = tuple(span for span in zones if span.from_week < from_week)
    moved = (*kept, ZoneSpan(from_week, zone))
    await execute(db, "customers.forget_later_zones", customer_no, from_week)
    await execute(db, "customers.insert_zone", customer_no, from_week, zone)
    await execute(db, "customers.set_home_zone", customer_no, zone)
    before = clock.week_name(clock.week_index(from_week) - 1)
    for found in await fetch(db, WeekName, "customers.weeks_from", customer_no, before):
        week = clock.bounds(clock.week_index(found.week), moved)
        bounds = (week.name, week.start_slot, week.end_slot)
        await execute(db, "customers.set_bounds", customer_no, *bounds)
    return from_week
