"""The one middleware: authenticate, check the policy, and turn an error into its answer."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import ClientConnectionResetError, web

from fitstream.errors import (
    FitstreamError,
    Rejected,
    Unavailable,
)
from fitstream.gateway import challenges, digest, policy, scoping, second_factor_gate, sessions
from fitstream.gateway.away_log import note_away
from fitstream.gateway.credentials import credential, principal_of
from fitstream.gateway.exchange import exchange
from fitstream.gateway.keys import API_RATES, DIGEST, KEYS, REPO, SETTINGS
from fitstream.gateway.legacy import cookie
from fitstream.gateway.legacy.shapes import PREFIX, refusal
from fitstream.gateway.oauth.core import ACCESS_PREFIX
from fitstream.gateway.oauth.service import find_bearer
from fitstream.gateway.principal import ANONYMOUS, PRINCIPAL, Principal
from fitstream.gateway.problems import http_problem, make_problem, problem
from fitstream.ids import new_id
from fitstream.logs import get
from fitstream.metrics import count, observe_latency

log = get(__name__)
INGEST = "post_samples"  # limited per process: the hot path asks nobody
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
        response = http_problem(error)
    except FitstreamError as error:
        if isinstance(error, Unavailable):
            note_away(error, route)
        response = problem(error)
        _add_challenges(request, response, error, route)
    except TimeoutError:
        response = problem(Rejected("slow_body", "the body did not arrive in time", 408))
    except ClientConnectionResetError:
        raise  # whoever asked has left in the middle of the answer
    except Exception:  # a bug: say so, and how to find it in the log
        request_id = new_id("req")
        log.exception("request_failed", route=route, request_id=request_id)
        response = make_problem(
            500, "internal", "something went wrong here", {"request_id": request_id}
        )
    if route.startswith(PREFIX):
        response = refusal(response)
    count("http_responses", route=route, status=str(response.status))
    observe_latency(route, time.perf_counter() - started)
    return response


async def _dispatch(request: web.Request, route: str, handler: Handler) -> web.StreamResponse:
    """Pages of administrators guard themselves (a redirect, not a problem); all else by policy."""
    unrouted = request.match_info.http_exception is not None
    if not unrouted and not route.startswith("admin:"):
        own_way = policy.authenticates_itself(route)
        principal = ANONYMOUS if own_way else await _principal(request)
        request[PRINCIPAL] = principal
        policy.check(route, principal, request.match_info.get("customer"))
        if route != INGEST:
            await request.app[API_RATES].take(principal)
        await scoping.check_path(request, principal)
        await second_factor_gate.check(request, route, principal)
    return await exchange(request, route, handler)


async def _principal(request: web.Request) -> Principal:
    header = request.headers.get("Authorization") or cookie.token_of(request)
    if not header:
        return ANONYMOUS
    if header[:7].lower() == "digest ":
        return await _by_digest(request, header)
    text = credential(header)
    if text is None:
        raise Rejected("unauthorized", "use `Authorization: Bearer <key>`, Basic or Digest", 401)
    now = datetime.now(UTC)
    if text.startswith(ACCESS_PREFIX):
        return await _by_access_token(request, text, now)
    if not text.startswith(sessions.PREFIX):
        return await request.app[KEYS].find(text)
    session = await sessions.find_session(request.app[REPO], text, now, request.app[SETTINGS])
    if session is None:
        raise Rejected("unauthorized", "the session has ended; log in again", 401)
    return session


async def _by_access_token(request: web.Request, text: str, now: datetime) -> Principal:
    found = await find_bearer(request.app[REPO], text, now)
    if found is None:
        raise Rejected("unauthorized", "the access token has ended; refresh it", 401)
    return found


async def _by_digest(request: web.Request, header: str) -> Principal:
    """Random keys only: people have no HA1 here."""
    given = digest.parse(header)
    row = await request.app[KEYS].live_key(given.key_id)
    if row is None or row.ha1 is None:
        raise digest.refused()
    asked = (request.method, request.raw_path)
    request.app[DIGEST].check(given, row.ha1, asked, datetime.now(UTC))
    return principal_of(row)


def _add_challenges(
    request: web.Request, response: web.Response, error: FitstreamError, route: str
) -> None:
    """How to authenticate and what was wrong; Digest first, as some read only the first."""
    bearer = challenges.bearer(error, request.headers.get("Authorization", ""), route)
    found = [] if bearer is None else [bearer]
    if response.status == 401:
        is_stale = isinstance(error, Rejected) and error.code == digest.STALE
        first = request.app[DIGEST].challenge(datetime.now(UTC), stale=is_stale)
        found = [first, *found, challenges.BASIC]
    response.headers.popall("WWW-Authenticate", None)
    for challenge in found:
        response.headers.add("WWW-Authenticate", challenge)
