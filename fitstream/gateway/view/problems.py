"""Every kind of error as a page: what went wrong and what to do next. Pure."""

from typing import NamedTuple

import msgspec

from fitstream.errors import Conflict, FitstreamError, NotFound, Rejected, TooMany, Unavailable
from fitstream.gateway.view.words import capital, sentence_of

_SERVICES = {
    "postgres": "The database",
    "kafka": "Kafka",
    "s3": "The archive",
    "the API": "Our service",
}
_OUR_FAULT = "This is our fault, not yours. Try again; if it stays, tell us the number below."
_CLOSED = (
    "This account may not see this page, or not do what was asked. An administrator of your"
    " programme can give it the right."
)
_UNFIT = "This address asks for something that its list does not have. Open the list anew."


class ErrorPage(msgspec.Struct, frozen=True):
    """What went wrong, what to do next, and how to find it in the log."""

    title: str
    text: str
    home: str
    request_id: str = ""


class Problem(NamedTuple):
    """A page, its status and the headers that go with it."""

    page: ErrorPage
    status: int
    headers: dict[str, str] = {}


def problem_of(error: FitstreamError, home: str) -> Problem:
    """An error kind in words; `home` is where the page's button leads."""
    match error:
        case NotFound():
            text = capital(f"{error}: it may have been removed, or the address has a typing error")
            return Problem(ErrorPage("Not found", text, home), 404)
        case Rejected(code="forbidden" | "insufficient_scope"):
            return Problem(ErrorPage("Not for this account", _CLOSED, home), error.status)
        case Rejected(code="bad_filter" | "bad_cursor" | "bad_limit"):
            return Problem(ErrorPage("That did not work", _UNFIT, home), error.status)
        case Rejected():
            return Problem(ErrorPage("That did not work", sentence_of(error), home), error.status)
        case Conflict():
            return Problem(ErrorPage("That did not work", capital(error.message), home), 409)
        case TooMany():
            text = capital(str(error))
            return Problem(ErrorPage("Too fast", text, home), 429, _after(error.retry_after_s))
        case Unavailable():
            service = _SERVICES.get(error.service, error.service.capitalize())
            text = f"{service} does not answer. Nothing is lost; try again shortly."
            shown = ErrorPage("Not available just now", text, home)
            return Problem(shown, 503, _after(error.retry_after_s))
    return Problem(ErrorPage("Something went wrong", capital(str(error)), home), 500)


def bug(home: str, request_id: str) -> Problem:
    """A bug: say so, and how to find it in the log."""
    return Problem(ErrorPage("Something went wrong", _OUR_FAULT, home, request_id), 500)


def _after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, round(seconds)))}
