"""Trains the network of one target: pinball loss, pulled towards the kernel it starts from.

The number of steps is fixed before the first one. Must not choose between models and must not see
a test day.
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
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.models.transformer import (
    Batch,
    SlotAttention,
    predict_network,
    to_batch,
)
from fitstream.trainer.recipe import Recipe
from fitstream.trainer.windows import Windows

MEAN_SHARE = 0.01
SMOOTHING = 0.03  # of the running average of the weights, per step
_HEAD = "head_"


@dataclass(frozen=True, eq=False)
class Task:
    """One target's fit: windows to learn from, windows to stop by, and how long."""

    kernel: Kernel
    train: Windows
    validation: Windows
    recipe: Recipe
    epochs: int


@dataclass(eq=False)
class Fit:
    """A network on its way: its weights, their start, their running average and the best so far."""

    task: Task
    network: SlotAttention
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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.recipe.seed)
        network = SlotAttention(task.kernel, task.recipe.reach).float()
    named = dict(network.named_parameters())
    rates = [
        {"params": [p for n, p in named.items() if n.startswith(_HEAD) == head], "lr": rate}
        for head, rate in ((False, task.recipe.learning_rate), (True, task.recipe.head_rate))
    ]
    optimizer = torch.optim.Adam(rates)
    start, average, best = (_copy(network) for _ in range(3))
    fit = Fit(task, network, optimizer, start, average, best)
    fit.progress.best_score = _score(fit, start)
    return fit


def run_fit(fit: Fit, on_epoch: Callable[[float], None], out_of_time: Callable[[], bool]) -> bool:
    """Trains to the planned end, or until validation stops improving; True if time ran out first.

    `on_epoch(loss)` is called after every epoch, when `fit` is whole: it may write a checkpoint,
    and whatever it raises ends the fit.
    """
    progress, task = fit.progress, fit.task
    while not progress.done:
        loss = _epoch(fit, out_of_time)
        if loss is None:
            return True
        progress.epoch += 1
        score = _score(fit, fit.average)
        if score < WORST:
            progress.curve = [*progress.curve, round(score, 6)]
        if score < progress.best_score:
            progress.best_score, progress.best_epoch = score, progress.epoch
            fit.best = {name: value.clone() for name, value in fit.average.items()}
        stale = progress.epoch - progress.best_epoch >= task.recipe.patience
        progress.done = stale or progress.epoch >= task.epochs
        on_epoch(loss)
    return False


def pinball_loss(forecast: Tensor, batch: Batch, scale: float) -> Tensor:
    """Mean pinball loss over `scale`, with a small share of squared error for the mean."""
    scored = torch.isfinite(batch.truth) & (batch.count > 0)  # (n, slot)
    truth = torch.nan_to_num(batch.truth)[..., None]  # (n, slot, 1)
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


def trained_network(fit: Fit) -> SlotAttention:
    """The network with its best weights, ready to forecast."""
    fit.network.load_state_dict(fit.best)
    return fit.network.eval()


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


def _epoch(fit: Fit, out_of_time: Callable[[], bool]) -> float | None:
    """Mean loss of one pass, None when time ran out in it; its order depends on the seed alone."""
    task = fit.task
    rng = np.random.default_rng((task.recipe.seed, fit.progress.epoch))
    order = rng.permutation(len(task.train))
    scale = scale_of(task.train.truth)
    size = task.recipe.batch_windows
    losses = []
    for at in range(0, len(order), size):
        if out_of_time():
            return None
        batch = to_batch(task.train.take(order[at : at + size]), task.kernel, torch.float32)
        losses.append(_step(fit, batch, scale))
    return sum(losses) / max(len(losses), 1)


def _step(fit: Fit, batch: Batch, scale: float) -> float:
    loss = pinball_loss(fit.network(batch), batch, scale)
    drift = [
        ((parameter - fit.start[name]) ** 2).sum()
        for name, parameter in fit.network.named_parameters()
    ]
    fit.optimizer.zero_grad()
    torch.autograd.backward(loss + fit.task.recipe.pull * torch.stack(drift).sum())
    fit.optimizer.step()
    for name, parameter in fit.network.named_parameters():
        fit.average[name].lerp_(parameter.detach(), SMOOTHING)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise FloatingPointError("the training loss is not finite")
    return value


def _score(fit: Fit, weights: State) -> float:
    """WQL on the validation windows under some weights, of the slots with own history."""
    network = deepcopy(fit.network)
    network.load_state_dict(weights)
    windows = fit.task.validation
    forecast = predict_network(network, fit.task.kernel, windows)
    truth = np.where(windows.count > 0, windows.truth, np.float32(np.nan))
    score = wql(truth, np.nan_to_num(forecast))
    return score if math.isfinite(score) else WORST


def _copy(network: SlotAttention) -> State:
    return {name: value.detach().clone() for name, value in network.named_parameters()}
