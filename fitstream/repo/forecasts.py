"""Forecasts: whom to forecast, the latest ones, every one ever issued, and how good they were."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, get_args

import msgspec

from fitstream.errors import NotFound
from fitstream.repo.database import Db, execute, fetch, fetch_one

Horizon = Literal["96", "672", "today"]
HORIZONS: tuple[Horizon, ...] = get_args(Horizon)


class ForecastCustomer(msgspec.Struct, frozen=True):
    """Whom to forecast, their newest rolled week, and how often the week of their last slot has
    changed so far; who has never sent anything has neither."""

    customer_no: int
    id: str
    zone: str
    last_slot: int | None
    week: str | None
    version: int | None
    week_seq: int | None


class CustomerNo(msgspec.Struct, frozen=True):
    """Number of a customer."""

    customer_no: int


class Home(msgspec.Struct, frozen=True):
    """A zone in which customers of a programme are at home."""

    programme_no: int
    zone: str


class NewForecast(msgspec.Struct, frozen=True, kw_only=True):
    """One target of one customer; `quantiles` rows are [q10, q50, q90, mean] per slot.

    `totals` are those of whole local days, `explanation` what each of these days rests on.
    """

    customer_no: int
    target: str
    horizon: Horizon = "96"
    issued_at: datetime
    model_id: str
    week: str | None
    version: int | None
    data_through: int
    start_slot: int
    basis: str
    quantiles: list[list[float]]
    totals: list[dict[str, Any]] = []
    explanation: list[dict[str, Any]] = []
    object_key: str
    week_seq: int | None = None


class Forecast(msgspec.Struct, frozen=True):
    """The latest forecast of a customer and target."""

    target: str
    horizon: Horizon
    issued_at: datetime
    model_id: str
    model_kind: str
    week: str | None
    version: int | None
    data_through: int
    start_slot: int
    basis: str
    quantiles: list[list[float]]
    totals: list[dict[str, Any]]
    explanation: list[dict[str, Any]]


class Issue(msgspec.Struct, frozen=True):
    """One forecast of a customer, all targets, and where it lies."""

    customer_no: int
    horizon: Horizon
    issued_at: datetime
    model_id: str
    week: str | None
    version: int | None
    data_through: int
    start_slot: int
    end_slot: int
    object_key: str


class DueIssue(msgspec.Struct, frozen=True):
    """A forecast whose slots are over and whose score is missing or may have changed."""

    customer_no: int
    customer_id: str
    zone: str
    horizon: Horizon
    issued_at: datetime
    model_id: str
    start_slot: int
    end_slot: int
    object_key: str


class NewScore(msgspec.Struct, frozen=True, kw_only=True):
    """How good one forecast of one target was; lists have one entry per part of the day.

    Of a week ahead each day by itself: `lead_day` is 1 for the first one, 0 for all days together.
    """

    customer_no: int
    target: str
    horizon: Horizon
    issued_at: datetime
    model_id: str
    end_slot: int
    loss: list[float]
    size: list[float]
    slots: list[int]
    below: list[int]
    above: list[int]
    days: int
    days_inside: int
    lead_day: int = 0


class PastForecast(msgspec.Struct, frozen=True):
    """A forecast of one target that was issued, with its score where the truth has arrived."""

    horizon: Horizon
    issued_at: datetime
    model_id: str
    week: str | None
    version: int | None
    data_through: int
    start_slot: int
    end_slot: int
    scored_at: datetime | None
    wql: float | None
    slots: int | None
    below: int | None
    above: int | None


class PartScore(msgspec.Struct, frozen=True):
    """Sums over many forecasts of one model, target, horizon and part of the day (0…5)."""

    model_id: str
    target: str
    horizon: Horizon
    part: int
    forecasts: int
    customers: int
    loss: float
    size: float
    slots: int
    below: int
    above: int


class LeadScore(msgspec.Struct, frozen=True):
    """Sums over many forecasts of one model, target and day ahead (1…7)."""

    model_id: str
    target: str
    horizon: Horizon
    lead_day: int
    forecasts: int
    customers: int
    loss: float
    size: float
    slots: int
    below: int
    above: int


class DayScore(msgspec.Struct, frozen=True):
    """How many days' totals lay inside their interval."""

    model_id: str
    target: str
    horizon: Horizon
    days: int
    days_inside: int


class IssueScore(msgspec.Struct, frozen=True):
    """Sums of one forecast of one target."""

    target: str
    customer_no: int
    loss: float
    size: float


class NewDrift(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of a champion and target; `job_id` is the training that was asked for."""

    model_id: str
    target: str
    checked_at: datetime
    forecasts: int
    customers: int
    wql: float | None
    wql_low: float | None
    wql_at_gate: float | None
    is_drifting: bool
    reason: str
    job_id: str | None


class DriftOf(msgspec.Struct, frozen=True):
    """The same with its programme."""

    programme: str
    model_id: str
    target: str
    checked_at: datetime
    forecasts: int
    customers: int
    wql: float | None
    wql_low: float | None
    wql_at_gate: float | None
    is_drifting: bool
    reason: str
    job_id: str | None


class DueProgramme(msgspec.Struct, frozen=True):
    """A programme with customers whose rest of today is to be forecast again."""

    programme_no: int


async def forecast_customers(
    db: Db, programme_no: int, only: Sequence[int] | None, zones: Sequence[str] | None = None
) -> list[ForecastCustomer]:
    """Active customers with data, all of them or those with the numbers in `only`, at home in
    `zones`."""
    chosen = [None if each is None else list(each) for each in (only, zones)]
    args = (programme_no, *chosen)
    return await fetch(db, ForecastCustomer, "forecasts.forecast_customers", *args)


async def homes(db: Db) -> list[Home]:
    """Zones of the customers who can be forecast, by programme."""
    return await fetch(db, Home, "forecasts.homes")


async def left_out(
    db: Db, night_job: str, zones: Sequence[str], start_slot: int, limit: int
) -> list[int]:
    """Numbers of active customers in `zones` without a next day's forecast from `start_slot`, the
    beginning of their day, on; none while the night's job or any other forecast is under way."""
    given = (night_job, list(zones), start_slot, limit)
    found = await fetch(db, CustomerNo, "forecasts.left_out", *given)
    return [each.customer_no for each in found]


async def upsert_forecasts(db: Db, new: Sequence[NewForecast]) -> None:
    """Stores the latest forecasts."""
    for forecast in new:
        await execute(db, "forecasts.upsert_forecast", *msgspec.structs.astuple(forecast))


async def insert_issue(db: Db, new: Issue) -> None:
    """Notes that a forecast was issued; a repeat changes nothing."""
    await execute(db, "forecasts.insert_issue", *msgspec.structs.astuple(new))


async def latest_forecast(
    db: Db, customer_no: int, target: str, horizon: Horizon = "96"
) -> Forecast:
    """The latest forecast; raises NotFound."""
    args = (customer_no, target, horizon)
    found = await fetch_one(db, Forecast, "forecasts.forecast_of", *args)
    if found is None:
        raise NotFound(f"a forecast of {target}")
    return found


async def past_forecasts(
    db: Db,
    customer_no: int,
    of: tuple[str, Horizon],
    before: datetime | None,
    limit: int,
) -> list[PastForecast]:
    """What was issued of (target, horizon) before an instant, newest first."""
    args = (customer_no, *of, before, limit)
    return await fetch(db, PastForecast, "forecasts.past_forecasts", *args)


async def get_issue(db: Db, customer_no: int, horizon: str, issued_at: datetime) -> Issue:
    """One issue; raises NotFound."""
    args = (customer_no, horizon, issued_at)
    found = await fetch_one(db, Issue, "forecasts.issue", *args)
    if found is None:
        raise NotFound(f"a forecast issued at {issued_at.isoformat()}")
    return found


async def due_issues(
    db: Db, programme_no: int, ended_by: tuple[int, int], limit: int
) -> list[DueIssue]:
    """Forecasts to score, oldest first: those not scored yet whose slots ended by the first slot,
    and those scored once whose slots ended by the second one, when late data has come in."""
    args = (programme_no, *ended_by, limit)
    return await fetch(db, DueIssue, "forecasts.due_issues", *args)


async def store_scores(db: Db, issue: DueIssue, scores: Sequence[NewScore], settled: bool) -> None:
    """Scores of targets of an issue; a repeat replaces what was found of them before."""
    which = (issue.customer_no, issue.horizon, issue.issued_at)
    await execute(db, "forecasts.forget_scores", *which, sorted({each.target for each in scores}))
    for score in scores:
        await execute(db, "forecasts.upsert_score", *msgspec.structs.astuple(score))
    await execute(db, "forecasts.mark_scored", *which, settled)


async def part_scores(
    db: Db, within: Sequence[int] | None, only: tuple[str | None, str | None], since: int
) -> list[PartScore]:
    """Scores by model, target, horizon and part of forecasts that ended from slot `since` on.

    `within` are numbers of programmes, `only` is (model, target).
    """
    args = (list(within) if within is not None else None, *only, since)
    return await fetch(db, PartScore, "forecasts.part_scores", *args)


async def lead_scores(
    db: Db, within: Sequence[int] | None, only: tuple[str | None, str | None], since: int
) -> list[LeadScore]:
    """The same of weeks ahead, by how far ahead a day lay."""
    args = (list(within) if within is not None else None, *only, since)
    return await fetch(db, LeadScore, "forecasts.lead_scores", *args)


async def day_scores(
    db: Db, within: Sequence[int] | None, only: tuple[str | None, str | None], since: int
) -> list[DayScore]:
    """The same of whole days' totals."""
    args = (list(within) if within is not None else None, *only, since)
    return await fetch(db, DayScore, "forecasts.day_scores", *args)


async def issue_scores(db: Db, model_id: str, since: int) -> list[IssueScore]:
    """A model's next-day forecasts that ended from slot `since` on, each target by itself."""
    return await fetch(db, IssueScore, "forecasts.issue_scores", model_id, since)


async def programmes_with_news(db: Db, now: datetime, new_within_s: float) -> list[DueProgramme]:
    """Programmes with a champion and customers whose today has slots that no forecast has seen."""
    return await fetch(db, DueProgramme, "forecasts.programmes_with_news", now, new_within_s)


async def customers_with_news(db: Db, programme_no: int, now: datetime, limit: int) -> list[int]:
    """Numbers of active customers with slots of today that their forecast of today has not seen,
    also late ones before its start; those waiting longest first."""
    args = (programme_no, now, limit)
    found = await fetch(db, CustomerNo, "forecasts.customers_with_news", *args)
    return [each.customer_no for each in found]


async def issued_to(
    db: Db, customers: Sequence[int], horizons: Sequence[Horizon], issued_at: datetime
) -> set[int]:
    """Which of the customers have been issued one of the horizons at that very instant."""
    args = (list(customers), list(horizons), issued_at)
    found = await fetch(db, CustomerNo, "forecasts.issued_to", *args)
    return {each.customer_no for each in found}


async def forecast_from(db: Db, customers: Sequence[int], start_slot: int) -> set[int]:
    """Which of the customers have a next day's forecast that begins at `start_slot` or later."""
    found = await fetch(db, CustomerNo, "forecasts.forecast_from", list(customers), start_slot)
    return {each.customer_no for each in found}


async def forget_issues(db: Db, horizon: Horizon, before: int, limit: int) -> int:
    """Rows of settled issues of a horizon that ended before a slot; their objects stay."""
    return await execute(db, "forecasts.forget_issues", horizon, before, limit)


async def upsert_drift(db: Db, new: NewDrift) -> None:
    """Replaces what was found of the model and target before."""
    await execute(db, "forecasts.upsert_drift", *msgspec.structs.astuple(new))


async def drifts(db: Db, within: Sequence[int] | None) -> list[DriftOf]:
    """The newest findings about the champions of the programmes with the numbers in `within`."""
    return await fetch(db, DriftOf, "forecasts.drifts", within)
