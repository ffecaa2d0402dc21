"""GET /v1/trace: the way of one post or one slot, hop by hop."""

import asyncio
from datetime import datetime

from aiohttp import web

from fitstream.client.trace import Trace
from fitstream.clock import slot_of
from fitstream.errors import Rejected, Unavailable
from fitstream.gateway.api.answers import FIRST_YEAR, LAST_YEAR, answer
from fitstream.gateway.keys import REPO, SETTINGS, STORE
from fitstream.gateway.routes import Route
from fitstream.operations.trace import Sources, trace_batch, trace_slot

_DEADLINE_S = 12


async def show_trace(request: web.Request) -> web.Response:
    """By `batch`, or by `customer` and `slot` and perhaps `device`."""
    sources = Sources(request.app[SETTINGS], request.app[REPO], request.app[STORE])
    try:
        async with asyncio.timeout(_DEADLINE_S):
            return answer(await _trace(request, sources))
    except TimeoutError as error:
        raise Unavailable("the trace", f"not found within {_DEADLINE_S} s") from error


async def _trace(request: web.Request, sources: Sources) -> Trace:
    batch = request.query.get("batch")
    if batch:
        return await trace_batch(sources, batch)
    customer, slot = request.query.get("customer"), request.query.get("slot")
    if not customer or not slot:
        raise Rejected("bad_trace", "name a `batch`, or a `customer` and a `slot`")
    device = request.query.get("device") or None
    return await trace_slot(sources, customer, _number(slot), device)


def _number(text: str) -> int:
    """The slot that an instant lies in. Raises Rejected(bad_range)."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Rejected("bad_range", "`slot` is not an RFC 3339 time") from error
    if found.tzinfo is None or not FIRST_YEAR < found.year < LAST_YEAR:
        text = f"`slot` needs its zone, and a year from {FIRST_YEAR} to {LAST_YEAR}"
        raise Rejected("bad_range", text)
    return slot_of(found)


ROUTES = (Route("GET", "/v1/trace", show_trace, "trace"),)
