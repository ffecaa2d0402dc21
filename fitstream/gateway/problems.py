"""Errors as application/problem+json (RFC 9457), and every code with what it means to a caller.

A test reads the sources: a code that is raised and not listed here fails.
"""

import msgspec

PROBLEM = "application/problem+json"


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
    "bad_filter": ((400,), "a filter has a value that it does not know"),
    "bad_range": ((400,), "a time or day cannot be read, or the range is turned round"),
    "bad_target": ((400,), "there is no forecast of such a target"),
    "bad_batch": ((400,), "the batch id cannot be one"),
    "bad_trace": ((400,), "a trace is by batch, or by customer and slot"),
    "bad_week": ((400,), "write weeks like 2026-W47"),
    "bad_key": ((400,), "`Idempotency-Key` is 1 to 255 visible characters"),
    "bad_request": ((400,), "the request is no HTTP that can be understood"),
    "unknown_zone": ((400,), "not an IANA time zone"),
    "unauthorized": ((401,), "no credential, or one that is unknown, wrong, revoked or has ended"),
    "wrong_credentials": ((401,), "the e-mail or password is wrong"),
    "forbidden": ((403,), "this caller may not call this route"),
    "device_mismatch": ((403,), "the key posts for another device"),
    "not_found": ((404,), "there is no such thing, or the caller may not know that there is"),
    "method_not_allowed": ((405,), "the header `Allow` has the methods of this path"),
    "not_acceptable": ((406,), "`Accept` leaves out what this route answers with"),
    "slow_body": ((408,), "the body did not arrive in time"),
    "exists": ((409,), "the name is taken; `id` has it"),
    "done": ((409,), "the job has ended already"),
    "not_failed": ((409,), "only a job that failed or was cancelled can be retried"),
    "device_removed": ((409,), "the device was removed; add a new one"),
    "not_parked": ((409,), "the dead letter was settled already"),
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
    "missing_field": ((400, 422), "a field or column that must be there"),
    "out_of_range": ((400, 422), "a number outside its range"),
    "undecodable": ((422,), "the dead letter cannot be read"),
    "unknown_device": ((422,), "the dead letter's device does not exist"),
    "unwritable": ((422,), "the ledger refuses the dead letter's rows"),
    "weak_password": ((422,), "too short, too long or too common"),
    "unsupported_scope": ((422,), "only cohort runs exist"),
    "too_many_requests": ((429,), "slow down; wait `Retry-After` seconds"),
    "headers_too_large": ((431,), "the request line or a header is too long"),
    "internal": ((500,), "a bug here; report the `request_id`"),
    "unavailable": ((503,), "something behind did not answer in time; try again"),
}


def codes_of(status: int) -> dict[str, str]:
    """The codes that an answer of that status may carry, and their meanings."""
    return {code: meaning for code, (statuses, meaning) in CODES.items() if status in statuses}
