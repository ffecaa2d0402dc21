"""What days came to as a whole, where that is all that was ever sent; shown beside the days."""

from datetime import date, timedelta
from typing import Any

from aiohttp import web

from fitstream.client import data
from fitstream.clock import local_day, slot_of
from fitstream.errors import Rejected
from fitstream.gateway.api.answers import after, day, limit, now, page, without
from fitstream.gateway.keys import REPO
from fitstream.gateway.routes import Route
from fitstream.repo import customers, daily
from fitstream.repo.daily import Stored

_DAYS_MAX = 400


def shown(summary: Stored) -> dict[str, Any]:
    """A summary as the API shows it: only what was said."""
    fields = without(summary, "origin")
    return {name: value for name, value in fields.items() if value is not None}


async def list_summaries(request: web.Request) -> web.Response:
    """Summaries of local days, both ends of the range included; by default the last seven days."""
    count, position = limit(request, _DAYS_MAX), after(request, tuple[date, str])
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        last = day(request, "to", local_day(slot_of(now(request)), customer.zone))
        first = day(request, "from", last - timedelta(days=6))
        if not 0 <= (last - first).days < _DAYS_MAX:
            raise Rejected("bad_range", f"`from` to `to` must be 1 to {_DAYS_MAX} days")
        span = (first, last)
        found = await daily.summaries_of(db, customer.customer_no, span, position, count)
    following = (found[-1].day, found[-1].provenance) if len(found) == count else None
    return page([shown(summary) for summary in found], following)


ROUTES = (
    Route(
        "GET", "/v1/customers/{customer}/daily-summaries", list_summaries, "daily_summaries",
        gives=data.Items[data.DailySummary], query=("from_day", "to_day", "after", "limit"),
        tag="samples",
        summary="Read what days came to, where only that was sent",
    ),
)  # fmt: skip
