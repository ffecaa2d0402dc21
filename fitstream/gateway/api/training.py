"""Training runs: of a cohort, of one customer, and how far their candidates are."""

from typing import Annotated, Any, Literal, get_args

import msgspec
from aiohttp import web
from msgspec import Meta

from fitstream.client import data, operations
from fitstream.errors import NotFound, Rejected
from fitstream.gateway.api.answers import answer, body
from fitstream.gateway.api.listing import page_of, slice_of
from fitstream.gateway.keys import REPO, SETTINGS
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.recording import about_job
from fitstream.gateway.routes import Route
from fitstream.gateway.scoping import programme_of, within
from fitstream.ids import new_id
from fitstream.repo import cohort_runs, customers, jobs, models
from fitstream.repo.cohort_runs import Asked
from fitstream.repo.database import Db
from fitstream.repo.jobs import Child, NewJob
from fitstream.repo.models import Run
from fitstream.repo.sorts import RUNS
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
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    dataset: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")] | None = None


async def create_run(request: web.Request) -> web.Response:
    """Starts a run; the answer's id is also that of its first job. While a cohort run of the
    programme is under way none is started, and that one is answered."""
    wanted = await body(request, CreateRun)
    if (wanted.scope == "customer") != (wanted.customer_id is not None):
        text = "a run of scope customer needs `customer_id`, one of scope cohort must not have it"
        raise Rejected("invalid", text, 422)
    return answer({"id": await start_run(request, wanted)}, 202)


async def start_run(request: web.Request, wanted: CreateRun) -> str:
    """Id of the job that prepares the run; raises NotFound(programme or customer)."""
    async with request.app[REPO].transaction() as db:
        new = await _preparation(db, request, wanted)
        if wanted.scope == "customer" or new.programme_no is None:
            asked = Asked(await jobs.insert_job(db, new), is_new=True)
        else:
            asked = await cohort_runs.ask_for_run(db, new.programme_no, new)
        if asked.is_new:
            await about_job(db, request, "training.started", asked.id)
        return asked.id


async def _preparation(db: Db, request: web.Request, wanted: CreateRun) -> NewJob:
    if wanted.customer_id is not None:
        customer = await customers.get_customer(db, wanted.customer_id)
        if not request[PRINCIPAL].sees(customer.programme_no):
            raise NotFound(f"customer {wanted.customer_id}")
        return NewJob(
            kind="customer_prepare",
            queue="light",
            dedupe_key=f"adapt:{customer.customer_no}:{new_id('ask')}",
            programme_no=customer.programme_no,
            customer_no=customer.customer_no,
            payload={"targets": wanted.targets},
        )
    programme = await programme_of(db, request[PRINCIPAL], wanted.programme)
    budget_s = wanted.budget_s or request.app[SETTINGS].train_budget_s
    pinned = {"dataset": wanted.dataset} if wanted.dataset else {}
    return NewJob(
        kind="cohort_prepare",
        queue="light",
        dedupe_key=f"cohort:{programme.programme_no}:{new_id('ask')}",
        programme_no=programme.programme_no,
        payload={
            "targets": wanted.targets,
            "budget_s": budget_s,
            "seed": wanted.seed,
            **pinned,
        },
    )


async def list_runs(request: web.Request) -> web.Response:
    asked = slice_of(request, RUNS)
    async with request.app[REPO].connection() as db:
        found = await models.list_runs(db, asked, within(request))
    return page_of([_run(run) for run in found.items], asked, found.following)


async def get_run(request: web.Request) -> web.Response:
    """A run by its own id, or by that of the preparation that led to it."""
    wanted = request.match_info["run"]
    async with request.app[REPO].connection() as db:
        job = await jobs.get_job(db, wanted)
        if job.kind in ("cohort_prepare", "customer_prepare"):
            led_to = job.result.get("run")
            if led_to is None:
                return answer(_preparing(job))
            wanted = led_to
        found = await models.get_run(db, wanted)
        children = await jobs.children_of(db, wanted)
    candidates = [_candidate(child) for child in children if child.kind == jobs.CANDIDATE]
    return answer(_run(found) | {"candidates": candidates})


def _run(run: Run) -> dict[str, Any]:
    fields = msgspec.structs.asdict(run)
    return fields | {"verdict": run.metrics.get("verdict")}


def _candidate(child: Child) -> dict[str, Any]:
    """How far a candidate is, or how it ended."""
    done = child.result.get("trial", {})
    return {
        "job": child.id,
        "state": child.state,
        "target": child.payload.get("target", ""),
        "name": child.payload.get("name", ""),
        "rung": child.payload.get("rung", 0),
        "epoch": done.get("epochs", child.progress.get("epoch", 0)),
        "epochs": child.progress.get("epochs"),
        "loss": child.progress.get("loss"),
        "left_s": None if done else child.progress.get("left_s"),
        "stop_wql": done.get("score"),
        "curve": done.get("curve", []),
        "seconds": done.get("seconds"),
        "error": child.error,
    }


def _preparing(job: jobs.Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "scope": "customer" if job.kind == "customer_prepare" else "cohort",
        "state": job.state,
        "progress": job.progress,
        "verdict": job.result.get("verdict"),
        "error": job.error,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "done_at": job.done_at,
    }


ROUTES = (
    Route(
        "POST", "/v1/training-runs", create_run, "create_run",
        takes=CreateRun, gives=operations.RunAsked, status=202, problems=(404,),
        tag="models", summary="Start a training run",
        example={"scope": "cohort", "budget_s": 600},
    ),
    Route(
        "GET", "/v1/training-runs", list_runs, "runs",
        gives=data.Items[operations.Run], query=("runs_sort", "after", "limit"),
        tag="models", summary="List training runs, newest first by default",
    ),
    Route(
        "GET", "/v1/training-runs/{run}", get_run, "run",
        gives=operations.Run, tag="models", summary="Read a training run",
    ),
)  # fmt: skip
