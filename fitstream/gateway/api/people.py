"""Log-in, log-out, and who am I."""

from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from fitstream.client import data
from fitstream.errors import Rejected
from fitstream.gateway import second_factor, sessions
from fitstream.gateway.api import customers as customer_routes
from fitstream.gateway.api.answers import answer, body, now
from fitstream.gateway.credentials import credential
from fitstream.gateway.keys import LOGINS, MASTERS, REPO, SETTINGS
from fitstream.gateway.principal import PRINCIPAL, Principal
from fitstream.gateway.routes import Route
from fitstream.gateway.view.addresses import address_of
from fitstream.repo import accounts, customers, factors, people


class LogIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/auth/login."""

    email: Annotated[str, Meta(max_length=254)]
    password: Annotated[str, Meta(max_length=1024)]


class Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/auth/second-factor."""

    challenge: Annotated[str, Meta(max_length=128)]
    code: Annotated[str, Meta(max_length=64)]


async def login(request: web.Request) -> web.Response:
    """A session token; the same answer for an unknown address and a wrong password."""
    wanted = await body(request, LogIn)
    session = await guarded_login(request, wanted.email, wanted.password, now(request))
    return answer(_logged_in(session), 201)


async def second_factor_login(request: web.Request) -> web.Response:
    """A session token for the challenge that a right password was answered with, and a code."""
    wanted = await body(request, Code)
    session = await login_by_code(request, wanted.challenge, wanted.code, now(request))
    return answer(_logged_in(session), 201)


async def guarded_login(
    request: web.Request, email: str, password: str, at: datetime, typed: str = ""
) -> sessions.Session:
    """A new session. Raises Rejected(wrong_credentials), TooMany for who keeps guessing.

    `typed` is a name that stood for the address: guesses count by both.

    Raises Rejected(second_factor_required) with a `challenge` where the password is not enough.
    """
    app, address = request.app, address_of(request, request.app[SETTINGS].trusted_proxies)
    guess = await app[LOGINS].take(address, email, typed)
    account = await sessions.authenticate(app[REPO], email, password)
    await app[LOGINS].give_back(guess)
    async with app[REPO].transaction() as db:
        challenge = await second_factor.challenge(db, account, at)
    if challenge is not None:
        extra: dict[str, object] = {
            "challenge": challenge.token,
            "expires_at": challenge.expires_at,
        }
        text = "send the code of your authenticator app with the challenge"
        raise Rejected("second_factor_required", text, 401, extra)
    return await sessions.open_session(app[REPO], account, at, app[SETTINGS], _agent(request))


async def login_by_code(
    request: web.Request, challenge: str, code: str, at: datetime
) -> sessions.Session:
    """A new session by the second factor. Raises Rejected(wrong_code), TooMany."""
    app = request.app
    async with app[REPO].transaction() as db:  # a try is spent whatever comes of it
        number = await second_factor.answered_by(db, challenge, at)
    await app[LOGINS].take_code(number)
    async with app[REPO].transaction() as db:
        await second_factor.check(db, app[MASTERS], number, code, at)
        await second_factor.end_challenge(db, challenge)
        await factors.end_challenges(db, number, at)
        person = await people.get_person(db, number)
        account = await accounts.find_account(db, person.email)
    if account is None:
        raise second_factor.wrong_code()
    return await sessions.open_session(app[REPO], account, at, app[SETTINGS], _agent(request))


def _agent(request: web.Request) -> str:
    return request.headers.get("User-Agent", "")


def _logged_in(session: sessions.Session) -> dict[str, object]:
    account = {
        "id": session.account_id,
        "email": session.email,
        "role": session.role,
        "customer_id": session.customer_id,
    }
    return {"token": session.token, "expires_at": session.expires_at, "account": account}


async def logout(request: web.Request) -> web.Response:
    token = credential(request.headers.get("Authorization", "")) or ""
    await sessions.logout(request.app[REPO], token)
    return web.Response(status=204)


async def me(request: web.Request) -> web.Response:
    principal: Principal = request[PRINCIPAL]
    shown = None
    if principal.customer_id is not None:
        async with request.app[REPO].connection() as db:
            shown = customer_routes.shown(await customers.get_customer(db, principal.customer_id))
    account = {
        "id": principal.account_id,
        "email": principal.email,
        "role": principal.role,
        "customer_id": principal.customer_id,
    }
    return answer({"account": account, "customer": shown})


ROUTES = (
    Route(
        "POST", "/v1/auth/login", login, "login",
        takes=LogIn, gives=data.LoggedIn, status=201, problems=(401,),
        tag="people", summary="Log in",
        example={"email": "demo@example.org", "password": "a walk in the park"},
    ),
    Route(
        "POST", "/v1/auth/second-factor", second_factor_login, "second_factor_login",
        takes=Code, gives=data.LoggedIn, status=201, problems=(401, 429), is_keyed=False,
        tag="people", summary="Finish a log-in with the code of an authenticator app",
        example={"challenge": "…", "code": "123456"},
    ),
    Route(
        "POST", "/v1/auth/logout", logout, "logout",
        status=204, writes="", is_keyed=False, tag="people", summary="Log out",
    ),
    Route(
        "GET", "/v1/me", me, "me",
        gives=data.Me, tag="people", summary="Read who this caller is",
    ),
)  # fmt: skip
