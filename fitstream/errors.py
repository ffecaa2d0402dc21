"""The kinds of failure that domain code raises; anything else is a bug.

Must not know about HTTP, topics or exit codes: `gateway/middlewares.py`, the consumer loop and
`cli.py` each turn a kind into their own answer.
"""

import math


class FitstreamError(Exception):
    """Root of the kinds; never raised itself."""


class Rejected(FitstreamError):
    """The input is wrong and stays wrong: answered 4xx or parked, never retried.

    `code` is stable and meant for programs, `message` says what to do. `status` is the HTTP
    status a gateway answers with (400 unless the contract names another), `extra` goes beside
    them into the answer.
    """

    def __init__(
        self, code: str, message: str, status: int = 400, extra: dict[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.extra = extra or {}


class NotFound(FitstreamError):
    """What was asked for does not exist, or the caller may not know that it does."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was not found")
        self.what = what


class Conflict(FitstreamError):
    """The state moved on: a lost compare-and-set, or a taken name (`existing_id` has it).

    With `retry_after_s` it is only for now: the same call may succeed then.
    """

    def __init__(
        self,
        code: str,
        message: str,
        existing_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.existing_id = existing_id
        self.retry_after_s = retry_after_s


_AWAY = " is not available"


class Unavailable(FitstreamError):
    """Something outside did not answer in time; the same call may succeed later."""

    def __init__(self, service: str, message: str = "", retry_after_s: float = 5.0) -> None:
        super().__init__(f"{service}{_AWAY}{': ' + message if message else ''}")
        self.service = service
        self.retry_after_s = retry_after_s

    def told(self) -> str:
        """What strangers may read: another program's error names addresses, so it stays here."""
        return str(self) if self.__cause__ is None else f"{self.service}{_AWAY}"


class TooMany(FitstreamError):
    """The caller asks more often than allowed; it may ask again after `retry_after_s`."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"that was tried too often; wait {_span(retry_after_s)}, then try again")
        self.retry_after_s = retry_after_s


class Halted(FitstreamError):
    """Going on would break the promise (a lost topic, a restored database): a person decides.

    `code` is stable and leads to a section of the runbook in docs/reliability.md.
    """

    def __init__(self, message: str, code: str = "halted") -> None:
        super().__init__(message)
        self.code = code


def _span(seconds: float) -> str:
    """A wait in whole seconds, or minutes: never shorter than it is."""
    whole = max(1, math.ceil(seconds))
    count, unit = (whole, "second") if whole < 120 else (math.ceil(whole / 60), "minute")
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def told_of(text: str) -> str:
    """What strangers may read of an error's text that was kept: of an outage the service alone."""
    service, is_away, _ = text.partition(_AWAY)
    return service + is_away
