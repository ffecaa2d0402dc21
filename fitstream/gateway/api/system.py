"""Time, health, metrics, programmes, and the overview of every hop."""

import asyncio
from typing import Any

from aiohttp import web

from fitstream import metrics
from fitstream.client import data, operations
from fitstream.clock import slot_of
from fitstream.errors import FitstreamError, Unavailable
from fitstream.gateway.api.answers import answer, now
from fitstream.gateway.keys import OBSERVER, OVERVIEWS, PRODUCER, REPO
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import within
from fitstream.repo import jobs, pipeline, weeks


async def time(request: web.Request) -> web.Response:
    """The server's clock, for devices that do not trust their own."""
    at = now(request)
    return answer({"now": at, "slot": slot_of(at)})


async def healthz(_: web.Request) -> web.Response:
    """The process runs."""
    return answer({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """The process can do its work: Postgres and Kafka answer."""
    checks = {"postgres": request.app[REPO].ping(), "kafka": request.app[PRODUCER].ping()}
    results = await asyncio.gather(*checks.values(), return_exceptions=True)
    shown = {
        name: str(result) if isinstance(result, BaseException) else "ok"
        for name, result in zip(checks, results, strict=True)
    }
    ready = all(text == "ok" for text in shown.values())
    return answer({"status": "ready" if ready else "waiting", **shown}, 200 if ready else 503)


async def show_metrics(request: web.Request) -> web.Response:
    """Metrics of this process, and the lag of each group."""
    try:
        state = await request.app[OBSERVER].state()
        for group, lag in state.lag.items():
            metrics.set_lag(group, lag)
    except FitstreamError:
        pass  # metrics must not fail because Kafka does
    return web.Response(body=metrics.exposition(), content_type="text/plain", charset="utf-8")


async def show_pipeline(request: web.Request) -> web.Response:
    """Counts, lag and freshness per hop."""
    return answer(await overview(request))


async def overview(request: web.Request) -> dict[str, Any]:
    """What GET /v1/pipeline answers, and the overview page shows; counted every few seconds."""
    mine = within(request)
    key = None if mine is None else tuple(mine)
    return await request.app[OVERVIEWS].get(key, lambda: _counted(request, mine))


async def _counted(request: web.Request, mine: list[int] | None) -> dict[str, Any]:
    async with request.app[REPO].connection() as db:
        people = await pipeline.customer_counts(db, mine)
        ledger = await pipeline.ledger_counts(db, mine)
        others = await pipeline.other_counts(db, mine)
        champion = await pipeline.newest_champion(db, mine)
        counts = await weeks.week_counts(db, mine)
        states = await jobs.job_counts(db, mine)
    kafka = await _kafka(request)
    return {
        "at": now(request),
        "customers": people,
        "devices": {"total": others.devices},
        "kafka": kafka,
        "ledger": {
            "records": ledger.records,
            "samples": ledger.samples,
            "inserted": ledger.inserted,
            "updated": ledger.updated,
            "unchanged": ledger.samples - ledger.inserted - ledger.updated,
            "rows": ledger.rows,
            "newest_at": ledger.newest_at,
        },
        "weeks": counts,
        "jobs": {state: states.get(state, 0) for state in _JOB_STATES},
        "dead_letters": others.dead_letters,
        "models": {"total": others.models, "champion": champion},
        "training_runs": others.training_runs,
        "forecasts": others.forecasts,
        "forecast_customers": others.forecast_customers,
    }


_JOB_STATES = ("queued", "running", "waiting", "succeeded", "failed", "cancelled")


async def _kafka(request: web.Request) -> dict[str, Any] | None:
    """Records and lag, or null while Kafka does not answer."""
    try:
        state = await request.app[OBSERVER].state()
    except Unavailable:
        return None
    groups = {group: {"lag": lag} for group, lag in state.lag.items()}
    return {"records": state.records, "lag": sum(state.lag.values()), "groups": groups}


ROUTES = (
    Route(
        "GET", "/v1/time", time, "time",
        gives=data.ServerTime, tag="system", summary="Read the server's clock",
    ),
    Route(
        "GET", "/healthz", healthz, "healthz",
        gives=data.Health, is_tolerant=True, tag="system", summary="Whether the process runs",
    ),
    Route(
        "GET", "/readyz", readyz, "readyz",
        gives=data.Readiness, is_tolerant=True,
        tag="system", summary="Whether the process can do its work",
    ),
    Route(
        "GET", "/metrics", show_metrics, "metrics",
        writes="text/plain", is_tolerant=True,
        tag="system", summary="Metrics of this process for Prometheus",
    ),
    Route(
        "GET", "/v1/pipeline", show_pipeline, "pipeline",
        gives=operations.Pipeline, tag="operations",
        summary="Read counts, lag and freshness per hop",
    ),
)  # fmt: skip
