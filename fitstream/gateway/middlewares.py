"""The one middleware: authenticate, check the policy, and turn an error into its answer."""

import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from fitstream.errors import (
    Conflict,
    FitstreamError,
    NotFound,
    Rejected,
    TooMany,
    Unavailable,
)
from fitstream.gateway import digest, policy, scoping, sessions
from fitstream.gateway.credentials import credential, principal_of
from fitstream.gateway.keys import DIGEST, KEYS, REPO, SETTINGS
from fitstream.gateway.principal import ANONYMOUS, PRINCIPAL, Principal
from fitstream.ids import new_id
from fitstream.logs import get
from fitstream.metrics import count, observe_latency

log = get(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SCHEMES = 'Bearer realm="fitstream", Basic realm="fitstream"'
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Outermost: nothing reaches a handler unauthenticated where its policy asks for more."""
    started = time.perf_counter()
    route = request.match_info.route.name or "unnamed"
    try:
        response = await _dispatch(request, route, handler)
    except web.HTTPException as error:
        if error.status < 400:
            raise  # a redirect is an answer, not a problem
        response = _http_problem(error)
    except FitstreamError as error:
        response = problem(error)
        _add_challenges(request, response, error)
    except TimeoutError:
        response = problem(Rejected("slow_body", "the body did not arrive in time", 408))
    except Exception:  # a bug: say so, and how to find it in the log
        request_id = new_id("req")
        log.exception("request_failed", route=route, request_id=request_id)
        response = _problem(
            500, "internal", "something went wrong here", {"request_id": request_id}
        )
    count("http_responses", route=route, status=str(response.status))
    observe_latency(route, time.perf_counter() - started)
    return response


async def _dispatch(request: web.Request, route: str, handler: Handler) -> web.StreamResponse:
    """Pages of administrators guard themselves (a redirect, not a problem); all else by policy."""
    unrouted = request.match_info.http_exception is not None
    if not unrouted and not route.startswith("admin:"):
        principal = await _principal(request)
        request[PRINCIPAL] = principal
        policy.check(route, principal, request.match_info.get("customer"))
        await scoping.check_path(request, principal)
    return await handler(request)


async def _principal(request: web.Request) -> Principal:
    header = request.headers.get("Authorization")
    if header is None:
        return ANONYMOUS
    if header[:7].lower() == "digest ":
        return await _by_digest(request, header)
    text = credential(header)
    if text is None:
        raise Rejected("unauthorized", "use `Authorization: Bearer <key>`, Basic or Digest", 401)
    if not text.startswith(sessions.PREFIX):
        return await request.app[KEYS].find(text)
    now = datetime.now(UTC)
    session = await sessions.find_session(request.app[REPO], text, now, request.app[SETTINGS])
    if session is None:
        raise Rejected("unauthorized", "the session has ended; log in again", 401)
    return session


async def _by_digest(request: web.Request, header: str) -> Principal:
    """Random keys only: people have no HA1 here."""
    given = digest.parse(header)
    row = await request.app[KEYS].live_key(given.key_id)
    if row is None or row.ha1 is None:
        raise digest.refused()
    asked = (request.method, request.raw_path)
    request.app[DIGEST].check(given, row.ha1, asked, datetime.now(UTC))
    return principal_of(row)


def _add_challenges(request: web.Request, response: web.Response, error: FitstreamError) -> None:
    """How to authenticate, after a 401: Digest first, as some clients read only the first."""
    if response.status != 401:
        return
    is_stale = isinstance(error, Rejected) and error.code == digest.STALE
    challenge = request.app[DIGEST].challenge(datetime.now(UTC), stale=is_stale)
    response.headers["WWW-Authenticate"] = challenge
    response.headers.add("WWW-Authenticate", _SCHEMES)


def problem(error: FitstreamError) -> web.Response:
    """An error kind as application/problem+json (RFC 9457)."""
    match error:
        case Rejected():
            return _problem(error.status, error.code, error.message, error.extra)
        case NotFound():
            return _problem(404, "not_found", str(error))
        case Conflict():
            known: dict[str, object] = {"id": error.existing_id} if error.existing_id else {}
            return _problem(409, error.code, error.message, known)
        case TooMany():
            return _problem(429, "too_many_requests", str(error), after_s=error.retry_after_s)
        case Unavailable():
            return _problem(503, "unavailable", str(error), after_s=error.retry_after_s)
    return _problem(500, "internal", "something went wrong here")


def _http_problem(error: web.HTTPException) -> web.Response:
    codes = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
    code = codes.get(error.status, "bad_request")
    detail = "the body is larger than allowed" if error.status == 413 else error.reason
    response = _problem(error.status, code, detail)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _problem(
    status: int,
    code: str,
    detail: str,
    extra: dict[str, object] | None = None,
    after_s: float | None = None,
) -> web.Response:
    body = {
        "type": f"urn:fitstream:{code}",
        "title": code.replace("_", " "),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": new_id("req"),
        **(extra or {}),
    }
    headers = dict(SECURITY_HEADERS)
    if status == 401:
        headers["WWW-Authenticate"] = _SCHEMES
    if after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(after_s)))
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )
