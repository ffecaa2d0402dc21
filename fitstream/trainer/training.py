"""Trains one network of one target: pinball loss, pulled towards the climatology it starts from.

How long is decided before the first step, by nobody's clock. Must not choose between networks and
must not see a test day.
"""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from fitstream.trainer.checkpoint import WORST, Progress, State
from fitstream.trainer.data import Floats
from fitstream.trainer.metrics import LEVELS, wql
from fitstream.trainer.models.head import PREFIX
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.models.network import Network, make_network, predict_network, run_network
from fitstream.trainer.models.shape import Shape
from fitstream.trainer.windows import Windows

MEAN_SHARE = 0.01
SMOOTHING = 0.03  # of the running average of the weights, per step
BATCH_WINDOWS = 16


@dataclass(frozen=True, eq=False)
class Task:
    """One network's fit: what to start from, windows to learn from, and windows to stop by."""

    kernel: Kernel
    shape: Shape
    train: Windows
    validation: Windows
    seed: int
    patience: int = 6


@dataclass(eq=False)
class Fit:
    """A network on its way: its weights, their start, their running average and the best so far."""

    task: Task
    network: Network
    optimizer: torch.optim.Optimizer
    start: State
    average: State
    best: State
    progress: Progress = field(default_factory=Progress)


def use_threads(threads: int) -> None:
    """How many cores this process may train on: several workers share a machine."""
    torch.set_num_threads(threads)


def new_fit(task: Task) -> Fit:
    """An untrained network of a task: it forecasts like the weighted climatology."""
    network = make_network(task.kernel, task.train.reach, task.shape, task.seed)
    named = dict(network.named_parameters())
    rates = [
        {"params": [p for n, p in named.items() if n.startswith(PREFIX) == is_head], "lr": rate}
        for is_head, rate in ((False, task.shape.learning_rate), (True, task.shape.head_rate))
    ]
    optimizer = torch.optim.Adam(rates)
    start, average, best = (_copy(network) for _ in range(3))
    fit = Fit(task, network, optimizer, start, average, best)
    fit.progress.best_score = _score(fit, start)
    return fit


def run_fit(fit: Fit, epochs: int, on_epoch: Callable[[float], None]) -> None:
    """Trains until so many epochs in all, or until validation stops improving.

    `on_epoch(loss)` is called after every epoch, when `fit` is whole: it may write a checkpoint,
    and whatever it raises ends the fit. A fit that is done stays as it is.
    """
    progress, task = fit.progress, fit.task
    while not progress.done and progress.epoch < epochs:
        loss = _epoch(fit)
        progress.epoch += 1
        score = _score(fit, fit.average)
        if score < WORST:
            progress.curve = [*progress.curve, round(score, 6)]
        if score < progress.best_score:
            progress.best_score, progress.best_epoch = score, progress.epoch
            fit.best = {name: value.clone() for name, value in fit.average.items()}
        progress.done = progress.epoch - progress.best_epoch >= task.patience
        on_epoch(loss)


def pinball_loss(forecast: Tensor, truth: Tensor, known: Tensor, scale: float) -> Tensor:
    """Mean pinball loss over `scale` of forecasts (n, 96, 4) where `known` (n, 96), with a small
    share of squared error for the mean."""
    scored = torch.isfinite(truth) & known  # (n, slot)
    truth = torch.nan_to_num(truth)[..., None]  # (n, slot, 1)
    levels = torch.tensor(LEVELS, dtype=forecast.dtype)
    error = truth - forecast[..., : len(LEVELS)]  # (n, slot, level)
    pinball = 2 * torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)  # (n, slot)
    squared = (truth[..., 0] - forecast[..., -1]) ** 2 / scale  # (n, slot)
    loss = torch.where(scored, pinball + MEAN_SHARE * squared, torch.zeros_like(pinball))
    return loss.sum() / scored.sum().clamp_min(1) / scale


def scale_of(truth: Floats) -> float:
    """Mean |truth|, at least a little."""
    measured = truth[np.isfinite(truth)]
    return max(float(np.abs(measured).mean()), 1e-6) if len(measured) else 1.0


def trained_network(fit: Fit) -> Network:
    """The network with its best weights, ready to forecast."""
    network = deepcopy(fit.network)
    network.load_state_dict(fit.best)
    return network.eval()


def fit_state(fit: Fit) -> State:
    """Everything a checkpoint must hold to go on exactly here."""
    named = dict(fit.network.named_parameters())
    state = {f"now/{name}": value.detach() for name, value in named.items()}
    state |= {f"average/{name}": value for name, value in fit.average.items()}
    state |= {f"best/{name}": value for name, value in fit.best.items()}
    for name, parameter in named.items():
        for part, value in fit.optimizer.state[parameter].items():
            state[f"adam.{part}/{name}"] = value
    return state


def resume_fit(fit: Fit, progress: Progress, state: State) -> None:
    """Puts a new fit of the same task where a checkpoint left it."""
    fit.progress = progress
    for name, parameter in fit.network.named_parameters():
        parameter.data.copy_(state[f"now/{name}"])
        fit.average[name] = state[f"average/{name}"].clone()
        fit.best[name] = state[f"best/{name}"].clone()
        adam = {
            part: state[f"adam.{part}/{name}"].clone()
            for part in ("step", "exp_avg", "exp_avg_sq")
            if f"adam.{part}/{name}" in state
        }
        if adam:
            fit.optimizer.state[parameter] = adam


def _epoch(fit: Fit) -> float:
    """Mean loss of one pass; its order and its dropout depend on the seed and the epoch alone."""
    task, epoch = fit.task, fit.progress.epoch
    order = np.random.default_rng((task.seed, epoch)).permutation(len(task.train))
    scale = scale_of(task.train.truth)
    losses = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed * 1_000_003 + epoch)
        fit.network.train()
        for at in range(0, len(order), BATCH_WINDOWS):
            part = task.train.take(order[at : at + BATCH_WINDOWS])
            losses.append(_step(fit, part, scale))
    return sum(losses) / max(len(losses), 1)


def _step(fit: Fit, windows: Windows, scale: float) -> float:
    forecast = run_network(fit.network, windows, torch.float32)
    truth, known = torch.from_numpy(windows.truth), torch.from_numpy(windows.count > 0)
    loss = pinball_loss(forecast, truth, known, scale)
    drift = [
        ((parameter - fit.start[name]) ** 2).sum()
        for name, parameter in fit.network.named_parameters()
    ]
    fit.optimizer.zero_grad()
    torch.autograd.backward(loss + fit.task.shape.pull * torch.stack(drift).sum())
    fit.optimizer.step()
    for name, parameter in fit.network.named_parameters():
        fit.average[name].lerp_(parameter.detach(), SMOOTHING)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise FloatingPointError("the training loss is not finite")
    return value


def _score(fit: Fit, weights: State) -> float:
    """WQL on the validation windows under some weights, of the slots with anything to stand on."""
    network = deepcopy(fit.network)
    network.load_state_dict(weights)
    windows = fit.task.validation
    forecast = predict_network(network, windows)
    truth = np.where(windows.count > 0, windows.truth, np.float32(np.nan))
    score = wql(truth, np.nan_to_num(forecast))
    return score if math.isfinite(score) else WORST


def _copy(network: Network) -> State:
    return {name: value.detach().clone() for name, value in network.named_parameters()}
