"""Time, health, metrics, programmes, and the overview of every hop."""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from fitstream import metrics
from fitstream.client import data, operations
from fitstream.clock import slot_of
from fitstream.errors import FitstreamError, Unavailable
from fitstream.gateway.api.answers import answer, now
from fitstream.gateway.away_log import note_away
from fitstream.gateway.keys import OBSERVER, OVERVIEWS, PRODUCER, REPO, TALLIES
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import within
from fitstream.repo import pipeline, tally
from fitstream.repo.pipeline import LedgerCounts
from fitstream.repo.tally import Tally


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
        name: _said(result) if isinstance(result, BaseException) else "ok"
        for name, result in zip(checks, results, strict=True)
    }
    ready = all(text == "ok" for text in shown.values())
    return answer({"status": "ready" if ready else "waiting", **shown}, 200 if ready else 503)


def _said(error: BaseException) -> str:
    if not isinstance(error, Unavailable):
        return type(error).__name__
    note_away(error, "readyz")
    return error.told()


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
    """What GET /v1/pipeline answers, and the overview page shows; docs/api.md says how old."""
    mine = within(request)
    key = None if mine is None else tuple(mine)
    repo, at = request.app[REPO], now(request)
    counted = await request.app[TALLIES].get(key, lambda: tally.count_all(repo, at, mine))
    fresh = await request.app[OVERVIEWS].get(key, lambda: _fresh(request, mine))
    people, things = counted.people, counted.things
    return fresh | {
        "counted_at": counted.at,
        "customers": {
            "total": people.total, "seen_1h": people.seen_1h, "seen_24h": people.seen_24h,
        },
        "devices": {"total": things.devices},
        "ledger": _ledger(fresh["ledger"], counted),
        "weeks": counted.weeks,
        "jobs": counted.jobs._asdict(),
        "forecasts": things.forecasts,
        "forecast_customers": things.forecast_customers,
    }  # fmt: skip


async def _fresh(request: web.Request, mine: list[int] | None) -> dict[str, Any]:
    """What costs next to nothing to ask."""
    async with request.app[REPO].connection() as db:
        ledger = await pipeline.ledger_counts(db) if mine is None else None
        others = await pipeline.other_counts(db, mine)
        champion = await pipeline.newest_champion(db, mine)
    return {
        "at": now(request),
        "kafka": await _kafka(request),
        "ledger": ledger,
        "dead_letters": others.dead_letters,
        "models": {"total": others.models, "champion": champion},
        "training_runs": others.training_runs,
    }


def _ledger(found: LedgerCounts | None, counted: Tally) -> dict[str, Any]:
    """The ledger's figures; of some programmes what is known by customer."""
    rows = counted.people.rows
    known = found or LedgerCounts(0, rows, rows, 0, counted.newest_at)
    unchanged = known.samples - known.inserted - known.updated
    return msgspec.structs.asdict(known) | {"unchanged": unchanged, "rows": rows}


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
