"""Jobs: what runs, has run and failed; cancel and retry."""

from aiohttp import web

from fitstream.client import data, operations
from fitstream.gateway.api.answers import answer, without
from fitstream.gateway.api.listing import page_of, slice_of
from fitstream.gateway.keys import REPO
from fitstream.gateway.recording import about_job
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import within
from fitstream.repo import cohort_runs, jobs
from fitstream.repo.jobs import Job
from fitstream.repo.sorts import JOBS

_HIDDEN = ("run_after",)


async def list_jobs(request: web.Request) -> web.Response:
    asked = slice_of(request, JOBS)
    only = (request.query.get("state") or None, request.query.get("kind") or None)
    async with request.app[REPO].connection() as db:
        found = await jobs.list_jobs(db, only, asked, within(request))
    return page_of([without(job, *_HIDDEN) for job in found.items], asked, found.following)


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
        await cohort_runs.retry_job(db, request.match_info["job"])
        await about_job(db, request, "job.retried", request.match_info["job"])
        return _shown(await jobs.get_job(db, request.match_info["job"]), 202)


def _shown(job: Job, status: int = 200) -> web.Response:
    return answer(without(job, *_HIDDEN), status)


ROUTES = (
    Route(
        "GET", "/v1/jobs", list_jobs, "jobs",
        gives=data.Items[operations.Job],
        query=("job_state", "job_kind", "jobs_sort", "after", "limit"),
        tag="operations", summary="List jobs, newest first by default",
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
