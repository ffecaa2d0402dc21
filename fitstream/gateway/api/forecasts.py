"""Forecasts of one customer: the latest, what it rests on, those of the past, and a new one."""

import re
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from fitstream.client import data, forecasts, operations
from fitstream.clock import slot_start
from fitstream.errors import NotFound, Rejected
from fitstream.gateway.api.answers import after, answer, limit, now, page, without
from fitstream.gateway.api.training import TARGETS
from fitstream.gateway.keys import REPO, STORE
from fitstream.gateway.recording import about_customer
from fitstream.gateway.routes import Route
from fitstream.repo import customers, jobs, models
from fitstream.repo import forecasts as rows
from fitstream.repo.forecasts import HORIZONS, Horizon, Issue, PastForecast
from fitstream.repo.jobs import NewJob

_ID = re.compile(r"(\d{8}T\d{12})-(96|672|today)")
_STAMP = "%Y%m%dT%H%M%S%f"
_ASKED_EVERY_S = 60


async def forecast_latest(request: web.Request) -> web.Response:
    """The latest forecast of one target: quantiles and mean per slot, and what it rests on."""
    target, horizon = _of(request)
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        found = await rows.latest_forecast(db, customer.customer_no, target, horizon)
    hidden = ("week", "version", "quantiles", "start_slot", "data_through", "explanation")
    return answer(
        without(found, *hidden)
        | {
            "id": id_of(found.issued_at, found.horizon),
            "based_on": _based_on(found.week, found.version),
            "data_through": slot_start(found.data_through),
            "items": items_of(found.start_slot, found.quantiles),
        }
    )


async def forecast_explained(request: web.Request) -> web.Response:
    """The past days that the latest forecast of a target rests on, with the weights it used."""
    target, horizon = _of(request)
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        found = await rows.latest_forecast(db, customer.customer_no, target, horizon)
    shown = ("target", "horizon", "issued_at", "model_id", "basis")
    about = {name: getattr(found, name) for name in shown}
    return answer(about | {"items": found.explanation})


async def list_forecasts(request: web.Request) -> web.Response:
    """What was issued of one target and horizon, newest first."""
    target, horizon = _of(request)
    count, before = limit(request), after(request, datetime)
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        of = (target, horizon)
        found = await rows.past_forecasts(db, customer.customer_no, of, before, count)
    following = found[-1].issued_at if len(found) == count else None
    return page([_issued(each, target) for each in found], following)


async def get_forecast(request: web.Request) -> web.Response:
    target, _ = _of(request)
    return await read_forecast(request, request.match_info["forecast"], target)


async def read_forecast(request: web.Request, wanted: str, target: str) -> web.Response:
    """A forecast as it was issued, from the history in S3; raises NotFound."""
    found, kind, stored = await _stored(request, wanted, target)
    return answer(_as_issued(found, stored, (target, kind)))


async def get_explanation(request: web.Request) -> web.Response:
    target, _ = _of(request)
    return await read_explanation(request, request.match_info["forecast"], target)


async def read_explanation(request: web.Request, wanted: str, target: str) -> web.Response:
    """What a forecast rested on when it was issued; nothing for those before there were
    explanations. Raises NotFound."""
    found, _, stored = await _stored(request, wanted, target)
    about = {
        "target": target,
        "horizon": found.horizon,
        "issued_at": found.issued_at,
        "model_id": found.model_id,
        "basis": stored["basis"],
    }
    return answer(about | {"items": stored.get("explanation", [])})


async def _stored(
    request: web.Request, wanted: str, target: str
) -> tuple[Issue, str, dict[str, Any]]:
    """An issue, the kind of its model, and what its object says of the target. Raises NotFound,
    also where the object is damaged."""
    issued_at, horizon = _issue_of(wanted)
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        found = await rows.get_issue(db, customer.customer_no, horizon, issued_at)
        model = await models.get_model(db, found.model_id)
    try:
        body = await request.app[STORE].get(found.object_key)
        stored = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotFound(f"an undamaged object of forecast {wanted}") from error
    if target not in stored.get("targets", {}):
        raise NotFound(f"a forecast of {target} in {wanted}")
    return found, model.kind, stored["targets"][target]


async def make_forecasts(request: web.Request) -> web.Response:
    """Asks for the next day and the next week now; a repeat within a minute is the same job."""
    minute = int(now(request).timestamp()) // _ASKED_EVERY_S
    async with request.app[REPO].transaction() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        new = NewJob(
            kind="forecast",
            queue="forecast",
            dedupe_key=f"forecast:asked:{customer.id}:{minute}",
            payload={"customers": [customer.customer_no], "horizons": ["96", "672"]},
            programme_no=customer.programme_no,
            customer_no=customer.customer_no,
        )
        job_id = await jobs.insert_job(db, new)
        await about_customer(db, request, "forecast.asked", customer)
    return answer({"job": job_id}, 202)


def id_of(issued_at: datetime, horizon: str) -> str:
    """How a forecast of a customer is called: when it was issued, and how far it looks."""
    return f"{issued_at.astimezone(UTC):{_STAMP}}-{horizon}"


def items_of(start: int, quantiles: list[list[float]]) -> list[dict[str, Any]]:
    """Quantiles and mean by the instant of their slot."""
    return [
        {
            "slot": slot_start(start + i),
            **dict(zip(("q10", "q50", "q90", "mean"), row, strict=True)),
        }
        for i, row in enumerate(quantiles)
    ]


def _of(request: web.Request) -> tuple[str, Horizon]:
    """Target and horizon of the query. Raises Rejected."""
    target = request.query.get("target") or "steps"
    if target not in TARGETS:
        raise Rejected("bad_target", f"`target` is one of {', '.join(TARGETS)}")
    horizon = request.query.get("horizon") or "96"
    if horizon not in HORIZONS:
        raise Rejected("bad_horizon", f"`horizon` is one of {', '.join(HORIZONS)}")
    return target, horizon


def _issue_of(text: str) -> tuple[datetime, str]:
    """Instant and horizon of an id; raises NotFound."""
    found = _ID.fullmatch(text)
    if found is None:
        raise NotFound(f"forecast {text}")
    try:
        return datetime.strptime(found[1], _STAMP).replace(tzinfo=UTC), found[2]
    except ValueError as error:
        raise NotFound(f"forecast {text}") from error


def _based_on(week: str | None, version: int | None) -> dict[str, Any] | None:
    return {"week": week, "version": version} if week else None


def _issued(found: PastForecast, target: str) -> dict[str, Any]:
    score = None
    if found.slots and found.scored_at is not None:
        below, above = (found.below or 0) / found.slots, (found.above or 0) / found.slots
        score = {
            "wql": found.wql,
            "coverage": 1 - below - above,
            "below_q10": below,
            "above_q90": above,
            "slots": found.slots,
            "scored_at": found.scored_at,
        }
    return {
        "id": id_of(found.issued_at, found.horizon),
        "target": target,
        "horizon": found.horizon,
        "issued_at": found.issued_at,
        "model_id": found.model_id,
        "based_on": _based_on(found.week, found.version),
        "data_through": slot_start(found.data_through),
        "from": slot_start(found.start_slot),
        "to": slot_start(found.end_slot),
        "score": score,
    }


def _as_issued(found: Issue, stored: dict[str, Any], about: tuple[str, str]) -> dict[str, Any]:
    target, kind = about
    return {
        "id": id_of(found.issued_at, found.horizon),
        "target": target,
        "horizon": found.horizon,
        "issued_at": found.issued_at,
        "model_id": found.model_id,
        "model_kind": kind,
        "basis": stored["basis"],
        "based_on": _based_on(found.week, found.version),
        "data_through": slot_start(found.data_through),
        "items": items_of(found.start_slot, stored["rows"]),
        "totals": stored.get("totals", []),
    }


ROUTES = (
    Route(
        "GET", "/v1/customers/{customer}/forecasts/latest", forecast_latest, "forecast_latest",
        gives=data.Forecast, query=("target", "horizon"), problems=(400,),
        tag="models", summary="Read the latest forecast of a target",
    ),
    Route(
        "GET", "/v1/customers/{customer}/forecasts/latest/explanation", forecast_explained,
        "forecast_explained",
        gives=forecasts.Explained, query=("target", "horizon"), problems=(400,),
        tag="models", summary="Read what the latest forecast of a target rests on",
    ),
    Route(
        "GET", "/v1/customers/{customer}/forecasts", list_forecasts, "forecasts",
        gives=data.Items[forecasts.IssuedForecast], query=("target", "horizon", "after", "limit"),
        problems=(400,),
        tag="models", summary="List forecasts that were issued, newest first",
    ),
    Route(
        "GET", "/v1/customers/{customer}/forecasts/{forecast}", get_forecast, "past_forecast",
        gives=data.Forecast, query=("target",), problems=(400,),
        tag="models", summary="Read a forecast as it was issued",
    ),
    Route(
        "GET", "/v1/customers/{customer}/forecasts/{forecast}/explanation", get_explanation,
        "past_forecast_explained",
        gives=forecasts.Explained, query=("target",), problems=(400,),
        tag="models", summary="Read what a forecast rested on when it was issued",
    ),
    Route(
        "POST", "/v1/customers/{customer}/forecasts", make_forecasts, "make_forecasts",
        gives=operations.JobAsked, status=202,
        tag="models", summary="Make a customer's forecasts now",
    ),
)  # fmt: skip
