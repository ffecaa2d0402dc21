"""The search: which networks are tried, for how long, which go on, and how the best are mixed.

The plan is fixed before anything is trained, from sizes and budget alone, and a candidate's result
depends on nothing but plan and data: one worker or ten end with the same leaderboard. Must not
train anything itself.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from fitstream.trainer.data import SLOTS, Floats
from fitstream.trainer.metrics import wql
from fitstream.trainer.models.blend import blend
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.models.shape import Shape
from fitstream.trainer.windows import Reach

# What one thread of a slow, shared core does; a plan sized with it ends within its budget.
PLANNED_KEYS_PER_S = 6_000_000
IMAGE_KEYS_PER_SLOT = 700  # a slot of a ConvLSTM costs about as much as so many keys
TRAINING_SHARE = 0.6
RUNG_EPOCHS = (2, 8)
KEPT = 0.5
MAX_EPOCHS = 24
MIX_STEPS = 20  # a share is a multiple of a twentieth
EQUAL_SHARE = 0.5  # how far the chosen shares are pulled to equal ones

SPACE: tuple[Shape, ...] = (
    Shape(kind="transformer"),
    Shape(kind="convlstm", learning_rate=0.003, head_rate=0.001),
    Shape(kind="transformer", learning_rate=0.003, head_rate=0.0003, pull=0.05, dropout=0.1,
          history=28),
    Shape(kind="convlstm", learning_rate=0.006, head_rate=0.002, width=12, days=21, dropout=0.2,
          patch=4),
    Shape(kind="transformer", learning_rate=0.002, head_rate=0.002, width=12, loss="person"),
    Shape(kind="convlstm", learning_rate=0.0015, head_rate=0.0005, width=16, days=28, dropout=0.2,
          layers=2, patch=4),
    Shape(kind="transformer", learning_rate=0.012, head_rate=0.0006, pull=0.1, width=4, history=14),
    Shape(kind="convlstm", learning_rate=0.003, head_rate=0.002, pull=0.001, days=7, dropout=0.1,
          loss="person"),
)  # fmt: skip


class Rung(msgspec.Struct, frozen=True):
    """One round of the search: train up to so many epochs, on a share of the windows."""

    epochs: int
    share: float


class Plan(msgspec.Struct, frozen=True):
    """What will be tried for each target, fixed once."""

    shapes: tuple[Shape, ...]
    rungs: tuple[Rung, ...]


class SearchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """All that is fixed before the first candidate is trained, wherever the candidates are.

    `kernels` of all targets with days enough; `trainable` names those with something to learn from.
    """

    plan: Plan
    kernels: dict[str, Kernel]
    trainable: tuple[str, ...]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """How one candidate ended on one rung; `score` is its validation WQL, lower is better."""

    target: str
    number: int
    rung: int
    epochs: int
    score: float
    curve: list[float]
    seconds: float


def make_plan(windows: Mapping[str, int], reach: Reach, budget_s: float) -> Plan:
    """The largest search that fits the budget; `windows` are the training windows per target.

    Always at least one shape of each architecture for two epochs.
    """
    total = max(sum(windows.values()), 1)
    affordable = TRAINING_SHARE * budget_s * PLANNED_KEYS_PER_S / (total * SLOTS)
    best = Plan(SPACE[:2], (Rung(RUNG_EPOCHS[0], 1.0),))
    for number in range(2, len(SPACE) + 1, 2):
        for last in (4, 8, 12, 16, MAX_EPOCHS):
            plan = Plan(SPACE[:number], _rungs(number, last))
            if _cost(plan, reach) <= affordable:
                best = plan
    return best


def _rungs(shapes: int, last: int) -> tuple[Rung, ...]:
    """A first rung on half the windows, halved twice at most, then the whole data."""
    middle = [Rung(RUNG_EPOCHS[0], 0.5)] if shapes > 2 else []
    if shapes > 4 and last > RUNG_EPOCHS[1]:
        middle.append(Rung(RUNG_EPOCHS[1], 1.0))
    return (*middle, Rung(last, 1.0))


def _cost(plan: Plan, reach: Reach) -> float:
    """Keys per slot and window of the whole search; on each rung a candidate starts anew."""
    cost, left = 0.0, list(plan.shapes)
    for rung in plan.rungs:
        per_epoch = sum(
            reach.all_keys if shape.kind == "transformer" else IMAGE_KEYS_PER_SLOT for shape in left
        )
        cost += rung.share * rung.epochs * per_epoch
        left = left[: kept(len(left))]
    return cost


def kept(candidates: int) -> int:
    """How many of a rung's candidates go on to the next."""
    return max(2, int(np.ceil(candidates * KEPT)))


def survivors(trials: Sequence[Trial]) -> list[int]:
    """Numbers of the candidates that go on, best first; ties go to the smaller number."""
    ranked = sorted(trials, key=lambda trial: (trial.score, trial.number))
    return [trial.number for trial in ranked[: kept(len(ranked))]]


def mix(truth: Floats, forecasts: Sequence[Floats]) -> list[float]:
    """Convex shares of forecasts (day, 96, 4), the first being the climatology's.

    Greedy selection with replacement (Caruana et al. 2004) on held-out days, then half-way to equal
    shares among those that were chosen at all.
    """
    counts = np.zeros(len(forecasts))
    total = np.zeros_like(forecasts[0])
    for step in range(MIX_STEPS):
        scores = [
            wql(truth, ((total + each) / (step + 1)).astype(np.float32)) for each in forecasts
        ]
        if not np.isfinite(scores).all():
            return [1.0] + [0.0] * (len(forecasts) - 1)
        chosen = int(np.argmin(scores))
        counts[chosen] += 1
        total = total + forecasts[chosen]
    shares = counts / counts.sum()
    used = shares > 0
    shares = (1 - EQUAL_SHARE) * shares + EQUAL_SHARE * used / used.sum()
    better = wql(truth, blend(list(forecasts), list(shares))) < wql(truth, forecasts[0])
    return [float(each) for each in shares] if better else [1.0] + [0.0] * (len(forecasts) - 1)
