"""The contract of every architecture: starts as the climatology, learns, repeats, is saved."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from fitstream.trainer.cohort import Cohort
from fitstream.trainer.cohort import make_cohort as cohort_of
from fitstream.trainer.models.blend import ENSEMBLE, Blend, Member, blend
from fitstream.trainer.models.climatology import Climatology, pooled, predict_own
from fitstream.trainer.models.daylevel import day_factors
from fitstream.trainer.models.kernel import START
from fitstream.trainer.models.network import (
    Network,
    make_network,
    network_from_arrays,
    predict_network,
    run_network,
)
from fitstream.trainer.models.shape import Shape
from fitstream.trainer.training import (
    Fit,
    Task,
    fit_state,
    new_fit,
    pinball_loss,
    resume_fit,
    run_fit,
    scale_of,
    scales_of,
    trained_network,
)
from fitstream.trainer.windows import NOT_MEASURED, Issue, Look, Reach, Windows, make_windows
from tests.unit.trainer_factories import make_cohort, make_series

REACH = Reach(8, 2)
KERNEL = START["steps"]
SHAPES = (
    Shape(kind="transformer", dropout=0.1),
    Shape(kind="convlstm", width=6, days=5, dropout=0.1),
    Shape(kind="convlstm", width=4, days=5, dropout=0.1, layers=2, patch=4, loss="person"),
)
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)


def others(target: str = "steps") -> Cohort:
    return cohort_of([(series, 20) for series in make_cohort(4).values()], target)


def windows(days: range = range(9, 15), target: str = "steps", reach: Reach = REACH) -> Windows:
    series = make_series(days=20, worn=1.0, seed=2)
    look = Look(target, reach, others(target))
    return make_windows({"a": series}, look, [Issue("a", day, day) for day in days])


def network(shape: Shape, seed: int = 0, stirred: float = 0.0) -> Network:
    """An untrained network, its weights moved a little."""
    made = make_network(KERNEL, REACH, shape, seed)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(stirred * torch.randn_like(parameter))
    return made.eval()


def task(shape: Shape, train: Windows, stop: Windows, seed: int = 0, patience: int = 50) -> Task:
    return Task(KERNEL, shape, train, stop, seed, patience)


def fitted(made: Task, epochs: int, tell: Callable[[float], None] = lambda _: None) -> Fit:
    fit = new_fit(made)
    run_fit(fit, epochs, tell)
    return fit


@each_shape
@pytest.mark.parametrize("target", ["steps", "calories_kcal", "heart_rate_bpm"])
def test_the_untrained_network_equals_the_weighted_climatology(target: str, shape: Shape) -> None:
    made, kernel = windows(target=target), START[target]
    found = predict_network(make_network(kernel, REACH, shape, seed=0), made)
    np.testing.assert_allclose(found, predict_own(kernel, made), rtol=1e-5, atol=1e-5)


@each_shape
def test_a_forecast_has_its_shape_is_finite_and_its_quantiles_are_in_order(shape: Shape) -> None:
    made = windows()
    forecast = predict_network(network(shape, stirred=0.2), made)
    assert forecast.shape == (len(made), 96, 4)
    assert forecast.dtype == np.float32
    assert np.isfinite(forecast).all()
    assert (np.diff(forecast[..., :3], axis=2) >= 0).all()
    assert (forecast >= 0).all()


@each_shape
def test_every_parameter_gets_a_gradient(shape: Shape) -> None:
    made = windows()
    moved = network(shape, stirred=0.05)  # at its start the head and the keys multiply zeros
    forecast = run_network(moved, made, torch.float32)
    truth, known = torch.from_numpy(made.truth), torch.from_numpy(made.count > 0)
    torch.autograd.backward(pinball_loss(forecast, truth, known, scale_of(made.truth)))
    for name, parameter in moved.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@each_shape
def test_it_overfits_eight_windows(shape: Shape) -> None:
    made = windows(range(9, 17))
    fast = Shape(kind=shape.kind, learning_rate=0.05, head_rate=0.03, pull=0.0, days=5)
    losses: list[float] = []
    fitted(task(fast, made, made.take([0])), 40, losses.append)
    assert losses[-1] < 0.92 * losses[0]


@each_shape
def test_the_same_seed_gives_the_same_losses_and_another_seed_others(shape: Shape) -> None:
    made, held = windows(range(9, 14)), windows(range(14, 16))

    def losses(seed: int) -> list[float]:
        found: list[float] = []
        fitted(task(shape, made, held, seed), 3, found.append)
        return found

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


@each_shape
def test_training_leaves_the_global_random_state_alone(shape: Shape) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    fitted(task(shape, windows(range(9, 11)), windows(range(14, 15))), 1)
    network_from_arrays(KERNEL, REACH, shape, state_of(make_network(KERNEL, REACH, shape, 1)))
    assert torch.rand(1) == expected


def state_of(made: Network) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy() for name, tensor in made.state_dict().items()}


@each_shape
def test_saved_and_loaded_it_forecasts_the_same(shape: Shape) -> None:
    moved, made = network(shape, stirred=0.1), windows()
    again = network_from_arrays(KERNEL, REACH, shape, state_of(moved))
    np.testing.assert_array_equal(predict_network(moved, made), predict_network(again, made))


@each_shape
def test_weights_that_do_not_fit_are_refused(shape: Shape) -> None:
    wider = Shape(kind=shape.kind, width=shape.width + 1, days=shape.days)
    with pytest.raises(RuntimeError):
        network_from_arrays(KERNEL, REACH, wider, state_of(network(shape)))


@each_shape
def test_padding_changes_nothing(shape: Shape) -> None:
    made = windows()
    rng = np.random.default_rng(0)
    behind = np.arange(REACH.all_keys) >= made.count[..., None]
    assert behind.any()
    noise = rng.integers(0, 2**18, made.keys.shape, dtype=np.uint32) << np.uint32(14)
    noisy = replace(made, keys=np.where(behind, noise | NOT_MEASURED, made.keys))
    assert not np.array_equal(noisy.values, made.values)
    moved = network(shape, stirred=0.1)
    np.testing.assert_array_equal(predict_network(moved, made), predict_network(moved, noisy))


@each_shape
def test_windows_do_not_influence_each_other(shape: Shape) -> None:
    moved, made = network(shape, stirred=0.1), windows()
    together = predict_network(moved, made)
    alone = np.concatenate([predict_network(moved, made.take([i])) for i in range(len(made))])
    np.testing.assert_allclose(together, alone, rtol=1e-6)


@each_shape
def test_it_is_small(shape: Shape) -> None:
    made = make_network(KERNEL, Reach(), Shape(kind=shape.kind, width=16, days=28), seed=0)
    assert sum(parameter.numel() for parameter in made.parameters()) < 100_000


@each_shape
def test_a_fit_goes_on_from_its_state_as_if_it_had_never_stopped(shape: Shape) -> None:
    made = task(shape, windows(range(9, 14)), windows(range(14, 16)))
    whole, half, resumed = fitted(made, 4), fitted(made, 2), new_fit(made)
    resume_fit(resumed, half.progress, {k: v.clone() for k, v in fit_state(half).items()})
    run_fit(resumed, 4, lambda _: None)
    assert resumed.progress == whole.progress
    for name, tensor in trained_network(whole).state_dict().items():
        torch.testing.assert_close(trained_network(resumed).state_dict()[name], tensor)


def test_a_fit_that_no_longer_improves_stops_before_its_plan() -> None:
    made = windows(range(9, 12))
    still = Shape(kind="transformer", learning_rate=0.0, head_rate=0.0)
    fit = fitted(task(still, made, made, patience=2), 30)
    assert (fit.progress.epoch, fit.progress.best_epoch) == (2, 0)


@pytest.mark.parametrize("days", [0, 1, 3, 14])
def test_a_cold_start_gets_a_whole_forecast_that_says_how_sure_it_is(days: int) -> None:
    series = {"new": make_series("new", days=max(days, 1)).before(days)}
    cohort = [(each, 20) for each in make_cohort(4).values()]
    base = Climatology(
        REACH, {"steps": KERNEL}, {"steps": pooled(cohort, "steps")}, {"steps": others()}
    )
    members = {"steps": tuple(Member(s, network(s, stirred=0.05), 0.3) for s in SHAPES)}
    for model in (base, Blend(base, members)):
        made = make_windows(series, base.look("steps"), [Issue("new", days, days)])
        (forecast,) = model.predict(made)
        assert np.isfinite(forecast).all()
        assert (np.diff(forecast[:, :3], axis=1) >= 0).all()
        assert forecast[40:60, 3].mean() > forecast[:12, 3].mean()  # people walk by day
    assert made.history_days()[0] == days if days <= REACH.days else REACH.days


def test_a_slot_without_any_past_comes_from_the_cohort() -> None:
    series = make_series(days=20)
    series.values["steps"][:, 40:60] = np.nan
    made = make_windows({"a": series}, Look("steps", REACH), [Issue("a", 15, 15)])
    pool = {"steps": pooled([(make_series(seed=8), 20)], "steps")}
    base = Climatology(REACH, {"steps": KERNEL}, pool, {})
    members = {"steps": tuple(Member(shape, network(shape), 0.3) for shape in SHAPES)}
    forecast = Blend(base, members).predict(made)
    assert np.isfinite(forecast).all()
    weekend = int(made.weekday[0] >= 5)
    np.testing.assert_array_equal(forecast[0, 45:55], pool["steps"][weekend, 45:55])


def test_a_blend_is_the_mean_it_says_and_names_what_it_is_made_of() -> None:
    made = windows()
    pool = {"steps": pooled([(make_series(), 20)], "steps")}
    base = Climatology(REACH, {"steps": KERNEL}, pool, {"steps": others()})
    np.testing.assert_array_equal(Blend(base).predict(made), base.predict(made))
    assert Blend(base).kind == "weighted_climatology"
    one, two = (network(shape, stirred=0.1) for shape in SHAPES[:2])
    assert Blend(base, {"steps": (Member(SHAPES[0], one, 1.0),)}).kind == "transformer"
    both = Blend(base, {"steps": (Member(SHAPES[0], one, 0.25), Member(SHAPES[1], two, 0.25))})
    assert both.kind == ENSEMBLE
    parts = [predict_own(KERNEL, made), predict_network(one, made), predict_network(two, made)]
    mixed = blend(parts, [0.5, 0.25, 0.25])
    np.testing.assert_allclose(both.predict_own(made), mixed, rtol=1e-6)
    mixed[..., 3] *= day_factors(KERNEL, made, parts[0][..., 3])[:, None]  # at the day's level
    np.testing.assert_allclose(both.predict(made), mixed, rtol=1e-6)


@each_shape
def test_the_loss_counts_measured_slots_alone(shape: Shape) -> None:
    made = windows()
    forecast = run_network(network(shape), made, torch.float32)
    truth, known = torch.from_numpy(made.truth), torch.from_numpy(made.count > 0)
    hidden = truth.clone()
    hidden[:, 10:20] = torch.nan
    kept = [slot for slot in range(96) if not 10 <= slot < 20]
    some = pinball_loss(forecast, hidden, known, 1.0)
    expected = pinball_loss(forecast[:, kept], truth[:, kept], known[:, kept], 1.0)
    assert some.item() == pytest.approx(expected.item(), rel=1e-5)
    nothing = torch.full_like(truth, torch.nan)
    assert pinball_loss(forecast, nothing, known, 1.0).item() == 0


def test_days_beyond_a_short_history_hardly_count() -> None:
    made = windows()
    whole = Shape(kind="transformer")
    short = Shape(kind="transformer", history=3)
    old = replace(made, anchors=made.anchors)
    shares = []
    for shape in (whole, short):
        net = network(shape)
        batch = net.batch(old, torch.float32)
        weights = net.attention(batch).detach()  # type: ignore[operator, arg-type]
        lag = batch.order.div(REACH.width, rounding_mode="floor")  # type: ignore[union-attr]
        own = batch.order < REACH.keys  # type: ignore[union-attr]
        far = weights[own & (lag >= 3)].sum() / weights[own].sum()
        shares.append(float(far))
    assert shares[0] > 0.3
    assert shares[1] < 0.01


def test_by_person_an_error_counts_in_units_of_their_own_level() -> None:
    made = windows()
    more = replace(made, anchors=made.anchors * 4)
    np.testing.assert_allclose(scales_of(more, "person"), 4 * scales_of(made, "person"), rtol=1e-5)
    same = scales_of(made, "cohort")
    np.testing.assert_array_equal(scales_of(more, "cohort"), same)
    assert len(set(same.tolist())) == 1
