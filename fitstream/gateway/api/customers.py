"""Customers: create, list, read, change; their login."""

from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from fitstream.client import data
from fitstream.errors import Rejected
from fitstream.gateway.api.answers import answer, body, now, without
from fitstream.gateway.api.listing import page_of, slice_of
from fitstream.gateway.keys import OUTBOX, REPO
from fitstream.gateway.passwords import PASSWORD_MAX, hash_password
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.privacy import hides_persons, masked
from fitstream.gateway.recording import about_customer, consents_changed, standing_changed
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import programme_of, within
from fitstream.outbox import News, Notice
from fitstream.repo import accounts, customers
from fitstream.repo.customers import Asker, Customer, NewCustomer
from fitstream.repo.database import Db
from fitstream.repo.sorts import CUSTOMERS
from fitstream.samples import Text

Email = Annotated[
    str, Meta(min_length=3, max_length=254, pattern=r"^[^\s@\x00]+@[^\s@\x00]+(?!\n)$")
]
FILTERS = ("silent", "incomplete", "no_forecast")


class Consents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Consent by purpose; the default is no."""

    training: bool | msgspec.UnsetType = msgspec.UNSET
    sharing: bool | msgspec.UnsetType = msgspec.UNSET


class CreateCustomer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/customers."""

    zone: Text
    programme: Text = "default"
    external_id: Text | None = None
    email: Email | None = None
    name: Text | None = None
    consents: Consents = Consents()


class PatchCustomer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of PATCH /v1/customers/{id}; what is left out stays."""

    zone: Text | None = None
    email: Email | None = None
    name: Text | None = None
    consents: Consents = Consents()
    deactivated: bool | None = None


class PutAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of PUT /v1/customers/{id}/account."""

    email: Email
    password: Annotated[str, Meta(max_length=PASSWORD_MAX)]


def shown(customer: Customer) -> dict[str, Any]:
    """A customer as the API shows it: no internal number."""
    consents = {"training": customer.training, "sharing": customer.sharing}
    hidden = ("customer_no", "programme_no", "training", "sharing")
    return without(customer, *hidden) | {"consents": consents}


def shown_to(request: web.Request, customer: Customer) -> dict[str, Any]:
    """The same as the caller may see it."""
    return masked(request[PRINCIPAL], shown(customer))


async def create_customer(request: web.Request) -> web.Response:
    wanted = await body(request, CreateCustomer)
    new = NewCustomer(
        zone=wanted.zone,
        programme=wanted.programme,
        external_id=wanted.external_id,
        email=wanted.email,
        name=wanted.name,
        consents=_given(wanted.consents),
    )
    async with request.app[REPO].transaction() as db:
        await programme_of(db, request[PRINCIPAL], wanted.programme)
        customer = await customers.create_customer(db, new)
        await about_customer(db, request, "customer.created", customer)
    return answer(shown_to(request, customer), 201)


async def list_customers(request: web.Request) -> web.Response:
    only = request.query.get("filter") or None
    if only is not None and only not in FILTERS:
        raise Rejected("bad_filter", f"`filter` is one of {', '.join(FILTERS)}")
    search = request.query.get("search") or None
    asker = _asker(request)
    asked = slice_of(request, CUSTOMERS, with_personal=not asker.ids_only)
    async with request.app[REPO].connection() as db:
        found = await customers.list_customers(db, search, only, asked, asker)
    items = [shown_to(request, customer) for customer in found.items]
    return page_of(items, asked, found.following)


async def get_customer(request: web.Request) -> web.Response:
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
    return answer(shown_to(request, customer))


async def patch_customer(request: web.Request) -> web.Response:
    change = await body(request, PatchCustomer)
    async with request.app[REPO].transaction() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        number = customer.customer_no
        await _record(db, request, customer, change)
        await customers.update_profile(db, number, change.name, change.email)
        await customers.set_consents(db, number, _given(change.consents))
        if change.zone is not None and change.zone != customer.zone:
            await customers.move(db, number, change.zone, now(request))
        if change.deactivated is not None:
            await customers.set_deactivated(db, number, change.deactivated)
        changed = await customers.get_customer(db, customer.id)
    return answer(shown_to(request, changed))


async def put_account(request: web.Request) -> web.Response:
    wanted = await body(request, PutAccount)
    await set_login(request, wanted)
    async with request.app[REPO].connection() as db:
        account = await accounts.find_account(db, wanted.email)
    return answer({"account_id": account.id if account else None}, 201)


async def set_login(request: web.Request, wanted: PutAccount) -> None:
    """The same for a page: all that stood under an earlier login ends, and its owner is told.

    Raises Rejected(weak_password), Conflict(exists).
    """
    password_hash = await hash_password(wanted.password, wanted.email)
    async with request.app[REPO].transaction() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        number = customer.customer_no
        before = await accounts.set_customer_login(db, number, wanted.email, password_hash)
        await about_customer(db, request, "customer.login_set", customer)
        if before is None:
            return
        news: list[News] = ["password_changed"]
        if before.email.lower() != wanted.email.lower():
            news.append("email_changed")
        for each in news:
            notice = Notice(news=each, email=before.email)
            await request.app[OUTBOX].post(db, notice, now(request), number)


async def _record(db: Db, request: web.Request, customer: Customer, change: PatchCustomer) -> None:
    fields = [name for name in ("zone", "email", "name") if getattr(change, name) is not None]
    if fields:
        await about_customer(db, request, "customer.changed", customer, fields)
    await consents_changed(db, request, customer, _given(change.consents))
    if change.deactivated is not None:
        await standing_changed(db, request, customer, change.deactivated)


def _asker(request: web.Request) -> Asker:
    return Asker(within(request), hides_persons(request[PRINCIPAL]))


def _given(consents: Consents) -> dict[str, bool]:
    fields = msgspec.structs.asdict(consents)
    return {purpose: granted for purpose, granted in fields.items() if granted is not msgspec.UNSET}


ROUTES = (
    Route(
        "POST", "/v1/customers", create_customer, "create_customer",
        takes=CreateCustomer, gives=data.Customer, status=201,
        tag="customers", summary="Create a customer", problems=(404,),
        example={"zone": "Europe/Berlin", "name": "Demo", "consents": {"training": True}},
    ),
    Route(
        "GET", "/v1/customers", list_customers, "list_customers",
        gives=data.Items[data.Customer],
        query=("search", "customer_filter", "customers_sort", "after", "limit"),
        tag="customers", summary="List customers",
    ),
    Route(
        "GET", "/v1/customers/{customer}", get_customer, "get_customer",
        gives=data.Customer, tag="customers", summary="Read a customer",
    ),
    Route(
        "PATCH", "/v1/customers/{customer}", patch_customer, "patch_customer",
        takes=PatchCustomer, gives=data.Customer, tag="customers", summary="Change a customer",
        example={"consents": {"sharing": True}},
    ),
    Route(
        "PUT", "/v1/customers/{customer}/account", put_account, "put_account",
        state_of="/v1/customers/{customer}",
        takes=PutAccount, gives=data.AccountMade, status=201,
        tag="customers", summary="Give a customer a login, or a new password",
        example={"email": "demo@example.org", "password": "a walk in the park"},
    ),
)  # fmt: skip
