"""`WWW-Authenticate`: how to authenticate, and what was wrong with a token (RFC 6750, 3)."""

from typing import Final

from fitstream.errors import FitstreamError, Rejected
from fitstream.gateway import policy

REALM: Final = 'realm="fitstream"'
BASIC = f"Basic {REALM}"
_REASONS = {
    401: {"unauthorized": "invalid_token"},
    403: {"insufficient_scope": "insufficient_scope"},
}


def bearer(error: FitstreamError, authorization: str, route: str) -> str | None:
    """The challenge for a token, after a 401 and after a 403 that another token would not get.

    Who sent no token is told no reason: it says nothing about one. None where a challenge does not
    belong.
    """
    if not isinstance(error, Rejected):
        return None
    has_token = authorization[:7].lower() == "bearer "
    reason = _REASONS.get(error.status, {}).get(error.code) if has_token else None
    if reason is None:
        return f"Bearer {REALM}" if error.status == 401 else None
    fields = [REALM, f'error="{reason}"', f'error_description="{_quotable(error.message)}"']
    rule = policy.POLICY.get(route)
    if error.status == 403 and rule is not None and rule.scope is not None:
        fields.append(f'scope="{rule.scope}"')
    return "Bearer " + ", ".join(fields)


def _quotable(text: str) -> str:
    """What may stand in `error_description`: ASCII without quotes and backslashes."""
    plain = text.replace("`", "'").replace('"', "'").replace("\\", "/").replace("…", "...")
    return "".join(mark for mark in plain if " " <= mark <= "~")
