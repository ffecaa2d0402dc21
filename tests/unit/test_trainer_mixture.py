"""A mixture of kernels: shares by what each has cost whom, never by name, and a gate of its own."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstream.errors import Rejected
from fitstream.trainer import registry
from fitstream.trainer.cohort import make_cohort as cohort_of
from fitstream.trainer.cohort import mark_of
from fitstream.trainer.data import Series
from fitstream.trainer.daytotals import USUAL
from fitstream.trainer.fit import prepare_again
from fitstream.trainer.forecast import Request, forecast_many
from fitstream.trainer.metrics import wql
from fitstream.trainer.models.blend import Blend, Member
from fitstream.trainer.models.calibration import no_calibration
from fitstream.trainer.models.climatology import Climatology, pooled, predict_kernels
from fitstream.trainer.models.kernel import START
from fitstream.trainer.models.mixture import (
    Losses,
    Mixture,
    learn_mixture,
    mixture_from_arrays,
    of_one_person,
    variants_of,
)
from fitstream.trainer.models.shape import MIXTURE, Shape
from fitstream.trainer.overlay import Adapted, overlay
from fitstream.trainer.recipe import CustomerRecipe, Recipe
from fitstream.trainer.registry import Artifact
from fitstream.trainer.rolling import rolled
from fitstream.trainer.windows import Issue, Look, Reach, Windows, make_windows
from tests.unit.trainer_factories import make_cohort, make_series

REACH = Reach(8, 2)
KERNEL = START["steps"]
PEOPLE = make_cohort(4, 18)
OTHERS = cohort_of([(series, 18) for series in PEOPLE.values()], "steps")
RECIPE = Recipe(history_days=8, reach_slots=2, budget_s=1, test_days=3, targets=("steps",))


def windows(names: str = "c0 c1 c2 c3", days: range = range(6, 14)) -> Windows:
    issues = [Issue(name, day, day) for name in names.split() for day in days]
    return make_windows(PEOPLE, Look("steps", REACH, OTHERS), issues)


@pytest.fixture(scope="module")
def learned() -> Mixture:
    return learn_mixture(KERNEL, windows())


def told(costs: list[float], days: float, others: list[float]) -> Mixture:
    """Somebody whom each kernel has cost so much, and others, in every part and level alike."""
    own, rest = (np.array(each)[:, None, None] + np.zeros((6, 3)) for each in (costs, others))
    marks = np.array([mark_of("me")])
    mine = Losses(own[None], np.array([days]))
    return Mixture(KERNEL, marks, mine, Losses(own + rest, np.array(days + 40)))


def test_the_kernel_that_told_ones_own_days_best_weighs_most() -> None:
    (shares,) = told([0.1, 0.4, 0.4, 0.4], 5, [1, 1, 1, 1]).shares([mark_of("me")])
    assert shares.shape == (4, 6, 3)
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    assert (shares[0] > 0.9).all()


def test_who_was_not_learned_from_gets_the_shares_of_everybody() -> None:
    made = told([0.1, 0.9, 0.9, 0.9], 5, [2, 2, 2, 1])
    me, stranger, other = made.shares([mark_of(name) for name in ("me", "x", "y")])
    np.testing.assert_array_equal(stranger, other)
    assert (stranger.argmax(axis=0) == 3).all()
    assert (me.argmax(axis=0) == 0).all()


def test_ones_own_days_are_not_counted_among_the_others_again() -> None:
    (shares,) = told([0.2, 0.25, 0.25, 0.25], 5, [1, 1, 1, 1]).shares([mark_of("me")])
    np.testing.assert_allclose(shares[0] / shares[1], np.exp(2 * 6 * 3 * 0.05))


def test_it_is_the_mean_of_its_kernels_in_the_shares_it_says(learned: Mixture) -> None:
    made = windows("c1", range(14, 16))
    parts = predict_kernels(variants_of(KERNEL), made)
    shares = np.repeat(learned.shares(made.whose), 16, axis=2)  # (n, kernel, slot, level)
    expected = sum(shares[:, k] * part[..., :3] for k, part in enumerate(parts))
    found = learned.predict(made)
    np.testing.assert_allclose(found[..., :3], np.sort(expected, axis=2), rtol=1e-5, atol=1e-4)
    low, high = (f(axis=0) for f in (np.array(parts)[..., 3].min, np.array(parts)[..., 3].max))
    assert (found[..., 3] >= low - 1e-3).all()
    assert (found[..., 3] <= high + 1e-3).all()


@given(st.integers(0, 2**32 - 1))
def test_quantiles_are_in_order_whatever_the_shares(seed: int) -> None:
    costs = np.random.default_rng(seed).random((1, 4, 6, 3))
    total = Losses(costs[0], np.array(1.0))
    made = Mixture(KERNEL, np.array([mark_of("c0")]), Losses(costs, np.array([1.0])), total)
    forecast = made.predict(WINDOW)
    assert (np.diff(forecast[..., :3], axis=2) >= 0).all()
    assert np.isfinite(forecast).all()


WINDOW = windows("c0", range(12, 13))


def test_losses_are_those_of_measured_slots_in_units_of_a_persons_usual_day(
    learned: Mixture,
) -> None:
    usual = learned.own.sums.sum(axis=(2, 3)).mean(axis=1) / learned.own.days
    np.testing.assert_allclose(usual, 1)
    np.testing.assert_allclose(learned.total.sums, learned.own.sums.sum(axis=0))
    assert learned.total.days == learned.own.days.sum() == len(windows())
    made = windows()
    made.truth[:, 32:] = np.nan
    assert (learn_mixture(KERNEL, made).own.sums[:, :, 2:] == 0).all()
    nothing = learn_mixture(KERNEL, replace(made, truth=np.full_like(made.truth, np.nan)))
    np.testing.assert_allclose(nothing.shares(made.whose), 0.25)


def test_without_a_day_to_learn_from_all_kernels_weigh_alike() -> None:
    nobody = learn_mixture(KERNEL, windows().take(np.empty(0, np.int64)))
    np.testing.assert_allclose(nobody.shares([mark_of("c0")]), 0.25)


def test_a_slot_without_a_past_stays_open() -> None:
    silent = {"c0": make_series("c0", 16)}
    silent["c0"].values["steps"][:, 40:60] = np.nan
    made = make_windows(silent, Look("steps", REACH), [Issue("c0", 15, 15)])
    forecast = learn_mixture(KERNEL, windows()).predict(made)
    assert np.isnan(forecast[0, 45:55]).all()
    assert np.isfinite(forecast[0, :30]).all()


def test_it_knows_people_by_marks_alone(learned: Mixture) -> None:
    assert set(learned.marks.tolist()) == {int(mark_of(name)) for name in PEOPLE}
    renamed = {"1": PEOPLE["c2"], "2": PEOPLE["c3"]}  # as forecasts of many number their requests
    made = make_windows(renamed, Look("steps", REACH, OTHERS), [Issue("1", 15, 15)])
    same = windows("c2", range(15, 16))
    np.testing.assert_array_equal(learned.predict(made), learned.predict(same))


def test_of_one_person_nothing_is_left_of_others_but_their_sum(learned: Mixture) -> None:
    mine = windows("c2")
    alone = of_one_person(learned, mine)
    assert alone.marks.tolist() == [int(mark_of("c2"))]
    np.testing.assert_allclose(alone.shares(mine.whose), learned.shares(mine.whose), rtol=1e-6)
    stranger = windows("c0", range(5, 7))
    new = make_windows(
        {"n": make_series("n", 12, seed=40)}, Look("steps", REACH), [Issue("n", 9, 9)]
    )
    of_new = of_one_person(learned, new)
    assert of_new.total.days == learned.total.days + 1
    assert of_new.own.sums.shape == of_one_person(learned, stranger).own.sums.shape


def model_of(mixture: Mixture) -> Blend:
    days = [(series, 18) for series in PEOPLE.values()]
    base = Climatology(
        REACH, {"steps": KERNEL}, {"steps": pooled(days, "steps")}, {"steps": OTHERS}
    )
    return Blend(base, {"steps": (Member(Shape(kind=MIXTURE), mixture, 0.5),)})


def test_a_model_with_a_mixture_is_saved_and_loaded_to_the_same_forecasts(
    learned: Mixture,
) -> None:
    model = model_of(learned)
    assert model.kind == "mixture"
    artifact = Artifact(model, RECIPE, {})
    body, card = registry.dump(artifact, dataset_hash="d", created_at="t")
    assert registry.dump(artifact, dataset_hash="d", created_at="t") == (body, card)
    again = registry.load(body, json.loads(json.dumps(card)))
    made = windows(days=range(13, 16))
    np.testing.assert_array_equal(again.predict(made), model.predict(made))


@pytest.mark.parametrize(
    "broken",
    [{"marks": np.zeros(3, np.uint64)}, {"total.sums": np.zeros((5, 6, 3))}, {"own.days": 1}],
)
def test_losses_that_do_not_fit_are_refused(learned: Mixture, broken: dict[str, Any]) -> None:
    arrays = {**learned.arrays(), **{name: np.asarray(each) for name, each in broken.items()}}
    with pytest.raises(ValueError, match="mixture"):
        mixture_from_arrays(KERNEL, arrays)
    body, card = registry.dump(
        Artifact(model_of(learned), RECIPE, {}), dataset_hash="d", created_at="t"
    )
    card["members"]["steps"][0]["shape"] = msgspec.to_builtins(Shape(kind="transformer"))
    with pytest.raises(Rejected, match="cannot be read"):
        registry.load(body, card)


def test_its_gate_looks_at_no_test_day_and_at_every_other_of_two_blocks() -> None:
    made = prepare_again(PEOPLE, "steps", RECIPE, KERNEL)
    held = rolled(PEOPLE, made, RECIPE)
    assert held is not None
    assert set(held.issues) <= {*made.split.train, *made.split.validation}
    changed = {name: shuffled_from(series, made.split.test) for name, series in PEOPLE.items()}
    again = rolled(changed, prepare_again(changed, "steps", RECIPE, KERNEL), RECIPE)
    assert again is not None
    for name, forecast in held.forecasts.items():
        np.testing.assert_array_equal(forecast, again.forecasts[name])
    assert wql(held.truth, held.forecasts[MIXTURE]) == pytest.approx(
        wql(held.truth, held.forecasts["weighted_climatology"]), rel=0.1
    )


def shuffled_from(series: Series, tests: tuple[Issue, ...]) -> Series:
    first = min(issue.day for issue in tests if issue.customer_id == series.customer_id)
    steps = series.values["steps"].copy()
    steps[first:] = steps[first:][:, ::-1] * 3
    return replace(series, values={**series.values, "steps": steps})


def test_where_nobody_has_days_enough_there_is_no_gate() -> None:
    few = make_cohort(5, 7)
    assert rolled(few, prepare_again(few, "steps", RECIPE, KERNEL), RECIPE) is None


def test_an_own_model_holds_its_persons_losses_and_nobody_elses(learned: Mixture) -> None:
    base, mine = model_of(learned), windows("c2")
    member = Member(Shape(kind=MIXTURE), of_one_person(learned, mine), 0.4)
    adapted = {"steps": Adapted(KERNEL, (member,), no_calibration(), USUAL["steps"])}
    body, card = registry.dump_own(adapted, CustomerRecipe(base_model="mod_1"), {})
    again = registry.load_own(body, json.loads(json.dumps(card)), base)
    assert again.members["steps"][0].network.marks.tolist() == [int(mark_of("c2"))]
    np.testing.assert_array_equal(again.predict(mine), overlay(base, adapted).predict(mine))


def test_what_it_changes_is_explained_and_everything_adds_up(learned: Mixture) -> None:
    series = PEOPLE["c1"]
    request = Request(series, series.first_day + timedelta(days=18), is_explained=True)
    models = (model_of(learned), replace(model_of(learned), members={}))
    one, other = (forecast_many(model, [request])[0] for model in models)
    (explained,) = one.explained["steps"]
    change = one.values["steps"][:, 3].sum() - other.values["steps"][:, 3].sum()
    assert abs(change) > 1
    assert explained.networks == pytest.approx(change, rel=0.01)
    added = sum(day.adds for day in explained.days) + explained.cohort.adds + explained.networks
    assert added == pytest.approx(explained.mean, rel=1e-5)
    assert sum(explained.effects.values()) == pytest.approx(explained.mean, rel=1e-5)
