"""What was away while calls were refused, for the operators' log: the callers are not told why."""

import time

from fitstream.errors import Unavailable
from fitstream.logs import get

log = get(__name__)
_EVERY_S = 10.0  # per service: an outage refuses thousands of calls a second
_last: dict[str, float] = {}


def note_away(error: Unavailable, route: str) -> None:
    """A line about the service, its error and a route that met it, unless there was one lately."""
    now = time.monotonic()
    if now - _last.get(error.service, -_EVERY_S) < _EVERY_S:
        return
    _last[error.service] = now
    log.warning("call_refused", service=error.service, route=route, error=str(error))
