"""The session cookie of old clients that keep a jar instead of sending their token.

Only routes of `legacy/` look at it; `/v1` ignores cookies. It is SameSite=Strict, and a request
that changes something by it must not come from another site: a browser says where it comes from
(`Sec-Fetch-Site` or `Origin`), a client that says neither is no browser.
"""

from aiohttp import web

from fitstream import csrf
from fitstream.gateway.keys import SETTINGS
from fitstream.gateway.legacy.shapes import PREFIX

_SAFE = frozenset({"GET", "HEAD"})


def token_of(request: web.Request) -> str:
    """The token of the cookie, empty where there is none or the route is not for it.

    Raises Rejected(cross_site).
    """
    route = request.match_info.route.name or ""
    token = request.cookies.get(_name(request), "") if route.startswith(PREFIX) else ""
    if token and request.method not in _SAFE:
        csrf.check_origin(request.headers)
    return token


def keep(request: web.Request, response: web.Response, token: str, max_age_s: float) -> None:
    """Keeps the session where no script can read it."""
    response.set_cookie(
        _name(request),
        token,
        max_age=int(max_age_s),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="Strict",
    )


def forget(request: web.Request, response: web.Response) -> None:
    """Ends it."""
    keep(request, response, "", 0)


def _name(request: web.Request) -> str:
    return "__Host-fs_app" if _is_secure(request) else "fs_app"


def _is_secure(request: web.Request) -> bool:
    return request.app[SETTINGS].public_url.startswith("https://")
