"""Log-in, log-out, and who am I."""

from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from fitstream.gateway import sessions
from fitstream.gateway.api import customers as customer_routes
from fitstream.gateway.api.answers import answer, body, now
from fitstream.gateway.credentials import credential
from fitstream.gateway.keys import LOGINS, REPO, SETTINGS
from fitstream.gateway.principal import PRINCIPAL, Principal
from fitstream.gateway.routes import Route
from fitstream.gateway.view.addresses import address_of
from fitstream.repo import customers


class LogIn(msgspec.Struct, frozen=True):
    """Body of POST /v1/auth/login."""

    email: Annotated[str, Meta(max_length=254)]
    password: Annotated[str, Meta(max_length=1024)]


async def login(request: web.Request) -> web.Response:
    """A session token; the same answer for an unknown address and a wrong password."""
    wanted = await body(request, LogIn)
    session = await guarded_login(request, wanted.email, wanted.password, now(request))
    account = {
        "id": session.account_id,
        "email": session.email,
        "role": session.role,
        "customer_id": session.customer_id,
    }
    return answer(
        {"token": session.token, "expires_at": session.expires_at, "account": account}, 201
    )


async def guarded_login(
    request: web.Request, email: str, password: str, at: datetime
) -> sessions.Session:
    """A new session. Raises Rejected(wrong_credentials), TooMany for who keeps guessing."""
    app, address = request.app, address_of(request, request.app[SETTINGS].trusted_proxies)
    app[LOGINS].take(address, email)
    session = await sessions.login(app[REPO], email, password, at, app[SETTINGS])
    app[LOGINS].give_back(address, email)
    return session


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
    Route("POST", "/v1/auth/login", login, "login"),
    Route("POST", "/v1/auth/logout", logout, "logout"),
    Route("GET", "/v1/me", me, "me"),
)
