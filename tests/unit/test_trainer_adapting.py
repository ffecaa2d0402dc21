"""A cohort's model adapted to one person: honest about too little, better only past the gate."""

import json
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from fitstream.errors import Rejected
from fitstream.trainer import registry
from fitstream.trainer.adapting import MIN_PERSON_DAYS, CustomerRun, split_person, train_customer
from fitstream.trainer.automl import SPACE
from fitstream.trainer.data import Series
from fitstream.trainer.fit import train_cohort
from fitstream.trainer.forecast import Request, forecast_many
from fitstream.trainer.models.blend import Blend, Member
from fitstream.trainer.models.network import make_network
from fitstream.trainer.overlay import overlay
from fitstream.trainer.recipe import CustomerRecipe, Recipe
from tests.unit.trainer_factories import make_cohort, make_series

BASE = Recipe(history_days=14, reach_slots=1, budget_s=1, test_days=3, targets=("steps",))
RECIPE = CustomerRecipe(base_model="mod_1", targets=("steps",), epochs=2)


@pytest.fixture(scope="module")
def base() -> Blend:
    """A cohort's model; it has a network of each kind, whether they passed its gate or not."""
    made = train_cohort(make_cohort(4, 12), BASE, lambda *_: None)
    assert made.artifact is not None
    model = made.artifact.model
    shapes = SPACE[:2]
    kernel = model.base.kernels["steps"]
    members = tuple(
        Member(shape, make_network(kernel, model.reach, shape, seed=1), 0.3) for shape in shapes
    )
    return replace(model, members={"steps": members})


def run(series: Series, base: Blend, recipe: CustomerRecipe = RECIPE) -> CustomerRun:
    return train_customer(series, base, recipe, lambda *_: None)


@pytest.fixture(scope="module")
def habit(base: Blend) -> CustomerRun:
    return run(creature_of_habit(), base)


def creature_of_habit(days: int = 42) -> Series:
    """Somebody whose every weekday is as it was the week before, and unlike the other days."""
    series = make_series("habit", days, seed=9)
    rng = np.random.default_rng(0)
    week = rng.gamma(0.5, 600, (7, 96)) * (rng.random((7, 96)) < 0.3)
    steps = np.stack([week[day % 7] for day in range(days)])
    noise = rng.normal(1, 0.05, steps.shape)
    values = {**series.values, "steps": np.round(steps * noise).clip(0).astype(np.float32)}
    return replace(series, values=values, wear=np.ones(days, np.bool_))


def changed(series: Series, first: int, change: Callable[[np.ndarray], np.ndarray]) -> Series:
    """The same person, but for the days from one on."""
    steps = series.values["steps"].copy()
    steps[first:] = change(steps[first:])
    return replace(series, values={**series.values, "steps": steps})


def test_too_few_days_are_an_answer(base: Blend) -> None:
    made = run(make_series("a", MIN_PERSON_DAYS - 1), base)
    assert made.adapted == {}
    assert f"Not enough data yet: {MIN_PERSON_DAYS - 1} days" in made.verdict
    assert made.report["counts"]["needed"] == MIN_PERSON_DAYS


def test_the_days_of_a_person_are_held_out_in_time() -> None:
    series = make_series("a", 40)
    split = split_person(series, "steps", RECIPE)
    groups = (split.train, split.validation, split.test)
    days = [[issue.day for issue in group] for group in groups]
    assert [len(each) for each in days] == [17, 14, 7]
    assert days[0][-1] < days[1][0] <= days[1][-1] < days[2][0]
    assert not set(split.stop) & set(split.gate)


@pytest.mark.slow
def test_who_is_unlike_the_others_gets_a_model_of_their_own(
    base: Blend, habit: CustomerRun
) -> None:
    made = habit
    row = made.report["targets"]["steps"]
    assert row["passed"], made.verdict
    assert set(made.adapted) == {"steps"}
    assert row["gate"]["cohort's model"]["high"] < 0
    assert row["test"]["own model"]["wql"] < row["test"]["cohort's model"]["wql"]
    kernel = made.adapted["steps"].kernel
    assert kernel != base.base.kernels["steps"]
    json.dumps(made.report, allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_permuted_days_do_not_pass_the_gate_of_a_person(base: Blend, seed: int) -> None:
    rng = np.random.default_rng(seed)
    series = make_series("a", 36, seed)
    flat = rng.permutation(series.values["steps"].reshape(-1)).reshape(-1, 96)
    permuted = replace(series, values={**series.values, "steps": flat})
    assert run(permuted, base).adapted == {}


@pytest.mark.slow
def test_equal_days_give_equal_bytes_and_the_test_days_reach_nothing_that_is_adapted(
    base: Blend, habit: CustomerRun
) -> None:
    series = creature_of_habit()
    first_test = split_person(series, "steps", RECIPE).test[0].day
    other = changed(series, first_test, lambda rows: rows[:, ::-1] + 500)
    one, two = habit, run(other, base)
    assert one.report["targets"]["steps"]["gate"] == two.report["targets"]["steps"]["gate"]
    saved = [registry.dump_own(each.adapted, RECIPE, {}) for each in (one, two)]
    assert saved[0] == saved[1]


@pytest.mark.slow
def test_nothing_of_the_days_of_the_gate_reaches_kernel_or_networks(
    base: Blend, habit: CustomerRun
) -> None:
    series = creature_of_habit()
    split = split_person(series, "steps", RECIPE)
    last = [issue.day for issue in split.gate]
    steps = series.values["steps"].copy()
    steps[last[-1] :] = 77  # the last day of the gate, and all after it
    other = replace(series, values={**series.values, "steps": steps})
    one, two = habit.report, run(other, base).report
    assert one["targets"]["steps"]["kernel"] == two["targets"]["steps"]["kernel"]
    assert one["targets"]["steps"]["shares"] == two["targets"]["steps"]["shares"]
    assert one["targets"]["steps"]["gate"] != two["targets"]["steps"]["gate"]


def test_an_own_model_is_saved_without_anything_of_others_and_loaded_on_its_base(
    base: Blend, habit: CustomerRun
) -> None:
    series, made = creature_of_habit(), habit
    body, card = registry.dump_own(made.adapted, RECIPE, made.report)
    assert b"cohort" not in body
    assert b"pool" not in body
    again = registry.load_own(body, json.loads(msgspec.json.encode(card)), base)
    day = series.first_day.fromordinal(series.first_day.toordinal() + series.days)
    models = (overlay(base, made.adapted), again, base)
    one, two, cohort = (
        forecast_many(model, [Request(series, day)])[0].values["steps"] for model in models
    )
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, cohort)
    with pytest.raises(Rejected):
        registry.load(body, card)
    with pytest.raises(Rejected):
        registry.load_own(body[:-8], card, base)
    with pytest.raises(Rejected):
        registry.load_own(body, card | {"kind": "ensemble"}, base)
