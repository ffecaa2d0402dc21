"""Accounts as their owners begin and change them: registration, mailed links, password, address.

Whether an address is known must not be told: who asks gets one answer, and only mails differ.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from fitstream import clock
from fitstream.boxes import open_box
from fitstream.client.people import Joining, LinkShown, Mailed, Verified
from fitstream.errors import Conflict, Rejected
from fitstream.gateway.api.answers import answer, body, now
from fitstream.gateway.api.customers import Email
from fitstream.gateway.keys import LOGINS, MASTERS, OUTBOX, REPO, SETTINGS
from fitstream.gateway.passwords import check_strength, hash_password
from fitstream.gateway.routes import Route
from fitstream.gateway.view.addresses import address_of
from fitstream.outbox import LINK_DATA, Notice, Registration, ResetAsked
from fitstream.repo import accounts, audit, customers, legacy, links, people
from fitstream.repo.audit import Actor, Subject
from fitstream.repo.customers import NewCustomer
from fitstream.repo.database import Db
from fitstream.repo.links import Link
from fitstream.repo.people import Person
from fitstream.repo.sessions import revoke_for
from fitstream.samples import Text

Password = Annotated[str, Meta(max_length=1024)]
Token = Annotated[str, Meta(min_length=1, max_length=128)]


class Register(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/auth/register."""

    email: Email
    password: Password
    zone: Text = "UTC"
    programme: Text = "default"
    name: Text | None = None


class AskReset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/auth/reset-request."""

    email: Email


class WithToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/auth/link and /v1/auth/verify."""

    token: Token


class NewPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/auth/reset and /v1/auth/accept."""

    token: Token
    password: Password


async def joining(request: web.Request) -> web.Response:
    """Whether anybody may register with a programme."""
    async with request.app[REPO].connection() as db:
        found = await people.registration_of(db, request.query.get("programme") or "default")
    return answer(Joining(found.id, found.name, found.open_registration))


async def register(request: web.Request) -> web.Response:
    """A mail with a link that makes the customer; the same answer for who is known already."""
    await begin_registration(request, await body(request, Register))
    return answer(Mailed(), 202)


async def begin_registration(
    request: web.Request, wanted: Register, old_fields: Mapping[str, str] = {}
) -> None:
    """Posts the mail; `old_fields` are what an old client tells of the person beside.

    Raises Rejected(weak_password, registration_closed, unknown_zone), TooMany.
    """
    clock.check_zone(wanted.zone)
    await count_request(request)
    async with request.app[REPO].connection() as db:
        await _check_open(db, wanted.programme)
    password_hash = await hash_password(wanted.password, wanted.email)
    letter = Registration(
        email=wanted.email,
        programme=wanted.programme,
        zone=wanted.zone,
        name=wanted.name,
        password_hash=password_hash,
        legacy=dict(old_fields),
    )
    await _post(request, letter)


async def ask_reset(request: web.Request) -> web.Response:
    """A mail with a link, if there is such an account."""
    await begin_reset(request, await body(request, AskReset))
    return answer(Mailed(), 202)


async def begin_reset(request: web.Request, wanted: AskReset) -> None:
    """Posts the mail. Raises TooMany."""
    await count_request(request)
    await _post(request, ResetAsked(email=wanted.email))


async def show_link(request: web.Request) -> web.Response:
    """What a link is for; it stays as it is."""
    wanted = await body(request, WithToken)
    async with request.app[REPO].connection() as db:
        found = await links.find_link(db, wanted.token, now(request))
    return answer(msgspec.convert(
        {"purpose": found.purpose, "expires_at": found.expires_at}, LinkShown
    ))  # fmt: skip


async def verify(request: web.Request) -> web.Response:
    """The address of a registration or a change has answered."""
    return answer(Verified(await confirm_address(request, await body(request, WithToken))))


async def confirm_address(request: web.Request, wanted: WithToken) -> str:
    """The address that has answered. Raises NotFound for a link that works no more, Conflict."""
    at = now(request)
    async with request.app[REPO].transaction() as db:
        link = await links.use_link(db, wanted.token, at, "register", "email")
        data = open_box(request.app[MASTERS], LINK_DATA, link.data or b"")
        if link.purpose == "register":
            email = await _join(db, msgspec.msgpack.decode(data, type=Registration), at)
        else:
            email = await _move(request, db, link, data.decode(), at)
    return email


async def reset(request: web.Request) -> web.Response:
    """A new password by a mailed link; every session and token ends."""
    wanted = await body(request, NewPassword)
    at = now(request)
    password_hash = await hash_password(wanted.password)
    async with request.app[REPO].transaction() as db:
        link = await links.use_link(db, wanted.token, at, "reset")
        person = await _owner(db, link)
        check_strength(wanted.password, person.email)
        await people.verify_email(db, person.account_no, at)
        await set_password(request, db, person, password_hash, None)
        await audit.record(db, _actor(person), "account.password_reset", subject_of(person))
    return web.Response(status=204)


async def accept(request: web.Request) -> web.Response:
    """The first password of an invited customer, who can log in from now on."""
    wanted = await body(request, NewPassword)
    at = now(request)
    password_hash = await hash_password(wanted.password)
    async with request.app[REPO].transaction() as db:
        link = await links.use_link(db, wanted.token, at, "invite")
        invited = await people.get_candidate(db, link.customer_no or 0)
        if invited.email is None or not invited.is_active:
            raise _withdrawn()
        # Only the address that it was mailed to becomes a verified one; older links do not say it.
        if link.data not in (None, links.address_mark(wanted.token, invited.email)):
            raise _withdrawn()
        check_strength(wanted.password, invited.email)
        number = await accounts.create_account(
            db, invited.email, password_hash, "customer", invited.customer_no
        )
        await people.verify_email(db, number, at)
        await links.end_links(db, None, invited.customer_no)
        subject = Subject("account", str(number), invited.customer_no)
        actor = Actor("customer", invited.customer_no)
        await audit.record(db, actor, "account.accepted", subject)
    return answer(Verified(invited.email), 201)


def _withdrawn() -> Rejected:
    return Rejected("not_invited", "this invitation was withdrawn; ask your programme", 409)


async def _join(db: Db, wanted: Registration, at: datetime) -> str:
    """The customer and the account of a registration. Raises Conflict(exists)."""
    await _check_open(db, wanted.programme)
    new = NewCustomer(
        zone=wanted.zone, programme=wanted.programme, email=wanted.email, name=wanted.name
    )
    customer = await customers.create_customer(db, new)
    number = await accounts.create_account(
        db, wanted.email, wanted.password_hash, "customer", customer.customer_no
    )
    await people.verify_email(db, number, at)
    if wanted.legacy:
        await legacy.set_profile(db, customer.customer_no, wanted.legacy)
    subject = Subject("account", str(number), customer.customer_no, customer.programme_no)
    await audit.record(db, Actor("customer", customer.customer_no), "account.registered", subject)
    return wanted.email


async def _move(request: web.Request, db: Db, link: Link, email: str, at: datetime) -> str:
    """Another address for an account: sessions and tokens end, the old address is told."""
    person = await _owner(db, link)
    try:
        await people.change_email(db, person, email, at)
    except Conflict:
        text = "this address belongs to another account by now"
        raise Conflict("exists", text) from None
    await revoke_for(
        db, "email_changed", account_no=person.account_no, customer_no=person.customer_no
    )
    await links.end_links(db, person.account_no, person.customer_no)
    notice = Notice(news="email_changed", email=person.email)
    await request.app[OUTBOX].post(db, notice, at, person.customer_no)
    await audit.record(db, _actor(person), "account.email_changed", subject_of(person), ["email"])
    return email


async def set_password(
    request: web.Request, db: Db, person: Person, password_hash: str, keep: bytes | None
) -> None:
    """Stores it, ends what stood under the old one, and tells the owner."""
    await people.change_password(db, person.account_no, password_hash)
    await revoke_for(
        db,
        "password_changed",
        account_no=person.account_no,
        customer_no=person.customer_no,
        keep=keep,
    )
    await links.end_links(db, person.account_no, person.customer_no)
    notice = Notice(news="password_changed", email=person.email)
    await request.app[OUTBOX].post(db, notice, now(request), person.customer_no)


async def _owner(db: Db, link: Link) -> Person:
    """Whose link it is. Raises NotFound for an account that is gone or may not log in."""
    person = await people.get_person(db, link.account_no or 0)
    if not person.is_active:
        raise Rejected("inactive", "this account may not log in; ask your programme", 403)
    return person


async def _check_open(db: Db, programme: str) -> None:
    """Raises Rejected(registration_closed) for a programme that takes invited people only."""
    found = await people.registration_of(db, programme)
    if not found.open_registration:
        text = f"{found.name} invites its customers; ask it for an invitation"
        raise Rejected("registration_closed", text, 403)


async def _post(request: web.Request, letter: Registration | ResetAsked) -> None:
    """Puts the letter into the outbox, unless its address has had enough of them lately."""
    if await request.app[LOGINS].may_mail(letter.email):
        async with request.app[REPO].transaction() as db:
            await request.app[OUTBOX].post(db, letter, now(request))


async def count_request(request: web.Request) -> None:
    """One registration or request for a mail of this address. Raises TooMany."""
    await request.app[LOGINS].take_request(caller_address(request))


def caller_address(request: web.Request) -> str:
    """Where the request came from, past proxies that are trusted."""
    return address_of(request, request.app[SETTINGS].trusted_proxies)


def _actor(person: Person) -> Actor:
    return Actor(person.role, person.customer_no or person.account_no)


def subject_of(person: Person) -> Subject:
    """The account as the audit log names it."""
    return Subject("account", str(person.account_no), person.customer_no)


_EMAIL = "ada@example.org"
ROUTES = (
    Route(
        "GET", "/v1/auth/registration", joining, "registration", gives=Joining,
        query=("programme",), problems=(404,), tag="people", summary="Whether anybody may register",
    ),
    Route(
        "POST", "/v1/auth/register", register, "register", takes=Register, gives=Mailed,
        status=202, problems=(400, 403, 404, 429), is_keyed=False,
        tag="people", summary="Register; the mailed link finishes it",
        example={"email": _EMAIL, "password": "a walk in the park", "zone": "Europe/Berlin"},
    ),
    Route(
        "POST", "/v1/auth/link", show_link, "show_link", takes=WithToken, gives=LinkShown,
        problems=(404,), is_keyed=False, tag="people", summary="What a mailed link is for",
    ),
    Route(
        "POST", "/v1/auth/verify", verify, "verify", takes=WithToken, gives=Verified,
        problems=(403, 404, 409), is_keyed=False,
        tag="people", summary="Confirm an address with the token of a mailed link",
    ),
    Route(
        "POST", "/v1/auth/reset-request", ask_reset, "ask_reset", takes=AskReset, gives=Mailed,
        status=202, problems=(429,), is_keyed=False,
        tag="people", summary="Ask for a mail with a link to choose a new password",
        example={"email": _EMAIL},
    ),
    Route(
        "POST", "/v1/auth/reset", reset, "reset", takes=NewPassword, status=204, writes="",
        problems=(403, 404), is_keyed=False,
        tag="people", summary="Choose a new password with the token of a mailed link",
    ),
    Route(
        "POST", "/v1/auth/accept", accept, "accept", takes=NewPassword, gives=Verified,
        status=201, problems=(404, 409), is_keyed=False,
        tag="people", summary="Accept an invitation by choosing a password",
    ),
)  # fmt: skip
