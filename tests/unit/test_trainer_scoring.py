"""Scores of past forecasts: sums that agree with WQL and coverage; a drift rule that is sure."""

from datetime import timedelta

import numpy as np
import pytest

from fitstream.trainer import drift
from fitstream.trainer.data import SLOTS
from fitstream.trainer.metrics import tails, wql
from fitstream.trainer.scoring import days_inside, sums_of, truth_of
from fitstream.trainer.totals import DayTotal
from tests.unit.trainer_factories import make_series

SERIES = make_series(days=6)


def some_day() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = rng.gamma(1, 100, SLOTS).astype(np.float32)
    truth[rng.random(SLOTS) < 0.2] = np.nan
    forecast = np.sort(rng.gamma(1, 100, (SLOTS, 4)), axis=1).astype(np.float32)
    return truth, forecast


def test_sums_of_parts_add_up_to_wql_and_tails() -> None:
    truth, forecast = some_day()
    sums = sums_of(truth, forecast, np.arange(SLOTS))
    assert sum(sums.loss) / sum(sums.size) == pytest.approx(wql(truth[None], forecast[None]))
    below, above = tails(truth[None], forecast[None])
    assert sum(sums.slots) == np.isfinite(truth).sum()
    assert sum(sums.below) / sum(sums.slots) == pytest.approx(below)
    assert sum(sums.above) / sum(sums.slots) == pytest.approx(above)


def test_a_slot_counts_for_the_part_of_its_local_time() -> None:
    truth, forecast = np.full(4, 5.0, np.float32), np.full((4, 4), 5.0, np.float32)
    sums = sums_of(truth, forecast, np.array([15, 16, 95, 0]))
    assert sums.slots == [2, 1, 0, 0, 0, 1]


def test_the_truth_is_that_of_worn_days_alone() -> None:
    worn = SERIES.wear.copy()
    SERIES.wear[2] = False
    places = [0, 95, 96, 192, 400, 700]
    found = truth_of(SERIES, "steps", 1, places)
    SERIES.wear[:] = worn
    rows = SERIES.values["steps"]
    assert found[:2].tolist() == [rows[1, 0], rows[1, 95]]
    assert np.isnan(found[2])
    assert found[3] == rows[3, 0]
    assert np.isnan(found[5])  # beyond what is known


def test_days_count_as_inside_by_their_own_totals() -> None:
    day = SERIES.first_day + timedelta(days=1)
    steps = float(SERIES.values["steps"][1].sum())
    totals = [
        DayTotal(day, steps - 1, steps, steps + 1),
        DayTotal(day, steps + 1, steps + 2, steps + 3),
        DayTotal(day + timedelta(days=40), 0, 1, 2),
    ]
    assert days_inside(SERIES, "steps", totals) == (2, 1)
    beats = float(np.nanmean(SERIES.values["heart_rate_bpm"][1]))
    assert days_inside(SERIES, "heart_rate_bpm", [DayTotal(day, beats - 1, beats, beats + 1)]) == (
        1,
        1,
    )


def sizes(count: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(500, 1500, count)


@pytest.mark.parametrize(("worse", "drifts"), [(0.95, False), (1.08, False), (1.2, True)])
def test_only_what_is_clearly_worse_is_drift(worse: float, drifts: bool) -> None:
    size = sizes(40)
    noise = np.random.default_rng(2).normal(1, 0.05, 40)
    found = drift.compare(0.6 * worse * noise * size, size, 0.6)
    assert found.is_drifting is drifts
    assert found.wql is not None
    assert found.low is not None
    assert found.low < found.wql


def test_a_few_bad_people_among_many_are_no_drift() -> None:
    size = sizes(8)
    loss = 0.6 * size
    loss[0] *= 3
    found = drift.compare(loss, size, 0.6)
    assert found.wql is not None
    assert found.wql > 0.66  # more than the margin, but not with certainty
    assert not found.is_drifting


def test_without_anything_to_compare_there_is_no_drift() -> None:
    assert drift.compare(np.array([1.0]), np.array([1.0]), 0.1) == (None, None, False)
    assert drift.compare(np.ones(9), np.zeros(9), 0.1).wql is None
    assert not drift.compare(np.ones(9), np.ones(9), None).is_drifting
