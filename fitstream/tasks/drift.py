"""Whether a programme's champion has become worse than at its gate; if so a training is asked for.

Once per programme and week at most; the reason stands in the job and on the pages.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np

from fitstream.clock import slot_of
from fitstream.repo import cohort_runs, forecasts, models
from fitstream.repo.database import Db
from fitstream.repo.forecasts import IssueScore, NewDrift
from fitstream.repo.jobs import NewJob
from fitstream.repo.models import Model
from fitstream.tasks.context import JobContext
from fitstream.trainer import drift

_NAMES = {"steps": "Steps", "calories_kcal": "Calories", "heart_rate_bpm": "Heart rate"}


async def look_for_drift(db: Db, context: JobContext) -> list[dict[str, Any]]:
    """What was found of each target of the champion; nothing without a champion."""
    champion = await models.champion(db, context.programme_no)
    if champion is None:
        return []
    since = slot_of(context.now() - timedelta(days=drift.DAYS))
    scores = await forecasts.issue_scores(db, champion.id, since)
    targets = sorted({score.target for score in scores})
    found = [
        _finding(context, champion, target, [s for s in scores if s.target == target])
        for target in targets
    ]
    job_id = None
    if any(each.is_drifting for each in found):
        new = _training(context, found)
        job_id = (await cohort_runs.ask_for_run(db, context.programme_no, new)).id
    shown = []
    for each in found:
        asked = job_id if each.is_drifting else None
        await forecasts.upsert_drift(db, msgspec.structs.replace(each, job_id=asked))
        shown.append({"target": each.target, "drifts": each.is_drifting, "reason": each.reason})
    return shown


def _finding(
    context: JobContext, champion: Model, target: str, scores: Sequence[IssueScore]
) -> NewDrift:
    people = {score.customer_no for score in scores}
    at_gate = gate_wql(champion.metrics, target)
    result = drift.Finding(None, None, is_drifting=False)
    if len(scores) >= drift.MIN_FORECASTS:
        result = drift.compare(*_units(scores, len(people)), at_gate)
    return NewDrift(
        model_id=champion.id,
        target=target,
        checked_at=context.now(),
        forecasts=len(scores),
        customers=len(people),
        wql=result.wql,
        wql_low=result.low,
        wql_at_gate=at_gate,
        is_drifting=result.is_drifting,
        reason=_reason(target, result, at_gate, len(scores)),
        job_id=None,
    )


def gate_wql(metrics: dict[str, Any], target: str) -> float | None:
    """WQL of the champion on the test days of the run that made it; None where it is not known."""
    try:
        name = metrics["champions"][target]
        return float(metrics["metrics"][target]["test"][name]["wql"])
    except (KeyError, TypeError):
        return None


def _units(scores: Sequence[IssueScore], customers: int) -> tuple[Any, Any]:
    """Sums per customer, or per forecast where there are too few of them."""
    if customers < drift.MIN_CUSTOMERS:
        return np.array([s.loss for s in scores]), np.array([s.size for s in scores])
    sums: dict[int, list[float]] = {}
    for score in scores:
        entry = sums.setdefault(score.customer_no, [0.0, 0.0])
        entry[0] += score.loss
        entry[1] += score.size
    table = np.array(list(sums.values()))
    return table[:, 0], table[:, 1]


def _reason(target: str, found: drift.Finding, at_gate: float | None, scored: int) -> str:
    name, days = _NAMES.get(target, target), drift.DAYS
    if scored < drift.MIN_FORECASTS:
        return (
            f"{name}: {scored} forecasts scored in {days} days; "
            f"{drift.MIN_FORECASTS} are needed to tell."
        )
    if found.wql is None or found.low is None or at_gate is None:
        return f"{name}: there is nothing to compare with."
    words = f"{name}: WQL {found.wql:.3f} in the last {days} days, {at_gate:.3f} when it was judged"
    if not found.is_drifting:
        return f"{words}; that is no clear difference."
    return (
        f"{words}; with certainty at least {found.low:.3f}, more than {drift.MARGIN:.0%} worse, "
        "so a training is asked for."
    )


def _training(context: JobContext, found: Sequence[NewDrift]) -> NewJob:
    year, week, _ = context.now().isocalendar()
    reasons = [each.reason for each in found if each.is_drifting]
    return NewJob(
        kind="cohort_prepare",
        queue="light",
        dedupe_key=f"cohort:{context.programme_no}:drift:{year}-W{week:02}",
        programme_no=context.programme_no,
        payload={"budget_s": context.settings.train_budget_s, "reason": " ".join(reasons)},
    )
