"""Explanations: the weights shown are the weights used, and everything adds up to the forecast."""

from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pytest
import torch

from fitstream.trainer.cohort import make_cohort as cohort_of
from fitstream.trainer.cohort import no_cohort
from fitstream.trainer.data import SLOTS, TARGETS
from fitstream.trainer.explain import RATES, Explanation, key_values, weights_of
from fitstream.trainer.forecast import Forecast, Request, forecast_many
from fitstream.trainer.metrics import LEVELS
from fitstream.trainer.models.blend import Blend, Member
from fitstream.trainer.models.climatology import Climatology, pooled, predict_own
from fitstream.trainer.models.kernel import START, blurred_levels, weighted_quantiles
from fitstream.trainer.models.network import make_network
from fitstream.trainer.models.shape import Shape
from fitstream.trainer.windows import Issue, Reach, make_windows
from tests.unit.trainer_factories import make_cohort, make_series

REACH = Reach(10, 2)
OTHERS = make_cohort(6, 18)
SERIES = make_series("me", days=16, worn=0.9, seed=4)
START_DAY = SERIES.first_day + timedelta(days=16)


@cache
def model() -> Blend:
    days = [(each, each.days) for each in OTHERS.values()]
    base = Climatology(
        REACH,
        {target: START[target] for target in TARGETS},
        {target: pooled(days, target) for target in TARGETS},
        {target: cohort_of(days, target) for target in TARGETS},
    )
    shape = Shape(kind="transformer")
    network = make_network(START["steps"], REACH, shape, seed=0)
    with torch.no_grad():  # so that it differs from the climatology
        network.lag += 0.3 * torch.arange(REACH.days)
    return Blend(base, {"steps": (Member(shape, network, 0.4),)})


def ensemble(head: float = 0.0) -> Blend:
    """The climatology, two Transformers that look at other days than it does, and a ConvLSTM."""
    shapes = [Shape(kind=kind) for kind in ("transformer", "transformer", "convlstm")]
    members = []
    for number, shape in enumerate(shapes):
        network = make_network(START["steps"], REACH, shape, seed=number)
        with torch.no_grad():
            if shape.kind == "transformer":
                network.lag += (0.2 + 0.1 * number) * torch.arange(REACH.days)
                network.query.add_(0.3)
            network.head.out.bias.add_(head)
        members.append(Member(shape, network, (0.3, 0.2, 0.15)[number]))
    return Blend(model().base, {"steps": tuple(members)})


@cache
def asked(slots: int = SLOTS, quarter: int = 0, days: int = 16) -> Forecast:
    series = SERIES.before(days)
    request = Request(series, series.first_day + timedelta(days=days), quarter, slots, True)
    return forecast_many(model(), [request])[0]


@pytest.mark.parametrize("target", TARGETS)
def test_explained_weights_reproduce_the_quantiles_and_the_mean_of_every_slot(target: str) -> None:
    base = model().base
    kernel = base.kernels[target]
    windows = make_windows({"me": SERIES}, base.look(target), [Issue("me", 15, 15)])
    weights, values = weights_of(kernel, windows, 0), key_values(windows, 0)
    order = np.argsort(values, axis=1, kind="stable")
    ascending = np.take_along_axis(values, order, axis=1)
    count = np.isfinite(values).sum(axis=1)
    found = weighted_quantiles(
        np.nan_to_num(ascending),
        np.take_along_axis(weights, order, axis=1),
        count,
        blurred_levels(LEVELS, kernel.blur),
    )
    quantiles = found.reshape(SLOTS, len(LEVELS), -1).mean(axis=2)
    mean = np.nansum(weights * np.nan_to_num(values), axis=1) / weights.sum(axis=1)
    served = predict_own(kernel, windows)[0]
    np.testing.assert_allclose(quantiles, served[:, :3], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(mean, served[:, 3], rtol=1e-4, atol=1e-3)


def total_of(explained: Explanation) -> float:
    return sum(day.adds for day in explained.days) + explained.cohort.adds + explained.networks


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("slots", [96, 672])
def test_what_each_day_adds_and_the_effects_sum_to_each_days_mean(target: str, slots: int) -> None:
    made = asked(slots)
    assert len(made.explained[target]) == slots // SLOTS
    rows = made.values[target].reshape(-1, SLOTS, 4)
    for explained, day in zip(made.explained[target], rows, strict=True):
        mean = day[:, 3].mean() if target in RATES else day[:, 3].sum()
        assert explained.mean == pytest.approx(mean, rel=1e-4)
        assert total_of(explained) == pytest.approx(mean, rel=1e-4)
        assert sum(explained.effects.values()) == pytest.approx(mean, rel=1e-4)
        weight = sum(each.weight for each in explained.days) + explained.cohort.weight
        assert weight == pytest.approx(1, abs=1e-6)
        assert sum(moment.weight for moment in explained.moments) == pytest.approx(1, abs=1e-6)


def test_only_past_days_that_were_worn_are_named_and_the_same_weekday_counts_most() -> None:
    (explained,) = asked().explained["steps"]
    worn = {SERIES.first_day + timedelta(days=i) for i in range(16) if SERIES.wear[i]}
    named = {day.day for day in explained.days if day.weight > 0.01}  # less: the night beside it
    assert named <= worn
    weight = {day.day: day.weight for day in explained.days}
    same = START_DAY - timedelta(days=7)
    if same in weight:
        assert weight[same] > weight.get(same - timedelta(days=2), 0)


def told(served: Blend) -> tuple[float, Explanation]:
    """The expected steps of the day, and why."""
    (found,) = forecast_many(served, [Request(SERIES, START_DAY, 0, SLOTS, True)])
    return float(found.values["steps"][:, 3].sum()), found.explained["steps"][0]


def test_what_transformers_change_by_their_weights_is_attention_and_no_residual() -> None:
    plain, _ = told(replace(model(), members={}))
    mean, explained = told(model())
    assert abs(mean - plain) > 1
    assert explained.effects["attention"] == pytest.approx(mean - plain, rel=0.01)
    assert explained.networks == pytest.approx(0, abs=0.05)
    assert explained.attention == pytest.approx(0.4)
    assert asked().explained["calories_kcal"][0].effects["attention"] == 0
    assert asked().explained["calories_kcal"][0].attention == 0


def test_what_heads_and_a_convlstm_add_stays_the_networks_alone() -> None:
    without, looked = told(ensemble())
    mean, explained = told(ensemble(head=0.1))
    assert abs(mean - without) > 1
    assert explained.networks == pytest.approx(mean - without, rel=0.01)
    assert explained.effects["networks"] == pytest.approx(mean - without, rel=0.01)
    assert explained.effects["attention"] == pytest.approx(looked.effects["attention"])
    assert explained.days == looked.days
    assert total_of(explained) == pytest.approx(mean, rel=1e-4)
    assert sum(explained.effects.values()) == pytest.approx(mean, rel=1e-4)


def test_the_weights_of_days_are_those_of_kernel_and_attention_in_their_shares() -> None:
    """Read off an ensemble as it forecasts: each value's weight is what the mean gains by it."""
    served = ensemble()
    windows = make_windows({"me": SERIES}, served.look("steps"), [Issue("me", 16, 16)])
    order = np.minimum(windows.order[0], REACH.all_keys)
    parts = [_ordered(weights_of(START["steps"], windows, 0), order)]
    shares = [0.5]
    for member in served.members["steps"][:2]:
        double = member.network.double().eval()
        parts.append(double.attention(double.batch(windows, torch.float64)).detach().numpy()[0])
        shares.append(member.weight)
    weights = sum(
        share * each / each.sum(axis=1, keepdims=True)
        for share, each in zip(shares, parts, strict=True)
    )
    quantiles = sum(
        share
        * weighted_quantiles(windows.values[0], each, windows.count[0], blurred_levels(LEVELS, 0.0))
        for share, each in zip(shares, parts, strict=True)
    )
    np.testing.assert_allclose(
        quantiles, served.predict_own(windows)[0, :, :3], rtol=1e-4, atol=1e-3
    )
    lag = np.where(order < REACH.keys, order // REACH.width, REACH.days)
    expected = [float((weights * (lag == each)).sum() / SLOTS) for each in range(REACH.days + 1)]
    _, explained = told(served)
    found = {(START_DAY - day.day).days: day.weight for day in explained.days}
    assert [found.get(each + 1, 0) for each in range(REACH.days)] == pytest.approx(expected[:-1])
    assert explained.cohort.weight == pytest.approx(expected[-1])
    moments = np.where(order < REACH.keys, order % REACH.width, REACH.width)
    near = [float((weights * (moments == each)).sum()) for each in range(REACH.width)]
    assert [m.weight for m in explained.moments] == pytest.approx([n / sum(near) for n in near])


def _ordered(weights: np.ndarray, order: np.ndarray) -> np.ndarray:
    padded = np.pad(weights, ((0, 0), (0, 1)))
    return np.take_along_axis(padded, order, axis=1)


def test_where_no_transformer_serves_nothing_is_asked_of_one() -> None:
    windows = make_windows({"me": SERIES}, model().look("calories_kcal"), [Issue("me", 16, 16)])
    assert model().attention(windows) == ()


@pytest.mark.parametrize("days", [0, 1])
def test_a_customer_without_days_rests_on_the_cohort_alone(days: int) -> None:
    for target, (explained,) in asked(days=days).explained.items():
        assert explained.days == (), target
        assert explained.cohort.weight == 1
        assert explained.effects["cohort"] == pytest.approx(explained.mean)
        assert total_of(explained) == pytest.approx(explained.mean)


def test_without_a_cohort_everything_rests_on_own_days() -> None:
    made = model()
    lone = replace(made, members={}, base=replace(
        made.base, cohorts={target: no_cohort() for target in TARGETS}
    ))  # fmt: skip
    (found,) = forecast_many(lone, [Request(SERIES, START_DAY, 0, SLOTS, True)])
    (explained,) = found.explained["steps"]
    assert explained.cohort.weight == 0
    assert total_of(explained) == pytest.approx(explained.mean, rel=1e-4)


@pytest.mark.parametrize("days", [0, 1, 3, 14])
@pytest.mark.parametrize("slots", [96, 672])
def test_the_fewer_days_a_customer_has_the_wider_the_range_of_a_days_total(
    days: int, slots: int
) -> None:
    few, many = asked(slots, days=days), asked(slots, days=16)
    for target in TARGETS:
        assert few.basis[target] == ("cohort" if days < 2 else "own history")
        assert few.values[target].shape == (slots, 4)
        for one, other in zip(few.totals[target], many.totals[target], strict=True):
            assert one.low <= one.mean <= one.high
            if days <= 3:  # with two weeks they are the customer's own days
                assert one.high / one.mean > other.high / other.mean
                assert one.low / one.mean < other.low / other.mean + 0.02


def test_totals_are_those_of_every_whole_local_day_that_is_touched() -> None:
    made = asked(slots=SLOTS, quarter=40)
    days = [total.day for total in made.totals["steps"]]
    assert days == [START_DAY, START_DAY + timedelta(days=1)]
    whole = asked(slots=SLOTS, quarter=0)
    assert made.totals["steps"][0] == whole.totals["steps"][0]
