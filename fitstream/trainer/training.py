"""Trains one network of one target: pinball loss, pulled towards the climatology it starts from.

How long is decided before the first step, by nobody's clock. Must not choose between networks and
must not see a test day.
"""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fitstream.errors import Rejected
from fitstream.trainer.checkpoint import WORST, Progress, State
from fitstream.trainer.data import Floats
from fitstream.trainer.metrics import LEVELS, wql
from fitstream.trainer.models.head import PREFIX
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.models.network import Network, make_network, predict_network
from fitstream.trainer.models.shape import Shape
from fitstream.trainer.windows import Windows

MEAN_SHARE = 0.01
SMOOTHING = 0.03  # of the running average of the weights, per step
BATCH_WINDOWS = 16
ADAPTED = (PREFIX, "query", "key")  # what a trained network may change for one person
CPU, CUDA = "cpu", "cuda"


@dataclass(frozen=True, eq=False)
class Task:
    """One network's fit: what to start from, windows to learn from, and windows to stop by.

    `begin` is a trained network to go on from, of which only `ADAPTED` parts move then.
    """

    kernel: Kernel
    shape: Shape
    train: Windows
    validation: Windows
    seed: int
    patience: int = 6
    device: str = CPU
    begin: Network | None = None


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


def device_of(wanted: str) -> str:
    """Where networks are trained: `auto` means on a GPU where there is one.

    Raises Rejected(no_gpu) for `cuda` on a machine without. Forecasts, and with them every score
    that decides anything, are computed on the CPU in any case.
    """
    has_gpu = torch.cuda.is_available()
    if wanted == CUDA and not has_gpu:
        raise Rejected("no_gpu", "this machine has no GPU that torch can use")
    return CUDA if has_gpu and wanted != CPU else CPU


def new_fit(task: Task) -> Fit:
    """A fit at its beginning: an untrained network forecasts like the weighted climatology."""
    network = _network_of(task).to(task.device)
    named = {n: p for n, p in network.named_parameters() if p.requires_grad}
    rates = [
        {"params": [p for n, p in named.items() if n.startswith(PREFIX) == is_head], "lr": rate}
        for is_head, rate in ((False, task.shape.learning_rate), (True, task.shape.head_rate))
    ]
    optimizer = torch.optim.Adam([group for group in rates if group["params"]])
    start, average, best = (_copy(network) for _ in range(3))
    fit = Fit(task, network, optimizer, start, average, best)
    fit.progress.best_score = _score(fit, start)
    return fit


def run_fit(fit: Fit, epochs: int, on_epoch: Callable[[float], None]) -> None:
    """Trains until so many epochs in all, or until validation stops improving.

    `on_epoch(loss)` is called after every epoch, when `fit` is whole: it may write a checkpoint,
    and whatever it raises ends the fit. A fit that is done stays as it is. One whose loss is not
    finite any more is done, with the best weights it had.
    """
    progress, task = fit.progress, fit.task
    while not progress.done and progress.epoch < epochs:
        loss = _epoch(fit)
        if not math.isfinite(loss):
            progress.done = True
            return
        progress.epoch += 1
        score = _score(fit, fit.average)
        if score < WORST:
            progress.curve = [*progress.curve, round(score, 6)]
        if score < progress.best_score:
            progress.best_score, progress.best_epoch = score, progress.epoch
            fit.best = {name: value.clone() for name, value in fit.average.items()}
        progress.done = progress.epoch - progress.best_epoch >= task.patience
        on_epoch(loss)


def pinball_loss(forecast: Tensor, truth: Tensor, known: Tensor, scale: Tensor | float) -> Tensor:
    """Mean pinball loss over `scale` (a number, or (n, 1)) of forecasts (n, 96, 4) where `known`
    (n, 96), with a small share of squared error for the mean."""
    scored = torch.isfinite(truth) & known  # (n, slot)
    truth = torch.nan_to_num(truth)[..., None]  # (n, slot, 1)
    levels = torch.tensor(LEVELS, dtype=forecast.dtype, device=forecast.device)
    error = truth - forecast[..., : len(LEVELS)]  # (n, slot, level)
    pinball = 2 * torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)  # (n, slot)
    squared = (truth[..., 0] - forecast[..., -1]) ** 2 / scale  # (n, slot)
    loss = (pinball + MEAN_SHARE * squared) / scale  # (n, slot)
    loss = torch.where(scored, loss, torch.zeros_like(loss))
    return loss.sum() / scored.sum().clamp_min(1)


def scale_of(truth: Floats) -> float:
    """Mean |truth|, at least a little."""
    measured = truth[np.isfinite(truth)]
    return max(float(np.abs(measured).mean()), 1e-6) if len(measured) else 1.0


def scales_of(windows: Windows, loss: str) -> Floats:
    """(n,): what an error of each window is divided by: the same for all, or each person's usual
    value so far, a tenth of the cohort's at least."""
    cohort = scale_of(windows.truth)
    if loss != "person":
        return np.full(len(windows), cohort, np.float32)
    measured = np.isfinite(windows.anchors)
    total = np.where(measured, np.abs(windows.anchors), 0).sum(axis=(1, 2))
    own = total / np.maximum(measured.sum(axis=(1, 2)), 1)
    scales: Floats = np.maximum(own, 0.1 * cohort).astype(np.float32)
    return scales


def trained_network(fit: Fit) -> Network:
    """The network with its best weights, on the CPU, ready to forecast."""
    return _with_weights(fit, fit.best)


def fit_state(fit: Fit) -> State:
    """Everything a checkpoint must hold to go on exactly here, on the CPU."""
    named = dict(fit.network.named_parameters())
    state = {f"now/{name}": value.detach() for name, value in named.items()}
    state |= {f"average/{name}": value for name, value in fit.average.items()}
    state |= {f"best/{name}": value for name, value in fit.best.items()}
    for name, parameter in named.items():
        for part, value in fit.optimizer.state[parameter].items():
            state[f"adam.{part}/{name}"] = value
    return {name: value.cpu() for name, value in state.items()}


def weights_of(fit: Fit) -> State:
    """The best weights, on the CPU."""
    return {name: value.cpu() for name, value in fit.best.items()}


def resume_fit(fit: Fit, progress: Progress, state: State) -> None:
    """Puts a new fit of the same task where a checkpoint left it."""
    fit.progress, device = progress, fit.task.device
    for name, parameter in fit.network.named_parameters():
        parameter.data.copy_(state[f"now/{name}"])
        fit.average[name] = state[f"average/{name}"].clone().to(device)
        fit.best[name] = state[f"best/{name}"].clone().to(device)
        adam = {
            part: state[f"adam.{part}/{name}"].clone().to(where)
            for part, where in (("step", CPU), ("exp_avg", device), ("exp_avg_sq", device))
            if f"adam.{part}/{name}" in state
        }
        if adam:  # which counts its steps on the CPU, wherever it makes them
            fit.optimizer.state[parameter] = adam


def _epoch(fit: Fit) -> float:
    """Mean loss of one pass; its order and its dropout depend on the seed and the epoch alone.

    It ends at a step whose loss is not finite, and so is the mean then.
    """
    task, epoch = fit.task, fit.progress.epoch
    order = np.random.default_rng((task.seed, epoch)).permutation(len(task.train))
    scales = scales_of(task.train, task.shape.loss)
    losses = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed * 1_000_003 + epoch)
        fit.network.train()
        for at in range(0, len(order), BATCH_WINDOWS):
            rows = order[at : at + BATCH_WINDOWS]
            losses.append(float(take_step(fit, task.train.take(rows), scales[rows])))
            if not math.isfinite(losses[-1]):
                return losses[-1]
    return sum(losses) / max(len(losses), 1)


def take_step(fit: Fit, windows: Windows, scales: Floats) -> Tensor:
    """The loss on a few windows, each divided by its scale, whose gradient was then followed."""
    device = fit.task.device
    batch: Any = fit.network.batch(windows, torch.float32)
    forecast = fit.network(moved(batch, device))
    truth = torch.from_numpy(windows.truth).to(device)
    known = torch.from_numpy(windows.count > 0).to(device)
    scale = torch.from_numpy(scales).to(device)[:, None]  # (n, 1)
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
    return loss.detach()


def _score(fit: Fit, weights: State) -> float:
    """WQL on the validation windows under some weights, of the slots with anything to stand on."""
    windows = fit.task.validation
    forecast = predict_network(_with_weights(fit, weights), windows)
    truth = np.where(windows.count > 0, windows.truth, np.float32(np.nan))
    score = wql(truth, np.nan_to_num(forecast))
    return score if math.isfinite(score) else WORST


def moved(batch: Any, device: str) -> Any:
    """A batch of tensors on a device."""
    if device == CPU:
        return batch
    return replace(batch, **{f.name: getattr(batch, f.name).to(device) for f in fields(batch)})


def _network_of(task: Task) -> Network:
    if task.begin is None:
        return make_network(task.kernel, task.train.reach, task.shape, task.seed)
    network = deepcopy(task.begin)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith(ADAPTED))
    return network


def _with_weights(fit: Fit, weights: State) -> Network:
    network = deepcopy(fit.network)
    network.load_state_dict(weights)
    return network.cpu().eval()


def _copy(network: Network) -> State:
    return {name: value.detach().clone() for name, value in network.named_parameters()}
