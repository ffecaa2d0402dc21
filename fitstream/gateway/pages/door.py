"""Who sees the customers' pages: login, logout, the guard around each handler, error pages.

Knows the API only: a session is a token that the API gave, and ends when the API says so.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import msgspec
from aiohttp import ClientConnectionResetError, web

from fitstream.client import Client
from fitstream.client.data import Customer
from fitstream.errors import FitstreamError, NotFound, Rejected, TooMany
from fitstream.gateway.pages.keys import API, COOKIES, SETTINGS
from fitstream.gateway.view.addresses import address_of
from fitstream.gateway.view.problems import Problem, bug, problem_of
from fitstream.gateway.view.templates import Shell, html, see
from fitstream.gateway.view.words import capital, sentence_of
from fitstream.ids import new_id
from fitstream.logs import get

log = get(__name__)
HOME = "/today"
_PAGES = (
    "/today", "/weeks", "/forecast", "/devices", "/profile", "/security", "/programs", "/oauth/",
    "/uploads",
)  # fmt: skip
_SAID = {
    "verified": "Your address is confirmed. Log in to go on.",
    "reset": "Your new password is set, and every session has ended. Log in with it.",
    "invite": "Your password is set. Log in with it.",
    "everywhere": "You are logged out everywhere.",
}
_SLOWER_FORM_S = 60.0


class Viewer(msgspec.Struct, frozen=True):
    """The customer who looks, their client of the API, and the token of the page's forms."""

    client: Client
    customer: Customer
    email: str
    csrf: str
    now: datetime

    def shell(self, section: str) -> Shell:
        """What surrounds a page of `section`."""
        zone = self.customer.zone
        return Shell(section=section, email=self.email, csrf=self.csrf, now=self.now, zone=zone)


class LoginPage(msgspec.Struct, frozen=True):
    """The form again, with what was wrong."""

    email: str
    error: str
    next: str
    said: str = ""


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PageHandler = Callable[[web.Request, Viewer], Awaitable[web.StreamResponse]]


def page(handler: PageHandler) -> Handler:
    """Only customers pass; others are shown the login, errors become pages."""

    async def inside(request: web.Request) -> web.StreamResponse:
        try:
            viewer = await find_viewer(request)
            return await handler(request, viewer) if viewer else _to_login(request)
        except Rejected as error:
            if error.status != 401:
                raise
            return _to_login(request)

    return answered(inside)


def form(handler: PageHandler, bytes_max: int = 0) -> Handler:
    """The same for an unsafe request: its origin and token are checked first.

    `bytes_max` is for a form that holds a file: more than usual, and longer on its way.
    """
    guarded = page(handler)

    async def inside(request: web.Request) -> web.StreamResponse:
        cookies = request.app[COOKIES]
        if not bytes_max:
            await cookies.check_form(request)
            return await guarded(request)
        wide = request.clone(client_max_size=bytes_max)
        try:
            await cookies.check_form(wide, patience_s=_SLOWER_FORM_S)
        except web.HTTPRequestEntityTooLarge:
            text = "the file is larger than allowed; choose a smaller one"
            raise Rejected("body_too_large", text, 413) from None
        return await guarded(wide)

    return answered(inside)


def answered(handler: Handler) -> Handler:
    """Every error of a page is a page."""

    async def inside(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except FitstreamError as error:
            return _render(request, problem_of(error, "/"))
        except (web.HTTPException, ClientConnectionResetError):
            raise  # or whoever asked has left
        except Exception:  # a bug: say so, and how to find it in the log
            request_id = new_id("req")
            log.exception("page_failed", path=request.match_info.route.name, request_id=request_id)
            return _render(request, bug("/", request_id))

    return inside


async def find_viewer(request: web.Request) -> Viewer | None:
    """The customer of the session cookie; raises Rejected(401) when the session has ended."""
    cookies = request.app[COOKIES]
    token = request.cookies.get(cookies.session, "")
    if not token:
        return None
    client = client_of(request, token)
    me = await client.me()
    if me.customer is None:
        return None
    return Viewer(
        client, me.customer, me.account.email or "", cookies.form_token(token), now_of(request)
    )


def client_of(request: web.Request, token: str = "") -> Client:
    """The API for a token, on behalf of the address that the request came from."""
    trusted = request.app[SETTINGS].trusted_proxies
    return request.app[API].as_who(token, node_of(address_of(request, trusted)))


def node_of(address: str) -> str:
    """An address as `Forwarded` writes it."""
    return f"[{address}]" if ":" in address else address


def now_of(request: web.Request) -> datetime:
    """The instant of this request, moved by the test setting for clock jumps."""
    return datetime.now(UTC) + timedelta(seconds=request.app[SETTINGS].clock_offset_s)


async def show_welcome(request: web.Request) -> web.StreamResponse:
    """What this is, for who is not logged in; others go on to today."""
    if request.cookies.get(request.app[COOKIES].session):
        return see(HOME)
    shell = Shell(section="welcome", now=now_of(request))
    return html(request, "pages/welcome.html", shell, None)


async def show_login(request: web.Request) -> web.StreamResponse:
    """The login form."""
    said = _SAID.get(request.query.get("done", ""), "")
    return _login_form(request, LoginPage("", "", _local(request.query.get("next", "")), said))


async def log_in(request: web.Request) -> web.StreamResponse:
    """A session cookie with the API's token, or the form again with what is wrong."""
    cookies = request.app[COOKIES]
    fields = await cookies.check_form(request, is_login=True)
    email, target = fields.get("email", "")[:254], _local(fields.get("next", ""))
    client = client_of(request)
    try:
        agent = request.headers.get("User-Agent", "")
        session = await client.login(email, fields.get("password", "")[:1024], agent)
    except Rejected as error:
        return _login_form(request, LoginPage(email, sentence_of(error), target), 401)
    except TooMany as error:
        return _login_form(request, LoginPage(email, capital(str(error)), target), 429)
    if session.account.customer_id is None:
        await client_of(request, session.token).logout()
        text = "This account belongs to an administrator, whose pages are elsewhere."
        return _login_form(request, LoginPage(email, text, target), 403)
    response = see(target)
    lifetime_s = (session.expires_at - now_of(request)).total_seconds()
    cookies.set_session(response, session.token, lifetime_s)
    return response


async def log_out(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Ends the session here and at the API."""
    await viewer.client.logout()
    response = see("/")
    request.app[COOKIES].end(response)
    return response


async def unknown(_: web.Request) -> web.StreamResponse:
    """An address that is no page."""
    raise NotFound("this page")


def public_form(
    request: web.Request, template: str, shown: object, status: int = 200
) -> web.Response:
    """A page with a form for who is not logged in, guarded by a signed cookie."""
    cookies = request.app[COOKIES]
    visitor = cookies.visitor_of(request)
    shell = Shell(section="door", csrf=cookies.form_token(visitor), now=now_of(request))
    response = html(request, template, shell, shown, status)
    cookies.set_visitor(response, visitor)
    return response


def public_page(request: web.Request, template: str, shown: object) -> web.Response:
    """A page without a form for who is not logged in."""
    return html(request, template, Shell(section="door", now=now_of(request)), shown)


async def read_public_form(request: web.Request) -> dict[str, str]:
    """Fields of a form that `public_form` showed. Raises Rejected(cross_site | stale_form)."""
    return await request.app[COOKIES].check_form(request, is_login=True)


def _login_form(request: web.Request, shown: LoginPage, status: int = 200) -> web.Response:
    return public_form(request, "pages/login.html", shown, status)


def _to_login(request: web.Request) -> web.Response:
    """To the login and back; the cookie of a session that ended is forgotten."""
    target = quote(request.rel_url.path_qs, safe="") if request.method == "GET" else ""
    response = see(f"/login?next={target}" if target else "/login")
    request.app[COOKIES].end(response)
    return response


def _local(target: str) -> str:
    """Where to go after login: only a page of ours."""
    is_plain = "\\" not in target and target.isprintable()
    return target if is_plain and target.split("?", maxsplit=1)[0].startswith(_PAGES) else HOME


def _render(request: web.Request, problem: Problem) -> web.Response:
    shell = Shell(section="error", now=now_of(request))
    response = html(request, "errors/error.html", shell, problem.page, problem.status)
    response.headers.update(problem.headers)
    return response
