"""Who may see administrators' pages: login, logout, the guard around each handler, error pages."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from urllib.parse import quote

import msgspec
from aiohttp import ClientConnectionResetError, web

from fitstream.errors import FitstreamError, NotFound, Rejected, TooMany
from fitstream.gateway import policy, scoping, second_factor_gate, sessions
from fitstream.gateway.api.answers import now
from fitstream.gateway.api.people import guarded_login, login_by_code
from fitstream.gateway.keys import API_RATES, REPO, SETTINGS
from fitstream.gateway.principal import PRINCIPAL, STAFF
from fitstream.gateway.view.cookies import Cookies
from fitstream.gateway.view.problems import Problem, bug, problem_of
from fitstream.gateway.view.templates import Shell, html, see
from fitstream.gateway.view.words import capital, sentence_of
from fitstream.ids import new_id
from fitstream.logs import get

log = get(__name__)
COOKIES = web.AppKey("admin_cookies", Cookies)
HOME = "/admin"
OWN = "/admin/own"  # the own account


class Viewer(msgspec.Struct, frozen=True):
    """The administrator who looks, and the token of the forms on the page."""

    email: str
    token: str
    csrf: str
    now: datetime
    account_id: str
    role: str = "admin"
    may: frozenset[str] = frozenset()

    def shell(self, section: str) -> Shell:
        """What surrounds a page of `section`."""
        return Shell(
            section=section,
            email=self.email,
            csrf=self.csrf,
            now=self.now,
            role=self.role,
            may=self.may,
        )


class CodePage(msgspec.Struct, frozen=True):
    """The form for the second factor, with what was wrong."""

    challenge: str
    error: str
    next: str


class LoginPage(msgspec.Struct, frozen=True):
    """The form again, with what was wrong."""

    email: str
    error: str
    next: str


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PageHandler = Callable[[web.Request, Viewer], Awaitable[web.StreamResponse]]


def page(handler: PageHandler) -> Handler:
    """Only staff pass, where the policy names their role and programme; others are shown the
    login, errors become pages."""

    async def inside(request: web.Request) -> web.StreamResponse:
        viewer = await find_viewer(request)
        if viewer is None:
            return _to_login(request)
        try:
            await _check(request)
        except Rejected as error:
            if error.code != second_factor_gate.MISSING:
                raise
            return see(OWN)
        return await handler(request, viewer)

    return answered(inside)


def form(handler: PageHandler) -> Handler:
    """The same for an unsafe request: its origin and token are checked first."""

    async def inside(request: web.Request, viewer: Viewer) -> web.StreamResponse:
        await request.app[COOKIES].check_form(request)
        return await handler(request, viewer)

    return page(inside)


def answered(handler: Handler) -> Handler:
    """Every error of a page is a page: the middleware around it answers programs."""

    async def inside(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except FitstreamError as error:
            return _render(request, problem_of(error, HOME))
        except (web.HTTPException, ClientConnectionResetError):
            raise  # or whoever asked has left
        except Exception:  # a bug: say so, and how to find it in the log
            request_id = new_id("req")
            log.exception("page_failed", path=request.match_info.route.name, request_id=request_id)
            return _render(request, bug(HOME, request_id))

    return inside


async def _check(request: web.Request) -> None:
    """Raises Rejected(forbidden), NotFound or TooMany where the API would refuse the same person:
    their calls are counted with those of the API."""
    name, principal = request.match_info.route.name or "unnamed", request[PRINCIPAL]
    policy.check(name, principal, request.match_info.get("customer"))
    await request.app[API_RATES].take(principal)
    await scoping.check_path(request, principal)
    await second_factor_gate.check(request, name, principal)


async def find_viewer(request: web.Request) -> Viewer | None:
    """Who of the staff holds the session cookie, if the session lives."""
    cookies = request.app[COOKIES]
    token = request.cookies.get(cookies.session, "")
    if not token:
        return None
    at = now(request)
    session = await sessions.find_session(request.app[REPO], token, at, request.app[SETTINGS])
    if session is None or not session.is_staff:
        return None
    request[PRINCIPAL] = session
    email, account_id = session.email or "", session.account_id or ""
    may = policy.allowed("admin:", session)
    return Viewer(email, token, cookies.form_token(token), at, account_id, session.role, may)


async def show_login(request: web.Request) -> web.StreamResponse:
    """The login form; who is logged in goes on."""
    target = _local(request.query.get("next", ""))
    if await find_viewer(request) is not None:
        return see(target)
    return _login_form(request, LoginPage("", "", target))


async def log_in(request: web.Request) -> web.StreamResponse:
    """A new session and its cookie, or the form again; the same answer for all that is wrong."""
    cookies, settings = request.app[COOKIES], request.app[SETTINGS]
    fields = await cookies.check_form(request, is_login=True)
    email, target = fields.get("email", "")[:254], _local(fields.get("next", ""))
    password = fields.get("password", "")[:1024]
    try:
        session = await guarded_login(request, email, password, now(request))
    except Rejected as error:
        if "challenge" in error.extra:
            return _code_form(request, CodePage(str(error.extra["challenge"]), "", target))
        return _login_form(request, LoginPage(email, sentence_of(error), target), 401)
    except TooMany as error:
        return _login_form(request, LoginPage(email, capital(str(error)), target), 429)
    if session.role not in STAFF:
        await sessions.logout(request.app[REPO], session.token)
        text = "This account has no administrator's role."
        return _login_form(request, LoginPage(email, text, target), 403)
    response = see(target)
    cookies.set_session(response, session.token, settings.admin_absolute_s)
    return response


async def log_in_code(request: web.Request) -> web.StreamResponse:
    """The second step: a new session for the code, or the form again."""
    cookies, settings = request.app[COOKIES], request.app[SETTINGS]
    fields = await cookies.check_form(request, is_login=True)
    challenge, target = fields.get("challenge", "")[:128], _local(fields.get("next", ""))
    try:
        session = await login_by_code(request, challenge, fields.get("code", "")[:64], now(request))
    except (Rejected, TooMany) as error:
        said = sentence_of(error) if isinstance(error, Rejected) else capital(str(error))
        return _code_form(request, CodePage(challenge, said, target), 401)
    response = see(target)
    cookies.set_session(response, session.token, settings.admin_absolute_s)
    return response


async def log_out(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Ends the session here and in the database."""
    await sessions.logout(request.app[REPO], viewer.token)
    response = see("/admin/login")
    request.app[COOKIES].end(response)
    return response


async def unknown(request: web.Request, _: Viewer) -> web.StreamResponse:
    """An address below /admin that is no page."""
    raise NotFound("this page")


def _login_form(request: web.Request, shown: LoginPage, status: int = 200) -> web.Response:
    return _door_form(request, "admin/login.html", shown, status)


def _code_form(request: web.Request, shown: CodePage, status: int = 200) -> web.Response:
    return _door_form(request, "admin/login_code.html", shown, status)


def _door_form(
    request: web.Request, template: str, shown: LoginPage | CodePage, status: int
) -> web.Response:
    cookies = request.app[COOKIES]
    visitor = cookies.visitor_of(request)
    shell = Shell(section="login", csrf=cookies.form_token(visitor), now=now(request))
    response = html(request, template, shell, shown, status)
    cookies.set_visitor(response, visitor)
    return response


def _to_login(request: web.Request) -> web.Response:
    """To the login and back; a fragment tells the script to load the login as a whole page."""
    if request.headers.get("HX-Request"):
        return web.Response(status=204, headers={"HX-Redirect": "/admin/login"})
    if request.method != "GET":
        return see("/admin/login")
    return see(f"/admin/login?next={quote(request.rel_url.path_qs, safe='')}")


def _local(target: str) -> str:
    """Where to go after login: only a page of ours."""
    is_ours = target.startswith("/admin") and "\\" not in target and target.isprintable()
    return target if is_ours else HOME


def _render(request: web.Request, problem: Problem) -> web.Response:
    shell = Shell(section="error", now=now(request))
    response = html(request, "errors/error.html", shell, problem.page, problem.status)
    response.headers.update(problem.headers)
    return response
