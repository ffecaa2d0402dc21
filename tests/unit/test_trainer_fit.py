"""A cohort run: an honest verdict, the same result again, and a model that can be kept."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fitstream.errors import Rejected
from fitstream.tasks.cohort_prepare import hash_of
from fitstream.trainer import registry
from fitstream.trainer.checkpoint import Header, Progress, read_checkpoint, write_checkpoint
from fitstream.trainer.data import TARGETS, Series
from fitstream.trainer.evaluate import Model, hold
from fitstream.trainer.fit import Prepared, planned_epochs, thin, train_cohort
from fitstream.trainer.forecast import LIMITS, Request, forecast_many
from fitstream.trainer.models.climatology import Climatology, pooled
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.models.transformer import SlotAttention, Transformer
from fitstream.trainer.recipe import Recipe, recipe_hash
from fitstream.trainer.report import CohortRun, Outcome
from fitstream.trainer.splits import split_target
from fitstream.trainer.training import Task, new_fit, run_fit, trained_network
from fitstream.trainer.windows import Issue, make_windows
from tests.factories import pinned_week
from tests.unit.trainer_factories import make_cohort, make_series

RECIPE = Recipe(history_days=8, reach_slots=1, max_epochs=3, test_days=3, targets=("steps",))
COHORT = make_cohort(6, 18)


class Cancelled(Exception):
    """What `on_progress` raises to end a run."""


def run(series: dict[str, Series], recipe: Recipe = RECIPE, path: Path | None = None) -> CohortRun:
    return train_cohort(series, recipe, lambda *_: None, path)


def saved(made: CohortRun) -> tuple[bytes, dict[str, Any]]:
    """Model and card, without what took how long."""
    assert made.artifact is not None
    body, card = registry.dump(made.artifact, dataset_hash="d", created_at="t")
    card = {name: value for name, value in card.items() if name != "seconds"}
    card["leaderboard"] = [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in card["leaderboard"]
    ]
    return body, card


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
        assert kinds == {"naive_day", "naive_week", "weighted_climatology", "transformer"}
        assert [row["wql"] for row in rows] == sorted(row["wql"] for row in rows)
        assert [row["model"] for row in rows if row["champion"]] == [whole.champions[target]]
        assert not whole.champions[target].startswith("naive")
    assert whole.counts["customers"] == 6
    assert whole.stopped_by_clock is False


def test_everything_but_the_model_is_plain_json(whole: CohortRun) -> None:
    assert whole.artifact is not None
    text = json.dumps(whole.artifact.report, allow_nan=False)
    assert json.loads(text)["verdict"] == whole.verdict


def test_equal_data_and_recipe_give_an_equal_model() -> None:
    assert saved(run(COHORT)) == saved(run(dict(reversed(COHORT.items()))))


def test_a_run_that_was_cancelled_goes_on_to_the_same_result(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"

    def cancel(epoch: int, *_: Any) -> None:
        if epoch == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        train_cohort(COHORT, RECIPE, cancel, path)
    assert path.exists()
    epochs: list[int] = []
    resumed = train_cohort(COHORT, RECIPE, lambda epoch, *_: epochs.append(epoch), path)
    assert epochs == [3]
    assert saved(resumed) == saved(run(COHORT))


def test_a_checkpoint_of_another_run_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    run(COHORT, path=path)
    other = msgspec.structs.replace(RECIPE, seed=3)
    assert saved(run(COHORT, other, path)) == saved(run(COHORT, other))


@pytest.mark.parametrize("body", [b"", b"rubbish", b"\x10" + b"\0" * 7 + b"{}"])
def test_a_broken_checkpoint_starts_the_run_anew(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(body)
    assert read_checkpoint(path, "key") == ({}, {})


def test_a_checkpoint_is_read_back_whole_and_for_its_own_run_only(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    assert read_checkpoint(path, "key") == ({}, {})
    progress = {"steps": Progress(epoch=2, curve=[0.5]), "calories_kcal": Progress()}
    windows = make_windows({"a": make_series()}, "steps", [Issue("a", 9, 9)], RECIPE.reach)
    fit = new_fit(Task(Kernel(), windows, windows, RECIPE, 1))
    states = {"steps": {"now/x": fit.start["lag"]}, "calories_kcal": {}}
    write_checkpoint(path, Header(run_key="key", progress=progress), states)
    found, tensors = read_checkpoint(path, "key")
    assert found == progress
    assert tensors["steps"]["now/x"].equal(fit.start["lag"])
    assert read_checkpoint(path, "other") == ({}, {})


def test_a_fit_that_cannot_be_scored_can_still_be_resumed(tmp_path: Path) -> None:
    series = make_series(days=12)
    series.values["calories_kcal"][:] = 0  # WQL is a share of what was burnt: there is none
    windows = make_windows(
        {"a": series}, "calories_kcal", [Issue("a", 9, 9), Issue("a", 10, 10)], RECIPE.reach
    )
    fit = new_fit(Task(Kernel(), windows, windows, RECIPE, 1))
    run_fit(fit, lambda _: None, lambda: False)
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, Header(run_key="k", progress={"calories_kcal": fit.progress}), {})
    found, _ = read_checkpoint(path, "k")
    assert found == {"calories_kcal": fit.progress}
    assert json.loads(json.dumps(fit.progress.curve, allow_nan=False)) == []


def test_a_run_that_is_out_of_time_still_answers_and_says_so() -> None:
    made = run(COHORT, msgspec.structs.replace(RECIPE, budget_s=0))
    assert made.enough
    assert made.stopped_by_clock
    assert made.artifact is not None
    assert any("clock" in limit for limit in made.artifact.report["limits"])


def test_permuted_targets_do_not_pass_the_gate() -> None:
    split = split_target(COHORT, "steps", RECIPE.test_days)
    train, validation = (
        make_windows(COHORT, "steps", issues, RECIPE.reach)
        for issues in (split.train, split.validation)
    )
    permuted = np.random.default_rng(1).permutation(train.truth.reshape(-1))
    train = replace(train, truth=permuted.reshape(train.truth.shape))
    # weights as even as they get: a short history's quantiles gain from that alone
    kernel = Kernel(sd_slots=8, half_life_days=10_000, class_factor=1, weekday_factor=1)
    fit = new_fit(Task(kernel, train, validation, RECIPE, 6))
    run_fit(fit, lambda _: None, lambda: False)
    pool = {"steps": pooled([(series, 8) for series in COHORT.values()], "steps")}
    base = Climatology(RECIPE.reach, {"steps": kernel}, pool)
    models: list[Model] = [base, Transformer(base, {"steps": trained_network(fit)})]
    held = hold(models, COHORT, "steps", split.validation, RECIPE.reach)
    assert not Outcome("steps", kernel, split, held, held, {}, 0).promoted


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
    windows = make_windows({"a": make_series()}, "steps", [Issue("a", 9, 9)], RECIPE.reach)
    empty = windows.take([])

    def prepared(train: Any, validation: Any) -> Prepared:
        return Prepared("steps", None, None, None, train, validation, 0.0)  # type: ignore[arg-type]

    some = [prepared(windows, windows)]
    recipe = Recipe(max_epochs=24)
    assert planned_epochs(some, recipe) == 24
    assert planned_epochs(some, msgspec.structs.replace(recipe, budget_s=0)) == 1
    assert planned_epochs([], recipe) == 24
    many = [prepared(windows.take([0] * 200), windows)]
    few = planned_epochs(many, msgspec.structs.replace(recipe, budget_s=1))
    assert 1 <= few < 24
    assert not prepared(empty, windows).trainable
    assert not prepared(windows, empty).trainable


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


def _transformer_of(made: CohortRun) -> tuple[bytes, dict[str, Any]]:
    """The same run's model with a network, whether it passed the gate or not."""
    assert made.artifact is not None
    model = made.artifact.model
    base = model if isinstance(model, Climatology) else model.base  # type: ignore[attr-defined]
    network = SlotAttention(base.kernels["steps"], base.reach).float()
    artifact = replace(made.artifact, model=Transformer(base, {"steps": network}))
    return registry.dump(artifact, dataset_hash="d", created_at="t")


def test_a_transformer_is_saved_and_loaded_too(whole: CohortRun) -> None:
    body, card = _transformer_of(whole)
    assert registry.load(body, card).kind == "transformer"


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"kind": "oracle"},
        {"kind": None},
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
    body, card = _transformer_of(whole)
    with pytest.raises(Rejected):
        registry.load(body, card | change)


@pytest.mark.parametrize("missing", ["format", "kind", "reach", "kernels"])
def test_a_card_that_lacks_something_is_refused(whole: CohortRun, missing: str) -> None:
    body, card = _transformer_of(whole)
    with pytest.raises(Rejected):
        registry.load(body, {name: value for name, value in card.items() if name != missing})


def test_bytes_that_are_no_model_are_refused(whole: CohortRun) -> None:
    body, card = _transformer_of(whole)
    for broken in (b"", b"rubbish", body[:-10], body[:20]):
        with pytest.raises(Rejected):
            registry.load(broken, card)


def test_a_model_of_another_kind_cannot_be_saved(whole: CohortRun) -> None:
    assert whole.artifact is not None
    with pytest.raises(TypeError):
        registry.dump(
            replace(whole.artifact, model=object()),  # type: ignore[arg-type]
            dataset_hash="d",
            created_at="t",
        )


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
