"""Forecasts as the API tells them: those issued, what they rest on, and how good they were."""

from datetime import date, datetime
from typing import Literal

import msgspec

from fitstream.client.data import BasedOn

Horizon = Literal["96", "672", "today"]


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How good a forecast was: WQL (lower is better), and shares of truths beyond the range."""

    wql: float | None
    coverage: float
    below_q10: float
    above_q90: float
    slots: int
    scored_at: datetime


class IssuedForecast(msgspec.Struct, frozen=True, kw_only=True):
    """A forecast that was issued; `score` is null until the truth has arrived."""

    id: str
    target: str
    horizon: Horizon
    issued_at: datetime
    model_id: str
    based_on: BasedOn | None
    data_through: datetime
    start: datetime = msgspec.field(name="from")
    end: datetime = msgspec.field(name="to")
    score: Score | None


class PastDay(msgspec.Struct, frozen=True):
    """A past day: its share of the weight, and how much of the mean comes from it."""

    day: date
    weight: float
    adds: float


class Part(msgspec.Struct, frozen=True):
    """The share of something that is no single day."""

    weight: float
    adds: float


class Moment(msgspec.Struct, frozen=True):
    """Share of the values that lie so many minutes from the moment that is forecast."""

    minutes: int
    weight: float


class Effects(msgspec.Struct, frozen=True):
    """They sum to the mean: what is usual, and what each of the others changes."""

    usual: float
    weekday: float
    recency: float
    cohort: float
    today: float
    networks: float
    attention: float = 0.0  # those issued before it was told have it in `networks`


class ExplainedDay(msgspec.Struct, frozen=True, kw_only=True):
    """A local day of a forecast; `adds` of all parts and `networks` sum to `mean`. `attention` is
    the share of the weights that Transformers gave."""

    day: date
    mean: float
    days: list[PastDay]
    other_days: Part
    cohort: Part
    networks: float
    moments: list[Moment]
    effects: Effects
    attention: float = 0.0


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """What the latest forecast of a target rests on, day by day."""

    target: str
    horizon: Horizon
    issued_at: datetime
    model_id: str
    basis: str
    items: list[ExplainedDay]


class PartScore(msgspec.Struct, frozen=True, kw_only=True):
    """How good a model's forecasts were in one part of the day, like `08-12`."""

    model_id: str
    target: str
    horizon: Horizon
    part: str
    forecasts: int
    customers: int
    slots: int
    wql: float | None
    coverage: float | None
    below_q10: float | None
    above_q90: float | None


class LeadScore(msgspec.Struct, frozen=True, kw_only=True):
    """How good a model's forecasts of a week were on the day that lay so far ahead (1…7)."""

    model_id: str
    target: str
    horizon: Horizon
    lead_day: int
    forecasts: int
    customers: int
    slots: int
    wql: float | None
    coverage: float | None
    below_q10: float | None
    above_q90: float | None


class TotalScore(msgspec.Struct, frozen=True, kw_only=True):
    """How many days' totals lay inside their interval."""

    model_id: str
    target: str
    horizon: Horizon
    days: int
    inside: int


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """The champion of late against what it was when it was judged; `reason` in plain words."""

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
    job: str | None = None


class ForecastScores(msgspec.Struct, frozen=True, kw_only=True):
    """How good forecasts were of late."""

    since: datetime
    items: list[PartScore]
    leads: list[LeadScore] = []
    totals: list[TotalScore]
    drift: list[Drift]
