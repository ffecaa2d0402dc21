"""Forecasts for serving: the next slots of one or many customers from whole days before the start.

Must not need torch for the climatology, and must not look at or after the start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, Protocol

import numpy as np

from fitstream.trainer.data import SLOTS, Bools, Floats, Series
from fitstream.trainer.daytotals import Ratios
from fitstream.trainer.explain import Explanation, Served, cohort_alone, explain
from fitstream.trainer.metrics import Doubles
from fitstream.trainer.models.blend import Attention
from fitstream.trainer.models.climatology import MIN_OWN_DAYS, Climatology, own_history
from fitstream.trainer.models.nowcast import Nowcast
from fitstream.trainer.totals import DayTotal, totals_of
from fitstream.trainer.windows import Issue, Look, Reach, Windows, make_windows

LIMITS = {
    "steps": (0.0, 6000.0),
    "calories_kcal": (0.0, 2000.0),
    "heart_rate_bpm": (20.0, 260.0),
}
OWN, COHORT = "own history", "cohort"
_CHUNK = 8


class ServingModel(Protocol):
    """What `registry.load` gives back."""

    @property
    def kind(self) -> str:
        """Name on the leaderboard and in the card."""

    @property
    def reach(self) -> Reach:
        """How far it looks back."""

    @property
    def targets(self) -> tuple[str, ...]:
        """What it can forecast."""

    @property
    def base(self) -> Climatology:
        """The climatology that it is or stands on."""

    @property
    def day_ratios(self) -> Mapping[str, Ratios]:
        """How far a day's total may lie from its forecast, per target."""

    @property
    def nowcasts(self) -> Mapping[str, Nowcast]:
        """What is averaged with the rest of today, per target."""

    def attention(self, windows: Windows) -> tuple[Attention, ...]:
        """How its Transformers weigh the past of some windows; empty where none serves."""

    def look(self, target: str) -> Look:
        """What its windows of a target are made of."""

    def predict(self, windows: Windows) -> Floats:
        """(n, 96, 4): q10, q50, q90, mean of each slot."""

    def total_ratios(self, windows: Windows, forecast: Floats) -> Doubles:
        """(n, 2): how far each day's total may lie below and above that of its forecast."""


class Request(NamedTuple):
    """Forecast `slots` quarter hours of local time from `start_quarter` (0…95) of `start_day`."""

    series: Series
    start_day: date
    start_quarter: int = 0
    slots: int = SLOTS
    is_explained: bool = False


@dataclass(frozen=True, eq=False)
class Forecast:
    """Quantiles of one customer, slot by slot in local wall-clock time.

    `values[target]` is (slots, 4): q10, q50, q90, mean. `basis[target]` says what it rests on: "own
    history" or "cohort". A target that neither can tell is absent. `data_through` is the last local
    day whose slots were looked at, None without any. `own_days[target]` counts the past days within
    reach on which the customer measured it. `totals[target]` are those of each whole local
    day that it touches, `explained[target]` says what each of them rests on, where asked for.
    """

    customer_id: str
    start_day: date
    start_quarter: int
    values: Mapping[str, Floats]
    basis: Mapping[str, str]
    data_through: date | None
    own_days: Mapping[str, int]
    totals: Mapping[str, tuple[DayTotal, ...]]
    explained: Mapping[str, tuple[Explanation, ...]]


class _Predicted(NamedTuple):
    """What a model says of some windows: their slots, whether own days are enough to stand on, how
    far totals may lie off, and how Transformers weigh the past."""

    days: Floats
    own: Bools
    ratios: Doubles
    attention: tuple[Attention, ...]


@dataclass(frozen=True, eq=False)
class _Target:
    """One target of one request: whole local days, what they rest on, and what was served."""

    days: Floats
    is_own: bool
    own_days: int
    totals: tuple[DayTotal, ...]
    explained: tuple[Explanation, ...]


def forecast(
    model: ServingModel, series: Series, start_day: date, start_quarter: int, slots: int = SLOTS
) -> Forecast:
    """The next `slots` quarter hours of one customer."""
    return forecast_many(model, [Request(series, start_day, start_quarter, slots)])[0]


def forecast_many(model: ServingModel, requests: Sequence[Request]) -> list[Forecast]:
    """Forecasts in the order of the requests; handled in small groups that fit the cache.

    Raises ValueError for a start quarter outside 0…95 or no slots.
    """
    out: list[Forecast] = []
    for at in range(0, len(requests), _CHUNK):
        out += _group(model, requests[at : at + _CHUNK])
    return out


def _group(model: ServingModel, requests: Sequence[Request]) -> list[Forecast]:
    known: dict[str, Series] = {}
    issues: list[Issue] = []
    rows: list[slice] = []
    for number, request in enumerate(requests):
        if not 0 <= request.start_quarter < SLOTS or request.slots < 1:
            raise ValueError("start_quarter must be 0…95 and slots at least 1")
        start = request.series.index(request.start_day)
        days = -(-(request.start_quarter + request.slots) // SLOTS)
        known[str(number)] = request.series.before(start)
        rows.append(slice(len(issues), len(issues) + days))
        issues += [Issue(str(number), start + day, start) for day in range(days)]
    is_explained = any(request.is_explained for request in requests)
    found: list[dict[str, _Target]] = [{} for _ in requests]
    for target in model.targets:
        windows = make_windows(known, model.look(target), issues)
        days_of_slots = model.predict(windows)  # (n, slot, output)
        own = own_history(windows)  # (n,)
        ratios = model.total_ratios(windows, days_of_slots)  # (n, 2)
        attention = model.attention(windows) if is_explained else ()
        predicted = _Predicted(days_of_slots, own, ratios, attention)
        for number, request in enumerate(requests):
            made = _target(model, windows, predicted, (request, rows[number]))
            if made is not None and (made.is_own or not _settled(known[str(number)])):
                found[number][target] = made
    return [_answer(request, each) for request, each in zip(requests, found, strict=True)]


def _target(
    model: ServingModel,
    windows: Windows,
    predicted: _Predicted,
    asked: tuple[Request, slice],
) -> _Target | None:
    """One target of a request; None where neither own days nor the cohort tell it."""
    request, rows = asked
    target, days, own = windows.target, predicted.days[rows], predicted.own
    if not np.isfinite(days).all():
        return None
    days = np.stack([bounded(day, target) for day in days])  # (day, slot, output)
    is_own = bool(own[rows.start])
    worn = int(windows.history_days()[rows.start])
    totals = totals_of(
        target, days, request.start_day, (predicted.ratios[rows], worn if is_own else 0)
    )
    explained: tuple[Explanation, ...] = ()
    if request.is_explained:
        kernel = model.base.kernels[target]
        dates = [total.day for total in totals]
        explained = tuple(
            explain(kernel, windows, rows.start + i, Served(dates[i], day, predicted.attention))
            if own[rows.start + i]
            else cohort_alone(target, dates[i], day)
            for i, day in enumerate(days)
        )
    return _Target(days, is_own, worn, totals, explained)


def bounded(values: Floats, target: str) -> Floats:
    """(slot, 4): quantiles in order, everything inside what the contract allows."""
    low, high = LIMITS[target]
    clipped = np.clip(values, low, high)
    clipped[:, :3] = np.sort(clipped[:, :3], axis=1)
    return clipped


def _settled(series: Series) -> bool:
    """A customer with wear days of their own: what they never measured is not made up for them."""
    return int(series.wear.sum()) >= MIN_OWN_DAYS


def _answer(request: Request, found: Mapping[str, _Target]) -> Forecast:
    series, first = request.series, request.start_quarter
    known = min(series.index(request.start_day), series.days)
    through = date.fromordinal(series.first_day.toordinal() + known - 1) if known > 0 else None
    return Forecast(
        customer_id=series.customer_id,
        start_day=request.start_day,
        start_quarter=request.start_quarter,
        values={
            target: each.days.reshape(-1, each.days.shape[-1])[first : first + request.slots]
            for target, each in found.items()
        },
        basis={target: OWN if each.is_own else COHORT for target, each in found.items()},
        data_through=through,
        own_days={target: each.own_days for target, each in found.items()},
        totals={target: each.totals for target, each in found.items()},
        explained={target: each.explained for target, each in found.items()},
    )
