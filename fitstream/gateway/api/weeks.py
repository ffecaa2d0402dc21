"""Weeks of a customer: state, versions with what changed, files, slots, and rolling by hand."""

from typing import Any

from aiohttp import web

from fitstream import clock
from fitstream.client import data, operations
from fitstream.clock import slot_of, slot_start
from fitstream.combined import combine
from fitstream.errors import NotFound
from fitstream.gateway import etags
from fitstream.gateway.api.answers import after, answer, limit, now, page
from fitstream.gateway.keys import REPO, STORE
from fitstream.gateway.recording import about_customer
from fitstream.gateway.routes import Route
from fitstream.ids import new_id
from fitstream.merge import NAMES
from fitstream.repo import customers, jobs, samples, weeks
from fitstream.repo.jobs import NewJob
from fitstream.repo.weeks import WeekRow, WeekVersion

_STEPS = NAMES.index("steps")
PARQUET = "application/vnd.apache.parquet"


async def list_weeks(request: web.Request) -> web.Response:
    count = limit(request)
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        found = await weeks.list_weeks(db, customer.customer_no, after(request, str), count)
    following = found[-1].week if len(found) == count else None
    return page([_shown(week) for week in found], following)


async def get_week(request: web.Request) -> web.Response:
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        week = await weeks.get_week(db, customer.customer_no, _name(request))
        versions = await weeks.list_versions(db, customer.customer_no, week.week)
    return answer(_shown(week) | {"versions": [_version(version) for version in versions]})


async def get_file(request: web.Request) -> web.Response:
    """The Parquet bytes of a version; versions never change, so its hash is the ETag."""
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        versions = await weeks.list_versions(db, customer.customer_no, _name(request))
    wanted = request.match_info["version"]
    found = next((v for v in versions if str(v.version) == wanted), None)
    if found is None:
        raise NotFound(f"version {wanted} of {_name(request)}")
    file = _week_file(found)
    headers = {
        "ETag": f'"{file["sha256"]}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    if etags.matches(request.headers.get("If-None-Match", ""), headers["ETag"]):
        return web.Response(status=304, headers=headers)
    name = f"{customer.id}-{_name(request)}-v{found.version}.parquet"
    headers["Content-Disposition"] = f'attachment; filename="{name}"'
    content = await request.app[STORE].get(file["key"])
    return web.Response(body=content, content_type=PARQUET, headers=headers)


async def roll_week(request: web.Request) -> web.Response:
    """Asks for a roll now; a repeat while one waits is the same job."""
    job_id = new_id("job")
    async with request.app[REPO].transaction() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        week = _name(request)
        new = NewJob(
            kind=jobs.ROLL,
            queue="none",
            dedupe_key=f"roll:{customer.id}:{week}:{job_id}",
            payload={"customer": customer.id, "week": week},
            programme_no=customer.programme_no,
            customer_no=customer.customer_no,
        )
        job_id = await jobs.insert_job(db, new)
        await about_customer(db, request, "week.roll_asked", customer)
        waiting = await weeks.force_roll(db, customer.customer_no, week, job_id)
        if waiting != job_id:
            await jobs.cancel(db, job_id)  # another roll of this week waits already
    return answer({"job": waiting}, 202)


async def week_slots(request: web.Request) -> web.Response:
    """One state per slot: measured, zero, not_worn, not_sent, or rejected with its code."""
    async with request.app[REPO].connection() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        week = await weeks.get_week(db, customer.customer_no, _name(request))
        zones = await customers.zones_of(db, customer.customer_no)
        span = (week.start_slot, week.end_slot)
        found = {s.slot: s for s in combine(await samples.rows_of(db, customer.customer_no, span))}
        refused = {r.slot: r.code for r in await samples.rejects_of(db, customer.customer_no, span)}
    current = slot_of(now(request))
    slots = [_slot_state(slot, found, refused) for slot in range(*span) if slot < current]
    about = {"week": week.week, "from": slot_start(span[0]), "to": slot_start(span[1])}
    return answer(about | {"zone": clock.zone_for(week.week, zones), "slots": slots})


def _slot_state(slot: int, found: dict[int, Any], refused: dict[int, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"slot": slot_start(slot)}
    if slot in found and found[slot].is_measured:
        values = found[slot].values
        steps = values[_STEPS]
        entry["state"] = "measured" if any(values) else "zero"
        if steps == 0:
            entry["state"] = "zero"
        return entry if steps is None else entry | {"steps": steps}
    if slot in refused:
        return entry | {"state": "rejected", "code": refused[slot]}
    return entry | {"state": "not_worn" if slot in found else "not_sent"}


def _name(request: web.Request) -> str:
    name = request.match_info["week"]
    clock.week_index(name)
    return name


def _shown(week: WeekRow) -> dict[str, Any]:
    return {
        "week": week.week,
        "from": slot_start(week.start_slot),
        "to": slot_start(week.end_slot),
        "slots": week.end_slot - week.start_slot,
        "measured": week.measured,
        "state": week.state,
        "current_version": week.current_version,
    }


def _version(version: WeekVersion) -> dict[str, Any]:
    file = _week_file(version)
    return {
        "version": version.version,
        "created_at": version.created_at,
        "reason": version.reason,
        "rows": version.rows,
        "measured": version.measured,
        "content_sha": version.content_sha,
        "object_key": file["key"],
        "sha256": file["sha256"],
        "changed": version.changed,
    }


def _week_file(version: WeekVersion) -> dict[str, Any]:
    return next(file for file in version.files if file["kind"] == "week")


ROUTES = (
    Route(
        "GET", "/v1/customers/{customer}/weeks", list_weeks, "weeks",
        gives=data.Items[data.Week], query=("after", "limit"),
        tag="weeks", summary="List weeks, newest first",
    ),
    Route(
        "GET", "/v1/customers/{customer}/weeks/{week}", get_week, "week",
        gives=data.Week, problems=(400,), tag="weeks", summary="Read a week and its versions",
    ),
    Route(
        "GET", "/v1/customers/{customer}/weeks/{week}/slots", week_slots, "week_slots",
        gives=data.WeekSlots, problems=(400,), tag="weeks", summary="Read one state per slot",
    ),
    Route(
        "POST", "/v1/customers/{customer}/weeks/{week}/roll", roll_week, "roll_week",
        state_of="/v1/customers/{customer}/weeks/{week}",
        gives=operations.JobAsked, status=202, problems=(400,),
        tag="weeks", summary="Roll a week now",
    ),
    Route(
        "GET", "/v1/customers/{customer}/weeks/{week}/versions/{version}/file", get_file,
        "week_file", writes=PARQUET, problems=(400,),
        tag="weeks", summary="Download the file of a version",
    ),
)  # fmt: skip
