"""The customers' pages as a process of its own: it speaks to the API and to nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from fitstream import metrics
from fitstream.client import open_client
from fitstream.errors import FitstreamError
from fitstream.gateway.pages import forecast, profile, today, weeks
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
    app[COOKIES] = make_cookies(settings, "me")
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
        ("GET", "/profile", page(profile.show_profile), "me:profile"),
        ("GET", "/{rest:.*}", answered(unknown), "me:unknown"),
    ]
    for method, path, handler, name in routes:
        if method == "GET":
            app.router.add_get(path, handler, name=name)  # and HEAD
        else:
            app.router.add_route(method, path, handler, name=name)
    return app


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
        return web.json_response({"status": "waiting", "api": str(error)}, status=503)
    return web.json_response({"status": "ready", "api": "ok"})


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=metrics.exposition(), content_type="text/plain", charset="utf-8")
