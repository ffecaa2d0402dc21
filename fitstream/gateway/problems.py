"""Errors as application/problem+json (RFC 9457), and every code with what it means to a caller.

A test reads the sources: a code that is raised and not listed here fails.
"""

import math

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
from fitstream.ids import new_id

PROBLEM = "application/problem+json"


SCHEMES = 'Bearer realm="fitstream", Basic realm="fitstream"'
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_HTTP_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "slow_body",
    413: "body_too_large",
    415: "unsupported_type",
    431: "headers_too_large",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What an error says; a kind may add fields of its own beside these."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


CODES: dict[str, tuple[tuple[int, ...], str]] = {
    "unreadable": ((400,), "the body is not what its headers say, or no JSON"),
    "bad_cursor": ((400,), "`after` is not a cursor of this list"),
    "bad_limit": ((400,), "`limit` is out of its range"),
    "bad_filter": (
        (400,),
        "a query parameter that the route has not, or a value that it cannot have",
    ),
    "bad_range": ((400,), "a time or day cannot be read, or the range is turned round"),
    "bad_target": ((400,), "there is no forecast of such a target"),
    "bad_horizon": ((400,), "no forecast looks so far"),
    "bad_days": ((400,), "a number of days that cannot be looked back"),
    "bad_batch": ((400,), "the batch id cannot be one"),
    "bad_trace": ((400,), "a trace is by batch, or by customer and slot"),
    "bad_week": ((400,), "write weeks like 2026-W47"),
    "no_condition": ((400,), "the route changes nothing that `If-Match` could name"),
    "bad_key": ((400,), "`Idempotency-Key` is 1 to 255 visible characters"),
    "bad_request": ((400,), "the request is no HTTP that can be understood"),
    "authorization_pending": ((400,), "nobody has approved this device yet; ask again"),
    "slow_down": ((400,), "ask less often: `interval` has grown by five seconds"),
    "access_denied": ((400,), "the person has turned this device away"),
    "expired_token": ((400,), "the device code has expired or was used; begin again"),
    "unknown_zone": ((400,), "not an IANA time zone"),
    "bad_client": ((422,), "an OAuth client cannot be registered like this; `detail` says why"),
    "bad_authorization": ((422,), "what the program asks is not valid; `detail` says why"),
    "insufficient_scope": ((403,), "the key or token lacks the scope that `detail` names"),
    "own_account": ((409,), "somebody else must change your rights"),
    "public_client": ((409,), "a public client has no secret"),
    "unauthorized": ((401,), "no credential, or one that is unknown, wrong, revoked or has ended"),
    "stale_nonce": ((401,), "the Digest nonce has expired or was used; answer the new one"),
    "wrong_credentials": ((401,), "the e-mail or password is wrong"),
    "second_factor_required": ((401,), "the password is right; send a code with the `challenge`"),
    "wrong_code": ((401,), "the code is wrong or was used, or the log-in took too long"),
    "forbidden": ((403,), "this caller may not call this route"),
    "second_factor_missing": ((403,), "set up the second factor of this account first"),
    "registration_closed": ((403,), "this programme takes invited people only"),
    "inactive": ((403,), "this account may not log in"),
    "device_mismatch": ((403,), "the key posts for another device"),
    "not_found": ((404,), "there is no such thing, or the caller may not know that there is"),
    "unknown_code": ((404,), "the pairing code is not known; it may have expired"),
    "method_not_allowed": ((405,), "the header `Allow` has the methods of this path"),
    "not_acceptable": ((406,), "`Accept` leaves out what this route answers with"),
    "slow_body": ((408,), "the body did not arrive in time"),
    "exists": ((409,), "the name is taken; `id` has it"),
    "done": ((409,), "the job has ended already"),
    "not_failed": ((409,), "only a job that failed or was cancelled can be retried"),
    "device_removed": ((409,), "the device was removed; add a new one"),
    "too_many_devices": ((409,), "remove a device that is not used any more"),
    "not_parked": ((409,), "the dead letter was settled already"),
    "not_invitable": ((409,), "no address, a log-in already, or deactivated; `detail` says which"),
    "not_invited": ((409,), "the invitation was withdrawn"),
    "factor_is_on": ((409,), "the second factor is set up; remove it first"),
    "no_factor": ((409,), "set up a second factor first"),
    "answer_sealed": ((409,), "the call was carried out, its answer can no longer be opened"),
    "in_flight": ((409,), "a call with this key is under way; ask again after `Retry-After`"),
    "changed": ((412,), "the resource is not what `If-Match` names; read it again"),
    "body_too_large": ((413,), "the body is larger than allowed; send it in parts"),
    "too_many_rows": ((413,), "too many rows in one post; send the rest in another"),
    "unsupported_type": ((415,), "the body is of a media type that the route does not read"),
    "unsupported_encoding": ((415,), "send the body plain or as gzip"),
    "invalid": ((422,), "a field is wrong; `detail` names it"),
    "bad_value": ((422,), "a value that cannot be stored or looked for"),
    "nothing_acceptable": ((422,), "every row was refused; `rejected` says why"),
    "empty": ((422,), "the post has neither rows nor `complete_through`"),
    "key_reused": ((422,), "this `Idempotency-Key` was used for another call"),
    "unknown_field": ((400, 422), "a field or column that does not exist"),
    "unknown_column": ((400,), "the first line of a list names the columns"),
    "missing_field": ((400, 422), "a field or column that must be there"),
    "out_of_range": ((400, 422), "a number outside its range"),
    "undecodable": ((422,), "the dead letter cannot be read"),
    "unknown_device": ((422,), "the dead letter's device does not exist"),
    "erased": ((422,), "the dead letter's customer or device was erased; discard it"),
    "unwritable": ((422,), "the ledger refuses the dead letter's rows"),
    "weak_password": ((422,), "too short, too long or too common"),
    "wrong_password": ((422,), "the own password, asked for again, is wrong"),
    "bad_picture": ((422,), "no JPEG, PNG or WebP, damaged, or too large when unpacked"),
    "model_flagged": ((409,), "the model has seen the data of people who consent no more"),
    "base_retired": ((409,), "the customer's model rests on another one than the programme's"),
    "not_serving": ((409,), "only a champion can be rolled back"),
    "no_earlier_model": ((409,), "no model that served before may serve again"),
    "wrong_state": ((409,), "the upload is in another state than that needs"),
    "file_too_large": ((413, 422), "the file, or what it inflates to, is larger than allowed"),
    "too_many_columns": ((422,), "the file has too many columns"),
    "bad_mapping": ((422,), "the mapping does not fit the file; `column` names where"),
    "bad_format": ((422,), "the file is not of the format that it is said to have"),
    "too_many_requests": ((429,), "slow down; wait `Retry-After` seconds"),
    "headers_too_large": ((431,), "the request line or a header is too long"),
    "internal": ((500,), "a bug here; report the `request_id`"),
    "unavailable": ((503,), "something behind did not answer in time; try again"),
}


def codes_of(status: int) -> dict[str, str]:
    """The codes that an answer of that status may carry, and their meanings."""
    return {code: meaning for code, (statuses, meaning) in CODES.items() if status in statuses}


def problem(error: FitstreamError) -> web.Response:
    """An error kind as its answer."""
    match error:
        case Rejected():
            return make_problem(error.status, error.code, error.message, error.extra)
        case NotFound():
            return make_problem(404, "not_found", str(error))
        case Conflict():
            known: dict[str, object] = {"id": error.existing_id} if error.existing_id else {}
            return make_problem(409, error.code, error.message, known, error.retry_after_s)
        case TooMany():
            return make_problem(429, "too_many_requests", str(error), None, error.retry_after_s)
        case Unavailable():
            return make_problem(503, "unavailable", _away(error), None, error.retry_after_s)
    return make_problem(500, "internal", "something went wrong here")


def _away(error: Unavailable) -> str:
    """What is away, and what the caller does meanwhile."""
    wait_s = max(1, math.ceil(error.retry_after_s))
    return f"{error.told()}; keep your data, wait {wait_s} s, then send the same again"


def http_problem(error: web.HTTPException) -> web.Response:
    """What aiohttp refuses by itself, said as everything else is."""
    detail = "the body is larger than allowed" if error.status == 413 else error.reason
    response = make_problem(error.status, code_for(error.status), detail)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def code_for(status: int) -> str:
    """The code of a refusal that only has a status."""
    return _HTTP_CODES.get(status, "bad_request" if status < 500 else "internal")


def make_problem(
    status: int,
    code: str,
    detail: str,
    extra: dict[str, object] | None = None,
    after_s: float | None = None,
) -> web.Response:
    """The answer with `extra` beside its fields; `after_s` becomes Retry-After, at least 1."""
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
        headers["WWW-Authenticate"] = SCHEMES
    if after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(after_s)))
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type=PROBLEM, headers=headers
    )
