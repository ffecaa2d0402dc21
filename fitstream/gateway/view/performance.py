"""How good forecasts were: of one customer one by one, and of models part by part. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from fitstream.client.forecasts import (
    Drift,
    ForecastScores,
    IssuedForecast,
    LeadScore,
    PartScore,
)
from fitstream.gateway.view.forecasting import HORIZONS


class Scored(NamedTuple):
    """One forecast that was scored; shares in percent."""

    id: str
    issued_at: datetime
    wql: float | None
    coverage: float
    above: float
    below: float
    slots: int


class PastView(msgspec.Struct, frozen=True, kw_only=True):
    """The forecasts before, newest first; `inside` and `slots` count over all of them."""

    items: list[Scored]
    inside: int
    slots: int


class Strip(msgspec.Struct, frozen=True, kw_only=True):
    """Issue times to go through, oldest first, and which one is shown."""

    items: list[IssuedForecast]
    at: int
    earlier: str
    later: str
    cursor: str


class ModelScore(NamedTuple):
    """Of one model, horizon and part of the day, or day ahead; shares in percent."""

    model_id: str
    horizon: str
    part: str
    forecasts: int
    wql: float | None
    coverage: float | None
    above: float | None


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """How good forecasts of one target were in the programme, and what was found of drift."""

    items: list[ModelScore]
    totals: list[str]
    drift: list[Drift]


def past_view(items: Sequence[IssuedForecast]) -> PastView | None:
    """Those with a score; None while there are none."""
    scored = [
        Scored(
            item.id,
            item.issued_at,
            item.score.wql,
            100 * item.score.coverage,
            100 * item.score.above_q90,
            100 * item.score.below_q10,
            item.score.slots,
        )
        for item in items
        if item.score is not None
    ]
    if not scored:
        return None
    inside = sum(round(each.coverage / 100 * each.slots) for each in scored)
    return PastView(items=scored, inside=inside, slots=sum(each.slots for each in scored))


def strip_of(items: Sequence[IssuedForecast], shown: str, cursor: str | None) -> Strip:
    """The page of issues as a strip; `shown` is an id, the newest where it is not among them."""
    in_time = list(reversed(items))
    ids = [item.id for item in in_time]
    at = ids.index(shown) if shown in ids else len(ids) - 1
    return Strip(
        items=in_time,
        at=at,
        earlier=ids[at - 1] if at > 0 else "",
        later=ids[at + 1] if 0 <= at < len(ids) - 1 else "",
        cursor=cursor or "",
    )


def performance_of(found: ForecastScores, target: str) -> Performance:
    """What the scores say of one target."""
    totals = [
        f"{HORIZONS[each.horizon]}: {each.inside} of {each.days} days' totals inside their range"
        for each in found.totals
        if each.target == target and each.days
    ]
    return Performance(
        items=[
            *(_score(each) for each in found.items if each.target == target and each.slots),
            *(_score(each) for each in found.leads if each.target == target and each.slots),
        ],
        totals=totals,
        drift=[each for each in found.drift if each.target == target],
    )


def _score(each: PartScore | LeadScore) -> ModelScore:
    coverage = None if each.coverage is None else 100 * each.coverage
    above = None if each.above_q90 is None else 100 * each.above_q90
    if isinstance(each, LeadScore):
        part = f"day {each.lead_day}"
    else:
        part = f"{each.part.replace('-', ':00–')}:00"
    about = (each.model_id, HORIZONS[each.horizon], part, each.forecasts)
    return ModelScore(*about, each.wql, coverage, above)
