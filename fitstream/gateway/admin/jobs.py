"""Jobs: what waits, runs, has run and failed; cancel and retry."""

from datetime import datetime

import msgspec
from aiohttp import web

from fitstream.gateway.admin import reads
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.admin.sorting import Sorting, href, sorting_of
from fitstream.gateway.api import jobs as job_views
from fitstream.gateway.view import words
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.work import KINDS, STATES, JobView, is_moving, job_view
from fitstream.repo.sorts import JOBS

_PATH = "/admin/jobs"


class JobsPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the list."""

    jobs: list[JobView]
    state: str
    kind: str
    states: tuple[str, ...]
    kinds: dict[str, str]
    sorting: Sorting
    here: str
    is_moving: bool
    first: str | None
    following: str | None


class JobPage(msgspec.Struct, frozen=True, kw_only=True):
    """One job with everything it holds."""

    job: JobView
    queue: str
    parent: str | None
    payload: list[tuple[str, str]]
    result: list[tuple[str, str]]
    is_moving: bool
    at: datetime


async def list_jobs(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Jobs, perhaps of one state or kind."""
    state, kind = request.query.get("state", ""), request.query.get("kind", "")
    state, kind = state if state in STATES else "", kind if kind in KINDS else ""
    after = request.query.get("after", "")
    asked = {"state": state, "kind": kind}
    sorting = sorting_of(request, JOBS, _PATH, asked)
    asked["sort"] = sorting.asked
    found = await reads.jobs(request, after=after, **asked)
    page = JobsPage(
        jobs=[job_view(job, viewer.now) for job in found.items],
        state=state,
        kind=kind,
        states=STATES,
        kinds={name: words.job_kind(name) for name in KINDS},
        sorting=sorting,
        here=href(_PATH, **asked, after=after),
        is_moving=is_moving(found.items),
        first=href(_PATH, **asked) if after else None,
        following=href(_PATH, **asked, after=found.next) if found.next else None,
    )
    return html(request, "admin/jobs.html", viewer.shell("jobs"), page)


async def show_job(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """One job."""
    job = await reads.job(request)
    page = JobPage(
        job=job_view(job, viewer.now),
        queue=job.queue,
        parent=job.parent_id,
        payload=_facts(job.payload),
        result=_facts(job.result),
        is_moving=is_moving([job]),
        at=viewer.now,
    )
    return html(request, "admin/job.html", viewer.shell("jobs"), page)


async def cancel_job(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Asks the job to stop."""
    await job_views.cancel_job(request)
    return _back(request)


async def retry_job(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Runs a failed or cancelled job again."""
    await job_views.retry_job(request)
    return _back(request)


def _back(request: web.Request) -> web.Response:
    return see(f"/admin/jobs/{request.match_info['job']}")


def _facts(values: dict[str, object]) -> list[tuple[str, str]]:
    """Names and values; what is nested stays JSON."""
    return [
        (words.plain(name), value if isinstance(value, str) else _json(value))
        for name, value in values.items()
    ]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()[:2000]
