"""The second factor of staff: set up, confirm, remove, recovery codes. By session only."""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from fitstream.client.people import Factor, FactorMade, RecoveryCodes
from fitstream.errors import NotFound, Rejected
from fitstream.gateway import scoping, second_factor
from fitstream.gateway.api.accounts import Password
from fitstream.gateway.api.answers import answer, body, now
from fitstream.gateway.api.own_account import confirmed_person, own_person
from fitstream.gateway.credentials import credential
from fitstream.gateway.keys import LOGINS, MASTERS, OUTBOX, REPO, SETTINGS
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.routes import Route
from fitstream.ids import hashed
from fitstream.outbox import News, Notice
from fitstream.repo import audit, factors, people, staff
from fitstream.repo.audit import Subject
from fitstream.repo.database import Db
from fitstream.repo.people import Person
from fitstream.repo.sessions import revoke_for

CodeText = Annotated[str, Meta(min_length=1, max_length=64)]


class WithPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/me/second-factor and …/recovery-codes."""

    password: Password


class Confirm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/me/second-factor/confirm."""

    code: CodeText


class Remove(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/me/second-factor/remove."""

    password: Password
    code: CodeText


async def show_factor(request: web.Request) -> web.Response:
    """How the own second factor stands."""
    person = await own_person(request)
    async with request.app[REPO].connection() as db:
        return answer(await standing(request, db, person.account_no))


async def begin(request: web.Request) -> web.Response:
    """A new secret, shown once; in force after its first code."""
    person = await confirmed_person(request, (await body(request, WithPassword)).password)
    async with request.app[REPO].transaction() as db:
        made = await second_factor.begin(db, request.app[MASTERS], person.account_no, person.email)
    return answer(FactorMade(made.secret, made.uri, made.qr_svg), 201)


async def confirm(request: web.Request) -> web.Response:
    """Puts the secret in force; every other session ends. The recovery codes, shown once."""
    wanted = await body(request, Confirm)
    person = await own_person(request)
    return answer(await confirm_factor(request, person, wanted.code, _token_sha(request)))


async def remove(request: web.Request) -> web.Response:
    """No second factor any more: for the password and a code."""
    wanted = await body(request, Remove)
    person = await confirmed_person(request, wanted.password)
    await remove_factor(request, person, wanted.code)
    return web.Response(status=204)


async def renew_codes(request: web.Request) -> web.Response:
    """New recovery codes; the older ones end."""
    person = await confirmed_person(request, (await body(request, WithPassword)).password)
    return answer(RecoveryCodes(await renew(request, person)), 201)


async def take_away(request: web.Request) -> web.Response:
    """Removes the second factor of somebody who lost phone and recovery codes.

    Never one's own: a session that was left open must not do what needs password and code.
    """
    principal = request[PRINCIPAL]
    async with request.app[REPO].transaction() as db:
        row = await staff.get_staff(db, request.match_info["account"])
        if not scoping.covers(principal, row.programmes):
            raise NotFound(f"account {row.id}")
        if row.account_no == principal.account_no:
            raise Rejected("forbidden", "remove your own with your password and a code", 403)
        if await factors.remove(db, row.account_no):
            await revoke_for(db, "role_changed", account_no=row.account_no)
            person = await people.get_person(db, row.account_no)
            await _tell(request, db, person, "factor_off")
    return web.Response(status=204)


async def standing(request: web.Request, db: Db, account_no: int) -> Factor:
    """How the second factor of an account stands."""
    found = await factors.find(db, account_no)
    return Factor(
        is_on=found is not None and found.confirmed_at is not None,
        is_required=request.app[SETTINGS].second_factor_required,
        recovery_codes_left=await factors.recovery_codes_left(db, account_no),
    )


async def confirm_factor(
    request: web.Request, person: Person, code: str, keep: bytes
) -> RecoveryCodes:
    """In force from now on; sessions that have not shown it end. Raises Rejected(wrong_code)."""
    await request.app[LOGINS].take_code(person.account_no)
    async with request.app[REPO].transaction() as db:
        codes = await second_factor.confirm(
            db, request.app[MASTERS], person.account_no, code, now(request)
        )
        await revoke_for(db, "logged_out_everywhere", account_no=person.account_no, keep=keep)
        await _tell(request, db, person, "factor_on")
    return RecoveryCodes(codes)


async def remove_factor(request: web.Request, person: Person, code: str) -> None:
    """Removed for good. Raises Rejected(wrong_code)."""
    await request.app[LOGINS].take_code(person.account_no)
    async with request.app[REPO].transaction() as db:
        await second_factor.check(db, request.app[MASTERS], person.account_no, code, now(request))
        await factors.remove(db, person.account_no)
        await _tell(request, db, person, "factor_off")


async def renew(request: web.Request, person: Person) -> list[str]:
    """New recovery codes. Raises Rejected(no_factor) for who has no second factor."""
    async with request.app[REPO].transaction() as db:
        if not (await standing(request, db, person.account_no)).is_on:
            raise second_factor.no_factor()
        codes = await second_factor.renew_recovery_codes(
            db, request.app[MASTERS], person.account_no
        )
        subject = Subject("account", str(person.account_no))
        await audit.record(db, request[PRINCIPAL].actor, "account.recovery_codes", subject)
    return codes


async def _tell(request: web.Request, db: Db, person: Person, news: News) -> None:
    subject = Subject("account", str(person.account_no))
    await audit.record(db, request[PRINCIPAL].actor, f"account.{news}", subject)
    notice = Notice(news=news, email=person.email)
    await request.app[OUTBOX].post(db, notice, now(request))


def _token_sha(request: web.Request) -> bytes:
    return hashed(credential(request.headers.get("Authorization", "")) or "")


ROUTES = (
    Route(
        "GET", "/v1/me/second-factor", show_factor, "second_factor", gives=Factor,
        tag="people", summary="How the own second factor stands",
    ),
    Route(
        "POST", "/v1/me/second-factor", begin, "begin_second_factor", takes=WithPassword,
        gives=FactorMade, status=201, problems=(409, 429), is_keyed=False,
        tag="people", summary="Begin to set up a second factor",
    ),
    Route(
        "POST", "/v1/me/second-factor/confirm", confirm, "confirm_second_factor", takes=Confirm,
        gives=RecoveryCodes, problems=(401, 409, 429), is_keyed=False,
        tag="people", summary="Put the second factor in force with its first code",
    ),
    Route(
        "POST", "/v1/me/second-factor/remove", remove, "remove_second_factor", takes=Remove,
        status=204, writes="", problems=(401, 429), is_keyed=False,
        tag="people", summary="Remove the second factor",
    ),
    Route(
        "POST", "/v1/me/second-factor/recovery-codes", renew_codes, "renew_recovery_codes",
        takes=WithPassword, gives=RecoveryCodes, status=201, problems=(409, 429), is_keyed=False,
        tag="people", summary="Make new recovery codes",
    ),
    Route(
        "DELETE", "/v1/staff/{account}/second-factor", take_away, "take_second_factor",
        status=204, writes="", problems=(403, 404), tag="access",
        summary="Remove the second factor of somebody else, who lost it",
    ),
)  # fmt: skip
