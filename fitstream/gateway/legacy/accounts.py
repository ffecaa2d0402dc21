"""The predecessor's `/auth` routes by which people come and go, over what the API itself does."""

from datetime import datetime
from urllib.parse import urlencode

from aiohttp import web

from fitstream.errors import Rejected
from fitstream.gateway import sessions
from fitstream.gateway.api import accounts
from fitstream.gateway.api.accounts import AskReset, Register, WithToken
from fitstream.gateway.api.answers import now
from fitstream.gateway.api.people import guarded_login
from fitstream.gateway.credentials import credential
from fitstream.gateway.keys import REPO, SETTINGS
from fitstream.gateway.legacy import cookie
from fitstream.gateway.legacy.forms import convert, fields_of
from fitstream.gateway.legacy.shapes import succeeded, user_of
from fitstream.gateway.routes import Route
from fitstream.gateway.sessions import Session
from fitstream.gateway.view.templates import see
from fitstream.repo import customers, legacy
from fitstream.settings import pages_url

_UNKNOWN = 404  # what an old client knows for a wrong name or password
_PROFILE = ("lname", "gender", "phone", "address", "city", "zipcode", "state")
_ACCOUNT = ("email", "password", "zone", "programme")


async def login(request: web.Request) -> web.Response:
    """201 with token and user; the token also comes as a cookie, for clients with a jar."""
    fields = await fields_of(request)
    username, password = fields.get("username", ""), fields.get("password", "")
    typed = (username or fields.get("email", ""))[:254]
    email = await _email_of(request, typed)
    at = now(request)
    try:
        session = await guarded_login(request, email[:254], password, at, typed)
    except Rejected as error:
        if error.code != "wrong_credentials":
            raise
        raise Rejected(error.code, "user name or password is wrong", _UNKNOWN) from None
    if session.customer_id is None:
        await sessions.logout(request.app[REPO], session.token)
        text = "this account belongs to staff; its pages are elsewhere"
        raise Rejected("forbidden", text, 403)
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, session.customer_id)
        user = user_of(await legacy.profile_of(db, customer.customer_no))
    response = succeeded("Successfully logged in.", 201, auth_token=session.token, user=user)
    cookie.keep(request, response, session.token, _lifetime_s(session, at))
    return response


async def logout(request: web.Request) -> web.Response:
    """The session ends, and its cookie."""
    header = request.headers.get("Authorization") or cookie.token_of(request)
    await sessions.logout(request.app[REPO], credential(header) or "")
    response = succeeded("Successfully logged out.")
    cookie.forget(request, response)
    return response


async def register(request: web.Request) -> web.Response:
    """201, the same for an address that is known; the mailed link finishes it."""
    fields = await fields_of(request)
    first, last = fields.get("name", "").strip(), fields.get("lname", "").strip()
    wanted: dict[str, object] = {name: fields[name] for name in _ACCOUNT if name in fields}
    wanted["name"] = f"{first} {last}".strip() or None
    old = {name: fields[name] for name in _PROFILE if fields.get(name)}
    old |= {"fname": first} if first else {}
    old |= {"uname": fields["username"]} if fields.get("username") else {}
    await accounts.begin_registration(request, convert(wanted, Register), _bounded(old))
    text = "Please confirm your e-mail with the link in the mail that is on its way."
    return succeeded(text, 201, auth_token=None, user={**_echo(fields), "password": None})


async def verify(request: web.Request) -> web.StreamResponse:
    """An address has answered.

    A browser is sent to the page that asks for a click: whatever fetches links in mails on its
    own must not verify an address. Other clients of the old route mean it.
    """
    token = request.match_info["token"]
    if "text/html" in request.headers.get("Accept", ""):
        return see(f"{pages_url(request.app[SETTINGS])}/verify?{urlencode({'token': token})}")
    await accounts.confirm_address(request, convert({"token": token}, WithToken))
    return succeeded("Your e-mail is confirmed. You can log in now.")


async def reset(request: web.Request) -> web.Response:
    """A mail with a link, if there is such an account; the answer does not tell."""
    fields = await fields_of(request)
    await accounts.begin_reset(request, convert({"email": fields.get("email", "")}, AskReset))
    return succeeded("If this address has an account, a mail with a link is on its way.")


async def _email_of(request: web.Request, username: str) -> str:
    """People log in by their old name or by their address."""
    if "@" in username or not username:
        return username
    async with request.app[REPO].connection() as db:
        return await legacy.email_of(db, username) or username


def _lifetime_s(session: Session, at: datetime) -> float:
    return (session.expires_at - at).total_seconds()


def _bounded(fields: dict[str, str]) -> dict[str, str]:
    """Raises Rejected(invalid) for a text that is longer than any of us has."""
    for name, text in fields.items():
        if len(text) > 256:
            raise Rejected("invalid", f"{name} is longer than 256 characters", 422)
    return fields


def _echo(fields: dict[str, str]) -> dict[str, object]:
    """What was sent, in the shape of a user; there is no number before the address has answered."""
    names = ("email", "gender", "phone", "address", "city", "zipcode", "state", "lname")
    return {
        "user_id": None,
        "uname": fields.get("username"),
        "fname": fields.get("name"),
        **{name: fields.get(name) for name in names},
        "is_admin": False,
        "is_email_verified": False,
    }


ROUTES = (
    Route("POST", "/auth/login", login, "legacy_login"),
    Route("POST", "/auth/logout", logout, "legacy_logout"),
    Route("POST", "/auth/register", register, "legacy_register"),
    Route("GET", "/auth/verify_email/{uid}/{token}", verify, "legacy_verify"),
    Route("POST", "/auth/reset_password_request", reset, "legacy_reset"),
)
