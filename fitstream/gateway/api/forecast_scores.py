"""How good forecasts were of late: per model, target, horizon and part of the day, and drift."""

from datetime import timedelta
from typing import Any

from aiohttp import web

from fitstream.client import forecasts
from fitstream.clock import slot_of, slot_start
from fitstream.errors import Rejected
from fitstream.gateway.api.answers import answer, now, without
from fitstream.gateway.keys import REPO
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import within
from fitstream.repo import forecasts as rows
from fitstream.repo.forecasts import DayScore, LeadScore, PartScore

_DAYS, _DAYS_MAX = 28, 400
_PART_HOURS = 4


async def forecast_scores(request: web.Request) -> web.Response:
    """Scores of the forecasts that ended in the last days, and what was found of the champions."""
    start = slot_of(now(request) - timedelta(days=_days(request)))
    only = (request.query.get("model") or None, request.query.get("target") or None)
    seen = within(request)
    async with request.app[REPO].connection() as db:
        parts = await rows.part_scores(db, seen, only, start)
        leads = await rows.lead_scores(db, seen, only, start)
        days = await rows.day_scores(db, seen, only, start)
        drifts = await rows.drifts(db, seen)
    return answer(
        {
            "since": slot_start(start),
            "items": [_part(each) for each in parts],
            "leads": [_shares(each) for each in leads],
            "totals": [_total(each) for each in days],
            "drift": [without(each, "job_id") | {"job": each.job_id} for each in drifts],
        }
    )


def _days(request: web.Request) -> int:
    text = request.query.get("days") or str(_DAYS)
    days = int(text) if text.isascii() and text.isdecimal() and len(text) <= 3 else 0
    if not 1 <= days <= _DAYS_MAX:
        raise Rejected("bad_days", f"`days` must be a number from 1 to {_DAYS_MAX}")
    return days


def _part(found: PartScore) -> dict[str, Any]:
    first = found.part * _PART_HOURS
    return _shares(found) | {"part": f"{first:02}-{first + _PART_HOURS:02}"}


def _shares(found: PartScore | LeadScore) -> dict[str, Any]:
    """Ratios of its sums."""
    below, above = (
        each / found.slots if found.slots else None for each in (found.below, found.above)
    )
    return {
        **without(found, "loss", "size", "below", "above"),
        "wql": found.loss / found.size if found.size > 0 else None,
        "coverage": None if below is None or above is None else 1 - below - above,
        "below_q10": below,
        "above_q90": above,
    }


def _total(found: DayScore) -> dict[str, Any]:
    return without(found, "days_inside") | {"inside": found.days_inside}


ROUTES = (
    Route(
        "GET", "/v1/forecast-scores", forecast_scores, "forecast_scores",
        gives=forecasts.ForecastScores, query=("model", "target_only", "days"), problems=(400,),
        tag="models", summary="Read how good forecasts were of late",
    ),
)  # fmt: skip
