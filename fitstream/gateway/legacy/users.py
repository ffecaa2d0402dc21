"""The predecessor's `/auth` routes by which a customer reads and changes what is known of them."""

from datetime import date

from aiohttp import web

from fitstream import combined
from fitstream.clock import day_bounds, local_day, slot_of
from fitstream.errors import Rejected
from fitstream.gateway.api.answers import now
from fitstream.gateway.keys import REPO
from fitstream.gateway.legacy.forms import customer_of, fields_of
from fitstream.gateway.legacy.shapes import hourly, succeeded, user_of
from fitstream.gateway.routes import Route
from fitstream.repo import customers, legacy, samples
from fitstream.repo.database import Db
from fitstream.repo.legacy import LegacyProfile

_TEXT_MAX = 256
_FIRST_YEAR, _LAST_YEAR = 1970, 2200


async def user_info(request: web.Request) -> web.Response:
    """The whole profile; a POST with fields of it changes them first."""
    principal, number = customer_of(request)
    fields = await fields_of(request) if request.method == "POST" else {}
    changed = _known(fields)
    async with request.app[REPO].transaction() as db:
        if changed and principal.role == "customer":
            await legacy.set_profile(db, number, changed)
            await _rename(db, number, changed)
        user = user_of(await legacy.profile_of(db, number))
    return succeeded("Success", user=user, data=user)


async def status(request: web.Request) -> web.Response:
    """Who calls, and `user_stats` of a day: 24 places per row, today by default.

    The day comes as `date`, in the query or, as old clients do it, in the body of the GET.
    """
    _, number = customer_of(request)
    text = request.query.get("date") or (await fields_of(request)).get("date", "")
    async with request.app[REPO].connection() as db:
        profile = await legacy.profile_of(db, number)
        day = _day(text, local_day(slot_of(now(request)), profile.zone))
        stats = await _stats(db, profile, day)
    user = user_of(profile)
    data = {
        "user_id": user.user_id,
        "email": user.email,
        "fname": user.fname,
        "lname": user.lname,
        "user_stats": stats,
    }
    return succeeded("Success", data=data)


async def _stats(db: Db, profile: LegacyProfile, day: date) -> dict[str, object]:
    """An hourly view over the slots of a local day; null is not measured."""
    rows = await samples.rows_of(db, profile.customer_no, day_bounds(day, profile.zone))
    slots = combined.combine(rows)
    totals = combined.totals(slots)
    slept = totals.get("sleep_min")
    return {
        "user_id": profile.customer_no,
        "date": day.isoformat(),
        **hourly(combined.hours(slots, profile.zone)),
        "hours_slept": None if slept is None else round(slept / 60, 2),
        "steps_climbed": totals.get("floors"),
    }


async def _rename(db: Db, number: int, changed: dict[str, str]) -> None:
    """Pages and API know one name."""
    if "fname" not in changed and "lname" not in changed:
        return
    user = user_of(await legacy.profile_of(db, number))
    name = f"{user.fname or ''} {user.lname or ''}".strip()
    if name:
        await customers.update_profile(db, number, name[:_TEXT_MAX], None)


def _known(fields: dict[str, str]) -> dict[str, str]:
    """Only what old clients may change: no password, address or number. Raises Rejected."""
    names = (*legacy.FIELDS, "uname")
    found = {name: fields[name].strip() for name in names if name in fields}
    if "name" in fields:
        found.setdefault("fname", fields["name"].strip())
    for name, text in found.items():
        if len(text) > _TEXT_MAX:
            raise Rejected("invalid", f"{name} is longer than {_TEXT_MAX} characters", 422)
    return found


def _day(text: str, default: date) -> date:
    if not text:
        return default
    try:
        found = date.fromisoformat(text[:10])
    except ValueError:
        found = date.min
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise Rejected("bad_range", "`date` is not a day; write it like 2020-08-12")
    return found


ROUTES = (
    Route("GET", "/auth/user_info", user_info, "legacy_user_info"),
    Route("POST", "/auth/user_info", user_info, "legacy_change_user_info"),
    Route("GET", "/auth/status", status, "legacy_status"),
)
