"""The session cookie of old clients that keep a jar instead of sending their token.

Only routes of `legacy/` look at it; `/v1` ignores cookies. It is SameSite=Strict, and a request
that changes something by it must not come from another site: a browser says where it comes from
(`Sec-Fetch-Site` or `Origin`), a client that says neither is no browser.
"""

from aiohttp import web

from fitstream import csrf
from fitstream.errors import Rejected
from fitstream.gateway import policy
from fitstream.gateway.keys import SETTINGS
from fitstream.gateway.legacy.shapes import PREFIX

_SAFE = frozenset({"GET", "HEAD"})


def token_of(request: web.Request) -> str:
    """The token of the cookie, empty where there is none or the route is not for it.

    Routes that are open to anyone do not look at it: who logs in again may have an old one.
    Raises Rejected(cross_site).
    """
    route = request.match_info.route.name or ""
    if not route.startswith(PREFIX) or "anyone" in policy.POLICY[route].who:
        return ""
    token = request.cookies.get(_name(request), "")
    if token and request.method not in _SAFE:
        csrf.check_origin(request.headers)
    return token


def keep(request: web.Request, response: web.Response, token: str, max_age_s: float) -> None:
    """Keeps the session where no script can read it.

    Another site may not log its visitors in as somebody else: it gets no cookie.
    """
    try:
        csrf.check_origin(request.headers)
    except Rejected:
        return
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
