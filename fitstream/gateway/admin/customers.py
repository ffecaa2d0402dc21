"""Customers: the list with search and filter, and the form that registers one."""

from datetime import timedelta
from typing import NamedTuple
from zoneinfo import available_timezones

import msgspec
from aiohttp import web

from fitstream.client.data import Customer
from fitstream.errors import Conflict, NotFound, Rejected
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.admin.sorting import Sorting, href, sorting_of
from fitstream.gateway.api.customers import CreateCustomer
from fitstream.gateway.keys import REPO
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.privacy import hides_persons
from fitstream.gateway.recording import about_customer
from fitstream.gateway.scoping import programme_of, within
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.words import sentence_of
from fitstream.repo import customers as rows
from fitstream.repo.customers import NewCustomer
from fitstream.repo.sorts import CUSTOMERS

FILTERS = {
    "": "All customers",
    "silent": "No data for 24 h",
    "incomplete": "A week not rolled yet",
    "no_forecast": "No forecast",
}
_PATH = "/admin/customers"
_SILENT = timedelta(hours=24)
_FIELDS = ("external_id", "name", "email", "programme")


class Row(NamedTuple):
    """A customer in the list, and a word on their standing."""

    customer: Customer
    state: str
    tone: str


class CustomersPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the list."""

    rows: list[Row]
    search: str
    only: str
    filters: dict[str, str]
    sorting: Sorting
    first: str | None
    following: str | None


class RegisterPage(msgspec.Struct, frozen=True, kw_only=True):
    """The form, as it was filled in, with what was wrong."""

    fields: dict[str, str]
    training: bool
    sharing: bool
    programmes: list[str]
    zones: list[str]
    error: str = ""
    existing: str = ""


async def list_customers(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """One page of customers."""
    query = request.query
    search, only = query.get("search", "").strip()[:256], query.get("filter", "")
    only = only if only in FILTERS else ""
    after, with_personal = query.get("after", ""), not hides_persons(request[PRINCIPAL])
    asked = {"search": search, "filter": only}
    sorting = sorting_of(request, CUSTOMERS, _PATH, asked, with_personal)
    asked["sort"] = sorting.asked
    found = await reads.customers(request, after=after, **asked)
    page = CustomersPage(
        rows=[_row(customer, viewer) for customer in found.items],
        search=search,
        only=only,
        filters=FILTERS,
        sorting=sorting,
        first=href(_PATH, **asked) if after else None,
        following=href(_PATH, **asked, after=found.next) if found.next else None,
    )
    return html(request, "admin/customers.html", viewer.shell("customers"), page)


async def show_register(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The empty form."""
    page = await _form(request, {"zone": "Europe/Berlin", "programme": "default"})
    return html(request, "admin/register.html", viewer.shell("customers"), page)


async def register(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """A new customer and on to their devices, or the form again with what is wrong."""
    posted = {name: str(value).strip() for name, value in (await request.post()).items()}
    try:
        customer_id = await _create(request, posted)
    except (Rejected, NotFound) as error:
        text = sentence_of(error) if isinstance(error, Rejected) else f"{error}."
        page = await _form(request, posted, text)
    except Conflict as error:
        text = "A customer with this external id or e-mail exists already."
        page = await _form(request, posted, text, error.existing_id or "")
    else:
        return see(f"/admin/customers/{customer_id}/devices?new=1")
    return html(request, "admin/register.html", viewer.shell("customers"), page, 422)


async def _create(request: web.Request, posted: dict[str, str]) -> str:
    body: dict[str, object] = {name: posted[name] for name in _FIELDS if posted.get(name)}
    consents = {purpose: purpose in posted for purpose in ("training", "sharing")}
    try:
        wanted = msgspec.convert(
            {**body, "zone": posted.get("zone", "")}, CreateCustomer, strict=True
        )
    except msgspec.ValidationError as error:
        raise Rejected("invalid", _plain(str(error)), 422) from error
    new = NewCustomer(
        zone=wanted.zone,
        programme=wanted.programme,
        external_id=wanted.external_id,
        email=wanted.email,
        name=wanted.name,
        consents=consents,
    )
    async with request.app[REPO].transaction() as db:
        await programme_of(db, request[PRINCIPAL], wanted.programme)
        made = await rows.create_customer(db, new)
        await about_customer(db, request, "customer.created", made)
        return made.id


async def _form(
    request: web.Request, fields: dict[str, str], error: str = "", existing: str = ""
) -> RegisterPage:
    async with request.app[REPO].connection() as db:
        programmes = [programme.id for programme in await rows.list_programmes(db, within(request))]
    names = ("external_id", "name", "email", "zone", "programme")
    return RegisterPage(
        fields={name: fields.get(name, "") for name in names},
        training="training" in fields,
        sharing="sharing" in fields,
        programmes=programmes,
        zones=sorted(available_timezones()),
        error=error,
        existing=existing,
    )


def _plain(message: str) -> str:
    """msgspec's sentence without its path syntax: `e-mail is not valid`."""
    if "email" in message:
        return "the e-mail address is not valid"
    if "zone" in message:
        return "choose the zone the customer lives in"
    return "a field is longer than 256 characters"


def _row(customer: Customer, viewer: Viewer) -> Row:
    if customer.deactivated_at is not None:
        return Row(customer, "Deactivated", "")
    if customer.last_contact_at is None:
        return Row(customer, "No data yet", "")
    if viewer.now - customer.last_contact_at > _SILENT:
        return Row(customer, "Silent", "warn")
    return Row(customer, "Up to date", "good")
