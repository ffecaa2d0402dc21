"""Jobs: what runs, has run and failed; cancel and retry."""

from datetime import datetime

from aiohttp import web

from fitstream.client import data, operations
from fitstream.gateway.api.answers import after, answer, limit, page, without
from fitstream.gateway.keys import REPO
from fitstream.gateway.recording import about_job
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import within
from fitstream.repo import jobs
from fitstream.repo.jobs import Job

_HIDDEN = ("run_after",)


async def list_jobs(request: web.Request) -> web.Response:
    count = limit(request)
    only = (request.query.get("state") or None, request.query.get("kind") or None)
    position = after(request, tuple[datetime, str])
    async with request.app[REPO].connection() as db:
        found = await jobs.list_jobs(db, position, only, count, within(request))
    following = (found[-1].created_at, found[-1].id) if len(found) == count else None
    return page([without(job, *_HIDDEN) for job in found], following)


async def get_job(request: web.Request) -> web.Response:
    async with request.app[REPO].connection() as db:
        return _shown(await jobs.get_job(db, request.match_info["job"]))


async def cancel_job(request: web.Request) -> web.Response:
    async with request.app[REPO].transaction() as db:
        await jobs.cancel(db, request.match_info["job"])
        await about_job(db, request, "job.cancelled", request.match_info["job"])
        return _shown(await jobs.get_job(db, request.match_info["job"]), 202)


async def retry_job(request: web.Request) -> web.Response:
    async with request.app[REPO].transaction() as db:
        await jobs.retry(db, request.match_info["job"])
        await about_job(db, request, "job.retried", request.match_info["job"])
        return _shown(await jobs.get_job(db, request.match_info["job"]), 202)


def _shown(job: Job, status: int = 200) -> web.Response:
    return answer(without(job, *_HIDDEN), status)


ROUTES = (
    Route(
        "GET", "/v1/jobs", list_jobs, "jobs",
        gives=data.Items[operations.Job], query=("job_state", "job_kind", "after", "limit"),
        tag="operations", summary="List jobs, newest first",
    ),
    Route(
        "GET", "/v1/jobs/{job}", get_job, "job",
        gives=operations.Job, tag="operations", summary="Read a job",
    ),
    Route(
        "POST", "/v1/jobs/{job}/cancel", cancel_job, "job_cancel",
        state_of="/v1/jobs/{job}",
        gives=operations.Job, status=202, tag="operations", summary="Cancel a job",
    ),
    Route(
        "POST", "/v1/jobs/{job}/retry", retry_job, "job_retry",
        state_of="/v1/jobs/{job}",
        gives=operations.Job, status=202, tag="operations", summary="Do a failed job again",
    ),
)  # fmt: skip
