"""Scores of past forecasts when the truth has arrived, and a look at whether the champion drifts.

A forecast is scored at the first night after its slots are over, and once more a week later, when
what was late has come in. Repeating it changes nothing.
"""

import asyncio
from datetime import date, timedelta
from itertools import groupby
from time import monotonic
from typing import Any, NamedTuple

import msgspec
import numpy as np

from fitstream.clock import DAY_SLOTS, local_time, slot_of
from fitstream.errors import NotFound
from fitstream.logs import get
from fitstream.repo import forecasts, jobs
from fitstream.repo.forecasts import DueIssue, Horizon, NewScore
from fitstream.repo.jobs import NewJob
from fitstream.tasks.context import JobContext
from fitstream.tasks.drift import look_for_drift
from fitstream.tasks.history import Whose, history, quarter_of, wall_clock
from fitstream.trainer.data import Series
from fitstream.trainer.scoring import days_inside, sums_of, truth_of
from fitstream.trainer.totals import DayTotal

log = get(__name__)
SETTLED_AFTER = timedelta(days=7)
_AT_ONCE = 200
_SHARE_OF_TIME = 0.5
_KEEP_TODAY = timedelta(days=28)
_FORGET_AT_ONCE = 10_000


class _Ended(NamedTuple):
    """Slots before which a forecast is over, and before which its score is final."""

    over: int
    settled: int


async def score_forecasts(context: JobContext) -> None:
    """Ends with a score for every forecast of the programme whose slots are over, or leaves the
    rest to a job of its own."""
    ended = _ended(context)
    until = monotonic() + _SHARE_OF_TIME * context.settings.forecast_timeout_s
    scored, is_done = 0, False
    while not is_done and monotonic() < until:
        async with context.repo.connection() as db:
            due = await forecasts.due_issues(db, context.programme_no, ended, _AT_ONCE)
        await _score(context, due, ended)
        scored, is_done = scored + len(due), len(due) < _AT_ONCE
        context.tell(phase="scoring", forecasts=scored)
    async with context.repo.transaction() as db:
        found = await look_for_drift(db, context) if is_done else []
        if not is_done:
            await jobs.insert_job(db, _rest(context))
        before = ended.over - _KEEP_TODAY // timedelta(minutes=15)
        await forecasts.forget_issues(db, "today", before, _FORGET_AT_ONCE)
        result = {"forecasts": scored, "drift": found}
        await jobs.finish_job(db, context.job, "succeeded", result)


def _ended(context: JobContext) -> _Ended:
    now = context.now()
    grace = timedelta(hours=context.settings.grace_hours)
    return _Ended(slot_of(now - grace), slot_of(now - SETTLED_AFTER))


def _rest(context: JobContext) -> NewJob:
    return NewJob(
        kind="score_forecasts",
        queue="light",
        dedupe_key=f"{context.job.id}:rest",
        programme_no=context.programme_no,
        parent_id=context.job.id,
    )


async def _score(context: JobContext, due: list[DueIssue], ended: _Ended) -> None:
    """Customer by customer, so that each past is read once."""
    in_order = sorted(due, key=lambda each: (each.customer_no, each.issued_at))
    for _, group in groupby(in_order, key=lambda each: each.customer_no):
        issues = list(group)
        first = issues[0]
        whose = Whose(first.customer_no, first.customer_id, first.zone)
        span = (min(i.start_slot for i in issues), max(i.end_slot for i in issues))
        around = (span[0] - DAY_SLOTS, span[1] + DAY_SLOTS)  # wear is judged by whole days
        series = await history(context, whose, around)
        for issue in issues:
            stored = await _stored(context, issue)
            scores = await asyncio.to_thread(scores_of, issue, stored, series)
            async with context.repo.transaction() as db:
                is_final = issue.end_slot <= ended.settled or stored is None
                await forecasts.store_scores(db, issue, scores, settled=is_final)


async def _stored(context: JobContext, issue: DueIssue) -> dict[str, Any] | None:
    """What was issued; None where its object is gone or damaged, so that it holds up no other."""
    try:
        found = await context.store.get(issue.object_key)
        stored: dict[str, Any] = msgspec.json.decode(found, type=dict[str, Any])
    except NotFound:
        log.warning("forecast_missing", object_key=issue.object_key)
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        log.warning("forecast_damaged", object_key=issue.object_key)
        return None
    return stored


def scores_of(issue: DueIssue, stored: dict[str, Any] | None, series: Series) -> list[NewScore]:
    """A score per target of which anything was measured on days that were worn; of a week ahead one
    for each of its days."""
    scores: list[NewScore] = []
    local = local_time(issue.start_slot, issue.zone)
    first, quarter = series.index(local.date()), quarter_of(local)
    for target, entry in (stored or {}).get("targets", {}).items():
        rows = np.array(entry["rows"], np.float32)
        places = np.array(wall_clock(issue.start_slot, len(rows), issue.zone), np.int64) + quarter
        truth = truth_of(series, target, first, [int(place) for place in places])
        totals = [
            DayTotal(date.fromisoformat(each["day"]), each["low"], each["mean"], each["high"])
            for each in entry.get("totals", [])
        ]
        for lead, slots, days in _leads(issue.horizon, len(rows), len(totals)):
            if not np.isfinite(truth[slots]).any():
                continue
            sums = sums_of(truth[slots], rows[slots], places[slots] % DAY_SLOTS)
            known, inside = days_inside(series, target, totals[days])
            score = NewScore(
                customer_no=issue.customer_no,
                target=target,
                horizon=issue.horizon,
                issued_at=issue.issued_at,
                model_id=issue.model_id,
                end_slot=issue.end_slot,
                days=known,
                days_inside=inside,
                lead_day=lead,
                **sums._asdict(),
            )
            scores.append(score)
    return scores


def _leads(horizon: Horizon, slots: int, days: int) -> list[tuple[int, slice, slice]]:
    """How far ahead each part of a forecast lies, its slots, and which of the days' totals are
    told with it; the last part has all that is left."""
    if horizon != "672":
        return [(0, slice(slots), slice(days))]
    many = slots // DAY_SLOTS
    ends = [*range(1, many), None]
    return [
        (
            lead + 1,
            slice(lead * DAY_SLOTS, None if end is None else end * DAY_SLOTS),
            slice(lead, end),
        )
        for lead, end in enumerate(ends)
    ]
