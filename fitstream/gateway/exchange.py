"""What every route of the API has around its handler, so that no handler has to think of it.

Names of query parameters, `Accept`, `Idempotency-Key`, `If-Match`, `ETag` with `If-None-Match`, and
gzip. Pages have none of it. Must not know what a route does.
"""

from contextlib import suppress

from aiohttp import web

from fitstream.errors import Conflict, NotFound, Rejected, TooMany
from fitstream.gateway import etags, idempotency, parameters
from fitstream.gateway.bodies import read
from fitstream.gateway.compression import pack
from fitstream.gateway.idempotency import HEADER
from fitstream.gateway.keys import REPO, ROUTE_TABLE
from fitstream.gateway.openapi import is_keyed
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.problems import PROBLEM
from fitstream.gateway.routes import UNSAFE, Handler, Route
from fitstream.repo.database import Db, Isolation, Overtaken

_ATTEMPTS = 3
_NONE: dict[str, Route] = {}
_JUDGED = (Rejected, NotFound, Conflict, TooMany)


async def exchange(request: web.Request, name: str, handler: Handler) -> web.StreamResponse:
    """The answer of the route called `name`, with what HTTP asks for around it."""
    route = request.app.get(ROUTE_TABLE, _NONE).get(name)
    if route is None:
        return await handler(request)
    _check_accept(request, route)
    if not route.is_tolerant:
        parameters.check_names(request.query, route.query)
    parameters.check(request.query, route.query)
    response = await _changed(request, route, handler)
    if not isinstance(response, web.Response):
        return response
    if request.method == "GET":
        response = etags.tag(request, response)
    return await pack(request, response)


async def _changed(request: web.Request, route: Route, handler: Handler) -> web.StreamResponse:
    """The handler's answer, in one transaction with its condition and the keeping of it."""
    headers = request.headers
    has_key = HEADER in headers and is_keyed(route) and not route.keeps_itself
    conditions = _reader(request, route) if "If-Match" in headers else None
    if not has_key and conditions is None:
        return await handler(request)
    body = await read(request) if has_key else b""
    for _ in range(_ATTEMPTS):
        with suppress(Overtaken):  # judged anew: nothing of it is left
            return await _joined(request, handler, conditions, body if has_key else None)
    raise _changed_meanwhile()


def _reader(request: web.Request, route: Route) -> Route | None:
    """The route that reads what a change with `If-Match` is about; None for what only reads.

    Raises Rejected(no_condition) where there is none: a condition is never passed over.
    """
    if route.method not in UNSAFE:
        return None
    reader = request.app[ROUTE_TABLE].get(f"GET {route.changes}")
    if reader is None:
        text = "this route changes nothing that has an `ETag`; leave `If-Match` out"
        raise Rejected("no_condition", text)
    return reader


async def _joined(
    request: web.Request, handler: Handler, reader: Route | None, body: bytes | None
) -> web.StreamResponse:
    """One transaction: look for an earlier answer, check the condition, do it, keep the answer.

    What a handler refuses it has undone itself; what it did before refusing stays.
    """
    isolation: Isolation = "read_committed" if reader is None else "repeatable_read"
    refusal: Exception | None = None
    async with request.app[REPO].joined(isolation) as db:
        if body is None:
            call = None
        else:
            call = idempotency.keyed_call(request, request[PRINCIPAL], body)
            if (kept := await idempotency.take(db, call)) is not None:
                return idempotency.replayed(request, call, kept)
        try:
            if reader is not None:
                await _check_condition(request, reader)
            response = await handler(request)
        except _JUDGED as error:
            refusal = error
        else:
            await _keep(db, request, call, response)
    if refusal is not None:
        raise refusal
    return response


async def _keep(
    db: Db,
    request: web.Request,
    call: idempotency.KeyedCall | None,
    response: web.StreamResponse,
) -> None:
    if call is not None and isinstance(response, web.Response):
        await idempotency.keep(db, request, call, response)


async def _check_condition(request: web.Request, reader: Route) -> None:
    """Raises Rejected(changed) unless `If-Match` names the resource as it is now."""
    current = await reader.handler(request)
    body = current.body if isinstance(current, web.Response) else None
    if not isinstance(body, bytes):
        return
    etag = current.headers.get("ETag") or etags.etag_of(body)
    if not etags.matches(request.headers["If-Match"], etag):
        raise _changed_meanwhile()


def _changed_meanwhile() -> Rejected:
    text = "the resource is not what `If-Match` names; read it and try again"
    return Rejected("changed", text, 412)


def _check_accept(request: web.Request, route: Route) -> None:
    """Raises Rejected(not_acceptable) when `Accept` leaves out what the route answers with."""
    header = request.headers.get("Accept")
    if not header or not route.writes:
        return
    ranges = [one.partition(";")[0].strip().lower() for one in header.split(",")]
    kind = route.writes.partition("/")[0]
    if {"*/*", f"{kind}/*", route.writes, PROBLEM} & set(ranges):
        return
    text = f"this route answers {route.writes}; leave `Accept` out or name it there"
    raise Rejected("not_acceptable", text, 406)
