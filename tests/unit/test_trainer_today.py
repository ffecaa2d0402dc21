"""The rest of today: from what was measured of it, from nothing later, and explained as it is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pytest
import torch

from fitstream.trainer.cohort import make_cohort as cohort_of
from fitstream.trainer.course import course_of
from fitstream.trainer.data import SLOTS, TARGETS, Series
from fitstream.trainer.explain import RATES
from fitstream.trainer.forecast import Forecast
from fitstream.trainer.models.blend import Blend, Member
from fitstream.trainer.models.climatology import Climatology, pooled
from fitstream.trainer.models.kernel import START
from fitstream.trainer.models.network import make_network
from fitstream.trainer.models.nowcast import (
    FEATURES,
    NOWCASTED,
    SHAPES,
    Nowcast,
    NowcastShape,
)
from fitstream.trainer.models.shape import Shape
from fitstream.trainer.today import Moment, rest_of_today, until
from fitstream.trainer.windows import Issue, Look, Reach, make_windows
from tests.unit.trainer_factories import make_cohort, make_series

REACH = Reach(20, 2)
DAYS = 15
SERIES = make_series("me", days=DAYS + 3, worn=0.9, seed=4)
TODAY = SERIES.first_day + timedelta(days=DAYS)
NOON = 48


@cache
def model() -> Blend:
    days = [(each, each.days) for each in make_cohort(6, 18).values()]
    return Blend(
        Climatology(
            REACH,
            {target: START[target] for target in TARGETS},
            {target: pooled(days, target) for target in TARGETS},
            {target: cohort_of(days, target) for target in TARGETS},
        )
    )


@cache
def networked() -> Blend:
    """The same with networks of the next hour that say anything."""
    rng = np.random.default_rng(1)
    layers = {name: rng.normal(0, 0.1, size) for name, size in SHAPES.items()}
    layers |= {"centre": np.zeros(FEATURES), "spread": np.ones(FEATURES)}
    kept = {name: array.astype(np.float32) for name, array in layers.items()}
    shape = NowcastShape(0.7, 1, 4)
    nowcasts = {target: Nowcast(target, shape, (kept,)) for target in NOWCASTED}
    return replace(model(), nowcasts=nowcasts)


def asked(
    series: Series = SERIES, quarter: int = NOON, served: Callable[[], Blend] = model
) -> Forecast:
    return rest_of_today(served(), Moment(series, TODAY, quarter))


def changed(series: Series, row: int, slots: slice, by: float) -> Series:
    values = {}
    for target, rows in series.values.items():
        values[target] = rows.copy()
        values[target][row, slots] = rows[row, slots] * by + by
    return replace(series, values=values)


@pytest.mark.parametrize("served", [model, networked])
@pytest.mark.parametrize("quarter", [0, 5, NOON, 95])
def test_shuffling_everything_after_the_moment_changes_nothing(
    quarter: int, served: Callable[[], Blend]
) -> None:
    rng = np.random.default_rng(7)
    values = {}
    for target, rows in SERIES.values.items():
        flat = rows.reshape(-1).copy()
        later = flat[DAYS * SLOTS + quarter :]
        rng.shuffle(later)
        flat[DAYS * SLOTS + quarter :] = later * 2 + 1
        values[target] = flat.reshape(rows.shape)
    wear = SERIES.wear.copy()
    wear[DAYS:] = ~wear[DAYS:]
    other = replace(SERIES, values=values, wear=wear)
    before, after = asked(SERIES, quarter, served), asked(other, quarter, served)
    for target in TARGETS:
        np.testing.assert_array_equal(before.values[target], after.values[target])
        assert before.values[target].shape == (SLOTS - quarter, 4)
        assert before.totals[target] == after.totals[target]
        assert before.explained[target] == after.explained[target] or (
            before.explained[target][0].effects == after.explained[target][0].effects
        )


@pytest.mark.parametrize("target", TARGETS)
def test_a_lively_last_hour_raises_the_next_one_and_not_the_evening(target: str) -> None:
    varied = SERIES
    for day in range(0, DAYS, 2):  # every second day is lively, all day long
        varied = changed(varied, day, slice(0, SLOTS), 3.0)
    quiet, lively = (asked(changed(varied, DAYS, slice(0, NOON), by)) for by in (0.9, 3.0))
    step = lively.values[target][:, 3] - quiet.values[target][:, 3]
    assert step[:2].mean() > 0
    assert abs(step[-8:].mean()) < 0.1 * step[:2].mean()


@pytest.mark.parametrize("quarter", [1, NOON, 90])
@pytest.mark.parametrize("target", TARGETS)
def test_the_effects_and_what_each_day_adds_sum_to_what_is_to_come(
    target: str, quarter: int
) -> None:
    made = asked(quarter=quarter)
    (explained,) = made.explained[target]
    mean = made.values[target][:, 3]
    rest = float(mean.mean() if target in RATES else mean.sum())
    assert explained.mean == pytest.approx(rest, rel=1e-4)
    added = sum(day.adds for day in explained.days) + explained.cohort.adds + explained.networks
    assert added == pytest.approx(rest, rel=1e-4)
    assert sum(explained.effects.values()) == pytest.approx(rest, rel=1e-4)
    weight = sum(day.weight for day in explained.days) + explained.cohort.weight
    assert weight == pytest.approx(1, abs=1e-6)
    assert quarter != NOON or explained.effects["today"] != 0
    assert explained.networks == pytest.approx(0, abs=0.02 * rest)  # the course looks wider


@pytest.mark.parametrize("quarter", [1, NOON, 90])
def test_where_transformers_serve_their_attention_counts_in_the_rest_of_today(quarter: int) -> None:
    shape = Shape(kind="transformer")
    network = make_network(START["steps"], REACH, shape, seed=0)
    with torch.no_grad():
        network.lag += 0.3 * torch.arange(REACH.days)
    served = replace(model(), members={"steps": (Member(shape, network, 0.4),)})
    made = asked(quarter=quarter, served=lambda: served)
    (explained,) = made.explained["steps"]
    rest = float(made.values["steps"][:, 3].sum())
    assert sum(day.adds for day in explained.days) + explained.cohort.adds == pytest.approx(
        rest - explained.networks, rel=1e-4
    )
    assert sum(explained.effects.values()) == pytest.approx(rest, rel=1e-4)
    weight = sum(day.weight for day in explained.days) + explained.cohort.weight
    assert weight == pytest.approx(1, abs=1e-6)
    assert explained.attention == pytest.approx(0.4)
    (plain,) = asked(quarter=quarter).explained["steps"]
    assert quarter == 90 or explained.effects["attention"] != 0  # nobody walks at that hour
    assert explained.effects["today"] == pytest.approx(plain.effects["today"], abs=0.02 * rest)
    oldest = [sum(day.weight for day in each.days[-5:]) for each in (explained, plain)]
    assert oldest[0] > oldest[1]  # they look further back than the kernel


def test_days_whose_same_hours_were_alike_count_more() -> None:
    twin = DAYS - 4
    values = {target: rows.copy() for target, rows in SERIES.values.items()}
    for rows in values.values():
        rows[twin, :NOON] = rows[DAYS, :NOON]
    wear = SERIES.wear.copy()
    wear[twin] = True
    series = replace(SERIES, values=values, wear=wear)
    known = until(series, DAYS, NOON)
    look = model().look("steps")
    windows = make_windows({"me": known}, Look("steps", Reach(20, 8), look.cohort), [
        Issue("me", DAYS, DAYS)
    ])  # fmt: skip
    course = course_of(START["steps"], known, windows, NOON)
    factor = course.factor[NOON].reshape(20, 17)[:, 8]  # of the same moment, by days back
    others = [factor[lag] for lag in range(DAYS) if wear[DAYS - 1 - lag] and lag != 3]
    assert factor[3] > np.mean(others)
    assert (course.factor[: NOON - 1] == 1).all()


def test_a_total_is_what_was_measured_and_what_is_to_come() -> None:
    made = asked()
    (total,) = made.totals["steps"]
    so_far = float(SERIES.values["steps"][DAYS, :NOON].sum())
    assert total.mean == pytest.approx(so_far + made.values["steps"][:, 3].sum(), rel=1e-4)
    assert so_far <= total.low <= total.mean <= total.high
    (late,) = asked(quarter=92).totals["steps"]
    assert late.high - late.low < 0.5 * (total.high - total.low)
    (heart,) = made.totals["heart_rate_bpm"]
    assert 50 < heart.low <= heart.mean <= heart.high < 90


def test_a_day_of_which_nothing_was_measured_is_forecast_like_any() -> None:
    silent = changed(SERIES, DAYS, slice(0, NOON), np.nan)
    made = asked(silent)
    for target in TARGETS:
        assert np.isfinite(made.values[target]).all()
        (total,) = made.totals[target]
        assert 0 <= total.low <= total.mean <= total.high


@pytest.mark.parametrize("days", [0, 1, 3, 14])
def test_a_newcomer_is_told_the_rest_of_today_too_and_how_little_it_rests_on(days: int) -> None:
    first = DAYS - days
    values = {target: rows[first:] for target, rows in SERIES.values.items()}
    series = Series("new", TODAY - timedelta(days=days), values, np.ones(days + 3, np.bool_))
    made = asked(series)
    for target in TARGETS:
        assert made.basis[target] == ("cohort" if days < 2 else "own history")
        assert made.own_days[target] == days
        assert np.isfinite(made.values[target]).all()
        (total,) = made.totals[target]
        assert total.low < total.mean < total.high
        (explained,) = made.explained[target]
        assert bool(explained.days) == (days >= 2)


def test_a_moment_outside_the_day_is_an_error() -> None:
    with pytest.raises(ValueError, match="quarter"):
        asked(quarter=96)
