"""When devices are told to come back while Kafka is away: later the longer it is away, each at
another moment, so that they return over a while and not all at once."""

import random
import time

_LEAST_S = 2.0
_SPREAD_MAX_S = 300.0


class RetryLater:
    """The outage as one process sees it."""

    def __init__(self) -> None:
        self._since: float | None = None

    def failed(self, now: float | None = None) -> float:
        """Seconds that this device should wait; `now` is a monotonic time, by default the present.

        They lie between two and as many more as the outage has lasted, five minutes at most.
        """
        now = time.monotonic() if now is None else now
        if self._since is None:
            self._since = now
        return _LEAST_S + random.uniform(0, min(max(now - self._since, 1.0), _SPREAD_MAX_S))

    def worked(self) -> None:
        """A post was acknowledged: whatever outage there was is over."""
        self._since = None
