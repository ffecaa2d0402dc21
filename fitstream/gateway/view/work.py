"""Jobs and training runs as pages show them: what, how far, and what can be done. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from fitstream.client.operations import Job, Run
from fitstream.gateway.view import words

STATES = ("queued", "running", "waiting", "succeeded", "failed", "cancelled")
KINDS = (
    "cohort_prepare", "train_cohort", "train_candidate", "customer_prepare", "train_customer",
    "forecast", "forecast_today", "score_forecasts", "roll_week", "week_finished", "upkeep",
    "collect_orphans", "upload_check", "upload_ingest", "upload_undo",
)  # fmt: skip
_COUNTERS = (
    ("epoch", "epochs"), ("candidates", "of"), ("weeks", "of"), ("customers", "of"), ("rows", "of"),
    ("done", "of"),
)  # fmt: skip
_ENDED = frozenset({"succeeded", "failed", "cancelled"})


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job in words; `share` is its progress in percent where that is known.

    `about` names the week it is for, `href` the page of that week.
    """

    id: str
    kind: str
    title: str
    about: str
    href: str
    state: str
    said: str
    share: int | None
    error: str | None
    attempts: int
    created_at: datetime
    started_at: datetime | None
    done_at: datetime | None
    took: str
    can_cancel: bool
    can_retry: bool
    is_stopping: bool


def job_view(job: Job, now: datetime) -> JobView:
    """Everything a list says about a job."""
    is_stopping = job.cancel_requested and job.state == "running"
    return JobView(
        id=job.id,
        kind=job.kind,
        title=words.job_kind(job.kind),
        about=str(job.payload.get("week", "")),
        href=_href(job.payload),
        state=job.state,
        said=said_of(job),
        share=share_of(job.progress) if job.state == "running" else None,
        error=job.error,
        attempts=job.attempts,
        created_at=job.created_at,
        started_at=job.started_at,
        done_at=job.done_at,
        took=words.took(job.started_at, job.done_at or (now if job.started_at else None)),
        can_cancel=job.state in ("queued", "running", "waiting") and not job.cancel_requested,
        can_retry=job.state in ("failed", "cancelled"),
        is_stopping=is_stopping,
    )


def is_moving(jobs: Sequence[Job]) -> bool:
    """Whether any of the jobs may change by itself."""
    return any(job.state not in _ENDED for job in jobs)


def share_of(progress: Mapping[str, Any]) -> int | None:
    """Percent done, from whichever pair of counters a task tells."""
    for part, whole in _COUNTERS:
        done, total = progress.get(part), progress.get(whole)
        if isinstance(done, int | float) and isinstance(total, int | float) and total > 0:
            return min(100, max(0, round(100 * done / total)))
    return None


def progress_words(progress: Mapping[str, Any]) -> str:
    """`epoch 7 of 20, 12 s left`, `weeks 12 of 40`, or the phase."""
    for part, whole in _COUNTERS:
        if part in progress and whole in progress:
            left = progress.get("left_s") if part == "epoch" else None
            said = f", {left:.0f} s left" if isinstance(left, int | float) else ""
            return f"{part} {words.number(progress[part])} of {words.number(progress[whole])}{said}"
    phase = progress.get("phase")
    return words.plain(str(phase)).lower() if phase else ""


def said_of(job: Job) -> str:
    """The one thing worth saying: how far it is, what came of it, or why it failed."""
    if job.state == "running":
        return "stopping" if job.cancel_requested else progress_words(job.progress)
    if job.state == "failed":
        return _first_line(job.error or "no reason given")
    if job.state == "queued" and job.error:
        return f"tried {words.count_of(job.attempts, 'time')}: {_first_line(job.error)}"
    return _result(job.result)


def run_said(run: Run) -> str:
    """How far a training run is, or its verdict."""
    if run.state in ("queued", "running", "waiting"):
        return progress_words(run.progress) or "waiting for a worker"
    if run.error:
        return _first_line(run.error)
    return str(run.verdict or "")


def first_sentence(text: str) -> str:
    """The first sentence of a verdict; a figure's decimal point ends none."""
    return text if ". " not in text else text[: text.index(". ") + 1]


def _href(payload: Mapping[str, Any]) -> str:
    """The page of what a job is about, where there is one."""
    customer, week = payload.get("customer"), payload.get("week")
    return f"/admin/customers/{customer}/weeks/{week}" if customer and week else ""


def _result(result: Mapping[str, Any]) -> str:
    if "verdict" in result:
        return str(result["verdict"])
    if "forecasts" in result:
        made = words.count_of(int(result["forecasts"]), "forecast")
        return f"{made} for {words.count_of(int(result.get('customers', 0)), 'customer')}"
    if "model" in result:
        return "made a new model"
    if "run" in result:
        return "led to a training run"
    if "changed" in result:
        version = result.get("version")
        return f"version {version}" if result["changed"] else "nothing had changed"
    return ""


def _first_line(text: str) -> str:
    """The first line of an error, of a trace its last: that is where the reason stands."""
    lines = [line for line in text.strip().splitlines() if line.strip()] or [""]
    return lines[-1 if "Traceback" in lines[0] else 0][:200]
