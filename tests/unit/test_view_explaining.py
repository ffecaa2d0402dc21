"""Why a forecast is what it is and how good it was, in words that a person reads."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from fitstream.client.data import DayTotal, Forecast, Quantiles
from fitstream.client.forecasts import (
    Effects,
    Explained,
    ExplainedDay,
    ForecastScores,
    IssuedForecast,
    LeadScore,
    Part,
    PartScore,
    PastDay,
    Score,
)
from fitstream.gateway.view.explaining import explained_view, sentence
from fitstream.gateway.view.performance import past_view, performance_of, strip_of
from fitstream.gateway.view.remaining import remaining_view

TODAY = date(2026, 11, 24)  # a Tuesday
NOW = datetime(2026, 11, 24, 12, 5, tzinfo=UTC)


def day(name: str, weight: float = 0.2) -> PastDay:
    return PastDay(date.fromisoformat(name), weight, 1000.0)


def explained(*days: PastDay, cohort: float = 0.1, on: date = TODAY) -> ExplainedDay:
    return ExplainedDay(
        day=on,
        mean=7900,
        days=list(days),
        other_days=Part(0, 0),
        cohort=Part(cohort, 100),
        networks=0,
        moments=[],
        effects=Effects(usual=8000, weekday=-400, recency=310, cohort=-10, today=0, networks=0),
    )


@pytest.mark.parametrize(
    ("on", "days", "words"),
    [
        ("2026-11-25", ["2026-11-18", "2026-11-11"],
         "Tomorrow looks most like last Wednesday and the Wednesday before."),
        ("2026-11-24", ["2026-11-23", "2026-11-17"],
         "Today looks most like yesterday and last Tuesday."),
        ("2026-11-28", ["2026-11-14"], "Saturday looks most like Saturday 14 November."),
        ("2026-12-02", ["2026-11-18"],
         "Wednesday, 2 December looks most like last Wednesday."),
    ],
)  # fmt: skip
def test_days_are_named_as_people_name_them(on: str, days: list[str], words: str) -> None:
    item = explained(*(day(each) for each in days), on=date.fromisoformat(on))
    assert sentence(item, TODAY, "96") == words


def test_the_rest_of_today_is_no_whole_day() -> None:
    text = sentence(explained(day("2026-11-23")), TODAY, "today")
    assert text == "The rest of today looks most like yesterday."


def test_who_has_few_days_is_told_whose_days_count() -> None:
    assert "your own are too few" in sentence(explained(cohort=1), TODAY, "96")
    mostly = sentence(explained(day("2026-11-23"), cohort=0.7), TODAY, "96", "their")
    assert "as their own are few yet" in mostly


def test_changes_go_from_the_usual_to_the_mean_and_trifles_are_left_out() -> None:
    found = Explained(
        target="steps", horizon="96", issued_at=NOW, model_id="m", basis="own history",
        items=[explained(day("2026-11-17"))],
    )  # fmt: skip
    view = explained_view(found, TODAY, TODAY)
    assert view is not None
    assert (view.usual, view.mean) == (8000, 7900)
    assert [(each.amount, each.words) for each in view.changes] == [
        ("−400", "because it is a Tuesday"), ("+310", "as the last days went"),
    ]  # fmt: skip
    assert view.days[0].share == 20
    assert explained_view(None, TODAY) is None


def test_what_a_transformer_looks_at_is_told_apart_from_learned_patterns() -> None:
    item = explained(day("2026-11-17"))
    effects = msgspec.structs.replace(item.effects, attention=200, networks=-150)
    found = Explained(
        target="steps", horizon="96", issued_at=NOW, model_id="m", basis="own history",
        items=[msgspec.structs.replace(item, effects=effects, attention=0.4)],
    )  # fmt: skip
    view = explained_view(found, TODAY, TODAY, "their")
    assert view is not None
    assert view.attention == 40
    assert [(each.amount, each.words) for each in view.changes[-2:]] == [
        ("+200", "as a trained model picks among their past days"),
        ("−150", "by patterns that a model learned"),
    ]


def test_an_explanation_of_before_attention_was_told_is_read_as_it_is() -> None:
    built = msgspec.to_builtins(explained(day("2026-11-17")))
    del built["attention"], built["effects"]["attention"]
    item = msgspec.convert(built, ExplainedDay)
    assert (item.attention, item.effects.attention) == (0, 0)


def forecast(target: str, on: date, start: datetime = NOW) -> Forecast:
    total = DayTotal(day=on, slots=40, own_days=9, low=7000, mean=8000, high=9500)
    items = [Quantiles(start + timedelta(minutes=15 * i), 60, 70, 90, 72) for i in range(40)]
    return Forecast(
        target=target, horizon="today", issued_at=NOW, model_id="m", items=items, totals=[total]
    )


def test_the_rest_of_today_tells_totals_and_the_heart_of_the_next_hour() -> None:
    found = [forecast("steps", TODAY), forecast("heart_rate_bpm", TODAY)]
    view = remaining_view(found, None, "UTC", NOW)
    assert view is not None
    assert view.outlooks[0] == (
        "Steps by midnight", "8,000", "8 in 10 times between 7,000 and 9,500",
    )  # fmt: skip
    assert view.outlooks[1].name == "Heart rate in the next hour"
    assert view.outlooks[1].value == "70 bpm"
    assert not view.is_stale


def test_a_forecast_of_yesterday_tells_nothing_of_today_and_an_old_one_says_so() -> None:
    yesterday = TODAY - timedelta(days=1)
    assert remaining_view([forecast("steps", yesterday)], None, "UTC", NOW) is None
    old = forecast("steps", TODAY, NOW - timedelta(hours=3))
    view = remaining_view([old], None, "UTC", NOW)
    assert view is not None
    assert view.is_stale


def issued(number: int, **score: Any) -> IssuedForecast:
    at = NOW - timedelta(days=number)
    fields = {"wql": 0.6, "coverage": 0.75, "below_q10": 0.05, "above_q90": 0.2, "slots": 96}
    return IssuedForecast(
        id=f"f{number}", target="steps", horizon="96", issued_at=at, model_id="m", based_on=None,
        data_through=at, start=at, end=at,
        score=Score(**fields | score, scored_at=NOW) if score else None,  # type: ignore[arg-type]
    )  # fmt: skip


def test_past_forecasts_count_what_lay_inside_and_wait_for_the_truth() -> None:
    assert past_view([issued(0)]) is None
    view = past_view([issued(0), issued(1, slots=96), issued(2, slots=48, coverage=1.0)])
    assert view is not None
    assert [each.id for each in view.items] == ["f1", "f2"]
    assert (view.inside, view.slots) == (72 + 48, 144)


def test_the_strip_runs_in_time_and_knows_its_neighbours() -> None:
    strip = strip_of([issued(0), issued(1), issued(2)], "f1", None)
    assert [each.id for each in strip.items] == ["f2", "f1", "f0"]
    assert (strip.earlier, strip.later, strip.at) == ("f2", "f0", 1)
    newest = strip_of([issued(0), issued(1)], "latest", "more")
    assert (newest.at, newest.later, newest.cursor) == (1, "", "more")


def test_scores_are_told_of_the_target_that_is_looked_at() -> None:
    part = PartScore(
        model_id="m", target="steps", horizon="96", part="08-12", forecasts=3, customers=2,
        slots=48, wql=0.5, coverage=0.8, below_q10=0.05, above_q90=0.15,
    )  # fmt: skip
    other = msgspec.structs.replace(part, target="calories_kcal")
    found = ForecastScores(since=NOW, items=[part, other], totals=[], drift=[])
    (row,) = performance_of(found, "steps").items
    assert (row.horizon, row.part, row.coverage) == ("Next day", "08:00–12:00", 80)
    lead = LeadScore(
        model_id="m", target="steps", horizon="672", lead_day=7, forecasts=3, customers=2,
        slots=96, wql=0.7, coverage=0.75, below_q10=0.05, above_q90=0.2,
    )  # fmt: skip
    rows = performance_of(msgspec.structs.replace(found, leads=[lead]), "steps").items
    assert [(row.horizon, row.part) for row in rows[1:]] == [("Next week", "day 7")]
