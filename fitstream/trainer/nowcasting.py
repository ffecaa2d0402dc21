"""Trains a target's nowcast on everybody's moments, and judges it on held-out days.

Epochs and share are chosen on the stop days, the days of the gate decide whether it serves at all,
the test days decide nothing. What serves has then learned from all days in the same way. Must do no
I/O.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fitstream.trainer.data import SLOTS, Floats, Series
from fitstream.trainer.evaluate import units
from fitstream.trainer.forecast import ServingModel
from fitstream.trainer.metrics import (
    LEVELS,
    MEAN,
    Doubles,
    Interval,
    Losses,
    paired_bootstrap,
    pinball,
)
from fitstream.trainer.models.nowcast import (
    MOST_LOG,
    NOWCASTED,
    OUTPUTS,
    WIDTH,
    Inputs,
    Layers,
    Nowcast,
    NowcastShape,
    forward,
    inputs_of,
    units_of,
)
from fitstream.trainer.nowcast_report import (
    FLAT,
    KERNEL,
    MIDNIGHT,
    MIN_DAYS,
    NOWCAST,
    Nowcasted,
)
from fitstream.trainer.prepare import thin
from fitstream.trainer.replay import Seen, replay
from fitstream.trainer.splits import Split
from fitstream.trainer.windows import Issue

EPOCHS = (4, 8)
WEIGHTS = (0.3, 0.5, 0.7, 0.85)
SEEDS = 3
EVERY = 2  # quarter hours between the moments of a day; with every third less was learned
_MOST_DAYS = 160  # to stop by, and as many to judge by
_RATE, _DECAY, _BATCH = 3e-3, 3e-3, 512
_MEAN_SHARE = 0.01  # of squared error beside the pinball loss


class _Moments(NamedTuple):
    """Slots of many moments in a row: n of them.

    truth (n,), the forecasts (n, 4) of the kernel, of midnight and of no time of day, how far ahead
    (n,), the number of the day (n,), and what turns units into values: low and per_unit (n,).
    """

    inputs: Inputs
    truth: Floats
    kernel: Floats
    midnight: Floats
    flat: Floats
    ahead: npt.NDArray[np.int64]
    day: npt.NDArray[np.int64]
    low: Doubles
    per_unit: Doubles


def learn_nowcast(
    model: ServingModel,
    series: Mapping[str, Series],
    target: str,
    split: Split,
    given: tuple[int, int],
) -> Nowcasted:
    """The nowcast of a target on top of `model`, which knows training days only; `given` are the
    seed and the most days to learn from. Equal in, equal out: one thread, whatever is set."""
    seed, most = given
    days = {"train": thin(split.train, most), "stop": thin(split.stop, _MOST_DAYS)}
    days["gate"] = thin(split.gate, _MOST_DAYS)
    counts = {name: len(issues) for name, issues in days.items()}
    if target not in NOWCASTED or len(days["train"]) < MIN_DAYS or not days["gate"]:
        return Nowcasted(target, days=counts)
    made = {
        name: moments
        for name, issues in days.items()
        if (moments := _moments(model, series, target, issues)) is not None
    }
    if len(made) < len(days):
        return Nowcasted(target, days=counts)
    chosen, networks = _choose(made["train"], made["stop"], seed)
    if chosen is None:
        return Nowcasted(target, days=counts)
    candidate = Nowcast(target, chosen, networks)
    gate, wql = _judge(candidate, made["gate"], units(days["gate"]), seed)
    found = Nowcasted(target, None, chosen, gate, wql, counts)
    if not found.passed:
        return found
    test = _moments(model, series, target, thin(split.test, _MOST_DAYS))
    if test is not None:
        made["test"] = test
    networks = _train_all(_joined([*made.values()]), chosen.epochs, seed)
    return replace(found, nowcast=Nowcast(target, chosen, networks))


def _moments(
    model: ServingModel, series: Mapping[str, Series], target: str, issues: Sequence[Issue]
) -> _Moments | None:
    """What some moments of each day tell, on one day others than on the next; measured slots.

    None where nobody had days of their own to go by.
    """
    parts = []
    for number, issue in enumerate(issues):
        seen = list(replay(model, series, target, [issue], range(number % EVERY, SLOTS, EVERY)))
        if seen:
            parts.append(_of_day(target, seen, number))
    return _joined(parts) if parts else None


def _of_day(target: str, seen: Sequence[Seen], number: int) -> _Moments:
    first = seen[0].sight
    units, flat = units_of(target, first.day), _flat(seen[0])
    inputs = [inputs_of(units, each.sight) for each in seen]
    slots = [slice(each.quarter, each.quarter + len(each.truth)) for each in seen]
    truth = np.concatenate([each.truth for each in seen])
    made = _Moments(
        Inputs(*(np.concatenate(each) for each in zip(*inputs, strict=True))),
        truth,
        np.concatenate([each.sight.moved for each in seen]),
        np.concatenate([first.day[each] for each in slots]),
        np.tile(flat, (len(truth), 1)),
        np.concatenate([np.arange(len(each.truth)) for each in seen]),
        np.full(len(truth), number),
        np.full(len(truth), units.low),
        np.full(len(truth), units.per_unit),
    )
    return _some(made, np.isfinite(truth))


def _flat(seen: Seen) -> Floats:
    """(4,): the distribution of all slots before today, whatever their time."""
    past = seen.sight.so_far[: len(seen.sight.so_far) - seen.quarter]
    past = past[np.isfinite(past)]
    return np.array([*np.quantile(past, LEVELS), past.mean()], np.float32)


def _some(made: _Moments, rows: npt.NDArray[np.bool_]) -> _Moments:
    others: list[Any] = [each[rows] for each in made[1:]]
    return _Moments(made.inputs.take(rows), *others)


def _joined(parts: Sequence[_Moments]) -> _Moments:
    inputs = zip(*(part.inputs for part in parts), strict=True)
    others = list(zip(*(part[1:] for part in parts), strict=True))
    return _Moments(
        Inputs(*(np.concatenate(each) for each in inputs)),
        *(np.concatenate(each) for each in others),
    )


def _choose(
    train: _Moments, stop: _Moments, seed: int
) -> tuple[NowcastShape | None, tuple[Layers, ...]]:
    """Epochs and share that are best on the stop days; none where the kernel alone is."""
    best, found = _loss(stop, stop.kernel).sum(), None
    kept: tuple[Layers, ...] = ()
    for epochs in EPOCHS:
        networks = _train_all(train, epochs, seed)
        seen = _values(stop, networks)
        for weight in WEIGHTS:
            loss = _loss(stop, stop.kernel + weight * (seen - stop.kernel)).sum()
            if loss < best:
                best, found = loss, NowcastShape(weight, len(networks), epochs)
                kept = networks
    return found, kept


def _judge(
    candidate: Nowcast, gate: _Moments, unit: npt.NDArray[np.int64], seed: int
) -> tuple[dict[str, Interval], dict[str, dict[str, float]]]:
    """The next hour against each rival, by customers; and WQLs of the next slot and the next hour.

    The kernel is what it must add to; midnight's forecast and that without time of day are there
    because where a day's course tells nothing, anything that reacts less gains on the kernel.
    """
    seen = _values(gate, candidate.networks)
    mixed = gate.kernel + candidate.shape.weight * (seen - gate.kernel)
    rivals = {KERNEL: gate.kernel, MIDNIGHT: gate.midnight, FLAT: gate.flat}
    of, size = unit[gate.day], _per_unit(gate.truth, unit[gate.day])
    losses = {name: _loss(gate, each) for name, each in ({NOWCAST: mixed} | rivals).items()}
    own = _per_unit(losses[NOWCAST], of)
    intervals = {
        name: paired_bootstrap(Losses(own, _per_unit(losses[name], of), size), seed)
        for name in rivals
    }
    near = gate.ahead == 0
    wql = {
        "next slot": {name: _wql(loss[near], gate.truth[near]) for name, loss in losses.items()},
        "next hour": {name: _wql(loss, gate.truth) for name, loss in losses.items()},
    }
    return intervals, wql


def _values(made: _Moments, networks: Sequence[Layers]) -> Floats:
    """(n, 4): what the networks say, as values."""
    units = forward(networks, made.inputs)
    values: Floats = (made.low[:, None] + units / made.per_unit[:, None]).astype(np.float32)
    return values


def _loss(made: _Moments, forecast: Floats) -> Doubles:
    """(n,): pinball loss of each slot."""
    return pinball(made.truth, forecast)


def _wql(loss: Doubles, truth: Floats) -> float:
    return float(loss.sum() / max(float(truth.sum(dtype=np.float64)), 1e-9))


def _per_unit(values: Doubles | Floats, unit: npt.NDArray[np.int64]) -> Doubles:
    return np.bincount(unit, weights=values).astype(np.float64)


class _Net(nn.Module):
    """`nowcast.forward` with gradients: it starts as what it is given."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Linear(features, WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, 2 * OUTPUTS)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, start: Tensor, level: Tensor) -> Tensor:
        """(n, 4) of normalised features (n, F)."""
        hidden = torch.tanh(self.second(torch.relu(self.first(x))))
        a, b = self.last(hidden).chunk(2, dim=1)
        moved = start * torch.exp(a.clamp(-MOST_LOG, MOST_LOG)) + level[:, None] * b
        moved = moved.clamp_min(0)
        return torch.cat([moved[:, :MEAN].sort(dim=1).values, moved[:, MEAN:]], dim=1)


def _train_all(train: _Moments, epochs: int, seed: int) -> tuple[Layers, ...]:
    """Networks of several seeds, each trained for so many epochs; on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return tuple(_train(train, epochs, seed * SEEDS + each) for each in range(SEEDS))
    finally:
        torch.set_num_threads(threads)


def _train(train: _Moments, epochs: int, seed: int) -> Layers:
    """Adam at a rate that falls to nothing; errors count in units of the root of a day's level, so
    that lively people do not drown the others."""
    centre, spread = train.inputs.x.mean(axis=0), train.inputs.x.std(axis=0) + 1e-3
    x, start, level, truth = (
        torch.from_numpy(each.astype(np.float32))
        for each in (
            (train.inputs.x - centre) / spread,
            train.inputs.start,
            train.inputs.level,
            np.maximum((train.truth - train.low) * train.per_unit, 0),
        )
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _Net(x.shape[1])
    optimizer = torch.optim.Adam(net.parameters(), lr=_RATE, weight_decay=_DECAY)
    rng = np.random.default_rng(seed)
    batches = -(-len(x) // _BATCH)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, epochs * batches)
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(len(x)))
        for rows in torch.split(order, _BATCH):
            forecast = net(x[rows], start[rows], level[rows])
            loss = _training_loss(forecast, truth[rows], level[rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    layers = {name: value.numpy() for name, value in net.state_dict().items()}
    normal = {"centre": centre.astype(np.float32), "spread": spread.astype(np.float32)}
    return normal | layers


def _training_loss(forecast: Tensor, truth: Tensor, level: Tensor) -> Tensor:
    levels = torch.tensor(LEVELS)
    error = truth[:, None] - forecast[:, :MEAN]  # (n, level)
    pinball = 2 * torch.maximum(levels * error, (levels - 1) * error).mean(dim=1)
    squared = (truth - forecast[:, MEAN]) ** 2 / level
    return ((pinball + _MEAN_SHARE * squared) / level.sqrt()).mean()
