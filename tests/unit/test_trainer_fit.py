"""A cohort run: an honest verdict, the same result again, and a model that can be kept."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors.numpy import save

from fitstream.errors import Rejected
from fitstream.tasks.dataset import hash_of
from fitstream.trainer import registry
from fitstream.trainer.automl import SPACE, SearchPlan, Trial, make_plan, mix, survivors
from fitstream.trainer.checkpoint import (
    Header,
    decode_checkpoint,
    decode_weights,
    encode_checkpoint,
    encode_weights,
)
from fitstream.trainer.data import TARGETS, Series
from fitstream.trainer.daytotals import USUAL
from fitstream.trainer.evaluate import Held
from fitstream.trainer.fit import conclude_search, plan_search, prepare_again, train_cohort
from fitstream.trainer.forecast import LIMITS, Request, forecast_many
from fitstream.trainer.judging import WEEK_AHEAD, a_week_ahead
from fitstream.trainer.models.blend import Member
from fitstream.trainer.models.calibration import calibrate, no_calibration
from fitstream.trainer.models.kernel import START, Kernel
from fitstream.trainer.models.network import make_network
from fitstream.trainer.models.shape import MIXTURE
from fitstream.trainer.prepare import recent, thin
from fitstream.trainer.recipe import Recipe, recipe_hash
from fitstream.trainer.report import CohortRun, Tuned
from fitstream.trainer.rolling import mixture_of
from fitstream.trainer.search import new_trial, next_trials, trial_of, trials_of
from fitstream.trainer.splits import first_days, split_target
from fitstream.trainer.training import (
    Fit,
    Task,
    fit_state,
    new_fit,
    resume_fit,
    run_fit,
    weights_of,
)
from fitstream.trainer.windows import Issue, Look, Reach, make_windows
from tests.factories import pinned_week
from tests.unit.trainer_factories import make_cohort, make_series

RECIPE = Recipe(history_days=8, reach_slots=1, budget_s=1, test_days=3, targets=("steps",))
COHORT = make_cohort(6, 18)
SEARCHED = msgspec.structs.replace(RECIPE, budget_s=2, max_windows=12)


class Cancelled(Exception):
    """What `on_progress` raises to end a run."""


def run(series: dict[str, Series], recipe: Recipe = RECIPE) -> CohortRun:
    return train_cohort(series, recipe, lambda *_: None)


def saved(made: CohortRun) -> tuple[bytes, dict[str, Any]]:
    """Model and card, without what took how long."""
    assert made.artifact is not None
    body, card = registry.dump(made.artifact, dataset_hash="d", created_at="t")
    return body, without_times(card)


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        taken = {"seconds", "cpu_seconds"}
        return {k: without_times(each) for k, each in value.items() if k not in taken}
    return [without_times(each) for each in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def whole() -> CohortRun:
    return run(COHORT, msgspec.structs.replace(RECIPE, targets=TARGETS))


def test_a_run_answers_with_a_champion_and_a_leaderboard(whole: CohortRun) -> None:
    assert whole.enough
    assert whole.artifact is not None
    assert set(whole.champions) == set(TARGETS)
    for target in TARGETS:
        rows = [row for row in whole.leaderboard if row["target"] == target]
        kinds = {row["model"] for row in rows}
        assert kinds - {"ensemble"} == {
            "naive_day", "naive_week", "climatology", "weighted_climatology", "mixture"
        }  # fmt: skip
        assert {row["rung"] for row in whole.trials if row["target"] == target} == {0}
        assert [row["wql"] for row in rows] == sorted(row["wql"] for row in rows)
        assert [row["model"] for row in rows if row["champion"]] == [whole.champions[target]]
        assert not whole.champions[target].startswith("naive")
    assert whole.counts["customers"] == 6


def test_everything_but_the_model_is_plain_json(whole: CohortRun) -> None:
    assert whole.artifact is not None
    text = json.dumps(whole.artifact.report, allow_nan=False)
    assert json.loads(text)["verdict"] == whole.verdict


def test_equal_data_and_recipe_give_an_equal_model() -> None:
    assert saved(run(COHORT)) == saved(run(dict(reversed(COHORT.items()))))


def test_what_ends_the_progress_ends_the_run() -> None:
    def cancel(epoch: int, *_: Any) -> None:
        if epoch == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        train_cohort(COHORT, RECIPE, cancel)


def small_fit(target: str = "steps", series: Series | None = None) -> Fit:
    look = Look(target, RECIPE.reach)
    known = {"a": series or make_series()}
    windows = make_windows(known, look, [Issue("a", day, day) for day in range(5, 12)])
    return new_fit(Task(Kernel(), SPACE[0], windows, windows, 0))


def stored(fit: Fit, key: str = "key") -> bytes:
    return encode_checkpoint(Header(run_key=key, progress=fit.progress), fit_state(fit))


@pytest.mark.parametrize("at", [1, 3])
def test_a_fit_that_was_killed_goes_on_from_its_checkpoint_to_the_same_weights(at: int) -> None:
    whole, killed, again = small_fit(), small_fit(), small_fit()
    run_fit(whole, 6, lambda _: None)
    run_fit(killed, at, lambda _: None)
    found = decode_checkpoint(stored(killed), "key")
    assert found is not None
    resume_fit(again, found[0].progress, found[1])
    epochs: list[float] = []
    run_fit(again, 6, epochs.append)
    assert len(epochs) == 6 - at
    assert stored(again) == stored(whole)
    assert encode_weights(weights_of(again)) == encode_weights(weights_of(whole))


@pytest.mark.parametrize("body", [None, b"", b"rubbish", b"\x10" + b"\0" * 7 + b"{}"])
def test_a_broken_checkpoint_starts_anew(body: bytes | None) -> None:
    assert decode_checkpoint(body, "key") is None


def test_a_checkpoint_is_for_its_own_run_only_and_weights_are_none() -> None:
    fit = small_fit()
    assert decode_checkpoint(stored(fit), "key") is not None
    assert decode_checkpoint(stored(fit), "other") is None
    assert decode_checkpoint(encode_weights(weights_of(fit)), "key") is None
    assert decode_weights(encode_weights(weights_of(fit)))["lag"].equal(fit.best["lag"])


def test_a_fit_that_cannot_be_scored_can_still_be_resumed() -> None:
    series = make_series(days=12)
    series.values["calories_kcal"][:] = 0  # WQL is a share of what was burnt: there is none
    fit = small_fit("calories_kcal", series)
    run_fit(fit, 1, lambda _: None)
    found = decode_checkpoint(stored(fit), "key")
    assert found is not None
    assert found[0].progress == fit.progress
    assert json.loads(json.dumps(fit.progress.curve, allow_nan=False)) == []


def test_a_fit_whose_loss_is_not_finite_ends_with_the_weights_it_had() -> None:
    fit = small_fit()
    run_fit(fit, 1, lambda _: None)
    best = encode_weights(weights_of(fit))
    with torch.no_grad():
        next(fit.network.parameters()).fill_(float("nan"))
    run_fit(fit, 4, lambda _: pytest.fail("no epoch is whole"))
    assert (fit.progress.done, fit.progress.epoch) == (True, 1)
    assert encode_weights(weights_of(fit)) == best


def elsewhere(order: Callable[[list[Any]], list[Any]]) -> CohortRun:
    """The same run with each trial trained on its own, as jobs are, in any order per rung."""
    plan = plan_search(COHORT, SEARCHED)
    assert plan is not None
    plan = msgspec.json.decode(msgspec.json.encode(plan), type=SearchPlan)
    done: list[tuple[Trial, Any]] = []
    while wanted := next_trials(plan, [trial for trial, _ in done]):
        for target, *at in order(wanted):
            made = prepare_again(COHORT, target, SEARCHED, plan.kernels[target])
            fit = new_trial(made, plan.plan, (at[0], at[1]), SEARCHED)
            run_fit(fit, plan.plan.rungs[at[0]].epochs, lambda _: None)
            weights = decode_weights(encode_weights(weights_of(fit)))
            is_last = at[0] == len(plan.plan.rungs) - 1
            trial = trial_of(target, (at[0], at[1]), fit, 1.0)
            done.append((trial, weights if is_last else None))
    assert len(done) == trials_of(plan)
    return conclude_search(COHORT, (plan, SEARCHED), done)


def test_candidates_trained_anywhere_and_in_any_order_give_the_same_model() -> None:
    whole = saved(run(COHORT, SEARCHED))
    assert len(whole[1]["trials"]) > 4  # several rungs
    assert saved(elsewhere(lambda wanted: wanted)) == whole
    assert saved(elsewhere(lambda wanted: wanted[::-1])) == whole


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_permuted_targets_do_not_pass_the_gate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    permuted = {}
    for name, series in make_cohort(6, 18).items():
        rows = series.values["steps"]
        shuffled = rng.permutation(rows.reshape(-1)).reshape(rows.shape)
        permuted[name] = replace(series, values={**series.values, "steps": shuffled})
    made = run(permuted, msgspec.structs.replace(RECIPE, budget_s=5, test_days=5, seed=seed))
    gate = made.metrics["steps"]["validation_gate"]
    assert set(gate) == {"no_time_of_day", "weighted_climatology"}  # an ensemble came so far
    assert max(interval["high"] for interval in gate.values()) >= 0  # and was refused there
    assert made.champions == {"steps": "weighted_climatology"}


@pytest.mark.parametrize(
    "series",
    [
        {},
        {"a": make_series(days=2)},
        {"a": make_series(days=20, worn=0.0)},
        {name: make_series(name, days=2, seed=i) for i, name in enumerate("abcdef")},
    ],
)
def test_too_little_data_is_an_answer(series: dict[str, Series]) -> None:
    made = run(series)
    assert (made.enough, made.champion, made.artifact) == (False, None, None)
    assert "Not enough data yet" in made.verdict
    json.dumps(msgspec.to_builtins(made.counts), allow_nan=False)


def test_a_target_that_nobody_measured_is_told_and_the_others_go_on() -> None:
    series = {name: make_series(name, 18, i, heart=False) for i, name in enumerate("abc")}
    made = run(series, msgspec.structs.replace(RECIPE, targets=("steps", "heart_rate_bpm")))
    assert set(made.champions) == {"steps"}
    assert "Not enough data yet for heart rate" in made.verdict


def test_the_plan_depends_on_sizes_and_budget_alone() -> None:
    windows = {"steps": 600, "calories_kcal": 600}
    small, large = (make_plan(windows, Reach(), budget) for budget in (1, 2000))
    assert len(small.shapes) == 2
    assert {shape.kind for shape in small.shapes} == {"transformer", "convlstm"}
    assert len(large.shapes) == len(SPACE)
    assert [rung.epochs for rung in large.rungs] == sorted(rung.epochs for rung in large.rungs)
    assert make_plan(windows, Reach(), 2000) == large
    assert len(make_plan({}, Reach(), 60).shapes) == len(SPACE)


def test_the_better_half_goes_on_and_two_at_least() -> None:
    scores = [0.5, 0.3, 0.3, 0.9, 0.2]
    trials = [
        Trial(target="t", number=n, rung=0, epochs=1, score=score, curve=[], seconds=0.0)
        for n, score in enumerate(scores)
    ]
    assert survivors(trials) == survivors(trials[::-1]) == [4, 1, 2]
    assert survivors(trials[:2]) == [1, 0]


def test_shares_are_convex_and_the_climatology_stays_where_nothing_helps() -> None:
    rng = np.random.default_rng(0)
    truth = rng.gamma(2, 50, (6, 96)).astype(np.float32)
    good = np.repeat(truth[..., None], 4, axis=2)
    bad = np.zeros_like(good)
    assert mix(truth, [good, bad, bad]) == [1.0, 0.0, 0.0]
    shares = mix(truth, [bad, good, 1.1 * good, 0.9 * good])
    assert sum(shares) == pytest.approx(1)
    assert min(shares) >= 0
    assert shares[1] == max(shares)


def test_calibrated_quantiles_are_exceeded_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    held, later = (rng.normal(100, 10, (400, 96)).astype(np.float32) for _ in range(2))
    narrow = np.broadcast_to(np.float32([90, 100, 110, 100]), (400, 96, 4))
    found = calibrate(held, narrow).apply(narrow)
    for truth, least, most in ((held, 0.08, 0.13), (later, 0.08, 0.13)):
        assert least < (truth > found[..., 2]).mean() < most
        assert least < (truth < found[..., 0]).mean() < most
    assert (found[..., 0] < narrow[..., 0]).all()


def test_no_day_of_the_gate_or_the_test_chooses_the_kernel() -> None:
    split = split_target(COHORT, "steps", 3)
    chosen_by = set(recent(split, 14))
    assert chosen_by
    assert chosen_by <= {*split.train, *split.stop}
    assert not chosen_by & {*split.gate, *split.test}


def test_what_comes_after_the_cut_changes_no_forecast_of_a_week_ahead() -> None:
    before = _a_week_ahead(COHORT)
    after = _a_week_ahead({name: _reversed_from(each) for name, each in COHORT.items()})
    firsts = [i for i, issue in enumerate(before.issues) if issue in _first_tests(COHORT)]
    assert len(firsts) == len(COHORT)
    for name, forecast in before.forecasts.items():
        np.testing.assert_array_equal(forecast[firsts], after.forecasts[name][firsts], name)


def _a_week_ahead(series: Mapping[str, Series]) -> Held:
    """With everything chosen beforehand, and a mixture."""
    made = prepare_again(series, "steps", RECIPE, START["steps"])
    mixture = mixture_of(series, made.base, ("steps", made.split.train, RECIPE))
    groups = {"weighted_climatology": (), MIXTURE: mixture}
    tuned = dict.fromkeys(groups, Tuned(no_calibration(), USUAL["steps"]))
    return a_week_ahead(series, made, (groups, tuned), RECIPE)


def _first_tests(series: Mapping[str, Series]) -> set[Issue]:
    days = first_days(split_target(series, "steps", RECIPE.test_days).test)
    return {Issue(name, day, day - WEEK_AHEAD) for name, day in days.items()}


def _reversed_from(series: Series) -> Series:
    """Livelier days in another order from six days before the first test day on."""
    (cut,) = (i.cut for i in _first_tests(COHORT) if i.customer_id == series.customer_id)
    steps = series.values["steps"].copy()
    steps[cut:] = steps[cut:][:, ::-1] * 3
    return replace(series, values={**series.values, "steps": steps})


def test_thinned_issues_keep_both_ends_and_their_order() -> None:
    issues = [Issue("a", day, day) for day in range(100)]
    kept = thin(issues, 7)
    assert len(kept) == 7
    assert (kept[0], kept[-1]) == (issues[0], issues[-1])
    assert kept == sorted(kept)
    assert thin(issues, 100) == issues


def test_a_model_is_saved_and_loaded_to_the_same_forecasts(whole: CohortRun) -> None:
    assert whole.artifact is not None
    body, card = registry.dump(whole.artifact, dataset_hash="d", created_at="t")
    again = registry.load(body, json.loads(json.dumps(card)))
    assert again.kind == whole.artifact.model.kind
    assert again.targets == TARGETS
    requests = [
        Request(series, series.first_day.fromordinal(series.first_day.toordinal() + 17), 30, 200)
        for series in COHORT.values()
    ]
    one, other = (forecast_many(model, requests) for model in (whole.artifact.model, again))
    for each, same in zip(one, other, strict=True):
        assert each.values.keys() == same.values.keys()
        for target, values in each.values.items():
            np.testing.assert_array_equal(values, same.values[target])
            low, high = LIMITS[target]
            assert values.shape == (200, 4)
            assert (np.diff(values[:, :3], axis=1) >= 0).all()
            assert low <= values.min() <= values.max() <= high


def test_a_card_names_what_the_model_rests_on(whole: CohortRun) -> None:
    assert whole.artifact is not None
    _, card = registry.dump(whole.artifact, dataset_hash="d", created_at="t")
    assert (card["dataset_hash"], card["created_at"]) == ("d", "t")
    assert card["recipe_hash"] == recipe_hash(whole.artifact.recipe)
    assert card["champion"] == whole.champion


def _ensemble_of(made: CohortRun) -> tuple[bytes, dict[str, Any]]:
    """The same run's model with networks, whether they passed the gate or not."""
    assert made.artifact is not None
    model = made.artifact.model
    kernel = model.base.kernels["steps"]
    members = tuple(
        Member(shape, make_network(kernel, model.reach, shape, seed=1), 0.4) for shape in SPACE[:2]
    )
    artifact = replace(made.artifact, model=replace(model, members={"steps": members}))
    return registry.dump(artifact, dataset_hash="d", created_at="t")


def test_an_ensemble_is_saved_and_loaded_too(whole: CohortRun) -> None:
    body, card = _ensemble_of(whole)
    again = registry.load(body, json.loads(json.dumps(card)))
    assert again.kind == "ensemble"
    assert [member.weight for member in again.members["steps"]] == [0.4, 0.4]
    assert [member.shape for member in again.members["steps"]] == list(SPACE[:2])


@pytest.mark.parametrize(
    "change",
    [
        {"format": 3},
        {"format": None},
        {"members": {"steps": [{"shape": {"kind": "oracle"}, "weight": 1}]}},
        {"members": {"steps": [{"shape": {"kind": "convlstm", "width": 3}, "weight": 1}]}},
        {"members": None},
        {"reach": {"days": 5, "slots": 1}},
        {"reach": {}},
        {"reach": None},
        {"kernels": {}},
        {"kernels": []},
        {"kernels": {"steps": {"sd_slots": "wide"}}},
    ],
)
def test_a_card_that_does_not_fit_its_model_is_refused(
    whole: CohortRun, change: dict[str, Any]
) -> None:
    body, card = _ensemble_of(whole)
    with pytest.raises(Rejected):
        registry.load(body, card | change)


def test_a_model_of_the_first_format_still_serves() -> None:
    kernel = {
        "sd_slots": 2.5, "half_life_days": 14.0, "class_factor": 0.3, "weekday_factor": 1.5,
    }  # fmt: skip
    card = {"format": 1, "reach": {"days": 8, "slots": 3}, "kernels": {"steps": kernel}}
    pool = np.ones((2, 96, 4), np.float32)
    model = registry.load(save({"pool/steps": pool}), card | {"kind": "transformer"})
    series = make_series(days=12)
    day = series.first_day.fromordinal(series.first_day.toordinal() + 12)
    (made,) = forecast_many(model, [Request(series, day)])
    assert made.basis == {"steps": "own history"}
    assert np.isfinite(made.values["steps"]).all()
    with pytest.raises(Rejected):
        registry.load(save({}), card)


@pytest.mark.parametrize("missing", ["format", "members", "reach", "kernels"])
def test_a_card_that_lacks_something_is_refused(whole: CohortRun, missing: str) -> None:
    body, card = _ensemble_of(whole)
    with pytest.raises(Rejected):
        registry.load(body, {name: value for name, value in card.items() if name != missing})


def test_bytes_that_are_no_model_are_refused(whole: CohortRun) -> None:
    body, card = _ensemble_of(whole)
    for broken in (b"", b"rubbish", body[:-10], body[:20]):
        with pytest.raises(Rejected):
            registry.load(broken, card)


def test_a_forecast_says_what_it_rests_on(whole: CohortRun) -> None:
    assert whole.artifact is not None
    model = whole.artifact.model
    known, new = make_series("known", 18), make_series("new", 1)
    day = known.first_day.fromordinal(known.first_day.toordinal() + 10)
    first, second = forecast_many(model, [Request(known, day), Request(new, day)])
    assert first.basis["steps"] == "own history"
    assert first.data_through == day.fromordinal(day.toordinal() - 1)
    assert second.basis["steps"] == "cohort"
    assert second.data_through == new.first_day


def test_what_a_settled_customer_never_measured_is_not_made_up(whole: CohortRun) -> None:
    assert whole.artifact is not None
    series = make_series(days=18, heart=False)
    day = series.first_day.fromordinal(series.first_day.toordinal() + 18)
    (made,) = forecast_many(whole.artifact.model, [Request(series, day)])
    assert set(made.values) == {"steps", "calories_kcal"}


@pytest.mark.parametrize(("quarter", "slots"), [(-1, 96), (96, 96), (0, 0)])
def test_a_start_outside_the_day_is_an_error(whole: CohortRun, quarter: int, slots: int) -> None:
    assert whole.artifact is not None
    series = make_series()
    with pytest.raises(ValueError, match="start_quarter"):
        forecast_many(whole.artifact.model, [Request(series, series.first_day, quarter, slots)])


def test_a_dataset_is_named_by_its_weeks_versions_and_content() -> None:
    one, other = pinned_week(), pinned_week(customer_id="cus_2", customer_no=2)
    assert hash_of([one, other]) == hash_of([other, one])
    variants = [
        [one, other],
        [one],
        [one, pinned_week(customer_id="cus_3")],
        [one, pinned_week(customer_id="cus_2", week="2026-W46")],
        [one, pinned_week(customer_id="cus_2", version=2)],
        [one, pinned_week(customer_id="cus_2", content_sha="cd" * 32)],
    ]
    assert len({hash_of(weeks) for weeks in variants}) == len(variants)


def test_where_a_weeks_file_lies_does_not_name_the_dataset() -> None:
    assert hash_of([pinned_week(files=[], customer_no=9)]) == hash_of([pinned_week()])


def test_equal_recipes_have_one_name() -> None:
    assert recipe_hash(Recipe()) == recipe_hash(Recipe())
    assert recipe_hash(Recipe(seed=1)) != recipe_hash(Recipe())
