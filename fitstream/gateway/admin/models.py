"""Models and the runs that made them: leaderboard, verdict, and the button that trains."""

from typing import NamedTuple

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
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.work import first_sentence, run_said, share_of

BUDGETS = (30, 60, 300, 900, 3600)
_MOVING = ("queued", "running", "waiting")


class RunRow(NamedTuple):
    """A run in the list."""

    run: Run
    said: str
    brief: str
    share: int | None
    took: str


class ModelsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Champion, runs, models, and the form."""

    champion: Model | None
    boards: list[Board]
    runs: list[RunRow]
    models: list[Model]
    budgets: tuple[int, ...]
    budget: int
    is_moving: bool
    first: str | None
    following: str | None


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    row: RunRow
    boards: list[Board]
    limits: list[str]
    is_moving: bool


async def list_models(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The page of models and runs."""
    after = request.query.get("after", "")
    runs = await reads.runs(request, after)
    models = await reads.models(request)
    champion = next((model for model in models if model.stage == "champion"), None)
    made = next((run for run in runs.items if champion and run.id == champion.run), None)
    page = ModelsPage(
        champion=champion,
        boards=boards_of(made.metrics) if made else [],
        runs=[_row(run, viewer) for run in runs.items],
        models=models,
        budgets=BUDGETS,
        budget=_default_budget(request),
        is_moving=any(run.state in _MOVING for run in runs.items),
        first="/admin/models" if after else None,
        following=f"/admin/models?after={runs.next}" if runs.next else None,
    )
    return html(request, "admin/models.html", viewer.shell("models"), page)


async def show_run(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """One run with its leaderboard."""
    run = await reads.run(request)
    page = RunPage(
        row=_row(run, viewer),
        boards=boards_of(run.metrics),
        limits=[str(text) for text in run.metrics.get("limits", [])],
        is_moving=run.state in _MOVING,
    )
    return html(request, "admin/run.html", viewer.shell("models"), page)


async def train(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Starts a cohort run and shows it."""
    posted = await request.post()
    try:
        budget_s = float(str(posted.get("budget_s", "")))
        wanted = msgspec.convert({"scope": "cohort", "budget_s": budget_s}, CreateRun)
    except (ValueError, msgspec.ValidationError) as error:
        raise Rejected("invalid", "the time for training must be 1 second to 24 hours") from error
    return see(f"/admin/models/runs/{await start_run(request, wanted)}")


def _row(run: Run, viewer: Viewer) -> RunRow:
    end = run.done_at or (viewer.now if run.started_at else None)
    share = share_of(run.progress) if run.state == "running" else None
    said = run_said(run)
    return RunRow(run, said, first_sentence(said), share, words.took(run.started_at, end))


def _default_budget(request: web.Request) -> int:
    set_s = round(request.app[SETTINGS].train_budget_s)
    return min(BUDGETS, key=lambda budget: abs(budget - set_s))
