"""The gateway: ingest, API and the administrators' pages in one application."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TypeVar

from aiohttp import web

from fitstream.broker import Observer, Producer, open_observer, open_producer
from fitstream.gateway.admin.routes import add_pages
from fitstream.gateway.api import (
    customers,
    dead_letters,
    devices,
    jobs,
    people,
    readings,
    receipt_keys,
    samples_post,
    system,
    trace,
    training,
    weeks,
)
from fitstream.gateway.credentials import KeyCache
from fitstream.gateway.keys import (
    IN_FLIGHT,
    KEYS,
    LOGINS,
    OBSERVER,
    PRODUCER,
    RATES,
    REPO,
    SETTINGS,
    SIGNER,
    STORE,
)
from fitstream.gateway.limits import InFlight, RateLimiter
from fitstream.gateway.login_guard import LoginGuard
from fitstream.gateway.middlewares import guard
from fitstream.receipts import Signer
from fitstream.repo.database import Repo, open_repo
from fitstream.sealing import master_keys
from fitstream.settings import Settings
from fitstream.store import Store, open_store

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")
Opener = Callable[[Settings], AbstractAsyncContextManager[T]]


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
    app[SIGNER] = Signer(master_keys(settings))
    app[IN_FLIGHT] = InFlight(settings.in_flight_max_bytes)
    app[LOGINS] = LoginGuard()
    app[RATES] = RateLimiter(settings.ingest_rate_per_s, settings.ingest_burst)
    provide(app, REPO, repo)
    provide(app, PRODUCER, producer)
    provide(app, STORE, store)
    provide(app, OBSERVER, observer)
    app.cleanup_ctx.append(_keys)
    add_routes(app)
    add_pages(app)
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
    routes: list[tuple[str, str, Handler, str]] = [
        ("POST", "/v1/samples", samples_post.post_samples, "post_samples"),
        ("GET", "/.well-known/fitstream-keys", receipt_keys.receipt_keys, "receipt_keys"),
        ("GET", "/v1/time", system.time, "time"),
        ("GET", "/healthz", system.healthz, "healthz"),
        ("GET", "/readyz", system.readyz, "readyz"),
        ("GET", "/metrics", system.show_metrics, "metrics"),
        ("GET", "/v1/pipeline", system.show_pipeline, "pipeline"),
        ("GET", "/v1/trace", trace.show_trace, "trace"),
        ("GET", "/v1/programmes", system.list_programmes, "programmes"),
        ("POST", "/v1/auth/login", people.login, "login"),
        ("POST", "/v1/auth/logout", people.logout, "logout"),
        ("GET", "/v1/me", people.me, "me"),
        ("POST", "/v1/customers", customers.create_customer, "create_customer"),
        ("GET", "/v1/customers", customers.list_customers, "list_customers"),
        ("POST", "/v1/training-runs", training.create_run, "create_run"),
        ("GET", "/v1/training-runs", training.list_runs, "runs"),
        ("GET", "/v1/training-runs/{run}", training.get_run, "run"),
        ("GET", "/v1/models", training.list_models, "models"),
        ("GET", "/v1/models/{model}", training.get_model, "model"),
        ("GET", "/v1/jobs", jobs.list_jobs, "jobs"),
        ("GET", "/v1/jobs/{job}", jobs.get_job, "job"),
        ("POST", "/v1/jobs/{job}/cancel", jobs.cancel_job, "job_cancel"),
        ("POST", "/v1/jobs/{job}/retry", jobs.retry_job, "job_retry"),
        ("GET", "/v1/dead-letters", dead_letters.list_dead_letters, "letters"),
        ("GET", "/v1/dead-letters/{letter}", dead_letters.get_dead_letter, "letter"),
        ("POST", "/v1/dead-letters/{letter}/replay", dead_letters.replay, "letter_replay"),
        ("POST", "/v1/dead-letters/{letter}/discard", dead_letters.discard, "letter_discard"),
    ]
    of_customer: list[tuple[str, str, Handler, str]] = [
        ("GET", "", customers.get_customer, "get_customer"),
        ("PATCH", "", customers.patch_customer, "patch_customer"),
        ("PUT", "/account", customers.put_account, "put_account"),
        ("GET", "/devices", devices.list_devices, "list_devices"),
        ("POST", "/devices", devices.create_device, "create_device"),
        ("PATCH", "/devices/{device}", devices.patch_device, "patch_device"),
        ("DELETE", "/devices/{device}", devices.delete_device, "delete_device"),
        ("POST", "/devices/{device}/keys", devices.create_device_key, "create_device_key"),
        ("GET", "/samples", readings.list_samples, "samples"),
        ("GET", "/days", readings.list_days, "days"),
        ("GET", "/hours", readings.hours, "hours"),
        ("GET", "/weeks", weeks.list_weeks, "weeks"),
        ("GET", "/weeks/{week}", weeks.get_week, "week"),
        ("GET", "/weeks/{week}/slots", weeks.week_slots, "week_slots"),
        ("POST", "/weeks/{week}/roll", weeks.roll_week, "roll_week"),
        ("GET", "/weeks/{week}/versions/{version}/file", weeks.get_file, "week_file"),
        ("GET", "/forecasts/latest", training.forecast_latest, "forecast_latest"),
    ]
    for method, path, handler, name in routes:
        app.router.add_route(method, path, handler, name=name)
    for method, path, handler, name in of_customer:
        app.router.add_route(method, f"/v1/customers/{{customer}}{path}", handler, name=name)


@asynccontextmanager
async def _keys(app: web.Application) -> AsyncIterator[None]:
    """The key cache, kept fresh in the background."""
    app[KEYS] = KeyCache(app[REPO], app[SETTINGS])
    following = asyncio.create_task(app[KEYS].follow())
    yield
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
