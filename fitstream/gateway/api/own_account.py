"""The own account, as its owner changes it by session: password, address, log out everywhere."""

import msgspec
from aiohttp import web

from fitstream.client.people import Mailed
from fitstream.errors import Rejected
from fitstream.gateway.api.accounts import (
    Password,
    caller_address,
    count_request,
    set_password,
    subject_of,
)
from fitstream.gateway.api.answers import answer, body, now
from fitstream.gateway.api.customers import Email
from fitstream.gateway.credentials import credential
from fitstream.gateway.keys import LOGINS, OUTBOX, REPO
from fitstream.gateway.passwords import hash_password, is_right
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.routes import Route
from fitstream.ids import hashed
from fitstream.outbox import EmailChange
from fitstream.repo import audit, people
from fitstream.repo.people import Person
from fitstream.repo.sessions import revoke_for


class ChangePassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of PUT /v1/me/password."""

    old: Password
    new: Password


class ChangeEmail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/me/email."""

    email: Email
    password: Password


async def change_password(request: web.Request) -> web.Response:
    """Another password; every other session ends, and every token."""
    wanted = await body(request, ChangePassword)
    keep = hashed(credential(request.headers.get("Authorization", "")) or "")
    await replace_password(request, wanted.old, wanted.new, keep)
    return web.Response(status=204)


async def replace_password(request: web.Request, old: str, new: str, keep: bytes) -> None:
    """The same for a page; `keep` is the hash of the session's token, which goes on.

    Raises Rejected(wrong_password | weak_password), TooMany.
    """
    person = await confirmed_person(request, old)
    password_hash = await hash_password(new, person.email)
    async with request.app[REPO].transaction() as db:
        await set_password(request, db, person, password_hash, keep)
        actor = request[PRINCIPAL].actor
        await audit.record(db, actor, "account.password_changed", subject_of(person))


async def change_email(request: web.Request) -> web.Response:
    """A mail to the new address, which becomes the account's once it has answered."""
    wanted = await body(request, ChangeEmail)
    person = await confirmed_person(request, wanted.password)
    await count_request(request)
    letter = EmailChange(account_no=person.account_no, email=wanted.email)
    if not await request.app[LOGINS].may_mail(wanted.email):
        return answer(Mailed(), 202)
    async with request.app[REPO].transaction() as db:
        await request.app[OUTBOX].post(db, letter, now(request), person.customer_no)
    return answer(Mailed(), 202)


async def log_out_everywhere(request: web.Request) -> web.Response:
    """Every session and every token of the account ends, this one too."""
    person = await own_person(request)
    async with request.app[REPO].transaction() as db:
        await revoke_for(
            db,
            "logged_out_everywhere",
            account_no=person.account_no,
            customer_no=person.customer_no,
        )
        actor = request[PRINCIPAL].actor
        await audit.record(db, actor, "account.logged_out_everywhere", subject_of(person))
    return web.Response(status=204)


async def own_person(request: web.Request) -> Person:
    """The account of who calls, by session. Raises Rejected(forbidden) for a key."""
    principal = request[PRINCIPAL]
    if principal.account_no is None or principal.key_id:
        raise Rejected("forbidden", "log in as a person for this; a key cannot do it", 403)
    async with request.app[REPO].connection() as db:
        return await people.get_person(db, principal.account_no)


async def confirmed_person(request: web.Request, password: str) -> Person:
    """The same, who has just shown their password. Raises Rejected(wrong_password), TooMany."""
    person = await own_person(request)
    guard = request.app[LOGINS]
    guess = await guard.take(caller_address(request), person.email)
    if not await is_right(person.password_hash, password):
        raise Rejected("wrong_password", "the password is wrong", 422)
    await guard.give_back(guess)
    return person


ROUTES = (
    Route(
        "PUT", "/v1/me/password", change_password, "change_password", takes=ChangePassword,
        status=204, writes="", problems=(429,), is_keyed=False,
        tag="people", summary="Change the own password; other sessions and tokens end",
    ),
    Route(
        "POST", "/v1/me/email", change_email, "change_email", takes=ChangeEmail, gives=Mailed,
        status=202, problems=(429,), is_keyed=False,
        tag="people", summary="Change the own address, once the new one has answered",
    ),
    Route(
        "POST", "/v1/me/logout-everywhere", log_out_everywhere, "log_out_everywhere",
        status=204, writes="", is_keyed=False,
        tag="people", summary="End every session and token of the account",
    ),
)  # fmt: skip
