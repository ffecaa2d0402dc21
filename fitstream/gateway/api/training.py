"""Training runs and models."""

from datetime import datetime
from typing import Annotated, Any, Literal, get_args

import msgspec
from aiohttp import web
from msgspec import Meta

from fitstream.client import data, operations
from fitstream.errors import Rejected
from fitstream.gateway.api.answers import after, answer, body, limit, page, without
from fitstream.gateway.keys import REPO, SETTINGS
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.recording import about_job
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import programme_of, within
from fitstream.ids import new_id
from fitstream.repo import jobs, models
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import Model, Run
from fitstream.samples import Text

Target = Literal["steps", "calories_kcal", "heart_rate_bpm"]
TARGETS: tuple[Target, ...] = get_args(Target)


class CreateRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /v1/training-runs."""

    scope: Literal["cohort", "customer"]
    programme: Text = "default"
    customer_id: Text | None = None
    targets: tuple[Target, ...] = TARGETS
    budget_s: Annotated[float, Meta(gt=0, le=86_400)] | None = None


async def create_run(request: web.Request) -> web.Response:
    """Starts a cohort run; the answer's id is also that of its first job."""
    wanted = await body(request, CreateRun)
    if wanted.scope == "customer":
        text = "only cohort runs can be started for now; a customer's forecasts use its champion"
        raise Rejected("unsupported_scope", text, 422)
    return answer({"id": await start_run(request, wanted)}, 202)


async def start_run(request: web.Request, wanted: CreateRun) -> str:
    """Id of the job that prepares the run; raises NotFound(programme)."""
    app = request.app
    async with app[REPO].transaction() as db:
        programme = await programme_of(db, request[PRINCIPAL], wanted.programme)
        new = NewJob(
            kind="cohort_prepare",
            queue="light",
            dedupe_key=f"cohort:{programme.programme_no}:{new_id('ask')}",
            programme_no=programme.programme_no,
            payload={
                "targets": wanted.targets,
                "budget_s": wanted.budget_s or app[SETTINGS].train_budget_s,
            },
        )
        job_id = await jobs.insert_job(db, new)
        await about_job(db, request, "training.started", job_id)
        return job_id


async def list_runs(request: web.Request) -> web.Response:
    count = limit(request)
    async with request.app[REPO].connection() as db:
        found = await models.list_runs(
            db, after(request, tuple[datetime, str]), count, within(request)
        )
    following = (found[-1].created_at, found[-1].id) if len(found) == count else None
    return page([_run(run) for run in found], following)


async def get_run(request: web.Request) -> web.Response:
    """A run by its own id, or by that of the preparation that led to it."""
    wanted = request.match_info["run"]
    async with request.app[REPO].connection() as db:
        job = await jobs.get_job(db, wanted)
        if job.kind == "cohort_prepare":
            led_to = job.result.get("run")
            if led_to is None:
                return answer(_preparing(job))
            wanted = led_to
        return answer(_run(await models.get_run(db, wanted)))


async def list_models(request: web.Request) -> web.Response:
    count = limit(request)
    async with request.app[REPO].connection() as db:
        found = await models.list_models(
            db, after(request, tuple[datetime, str]), count, within(request)
        )
    following = (found[-1].created_at, found[-1].id) if len(found) == count else None
    return page([described(model) for model in found], following)


async def get_model(request: web.Request) -> web.Response:
    async with request.app[REPO].connection() as db:
        return answer(described(await models.get_model(db, request.match_info["model"])))


def _run(run: Run) -> dict[str, Any]:
    fields = msgspec.structs.asdict(run)
    return fields | {"verdict": run.metrics.get("verdict")}


def _preparing(job: jobs.Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "scope": "cohort",
        "state": job.state,
        "progress": job.progress,
        "verdict": job.result.get("verdict"),
        "error": job.error,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "done_at": job.done_at,
    }


def described(model: Model) -> dict[str, Any]:
    """A model as the API shows it."""
    return without(model, "programme_no", "job_id") | {"run": model.job_id}


ROUTES = (
    Route(
        "POST", "/v1/training-runs", create_run, "create_run",
        takes=CreateRun, gives=operations.RunAsked, status=202, problems=(404,),
        tag="models", summary="Start a training run",
        example={"scope": "cohort", "budget_s": 600},
    ),
    Route(
        "GET", "/v1/training-runs", list_runs, "runs",
        gives=data.Items[operations.Run], query=("after", "limit"),
        tag="models", summary="List training runs, newest first",
    ),
    Route(
        "GET", "/v1/training-runs/{run}", get_run, "run",
        gives=operations.Run, tag="models", summary="Read a training run",
    ),
    Route(
        "GET", "/v1/models", list_models, "models",
        gives=data.Items[operations.Model], query=("after", "limit"),
        tag="models", summary="List models, newest first",
    ),
    Route(
        "GET", "/v1/models/{model}", get_model, "model",
        gives=operations.Model, tag="models", summary="Read a model",
    ),
)  # fmt: skip
