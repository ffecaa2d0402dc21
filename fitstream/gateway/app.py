"""The gateway: ingest, API and the administrators' pages in one application."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TypeVar

from aiohttp import web

from fitstream.broker import Observer, Producer, open_observer, open_producer
from fitstream.errors import Unavailable
from fitstream.gateway.admin.routes import add_pages
from fitstream.gateway.api import (
    accounts,
    audit,
    customers,
    daily,
    dead_letters,
    devices,
    documents,
    forecast_scores,
    forecasts,
    grants,
    invites,
    jobs,
    mappings,
    models,
    oauth,
    own_account,
    own_key,
    pairing,
    people,
    profile,
    programmes,
    programs,
    readings,
    receipt_keys,
    samples_post,
    second_factors,
    sessions,
    staff,
    stages,
    system,
    trace,
    training,
    uploads,
    weeks,
)
from fitstream.gateway.api_rates import ApiRates
from fitstream.gateway.credentials import KeyCache
from fitstream.gateway.dev_mail import add_dev_mail
from fitstream.gateway.digest import Digest
from fitstream.gateway.hsts import add_hsts
from fitstream.gateway.keys import (
    API_RATES,
    DIGEST,
    DOCUMENT,
    IN_FLIGHT,
    KEYS,
    LOGINS,
    MASTERS,
    OBSERVER,
    OUTBOX,
    OVERVIEWS,
    PRODUCER,
    RATES,
    REPO,
    RETRY_LATER,
    ROUTE_TABLE,
    SETTINGS,
    SIGNER,
    STORE,
    TALLIES,
)
from fitstream.gateway.legacy import accounts as legacy_accounts
from fitstream.gateway.legacy import daily as legacy_daily
from fitstream.gateway.legacy import users as legacy_users
from fitstream.gateway.limits import InFlight, RateLimiter
from fitstream.gateway.login_guard import LoginGuard
from fitstream.gateway.middlewares import guard
from fitstream.gateway.openapi import Documented
from fitstream.gateway.receiving import ROOM, UploadRoom
from fitstream.gateway.recent import Recent
from fitstream.gateway.retry_later import RetryLater
from fitstream.gateway.routes import Route, route_table
from fitstream.outbox import Outbox
from fitstream.receipts import Signer
from fitstream.repo.database import Repo, open_repo
from fitstream.sealing import master_keys
from fitstream.settings import Settings
from fitstream.store import Store, open_store

T = TypeVar("T")
Opener = Callable[[Settings], AbstractAsyncContextManager[T]]

_OVERVIEW_S = 2.0
API = (
    accounts,
    audit,
    customers,
    daily,
    dead_letters,
    devices,
    documents,
    forecasts,
    forecast_scores,
    invites,
    jobs,
    mappings,
    models,
    oauth,
    grants,
    own_account,
    own_key,
    pairing,
    people,
    profile,
    programs,
    programmes,
    readings,
    receipt_keys,
    samples_post,
    second_factors,
    sessions,
    staff,
    stages,
    system,
    trace,
    training,
    uploads,
    weeks,
)


LEGACY = (legacy_accounts, legacy_users, legacy_daily)


def api_routes() -> tuple[Route, ...]:
    """Every route of the API, in the order of the document."""
    return tuple(route for module in API for route in module.ROUTES)


def make_app(
    settings: Settings,
    *,
    repo: Opener[Repo] = open_repo,
    producer: Opener[Producer] = open_producer,
    store: Opener[Store] = open_store,
    observer: Opener[Observer] = open_observer,
) -> web.Application:
    """The application; its resources open when it starts and close when it stops."""
    app = web.Application(middlewares=[guard], client_max_size=settings.inflated_max_bytes)
    app[SETTINGS] = settings
    add_hsts(app, settings)
    app[SIGNER] = Signer(master_keys(settings))
    app[DIGEST] = Digest(master_keys(settings))
    app[IN_FLIGHT] = InFlight(settings.in_flight_max_bytes)
    app[MASTERS] = master_keys(settings)
    app[ROOM] = UploadRoom(settings.uploads_at_once)
    app[OUTBOX] = Outbox(app[MASTERS], settings)
    app[RETRY_LATER] = RetryLater()
    app[RATES] = RateLimiter(settings.ingest_rate_per_s, settings.ingest_burst)
    provide(app, REPO, repo)
    provide(app, PRODUCER, producer)
    provide(app, STORE, store)
    provide(app, OBSERVER, observer)
    app.cleanup_ctx.append(_keys)
    app.cleanup_ctx.append(_guards)
    app[OVERVIEWS] = Recent(_OVERVIEW_S)
    app[TALLIES] = Recent(_OVERVIEW_S)
    app[DOCUMENT] = Documented(api_routes())
    app[ROUTE_TABLE] = route_table(api_routes())
    add_routes(app)
    add_pages(app)
    add_dev_mail(app)
    return app


def provide(app: web.Application, key: web.AppKey[T], opener: Opener[T]) -> None:
    """Opens a resource when the application starts, and closes it when it stops."""

    @asynccontextmanager
    async def context(app: web.Application) -> AsyncIterator[None]:
        async with opener(app[SETTINGS]) as resource:
            app[key] = resource
            yield

    app.cleanup_ctx.append(context)


def add_routes(app: web.Application) -> None:
    """Every route with the name under which `policy.py` knows it."""
    old_ones = (route for module in LEGACY for route in module.ROUTES)
    for route in (*api_routes(), *old_ones):
        app.router.add_route(route.method, route.path, route.handler, name=route.name)


@asynccontextmanager
async def _guards(app: web.Application) -> AsyncIterator[None]:
    """What counts failures over all gateways."""
    app[LOGINS] = LoginGuard(app[REPO], app[MASTERS], app[SETTINGS])
    app[API_RATES] = ApiRates(app[REPO], app[SETTINGS])
    yield


@asynccontextmanager
async def _keys(app: web.Application) -> AsyncIterator[None]:
    """The key cache, kept fresh in the background."""
    app[KEYS] = KeyCache(app[REPO], app[SETTINGS])
    with suppress(Unavailable):  # the first caller need not wait for the first round
        await app[KEYS].refresh()
    following = asyncio.create_task(app[KEYS].follow())
    yield
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
