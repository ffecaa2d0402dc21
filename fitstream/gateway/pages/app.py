"""The customers' pages as a process of its own: it speaks to the API and to nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from fitstream import metrics
from fitstream.client import open_client
from fitstream.errors import FitstreamError, Unavailable
from fitstream.gateway.hsts import add_hsts
from fitstream.gateway.pages import (
    devices,
    forecast,
    joining,
    pairing,
    profile,
    programs,
    security,
    today,
    upload_mapping,
    uploads,
    weeks,
)
from fitstream.gateway.pages.door import (
    answered,
    form,
    log_in,
    log_out,
    page,
    show_login,
    show_welcome,
    unknown,
)
from fitstream.gateway.pages.keys import API, COOKIES, SETTINGS
from fitstream.gateway.receiving import ROOM, UploadRoom
from fitstream.gateway.serve import serve
from fitstream.gateway.view.cookies import make_cookies
from fitstream.gateway.view.templates import setup_templates
from fitstream.settings import Settings

_FORM_MAX_BYTES = 65_536
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def run_pages(settings: Settings, port: int | None, stop: asyncio.Event) -> None:
    """Serves until `stop`."""
    await serve(make_app(settings), settings, port or settings.pages_port, stop)


def make_app(settings: Settings) -> web.Application:
    """The application. Raises SettingsError when session cookies would travel in the clear."""
    app = web.Application(middlewares=[_measured], client_max_size=_FORM_MAX_BYTES)
    app[SETTINGS] = settings
    add_hsts(app, settings)
    app[COOKIES] = make_cookies(settings, "me")
    app[ROOM] = UploadRoom(settings.uploads_at_once)
    app.cleanup_ctx.append(_api)
    setup_templates(app)
    routes: list[tuple[str, str, Handler, str]] = [
        ("GET", "/healthz", _healthz, "healthz"),
        ("GET", "/readyz", _readyz, "readyz"),
        ("GET", "/metrics", _metrics, "metrics"),
        ("GET", "/", answered(show_welcome), "me:welcome"),
        ("GET", "/login", answered(show_login), "me:login"),
        ("POST", "/login", answered(log_in), "me:log_in"),
        ("POST", "/logout", form(log_out), "me:log_out"),
        ("GET", "/today", page(today.show_today), "me:today"),
        ("GET", "/weeks", page(weeks.show_weeks), "me:weeks"),
        ("GET", "/weeks/{week}", page(weeks.show_weeks), "me:week"),
        ("GET", "/forecast", page(forecast.show_forecast), "me:forecast"),
        ("GET", "/devices", page(devices.show_devices), "me:devices"),
        ("POST", "/devices/{device}/remove", form(devices.remove_device), "me:remove_device"),
        ("GET", "/devices/add", page(pairing.show_add), "me:add_device"),
        ("POST", "/devices/add/code", form(pairing.offer), "me:offer_pairing"),
        ("POST", "/devices/add/decide", form(pairing.decide), "me:decide_pairing"),
        *_public_routes(),
        *_profile_routes(),
        *_program_routes(),
        *_upload_routes(),
        ("GET", "/{rest:.*}", answered(unknown), "me:unknown"),
    ]
    for method, path, handler, name in routes:
        if method == "GET":
            app.router.add_get(path, handler, name=name)  # and HEAD
        else:
            app.router.add_route(method, path, handler, name=name)
    return app


def _public_routes() -> list[tuple[str, str, Handler, str]]:
    """Before a login."""
    return [
        ("GET", "/register", answered(joining.show_register), "me:show_register"),
        ("POST", "/register", answered(joining.register), "me:register"),
        ("GET", "/mailed", answered(joining.show_mailed), "me:mailed"),
        ("GET", "/forgot", answered(joining.show_forgot), "me:show_forgot"),
        ("POST", "/forgot", answered(joining.forgot), "me:forgot"),
        ("GET", "/verify", answered(joining.show_link), "me:show_verify"),
        ("POST", "/verify", answered(joining.verify), "me:verify"),
        ("GET", "/reset", answered(joining.show_link), "me:show_reset"),
        ("POST", "/reset", answered(joining.reset), "me:reset"),
        ("GET", "/welcome", answered(joining.show_link), "me:show_invited"),
        ("POST", "/welcome", answered(joining.welcome), "me:accept"),
    ]


def _profile_routes() -> list[tuple[str, str, Handler, str]]:
    """What customers change about themselves."""
    picture = form(profile.change_picture, profile.PICTURE_FORM_MAX_BYTES)
    return [
        ("GET", "/profile", page(profile.show_profile), "me:profile"),
        ("POST", "/profile", form(profile.change_profile), "me:change_profile"),
        ("GET", "/profile/picture", page(profile.show_picture), "me:picture"),
        ("POST", "/profile/picture", picture, "me:change_picture"),
        ("POST", "/profile/picture/remove", form(profile.remove_picture), "me:remove_picture"),
        ("GET", "/security", page(security.show_security), "me:security"),
        ("POST", "/security/password", form(security.change_password), "me:change_password"),
        ("POST", "/security/email", form(security.change_email), "me:change_email"),
        ("POST", "/security/sessions/{session}/end", form(security.end_session), "me:end_session"),
        ("POST", "/security/everywhere", form(security.log_out_everywhere), "me:everywhere"),
    ]


def _program_routes() -> list[tuple[str, str, Handler, str]]:
    """What programs of others ask, and may."""
    return [
        ("GET", "/oauth/authorize", page(programs.show_authorize), "me:show_authorize"),
        ("POST", "/oauth/authorize", form(programs.authorize), "me:authorize"),
        ("GET", "/oauth/device", page(programs.show_device), "me:show_oauth_device"),
        ("POST", "/oauth/device", form(programs.answer_device), "me:answer_oauth_device"),
        ("GET", "/programs", page(programs.show_programs), "me:programs"),
        ("POST", "/programs/{grant}/withdraw", form(programs.withdraw), "me:withdraw"),
    ]


def _upload_routes() -> list[tuple[str, str, Handler, str]]:
    """Files of rows; the form that sends one looks at its token itself, before the file."""
    one = "/uploads/{upload}"
    return [
        ("GET", "/uploads", page(uploads.show_uploads), "me:uploads"),
        ("POST", "/uploads", page(uploads.receive), "me:send_upload"),
        ("GET", one, page(uploads.show_upload), "me:upload"),
        ("GET", f"{one}/mapping", page(upload_mapping.show_mapping), "me:mapping"),
        ("POST", f"{one}/mapping", form(upload_mapping.map_upload), "me:map_upload"),
        ("POST", f"{one}/source", form(upload_mapping.use_source), "me:use_source"),
        ("POST", f"{one}/{{way}}", form(uploads.act), "me:upload_act"),
    ]


@web.middleware
async def _measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    started = time.perf_counter()
    route = request.match_info.route.name or "unnamed"
    status = 500
    try:
        response = await handler(request)
        status = response.status
    except web.HTTPException as error:
        status = error.status
        raise
    else:
        return response
    finally:
        metrics.count("http_responses", route=route, status=str(status))
        metrics.observe_latency(route, time.perf_counter() - started)


async def _api(app: web.Application) -> AsyncIterator[None]:
    async with open_client(app[SETTINGS].gateway_url) as client:
        app[API] = client
        yield


async def _healthz(_: web.Request) -> web.Response:
    """The process runs."""
    return web.json_response({"status": "ok"})


async def _readyz(request: web.Request) -> web.Response:
    """The API answers."""
    try:
        await request.app[API].server_time()
    except FitstreamError as error:
        said = error.told() if isinstance(error, Unavailable) else str(error)
        return web.json_response({"status": "waiting", "api": said}, status=503)
    return web.json_response({"status": "ready", "api": "ok"})


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=metrics.exposition(), content_type="text/plain", charset="utf-8")
