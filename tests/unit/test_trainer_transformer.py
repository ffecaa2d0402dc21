"""The contract of a trained model: it starts as the climatology, learns, repeats, and is saved."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fitstream.trainer.models.climatology import Climatology, pooled, predict_own
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.models.transformer import (
    SlotAttention,
    Transformer,
    network_from_arrays,
    predict_network,
    to_batch,
)
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.training import (
    Fit,
    Task,
    fit_state,
    new_fit,
    pinball_loss,
    resume_fit,
    run_fit,
    scale_of,
    trained_network,
)
from fitstream.trainer.windows import Issue, Reach, Windows, make_windows
from tests.unit.trainer_factories import make_series

REACH = Reach(8, 2)
KERNEL = Kernel()
RECIPE = Recipe(history_days=8, reach_slots=2, batch_windows=4, patience=50)


def windows(days: range = range(9, 15), target: str = "steps", reach: Reach = REACH) -> Windows:
    series = make_series(days=20, worn=1.0, seed=2)
    return make_windows({"a": series}, target, [Issue("a", day, day) for day in days], reach)


def network(seed: int = 0, stirred: float = 0.0) -> SlotAttention:
    """An untrained network, its weights moved a little."""
    torch.manual_seed(seed)
    made = SlotAttention(KERNEL, REACH).float()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(stirred * torch.randn_like(parameter))
    return made


def fitted(recipe: Recipe, epochs: int, train: Windows, validation: Windows) -> Fit:
    fit = new_fit(Task(KERNEL, train, validation, recipe, epochs))
    run_fit(fit, lambda _: None, lambda: False)
    return fit


@pytest.mark.parametrize("target", ["steps", "calories_kcal", "heart_rate_bpm"])
def test_the_untrained_network_equals_the_weighted_climatology(target: str) -> None:
    made = windows(target=target)
    expected = predict_own(KERNEL, made)
    np.testing.assert_allclose(predict_network(network(), KERNEL, made), expected, rtol=1e-5)


def test_a_forecast_has_its_shape_is_finite_and_its_quantiles_are_in_order() -> None:
    made = windows()
    forecast = predict_network(network(stirred=0.2), KERNEL, made)
    assert forecast.shape == (len(made), 96, 4)
    assert forecast.dtype == np.float32
    assert np.isfinite(forecast).all()
    assert (np.diff(forecast[..., :3], axis=2) >= 0).all()
    assert (forecast >= 0).all()


def test_every_parameter_gets_a_gradient() -> None:
    made = windows()
    moved = network(stirred=0.05)  # at its start the head and the keys multiply zeros
    batch = to_batch(made, KERNEL, torch.float32)
    torch.autograd.backward(pinball_loss(moved(batch), batch, scale_of(made.truth)))
    for name, parameter in moved.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_it_overfits_a_few_windows() -> None:
    made = windows(range(11, 13))
    recipe = Recipe(
        history_days=8, reach_slots=2, learning_rate=0.05, head_rate=0.02, pull=0.0,
        batch_windows=2, patience=500,
    )  # fmt: skip
    losses: list[float] = []
    fit = new_fit(Task(KERNEL, made, made.take([0]), recipe, 40))
    run_fit(fit, losses.append, lambda: False)
    assert losses[-1] < 0.85 * losses[0]
    assert fit.progress.best_score < fit.progress.curve[0]


def test_the_same_seed_gives_the_same_losses_and_another_seed_others() -> None:
    made, held = windows(range(9, 14)), windows(range(14, 16))

    def losses(seed: int) -> list[float]:
        found: list[float] = []
        recipe = replace_recipe(seed=seed)
        run_fit(new_fit(Task(KERNEL, made, held, recipe, 3)), found.append, lambda: False)
        return found

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def replace_recipe(**fields: float) -> Recipe:
    base = {name: getattr(RECIPE, name) for name in RECIPE.__struct_fields__}
    return Recipe(**base | fields)


def test_training_leaves_the_global_random_state_alone() -> None:
    state = state_of(network())
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    fitted(RECIPE, 1, windows(range(9, 11)), windows(range(14, 15)))
    network_from_arrays(KERNEL, REACH, state)
    assert torch.rand(1) == expected


def state_of(made: SlotAttention) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy() for name, tensor in made.state_dict().items()}


def test_saved_and_loaded_it_forecasts_the_same() -> None:
    moved = network(stirred=0.1)
    again = network_from_arrays(KERNEL, REACH, state_of(moved))
    made = windows()
    np.testing.assert_array_equal(
        predict_network(moved, KERNEL, made), predict_network(again, KERNEL, made)
    )


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RuntimeError):
        network_from_arrays(KERNEL, Reach(9, 2), state_of(network()))


def test_padding_changes_nothing() -> None:
    made = windows()
    rng = np.random.default_rng(0)
    behind = np.arange(REACH.keys) >= made.count[..., None]
    assert behind.any()
    noisy = replace(
        made, values=np.where(behind, rng.random(made.values.shape) * 9e5, made.values).astype("f4")
    )
    moved = network(stirred=0.1)
    np.testing.assert_array_equal(
        predict_network(moved, KERNEL, made), predict_network(moved, KERNEL, noisy)
    )


def test_windows_do_not_influence_each_other() -> None:
    moved, made = network(stirred=0.1), windows()
    together = predict_network(moved, KERNEL, made)
    alone = np.concatenate(
        [predict_network(moved, KERNEL, made.take([i])) for i in range(len(made))]
    )
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_a_slot_without_any_past_comes_from_the_cohort() -> None:
    series = make_series(days=20)
    series.values["steps"][:, 40:60] = np.nan
    made = make_windows({"a": series}, "steps", [Issue("a", 15, 15)], REACH)
    pool = {"steps": pooled([(make_series(seed=8), 20)], "steps")}
    model = Transformer(Climatology(REACH, {"steps": KERNEL}, pool), {"steps": network()})
    forecast = model.predict(made)
    assert np.isfinite(forecast).all()
    weekend = int(made.weekday[0] >= 5)
    np.testing.assert_array_equal(forecast[0, 45:55], pool["steps"][weekend, 45:55])


def test_a_target_without_a_network_is_forecast_by_the_climatology() -> None:
    made = windows()
    pool = {"steps": pooled([(make_series(), 20)], "steps")}
    base = Climatology(REACH, {"steps": KERNEL}, pool)
    np.testing.assert_array_equal(Transformer(base, {}).predict(made), base.predict(made))


def test_the_loss_counts_measured_slots_alone() -> None:
    made = windows()
    batch = to_batch(made, KERNEL, torch.float32)
    forecast = network()(batch)
    hidden = batch.truth.clone()
    hidden[:, 10:20] = torch.nan
    some = pinball_loss(forecast, replace(batch, truth=hidden), 1.0)
    kept = [slot for slot in range(96) if not 10 <= slot < 20]
    expected = pinball_loss(
        forecast[:, kept],
        replace(batch, truth=batch.truth[:, kept], count=batch.count[:, kept]),
        1.0,
    )
    assert some.item() == pytest.approx(expected.item(), rel=1e-5)
    nothing = replace(batch, truth=torch.full_like(batch.truth, torch.nan))
    assert pinball_loss(forecast, nothing, 1.0).item() == 0


def test_a_fit_goes_on_from_its_state_as_if_it_had_never_stopped() -> None:
    made, held = windows(range(9, 14)), windows(range(14, 16))
    whole = fitted(RECIPE, 4, made, held)
    half = fitted(RECIPE, 2, made, held)
    resumed = new_fit(Task(KERNEL, made, held, RECIPE, 4))
    half.progress.done = False
    resume_fit(resumed, half.progress, {k: v.clone() for k, v in fit_state(half).items()})
    run_fit(resumed, lambda _: None, lambda: False)
    assert resumed.progress == whole.progress
    for name, tensor in trained_network(whole).state_dict().items():
        torch.testing.assert_close(trained_network(resumed).state_dict()[name], tensor)


def test_a_fit_that_no_longer_improves_stops_before_its_plan() -> None:
    made = windows(range(9, 12))
    recipe = replace_recipe(patience=2, learning_rate=0.0, head_rate=0.0)
    fit = fitted(recipe, 30, made, made)
    assert (fit.progress.epoch, fit.progress.best_epoch) == (2, 0)


def test_a_fit_that_runs_out_of_time_says_so_and_keeps_its_best() -> None:
    made = windows(range(9, 12))
    fit = new_fit(Task(KERNEL, made, made, RECIPE, 5))
    assert run_fit(fit, lambda _: None, lambda: True)
    assert fit.progress.epoch == 0
    expected = predict_own(KERNEL, made)
    found = predict_network(trained_network(fit), KERNEL, made)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
