"""Tokens that prove a form was ours, and the check of where a request came from.

Pure: the process that renders a form computes its token, and any process can check it. A token
belongs to one session; before login it belongs to a signed cookie instead.
"""

import base64
import hmac
import secrets
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import urlsplit

from fitstream.errors import Rejected

FIELD = "csrf"
_SEED_BYTES = 18


def token(secret_key: str, session: str) -> str:
    """The token of every form of `session`; stable, so that a second tab keeps working."""
    return _mac(secret_key, "form", session)


def is_token(secret_keys: tuple[str, ...], session: str, given: str) -> bool:
    """Whether `given` is the token of `session` under any key in use (two while rotating)."""
    return any(_same(token(key, session), given) for key in secret_keys if key)


def new_visitor(secret_key: str) -> str:
    """Value of the signed cookie that stands for a session before login."""
    seed = secrets.token_urlsafe(_SEED_BYTES)
    return f"{seed}.{_mac(secret_key, 'visitor', seed)}"


def is_visitor(secret_keys: tuple[str, ...], cookie: str) -> bool:
    """Whether we signed this cookie."""
    seed, _, given = cookie.partition(".")
    return any(_same(_mac(key, "visitor", seed), given) for key in secret_keys if key)


def check_origin(headers: Mapping[str, str]) -> None:
    """Raises Rejected(cross_site) for an unsafe request that another site caused.

    Sec-Fetch-Site decides where the browser sends it. Otherwise Origin must name our Host; a
    caller that sends neither is no browser, and the token decides alone.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        allowed = site in ("same-origin", "none")
    else:
        origin = headers.get("Origin")
        allowed = origin is None or _host_of(origin) == headers.get("Host")
    if not allowed:
        raise Rejected("cross_site", "this form was sent from another site; open it here", 403)


def check_token(secret_keys: tuple[str, ...], session: str, given: str) -> None:
    """Raises Rejected(stale_form) unless `given` is a token of `session`."""
    if not is_token(secret_keys, session, given):
        text = "this form has expired; go back, reload the page and send it again"
        raise Rejected("stale_form", text, 403)


def _host_of(origin: str) -> str | None:
    """Host and port of an origin, None for what is no address."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _mac(secret_key: str, purpose: str, value: str) -> str:
    """HMAC-SHA-256 under a key of its own per purpose, as URL-safe text."""
    key = hmac.digest(base64.b64decode(secret_key), f"fitstream csrf {purpose}".encode(), sha256)
    digest = hmac.digest(key, _bytes_of(value), sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(_bytes_of(one), _bytes_of(other))


def _bytes_of(text: str) -> bytes:
    """Any text as bytes, also what a header or a form held that is none."""
    return text.encode(errors="surrogatepass")
