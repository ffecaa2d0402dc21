"""A forecast on its way out: rows for Postgres, the object for S3, one issue per horizon."""

from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from fitstream.clock import DAY_SLOTS, local_time, slot_start
from fitstream.errors import Conflict
from fitstream.repo import forecasts
from fitstream.repo.forecasts import ForecastCustomer, Horizon, Issue, NewForecast
from fitstream.tasks.context import JobContext
from fitstream.tasks.history import quarter_of, wall_clock
from fitstream.trainer.explain import Explanation
from fitstream.trainer.forecast import Forecast

_HALF_DAY = DAY_SLOTS // 2
_LEAST_SHARE = 0.0005  # of a past day, to be named


class About(NamedTuple):
    """What all targets of an issue share; `slots` from `start` on are forecast."""

    horizon: Horizon
    model_id: str
    issued_at: datetime
    start: int
    slots: int
    data_through: int


async def issue(
    context: JobContext, customer: ForecastCustomer, found: Forecast, about: About
) -> list[NewForecast]:
    """Rows of all targets, after their object lies in S3; none where nothing can be told."""
    rows = rows_of(customer, found, about)
    if not rows:
        return []
    body, key = msgspec.json.encode(_body(customer, rows)), rows[0].object_key
    try:
        await context.store.put_new(key, body, "application/json")
    except Conflict:  # of an attempt that ended before its commit, when other data was there
        key = f"{key.removesuffix('.json')}-{sha256(body).hexdigest()[:12]}.json"
        await context.store.put_new(key, body, "application/json")
    return [msgspec.structs.replace(row, object_key=key) for row in rows]


async def publish(db: Any, rows: list[NewForecast], ends: dict[str, int]) -> None:
    """Makes them the latest, and notes each issue once; `ends` are last slots by object key."""
    await forecasts.upsert_forecasts(db, rows)
    for row in {row.object_key: row for row in rows}.values():
        await forecasts.insert_issue(
            db,
            Issue(
                customer_no=row.customer_no,
                horizon=row.horizon,
                issued_at=row.issued_at,
                model_id=row.model_id,
                week=row.week,
                version=row.version,
                data_through=row.data_through,
                start_slot=row.start_slot,
                end_slot=ends[row.object_key],
                object_key=row.object_key,
            ),
        )


def ends_of(rows: list[NewForecast]) -> dict[str, int]:
    """The slot behind the last one of each object."""
    return {row.object_key: row.start_slot + len(row.quantiles) for row in rows}


def rows_of(customer: ForecastCustomer, found: Forecast, about: About) -> list[NewForecast]:
    """One row per target that could be told."""
    places = wall_clock(about.start, about.slots, customer.zone)
    days = _days(about, places, customer.zone)
    return [
        NewForecast(
            customer_no=customer.customer_no,
            target=target,
            horizon=about.horizon,
            issued_at=about.issued_at,
            model_id=about.model_id,
            week=customer.week,
            version=customer.version,
            data_through=about.data_through,
            start_slot=about.start,
            basis=found.basis[target],
            quantiles=[[round(float(v), 3) for v in values[place]] for place in places],
            totals=[
                {"day": total.day, "slots": days[total.day], "own_days": found.own_days[target]}
                | _rounded(low=total.low, mean=total.mean, high=total.high)
                for total in found.totals[target]
                if total.day in days
            ],
            explanation=[
                explanation_of(each) for each in found.explained[target] if each.day in days
            ],
            object_key=_key(customer, about),
            week_seq=customer.week_seq,
        )
        for target, values in found.values.items()
    ]


def explanation_of(each: Explanation) -> dict[str, Any]:
    """As it is stored and served; what is too small to be named is summed up."""
    named = [day for day in each.days if day.weight >= _LEAST_SHARE]
    small = [day for day in each.days if day.weight < _LEAST_SHARE]
    return {
        "day": each.day,
        "mean": round(each.mean, 3),
        "days": [
            {"day": day.day, "weight": round(day.weight, 5), "adds": round(day.adds, 3)}
            for day in sorted(named, key=lambda day: -day.weight)
        ],
        "other_days": _rounded(
            weight=sum(day.weight for day in small), adds=sum(day.adds for day in small)
        ),
        "cohort": _rounded(weight=each.cohort.weight, adds=each.cohort.adds),
        "networks": round(each.networks, 3),
        "moments": [
            {"minutes": moment.minutes, "weight": round(moment.weight, 5)}
            for moment in each.moments
        ],
        "effects": _rounded(**each.effects),
        "attention": round(each.attention, 5),
    }


def _days(about: About, places: list[int], zone: str) -> dict[date, int]:
    """The local days that a forecast tells something about, with how many of its slots are theirs:
    those it covers by half, or the one that it covers most."""
    first = local_time(about.start, zone)
    count: dict[date, int] = {}
    for place in places:
        day = first.date() + timedelta(days=(place + quarter_of(first)) // DAY_SLOTS)
        count[day] = count.get(day, 0) + 1
    most = max(count.values())
    return {day: n for day, n in count.items() if n >= min(_HALF_DAY, most)}


def _rounded(**values: float) -> dict[str, float]:
    return {name: round(float(value), 5) for name, value in values.items()}


def _key(customer: ForecastCustomer, about: About) -> str:
    at = f"{about.issued_at:%Y%m%dT%H%M%S%f}"
    return f"users/{customer.id}/forecasts/{at}-{about.horizon}.json"


def _body(customer: ForecastCustomer, rows: list[NewForecast]) -> dict[str, Any]:
    """The history of forecasts lies in S3; Postgres keeps the latest."""
    first = rows[0]
    return {
        "customer_id": customer.id,
        "horizon": first.horizon,
        "issued_at": first.issued_at,
        "model_id": first.model_id,
        "based_on": {"week": customer.week, "version": customer.version},
        "data_through": slot_start(first.data_through),
        "start": slot_start(first.start_slot),
        "step_s": timedelta(minutes=15).seconds,
        "targets": {
            row.target: {
                "basis": row.basis,
                "rows": row.quantiles,
                "totals": row.totals,
                "explanation": row.explanation,
            }
            for row in rows
        },
    }
