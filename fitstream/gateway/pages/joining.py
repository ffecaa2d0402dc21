"""Pages before a login: register, the links in mails, a lost password, an invitation.

A link is opened by mail programs too, so opening one changes nothing: the button on its page does.
"""

from contextlib import suppress
from zoneinfo import available_timezones

import msgspec
from aiohttp import web

from fitstream.client.people import Joining
from fitstream.errors import Conflict, FitstreamError, NotFound, Rejected, TooMany, Unavailable
from fitstream.gateway.pages.door import client_of, public_form, public_page, read_public_form
from fitstream.gateway.pages.keys import SETTINGS
from fitstream.gateway.view.templates import see
from fitstream.gateway.view.words import capital, sentence_of

_TOKEN_CHARS = 128
_REFUSED = (Rejected, Conflict, TooMany)


class RegisterPage(msgspec.Struct, frozen=True, kw_only=True):
    """The form as it was filled in, with what was wrong; `closed` says why there is none."""

    programme: str
    zones: list[str]
    name: str = ""
    email: str = ""
    zone: str = ""
    error: str = ""
    closed: str = ""


class MailedPage(msgspec.Struct, frozen=True):
    """What to do now; `mails` is where a development machine shows its mails."""

    what: str
    mails: str


class ForgotPage(msgspec.Struct, frozen=True):
    """The form, with what was wrong."""

    email: str = ""
    error: str = ""


class LinkPage(msgspec.Struct, frozen=True, kw_only=True):
    """A mailed link: its button or its form, or why it does not work."""

    token: str
    purpose: str = ""
    error: str = ""
    gone: bool = False


async def show_register(request: web.Request) -> web.StreamResponse:
    """The form, or that the programme invites its customers."""
    return await _register_form(request, {})


async def register(request: web.Request) -> web.StreamResponse:
    """On to the mail, or the form again; a known address is told nothing here."""
    fields = await read_public_form(request)
    wanted = {name: fields.get(name, "").strip() for name in ("name", "email", "zone")}
    try:
        await client_of(request).register(
            wanted["email"],
            fields.get("password", ""),
            wanted["zone"],
            name=wanted["name"] or None,
        )
    except _REFUSED as error:
        return await _register_form(request, wanted, _said(error), 422)
    return see("/mailed?what=register")


async def show_mailed(request: web.Request) -> web.StreamResponse:
    """Look into your mail."""
    what = "reset" if request.query.get("what") == "reset" else "register"
    settings = request.app[SETTINGS]
    is_dev = bool(settings.mail_folder) and not settings.public_url
    mails = f"{settings.gateway_url}/dev/mail" if is_dev else ""
    return public_page(request, "pages/mailed.html", MailedPage(what, mails))


async def show_forgot(request: web.Request) -> web.StreamResponse:
    """The form that asks for the address."""
    return public_form(request, "pages/forgot.html", ForgotPage())


async def forgot(request: web.Request) -> web.StreamResponse:
    """On to the mail, whether the address is known or not."""
    email = (await read_public_form(request)).get("email", "").strip()
    try:
        await client_of(request).ask_reset(email)
    except _REFUSED as error:
        shown = ForgotPage(email[:254], _said(error))
        return public_form(request, "pages/forgot.html", shown, 422)
    return see("/mailed?what=reset")


async def show_link(request: web.Request) -> web.StreamResponse:
    """What a link is for, with its button or form; it stays as it is."""
    token = request.query.get("token", "")[:_TOKEN_CHARS]
    try:
        link = await client_of(request).link(token or "none")
    except NotFound:
        return public_form(request, "pages/link.html", LinkPage(token="", gone=True), 404)
    return public_form(request, "pages/link.html", LinkPage(token=token, purpose=link.purpose))


async def verify(request: web.Request) -> web.StreamResponse:
    """The address has answered; on to the login."""
    token = (await read_public_form(request)).get("token", "")[:_TOKEN_CHARS]
    try:
        await client_of(request).verify(token or "none")
    except NotFound:
        return public_form(request, "pages/link.html", LinkPage(token="", gone=True), 404)
    except _REFUSED as error:
        shown = LinkPage(token="", error=_said(error))
        return public_form(request, "pages/link.html", shown, 409)
    return see("/login?done=verified")


async def reset(request: web.Request) -> web.StreamResponse:
    """A new password by a link; on to the login."""
    return await _choose(request, "reset")


async def welcome(request: web.Request) -> web.StreamResponse:
    """The first password of an invited customer; on to the login."""
    return await _choose(request, "invite")


async def joining_of(request: web.Request) -> Joining | None:
    """Whether anybody may register; None when the API does not say so just now."""
    with suppress(Unavailable, NotFound, TooMany):
        return await client_of(request).registration()
    return None


async def _choose(request: web.Request, purpose: str) -> web.StreamResponse:
    fields = await read_public_form(request)
    token, password = fields.get("token", "")[:_TOKEN_CHARS], fields.get("password", "")
    client = client_of(request)
    try:
        if purpose == "reset":
            await client.reset(token or "none", password)
        else:
            await client.accept(token or "none", password)
    except NotFound:
        return public_form(request, "pages/link.html", LinkPage(token="", gone=True), 404)
    except _REFUSED as error:
        shown = LinkPage(token=token, purpose=purpose, error=_said(error))
        return public_form(request, "pages/link.html", shown, 422)
    return see(f"/login?done={purpose}")


async def _register_form(
    request: web.Request, fields: dict[str, str], error: str = "", status: int = 200
) -> web.StreamResponse:
    joining = await client_of(request).registration()
    closed = ""
    if not joining.is_open:
        closed = f"{joining.name} invites its customers by mail. Ask it for an invitation."
    shown = RegisterPage(
        programme=joining.name,
        zones=sorted(available_timezones()),
        name=fields.get("name", ""),
        email=fields.get("email", "")[:254],
        zone=fields.get("zone", ""),
        error=error,
        closed=closed,
    )
    return public_form(request, "pages/register.html", shown, 403 if closed else status)


def _said(error: FitstreamError) -> str:
    """An error as the form tells it: the API's field names are not for people."""
    if isinstance(error, Rejected) and error.code == "invalid":
        about_email = "$.email" in error.message
        return "The e-mail address is not valid." if about_email else "A field is too long."
    if isinstance(error, Rejected) and error.code == "unknown_zone":
        return "Choose the time zone you live in from the list, for example Europe/Berlin."
    return sentence_of(error) if isinstance(error, Rejected) else capital(str(error))
