"""GET /v1/trace: the way of one post or one slot, hop by hop."""

import asyncio
from datetime import datetime

from aiohttp import web

from fitstream.client.trace import Trace
from fitstream.clock import slot_of
from fitstream.errors import Rejected, Unavailable
from fitstream.gateway.api.answers import FIRST_YEAR, LAST_YEAR, answer
from fitstream.gateway.keys import REPO, SETTINGS, STORE
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import check_customer
from fitstream.operations.trace import Sources, trace_batch, trace_slot

_DEADLINE_S = 12


async def show_trace(request: web.Request) -> web.Response:
    """By `batch`, or by `customer` and `slot` and perhaps `device`."""
    sources = Sources(request.app[SETTINGS], request.app[REPO], request.app[STORE])
    try:
        async with asyncio.timeout(_DEADLINE_S):
            return answer(await _trace(request, sources))
    except TimeoutError:
        raise Unavailable("the trace", f"not found within {_DEADLINE_S} s") from None


async def _trace(request: web.Request, sources: Sources) -> Trace:
    batch = request.query.get("batch")
    if batch:
        found = await trace_batch(sources, batch)
        await _check_seen(request, {record.customer_id for record in found.records.items})
        return found
    customer, slot = request.query.get("customer"), request.query.get("slot")
    if not customer or not slot:
        raise Rejected("bad_trace", "name a `batch`, or a `customer` and a `slot`")
    await _check_seen(request, {customer})
    device = request.query.get("device") or None
    return await trace_slot(sources, customer, _number(slot), device)


async def _check_seen(request: web.Request, customer_ids: set[str]) -> None:
    """Raises NotFound for a customer of a programme that the caller does not see."""
    async with request.app[REPO].connection() as db:
        for customer_id in customer_ids:
            await check_customer(db, request[PRINCIPAL], customer_id)


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


ROUTES = (
    Route(
        "GET", "/v1/trace", show_trace, "trace",
        gives=Trace, query=("batch", "trace_customer", "trace_slot", "device"), problems=(404,),
        tag="operations", summary="Follow a post or a slot hop by hop",
    ),
)  # fmt: skip
