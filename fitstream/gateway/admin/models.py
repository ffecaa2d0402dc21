"""Models and the runs that made them: leaderboard, verdict, and the button that trains."""

from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from fitstream.client.operations import Model, Run
from fitstream.errors import Rejected
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.api.training import CreateRun, start_run
from fitstream.gateway.keys import SETTINGS
from fitstream.gateway.view import words
from fitstream.gateway.view.leaderboard import Board, boards_of
from fitstream.gateway.view.model_card import (
    TargetCard,
    Tried,
    own_cards_of,
    tried_before,
    tried_now,
)
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.work import first_sentence, run_said, share_of

BUDGETS = (30, 60, 300, 900, 3600)
MOVING = ("queued", "running", "waiting")


class RunRow(NamedTuple):
    """A run in the list."""

    run: Run
    said: str
    brief: str
    share: int | None
    took: str


class ModelsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Champion, challengers, runs, models of customers, and the form."""

    champion: Model | None
    boards: list[Board]
    runs: list[RunRow]
    models: list[Model]
    own: list[Model]
    budgets: tuple[int, ...]
    budget: int
    estimate: str
    is_moving: bool
    first: str | None
    following: str | None


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    row: RunRow
    boards: list[Board]
    own: list[TargetCard]
    tried: list[Tried]
    limits: list[str]
    is_moving: bool


async def list_models(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The page of models and runs."""
    after = request.query.get("after", "")
    runs = await reads.runs(request, after)
    models = await reads.models(request, "cohort")
    champion = next((model for model in models if model.stage == "champion"), None)
    page = ModelsPage(
        champion=champion,
        boards=boards_of(champion.metrics) if champion else [],
        runs=[row_of(run, viewer) for run in runs.items],
        models=models,
        own=await reads.models(request, "customer"),
        budgets=BUDGETS,
        budget=_default_budget(request),
        estimate=_estimate(runs.items),
        is_moving=any(run.state in MOVING for run in runs.items),
        first="/admin/models" if after else None,
        following=f"/admin/models?after={runs.next}" if runs.next else None,
    )
    return html(request, "admin/models.html", viewer.shell("models"), page)


async def show_run(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """One run with its leaderboard and what its search tried."""
    run = await reads.run(request)
    tried = tried_before(run.metrics) or tried_now(run.candidates)
    page = RunPage(
        row=row_of(run, viewer),
        boards=boards_of(run.metrics),
        own=own_cards_of(run.metrics),
        tried=tried,
        limits=[str(text) for text in run.metrics.get("limits", [])],
        is_moving=run.state in MOVING,
    )
    return html(request, "admin/run.html", viewer.shell("models"), page)


async def train(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Starts a run, of everybody or of one customer, and shows it."""
    posted = await request.post()
    wanted: dict[str, Any] = {"scope": "cohort"}
    if posted.get("scope") == "customer":
        wanted = {"scope": "customer", "customer_id": str(posted.get("customer", "")).strip()}
    try:
        wanted["budget_s"] = float(str(posted.get("budget_s", "")))
        asked = msgspec.convert(wanted, CreateRun)
    except (ValueError, msgspec.ValidationError) as error:
        text = "the time for training must be 1 second to 24 hours; for one customer give their id"
        raise Rejected("invalid", text) from error
    return see(f"/admin/models/runs/{await start_run(request, asked)}")


def row_of(run: Run, viewer: Viewer) -> RunRow:
    """A run in words."""
    end = run.done_at or (viewer.now if run.started_at else None)
    share = share_of(run.progress) if run.state in ("running", "waiting") else None
    said = run_said(run)
    return RunRow(run, said, first_sentence(said), share, words.took(run.started_at, end))


def _estimate(runs: list[Run]) -> str:
    """What the last run of everybody took, for people who are about to start one."""
    for run in runs:
        if run.scope == "cohort" and run.state == "succeeded" and run.model_id:
            took = words.took(run.started_at, run.done_at)
            people = words.count_of(run.customers, "customer")
            return f"The last run took {took} for {people}; more workers make it shorter."
    return "It trains for about that long on one worker; more workers make it shorter."


def _default_budget(request: web.Request) -> int:
    set_s = round(request.app[SETTINGS].train_budget_s)
    return min(BUDGETS, key=lambda budget: abs(budget - set_s))
