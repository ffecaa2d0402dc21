"""Networks of the next hour: learned from everybody, judged on held-out days, kept as they are."""

from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from fitstream.errors import Rejected
from fitstream.trainer import nowcasting, registry
from fitstream.trainer.cohort import make_cohort as cohort_of
from fitstream.trainer.data import SLOTS, Series
from fitstream.trainer.models.blend import Blend
from fitstream.trainer.models.climatology import Climatology, pooled
from fitstream.trainer.models.kernel import START
from fitstream.trainer.models.nowcast import AHEAD, Nowcast
from fitstream.trainer.nowcast_report import KERNEL, Nowcasted, report_of, sentence_of
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.replay import replay
from fitstream.trainer.report import WORDS, percent
from fitstream.trainer.splits import Split, days_before, split_target
from fitstream.trainer.today import Moment, rest_of_today
from fitstream.trainer.windows import Issue, Reach
from tests.unit.trainer_factories import make_series

REACH = Reach(9, 1)
DAYS = 11


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nowcasting, "MIN_DAYS", 15)
    monkeypatch.setattr(nowcasting, "EPOCHS", (25,))
    monkeypatch.setattr(nowcasting, "EVERY", 5)
    monkeypatch.setattr(nowcasting, "SEEDS", 1)


def walker(name: str, seed: int) -> Series:
    """Who walked three quarter hours ago rests, and the other way round, whatever the time of day:
    the kernel looks for likeness elsewhere."""
    rng = np.random.default_rng(seed)
    steps = np.zeros(DAYS * SLOTS)
    for slot in range(3, len(steps)):
        is_walk = (steps[slot - 3] == 0) == (rng.random() < 0.9)
        steps[slot] = rng.integers(200, 400) if is_walk else 0
    one = make_series(name, DAYS, seed)
    values = {**one.values, "steps": steps.reshape(DAYS, SLOTS).astype(np.float32)}
    return replace(one, values=values)


@cache
def walkers() -> dict[str, Series]:
    return {name: walker(name, seed) for seed, name in enumerate("abcde")}


def shuffled(series: dict[str, Series]) -> dict[str, Series]:
    rng = np.random.default_rng(0)
    made = {}
    for name, each in series.items():
        rows = each.values["steps"]
        mixed = rng.permutation(rows.reshape(-1)).reshape(rows.shape)
        made[name] = replace(each, values={**each.values, "steps": mixed})
    return made


def base_of(series: dict[str, Series], split: Split) -> Climatology:
    days = days_before(series, (*split.validation, *split.test))
    return Climatology(
        REACH,
        {"steps": START["steps"]},
        {"steps": pooled(days, "steps")},
        {"steps": cohort_of(days, "steps")},
    )


def learned(series: dict[str, Series]) -> tuple[Blend, Nowcasted]:
    split = split_target(series, "steps", 2)
    base = base_of(series, split)
    found = nowcasting.learn_nowcast(Blend(base), series, "steps", split, (0, 640))
    return Blend(base), found


@cache
def served() -> tuple[Blend, Nowcasted]:
    model, found = learned(walkers())
    assert found.nowcast is not None
    return replace(model, nowcasts={"steps": found.nowcast}), found


def test_what_everybodys_moments_tell_beats_the_kernel_and_is_learned_the_same_again() -> None:
    model, found = served()
    assert found.passed
    assert found.gate[KERNEL].high < 0
    assert found.wql["next hour"]["nowcast"] < found.wql["next hour"][KERNEL]
    threads = torch.get_num_threads()
    again = learned(walkers())[1].nowcast
    assert torch.get_num_threads() == threads
    assert again is not None
    for one, other in zip(model.nowcasts["steps"].networks, again.networks, strict=True):
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_where_the_last_hours_tell_nothing_no_network_serves() -> None:
    _, found = learned(shuffled(walkers()))
    assert found.nowcast is None
    assert found.gate or found.chosen is None
    said = sentence_of([found], WORDS, percent)
    assert "kernel" in said
    assert "alone" in said


def test_held_out_days_that_nobody_can_tell_a_moment_of_leave_the_kernel_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = nowcasting._moments

    def nothing_of_the_gate(model: Any, series: Any, target: str, issues: Any) -> Any:
        return None if list(issues) == list(gate) else seen(model, series, target, issues)

    gate = split_target(walkers(), "steps", 2).gate
    monkeypatch.setattr(nowcasting, "replay", lambda *_: iter(()))
    base = base_of(walkers(), split_target(walkers(), "steps", 2))
    assert seen(Blend(base), walkers(), "steps", gate) is None
    monkeypatch.undo()
    monkeypatch.setattr(nowcasting, "_moments", nothing_of_the_gate)
    assert learned(walkers())[1].nowcast is None


def test_too_few_days_are_not_learned_from_and_the_product_says_so() -> None:
    few = dict(list(walkers().items())[:2])
    _, found = learned(few)
    assert found.nowcast is None
    assert report_of(found)["serves"] is False
    assert "days to learn from are needed" in sentence_of([found], WORDS, percent)


@pytest.mark.parametrize("quarter", [0, 1, 50, 93, 95])
def test_a_day_seen_again_is_told_as_it_was_told_then(quarter: int) -> None:
    model, one = replace(served()[0], nowcasts={}), walkers()["a"]
    (seen,) = replay(model, walkers(), "steps", [Issue("a", 9, 9)], [quarter])
    day = one.first_day + timedelta(days=9)
    told = rest_of_today(model, Moment(one, day, quarter)).values["steps"][:AHEAD]
    again = np.column_stack([np.sort(seen.sight.moved[:, :3], axis=1), seen.sight.moved[:, 3]])
    np.testing.assert_allclose(again, told, atol=1e-3)
    np.testing.assert_array_equal(seen.truth, one.values["steps"][9, quarter : quarter + AHEAD])


def test_a_kept_model_tells_the_same_and_one_from_before_is_still_read() -> None:
    model, _ = served()
    tensors, card = registry.dump(
        registry.Artifact(model, Recipe(), {}), dataset_hash="h", created_at="now"
    )
    kept = registry.load(tensors, msgspec.json.decode(msgspec.json.encode(card)))
    one = walkers()["b"]
    moment = Moment(one, one.first_day + timedelta(days=10), 40)
    before, after = (rest_of_today(each, moment).values["steps"] for each in (model, kept))
    np.testing.assert_array_equal(before, after)
    old = {name: value for name, value in card.items() if name != "nowcasts"}
    alone = rest_of_today(registry.load(tensors, old), moment).values["steps"]
    assert not np.array_equal(alone[:AHEAD], after[:AHEAD])
    np.testing.assert_array_equal(alone[AHEAD:], after[AHEAD:])
    arrays = load_tensors(tensors)
    (name,) = (name for name in arrays if name.endswith("nowcast.0/first.weight"))
    missing = {key: array for key, array in arrays.items() if key != name}
    for other in (missing, arrays | {name: arrays[name][:, 1:].copy()}):
        with pytest.raises(Rejected, match="do not fit"):
            registry.load(save_tensors(other), card)


@pytest.mark.parametrize("quarter", [1, 50, 94])
def test_what_the_networks_change_counts_as_theirs_and_everything_sums_up(quarter: int) -> None:
    model, one = served()[0], walkers()["c"]
    moment = Moment(one, one.first_day + timedelta(days=10), quarter)
    made, plain = (rest_of_today(m, moment) for m in (model, replace(model, nowcasts={})))
    (explained,), (before,) = made.explained["steps"], plain.explained["steps"]
    rest = float(made.values["steps"][:, 3].sum())
    added = sum(day.adds for day in explained.days) + explained.cohort.adds + explained.networks
    assert added == pytest.approx(rest, rel=1e-3)
    assert sum(explained.effects.values()) == pytest.approx(rest, rel=1e-3)
    change = rest - float(plain.values["steps"][:, 3].sum())
    assert explained.networks - before.networks == pytest.approx(change, abs=0.02)
    assert explained.effects["networks"] - before.effects["networks"] == pytest.approx(
        change, abs=0.02
    )
    assert explained.effects["today"] == pytest.approx(before.effects["today"])


@pytest.mark.parametrize("days", [0, 1])
def test_a_newcomer_without_days_of_their_own_is_told_what_the_cohort_says(days: int) -> None:
    model, one = served()[0], walkers()["d"]
    values = {target: rows[:2] for target, rows in one.values.items()}
    series = Series("new", one.first_day, values, np.ones(2, np.bool_))
    moment = Moment(series, one.first_day + timedelta(days=days), 30)
    made, plain = (rest_of_today(m, moment) for m in (model, replace(model, nowcasts={})))
    np.testing.assert_array_equal(made.values["steps"], plain.values["steps"])


@pytest.mark.parametrize("quarter", [0, 7, 60, 95])
def test_networks_see_nothing_at_or_after_the_moment(quarter: int) -> None:
    model, one = served()[0], walkers()["e"]
    steps = one.values["steps"].copy()
    steps.reshape(-1)[10 * SLOTS + quarter :] = 999
    other = replace(one, values={**one.values, "steps": steps})
    moments = (Moment(each, one.first_day + timedelta(days=10), quarter) for each in (one, other))
    before, after = (rest_of_today(model, moment).values["steps"] for moment in moments)
    np.testing.assert_array_equal(before, after)


def test_a_moment_of_which_nothing_is_known_is_left_to_the_kernel() -> None:
    nowcast: Nowcast = served()[0].nowcasts["steps"]
    (seen,) = replay(
        replace(served()[0], nowcasts={}), walkers(), "steps", [Issue("a", 9, 9)], [20]
    )
    gone = np.full_like(seen.sight.moved, np.nan)
    assert np.isnan(nowcast.apply(seen.sight._replace(moved=gone))).all()
    nothing = seen.sight._replace(so_far=np.full_like(seen.sight.so_far, np.nan))
    assert np.isfinite(nowcast.apply(nothing)).all()
