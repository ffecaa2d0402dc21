"""Bringing customers in: invitations by mail, lists as CSV in and out, who may register alone."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any

import msgspec
from aiohttp import web

from fitstream.client.operations import JobAsked
from fitstream.client.people import Joining, ListVerdict, RowVerdict
from fitstream.errors import Conflict, Rejected
from fitstream.gateway.api.answers import answer, body, now
from fitstream.gateway.body import read_bounded
from fitstream.gateway.customer_list import BYTES_MAX, Wanted, read_list, write_row
from fitstream.gateway.idempotency import answered_once
from fitstream.gateway.keys import OUTBOX, REPO
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import programme_of, within
from fitstream.outbox import Invitation
from fitstream.repo import audit, customers, people, scoping
from fitstream.repo.audit import Subject
from fitstream.repo.customers import Asker, Customer
from fitstream.repo.database import Db
from fitstream.repo.paging import Listed, Position, Slice
from fitstream.repo.sorts import CUSTOMERS

_CHUNK = 100
_PAGE = 500
_EXPORTED = (
    "id", "external_id", "email", "name", "zone", "programme", "consents", "created_at",
    "deactivated_at", "last_contact_at", "samples",
)  # fmt: skip


class PatchProgramme(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of PATCH /v1/programmes/{id}."""

    open_registration: bool


async def invite(request: web.Request) -> web.Response:
    """A mail with a link to choose a password. Raises Rejected(not_invitable)."""
    async with request.app[REPO].transaction() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        return answer(JobAsked(await post_invitation(request, db, customer.customer_no)), 202)


async def post_invitation(request: web.Request, db: Db, customer_no: int) -> str:
    """Id of the mail's job, in the caller's transaction. Raises Rejected(not_invitable)."""
    who = await people.get_candidate(db, customer_no)
    if who.email is None:
        raise _not_invitable("the customer has no e-mail address; add one first")
    if who.account_no is not None:
        raise _not_invitable("the customer has a log-in; they can reset its password themselves")
    if not who.is_active:
        raise _not_invitable("the customer is deactivated; activate them first")
    job = await request.app[OUTBOX].post(
        db, Invitation(customer_no=customer_no), now(request), customer_no
    )
    actor, subject = request[PRINCIPAL].actor, Subject("customer", who.id, customer_no)
    await audit.record(db, actor, "customer.invited", subject)
    return job


async def import_customers(request: web.Request) -> web.Response:
    """A verdict per row; without `dry_run=1` the new ones are created, others left alone."""
    if request.content_type != "text/csv":
        raise Rejected("unsupported_type", "send text/csv", 415)
    raw = await read_bounded(request, BYTES_MAX)
    query = request.query
    flags = (query.get("dry_run") == "1", query.get("invite") == "1")
    programme, zone = query.get("programme") or "default", query.get("zone") or "UTC"

    async def take() -> web.Response:
        return answer(await take_list(request, raw, (programme, zone), flags))

    return await answered_once(request, sha256(raw).digest(), take)


async def take_list(
    request: web.Request, raw: bytes, into: tuple[str, str], flags: tuple[bool, bool]
) -> ListVerdict:
    """The verdict on a list. `into` is (programme, zone of rows without one); `flags` are
    (only look, invite the new ones)."""
    is_dry_run, is_inviting = flags
    listed = read_list(raw, *into)
    async with request.app[REPO].connection() as db:
        programme = await programme_of(db, request[PRINCIPAL], into[0])
    verdicts, invited = list(listed.wrong), 0
    for chunk in _chunks(listed.wanted):
        async with request.app[REPO].transaction() as db:
            for wanted in chunk:
                verdict = await _row(db, wanted, programme.programme_no, is_dry_run)
                verdict = await _hidden(request, db, verdict)
                verdicts.append(verdict)
                if is_inviting and verdict.customer_id and verdict.verdict == "new":
                    invited += await _invite_new(request, db, verdict.customer_id)
            await _note(request, db, verdicts[-len(chunk) :], is_dry_run)
    counts = {kind: sum(v.verdict == kind for v in verdicts) for kind in ("new", "exists", "wrong")}
    verdicts.sort(key=lambda verdict: verdict.line)
    return ListVerdict(is_dry_run=is_dry_run, invited=invited, rows=verdicts, **counts)


async def export_customers(request: web.Request) -> web.StreamResponse:
    """Every customer that the caller may see, as CSV."""
    principal = request[PRINCIPAL]
    response = web.StreamResponse(
        headers={
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Disposition": 'attachment; filename="customers.csv"',
        }
    )
    response.content_type, response.charset = "text/csv", "utf-8"
    async with request.app[REPO].transaction() as db:
        await audit.record(db, principal.actor, "customers.exported")
    await response.prepare(request)
    await response.write(write_row(_EXPORTED).encode())
    after: Position | None = None
    while True:
        async with request.app[REPO].connection() as db:
            found = await _page_of(db, request, after)
        await response.write("".join(write_row(_exported(c)) for c in found.items).encode())
        after = found.following
        if after is None:
            break
    await response.write_eof()
    return response


async def patch_programme(request: web.Request) -> web.Response:
    """Opens a programme for people who register themselves, or closes it."""
    change = await body(request, PatchProgramme)
    programme_id = request.match_info["programme"]
    return answer(await set_registration(request, programme_id, change.open_registration))


async def set_registration(request: web.Request, programme_id: str, is_open: bool) -> Joining:
    """The same for a page. Raises NotFound for a programme that the caller does not see."""
    async with request.app[REPO].transaction() as db:
        programme = await programme_of(db, request[PRINCIPAL], programme_id)
        await people.open_registration(db, programme.id, is_open)
        subject = Subject("programme", programme.id, None, programme.programme_no)
        actor = request[PRINCIPAL].actor
        await audit.record(db, actor, "programme.changed", subject, ["open_registration"])
        found = await people.registration_of(db, programme.id)
    return Joining(found.id, found.name, found.open_registration)


async def _row(db: Db, wanted: Wanted, programme_no: int, is_dry_run: bool) -> RowVerdict:
    """Creates the customer, or says what would become of the row."""
    new = wanted.new
    known = await people.known_customer(db, programme_no, new.external_id, new.email)
    if known is None and not is_dry_run:
        try:
            known, verdict = (await customers.create_customer(db, new)).id, "new"
        except Conflict as error:  # somebody else was first
            known, verdict = error.existing_id, "exists"
    else:
        verdict = "exists" if known else "new"
    fields: dict[str, Any] = {"line": wanted.line, "verdict": verdict, "customer_id": known}
    message = "this external id or e-mail is known; left as it is" if verdict == "exists" else ""
    return RowVerdict(external_id=new.external_id, message=message, **fields)


async def _hidden(request: web.Request, db: Db, verdict: RowVerdict) -> RowVerdict:
    """Without the id of a customer whose programme the caller does not see."""
    if verdict.verdict != "exists" or verdict.customer_id is None:
        return verdict
    if request[PRINCIPAL].sees(await scoping.customer(db, verdict.customer_id)):
        return verdict
    return msgspec.structs.replace(verdict, customer_id=None)


async def _invite_new(request: web.Request, db: Db, customer_id: str) -> int:
    customer = await customers.get_customer(db, customer_id)
    if customer.email is None:
        return 0
    await post_invitation(request, db, customer.customer_no)
    return 1


async def _note(
    request: web.Request, db: Db, verdicts: Sequence[RowVerdict], is_dry_run: bool
) -> None:
    actor = request[PRINCIPAL].actor
    for verdict in verdicts:
        if verdict.verdict == "new" and verdict.customer_id and not is_dry_run:
            customer = await customers.get_customer(db, verdict.customer_id)
            subject = Subject("customer", customer.id, customer.customer_no, customer.programme_no)
            await audit.record(db, actor, "customer.created", subject)


def _chunks(wanted: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    rows = iter(wanted)
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


async def _page_of(db: Db, request: web.Request, after: Position | None) -> Listed[Customer]:
    asked = Slice(CUSTOMERS.order(), _PAGE, after)
    return await customers.list_customers(db, None, None, asked, Asker(within(request)))


def _exported(customer: Customer) -> list[object]:
    consents = [name for name in ("training", "sharing") if getattr(customer, name)]
    fields = msgspec.structs.asdict(customer) | {"consents": " ".join(consents)}
    return [fields[name] for name in _EXPORTED]


def _not_invitable(why: str) -> Rejected:
    return Rejected("not_invitable", why, 409)


ROUTES = (
    Route(
        "POST", "/v1/customers/{customer}/invite", invite, "invite", gives=JobAsked, status=202,
        problems=(409,), tag="customers", summary="Mail a customer a link to choose a password",
    ),
    Route(
        "POST", "/v1/customers/import", import_customers, "import_customers", reads=("text/csv",),
        gives=ListVerdict, query=("dry_run", "invite", "programme", "zone"),
        problems=(400, 404, 408, 413, 415), keeps_itself=True,
        tag="customers", summary="Create the customers of a list, or say what would become of it",
    ),
    Route(
        "GET", "/v1/customers/export", export_customers, "export_customers", writes="text/csv",
        tag="customers", summary="All customers as CSV",
    ),
    Route(
        "PATCH", "/v1/programmes/{programme}", patch_programme, "patch_programme",
        takes=PatchProgramme, gives=Joining, problems=(404,),
        tag="customers", summary="Let people register with a programme, or no more",
        example={"open_registration": True},
    ),
)  # fmt: skip
