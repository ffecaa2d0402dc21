"""Answers as the predecessor's clients read them: `status`, `message`, and a flat user. Pure.

A password is never in them, whatever the old shape had: the field is always null.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from fitstream.gateway.problems import PROBLEM
from fitstream.repo.legacy import LegacyProfile
from fitstream.score import STEPS_GOAL

PREFIX = "legacy_"
_WAKING_HOURS = 16
_NO_PICTURE = "default"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A customer as old clients know them; what was never said is null."""

    user_id: int
    uname: str | None
    email: str | None
    fname: str | None
    lname: str | None
    gender: str | None
    phone: str | None
    address: str | None
    city: str | None
    state: str | None
    zipcode: str | None
    bio: str | None
    profile_pic: str
    password: None = None
    is_admin: bool = False
    is_email_verified: bool = False


def succeeded(message: str, status: int = 200, **more: object) -> web.Response:
    """An answer that an old client takes for a success."""
    return _answer({"status": "success", "message": message, **more}, status)


def refusal(response: web.StreamResponse) -> web.StreamResponse:
    """A problem as an old client reads it: the sentence is the `message` that it shows."""
    if not isinstance(response, web.Response) or response.content_type != PROBLEM:
        return response
    body = response.body if isinstance(response.body, bytes) else b"{}"
    found = msgspec.json.decode(body)
    shown = _answer(
        {
            "status": "fail",
            "message": found["detail"],
            "code": found["code"],
            "request_id": found["request_id"],
        },
        response.status,
    )
    for name in ("WWW-Authenticate", "Retry-After", "Allow"):
        for value in response.headers.getall(name, ()):
            shown.headers.add(name, value)
    return shown


def user_of(profile: LegacyProfile) -> User:
    """The user of a customer; first and last name are split where only one name is known."""
    first, _, last = (profile.name or "").partition(" ")
    return User(
        user_id=profile.customer_no,
        uname=profile.uname or profile.login,
        email=profile.login or profile.email,
        fname=profile.fname or first or None,
        lname=profile.lname or last or None,
        gender=profile.gender or profile.sex,
        phone=profile.phone,
        address=profile.address,
        city=profile.city,
        state=profile.state,
        zipcode=profile.zipcode,
        bio=profile.bio,
        profile_pic="picture" if profile.has_picture else _NO_PICTURE,
        is_email_verified=profile.is_verified,
    )


def hourly(hours: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    """24 places per row, by local hour; null where nothing was measured, which is not zero."""
    found = {hour["hour"]: hour for hour in hours}
    steps = _by_hour(found, "steps")
    return {
        "steps": steps,
        "calories": _by_hour(found, "calories_kcal"),
        "heart_rate": _by_hour(found, "heart_rate_bpm"),
        "rating": [rating(count) for count in steps],
    }


def rating(steps: float | None) -> float | None:
    """How an hour stands, 0 to 100: its steps against a sixteenth of the day's goal."""
    return None if steps is None else min(100, round(100 * steps * _WAKING_HOURS / STEPS_GOAL))


def _by_hour(found: Mapping[int, Mapping[str, Any]], metric: str) -> list[float | None]:
    return [found.get(hour, {}).get(metric) for hour in range(24)]


def _answer(body: Mapping[str, object], status: int) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )
