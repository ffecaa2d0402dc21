"""The kernel that says how much each past slot counts, and the weighted quantiles it gives.

Source: kernel regression (Nadaraya 1964, Watson 1964) in its quantile form; changed: a product of
slot distance, recency, day class and weekday, and quantiles averaged over a few levels near their
own (after Harrell and Davis 1982). Must not need torch.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from fitstream.trainer.cohort import PRIOR
from fitstream.trainer.data import Floats, Ints
from fitstream.trainer.windows import SATURDAY, Reach

Doubles = npt.NDArray[np.float64]
Parts = tuple[float, ...]  # one for each part of the day
PARTS = 6
_BLOCK = 16
_BEFORE = np.tril(np.ones((_BLOCK + 1, _BLOCK), np.float32), -1)  # what lies before each lane
_THROUGH = np.triu(np.ones((_BLOCK, _BLOCK), np.float32))  # sums through each lane, in columns
_ONES = np.ones(_BLOCK, np.float32)
_MIDDLE = _BEFORE[:-1] + np.float32(0.5) * np.eye(_BLOCK, dtype=np.float32)


class Kernel(msgspec.Struct, frozen=True):
    """Weight of a past value: the product of four factors, each 1 for the likeliest key.

    All but the half-life may differ by part of the day (six of four hours). They start alike:
    what is sharpened on some people does not hold for others (measured). `prior_days` says
    how many days of their own the cohort's values are worth. `blur` says how far below and above
    its level, in probability, the two quantiles lie whose mean is taken.
    """

    sd_slots: Parts = (1.8,) * PARTS
    half_life_days: float = 14.0
    class_factor: Parts = (0.3,) * PARTS
    weekday_factor: Parts = (1.5,) * PARTS
    prior_days: Parts = (1.0,) * PARTS
    blur: float = 0.0

    def __post_init__(self) -> None:
        for name in ("sd_slots", "class_factor", "weekday_factor", "prior_days"):
            if len(getattr(self, name)) != PARTS:
                raise ValueError(f"{name} needs {PARTS} values")


START: Mapping[str, Kernel] = {
    "steps": Kernel(),
    "calories_kcal": Kernel(sd_slots=(1.7,) * PARTS, prior_days=(0.7,) * PARTS, blur=0.016),
    "heart_rate_bpm": Kernel(
        sd_slots=(2.0,) * PARTS,
        class_factor=(0.4,) * PARTS,
        prior_days=(0.25,) * PARTS,
        blur=0.041,
    ),
}


def slot_weights(kernel: Kernel, reach: Reach) -> Doubles:
    """(part, width): Gaussian in the distance of quarter hours, summing to 1."""
    distance = np.arange(-reach.slots, reach.slots + 1)
    weights = np.exp(-0.5 * (distance / np.array(kernel.sd_slots)[:, None]) ** 2)
    shares: Doubles = weights / weights.sum(axis=1, keepdims=True)
    return shares


def day_weights(kernel: Kernel, weekday: Ints, reach: Reach) -> Doubles:
    """(n, part, days): recency, day class and same weekday; `weekday` (n,) is to be forecast."""
    lag = np.arange(1, reach.days + 1)
    key = (weekday[:, None] - lag) % 7  # (n, lag)
    recency = 0.5 ** (lag / kernel.half_life_days)  # (lag,)
    same_class = ((key >= SATURDAY) == (weekday[:, None] >= SATURDAY))[:, None]  # (n, 1, lag)
    same_day = (key == weekday[:, None])[:, None]  # (n, 1, lag)
    likeness = np.where(same_class, 1.0, np.array(kernel.class_factor)[:, None])  # (n, part, lag)
    likeness = likeness * np.where(same_day, np.array(kernel.weekday_factor)[:, None], 1.0)
    return recency * likeness


def key_weights(kernel: Kernel, weekday: Ints, reach: Reach) -> Doubles:
    """(n, part, K): weight of each key in key order, own past first, then the cohort's."""
    days = day_weights(kernel, weekday, reach)
    own = days[..., None] * slot_weights(kernel, reach)[:, None]  # (n, part, lag, offset)
    own = own.reshape(len(weekday), PARTS, reach.keys)
    prior = np.repeat(np.array(kernel.prior_days)[:, None] / PRIOR, PRIOR, axis=1)  # (part, 31)
    return np.concatenate([own, np.broadcast_to(prior, (len(own), *prior.shape))], axis=2)


def blurred_levels(levels: Sequence[float], blur: float) -> list[float]:
    """The levels whose quantiles are averaged, those of one level behind each other."""
    if blur == 0:
        return list(levels)
    return [level + step * blur for level in levels for step in (-1.0, 1.0)]


def weighted_quantiles(
    values: Floats, weights: Floats | Doubles, count: Ints, levels: Sequence[float]
) -> Doubles:
    """(row, level): quantiles of ascending values (row, K) under weights (row, K).

    Each value sits at the middle of its weight, between two neighbours it is linear. Only the first
    `count` (row,) of a row were measured, the weights behind them are 0; NaN for a row of none.
    Weights of several kernels may stand behind each other, (kernel · row, K), and so do the
    quantiles then.
    """
    rows, keys = weights.shape
    count = np.tile(count, rows // len(count))
    start = np.arange(rows + 1) * keys  # (row + 1,)
    first, last = start[:-1], start[:-1] + np.maximum(count - 1, 0)  # (row,) each
    run = _Run(weights)
    sums = run.until(start)  # (row + 1,)
    at = sums[:-1, None] + np.diff(sums)[:, None] * np.asarray(levels)  # (row, level)
    near = np.minimum(run.search(at), last[:, None])  # (row, level)
    p_near = run.middle(near)  # (row, level)
    other = np.where(p_near < at, near + 1, near - 1)  # (row, level): on the other side of `at`
    other = np.minimum(np.maximum(other, first[:, None]), last[:, None])  # (row, level)
    gap = run.middle(other) - p_near
    gap[gap == 0] = np.inf
    share = np.minimum(np.maximum((at - p_near) / gap, 0), 1)  # (row, level)
    v_near, v_other = (
        np.take(values, place % values.size).astype(float) for place in (near, other)
    )
    out: Doubles = v_near + share * (v_other - v_near)  # (row, level)
    out[count == 0] = np.nan
    return out


class _Run:
    """Running sums of all rows behind each other, so that one search serves all of them.

    Kept per block of sixteen, because a sum of every key is what a forecast would spend its time
    on; inside a block they come from a small product of matrices.
    """

    def __init__(self, weights: Floats | Doubles) -> None:
        flat = weights.reshape(-1)
        if short := -len(flat) % _BLOCK:
            flat = np.concatenate([flat, np.zeros(short, flat.dtype)])
        self._blocks = flat.reshape(-1, _BLOCK)  # (block, 16)
        sums = self._blocks @ np.ones(_BLOCK, flat.dtype)  # (block,)
        self._ends = np.cumsum(sums, dtype=np.float64)  # (block,)
        self._starts = np.concatenate([[0.0], self._ends[:-1]])  # (block,)

    def search(self, at: Doubles) -> Ints:
        """First place whose running sum reaches `at`, of any shape."""
        flat = at.reshape(-1)
        block = np.minimum(np.searchsorted(self._ends, flat), len(self._ends) - 1)
        inside = self._lanes(block) @ _THROUGH  # (place, 16)
        short = inside < (flat - self._starts[block])[:, None]  # (place, 16)
        lane = np.minimum(short.astype(np.float32) @ _ONES, _BLOCK - 1).astype(np.int64)
        place: Ints = (block * _BLOCK + lane).reshape(at.shape)
        return place

    def until(self, place: Ints) -> Doubles:
        """Running sum before each place."""
        return self._partial(place, _BEFORE)

    def middle(self, place: Ints) -> Doubles:
        """Running sum up to the middle of the weight at each place."""
        return self._partial(place, _MIDDLE)

    def _partial(self, place: Ints, shares: Floats) -> Doubles:
        block = np.minimum(place // _BLOCK, len(self._ends) - 1)  # the end of all is a place too
        lanes, known = self._lanes(block), np.take(shares, place - block * _BLOCK, axis=0)
        partial: Doubles = self._starts[block] + np.einsum("...b,...b->...", lanes, known)
        return partial

    def _lanes(self, block: Ints) -> Floats:
        lanes: Floats = np.take(self._blocks, block, axis=0)
        return lanes


def weighted_mean(values: Floats, weights: Floats | Doubles) -> Doubles:
    """(row,): mean of values (row, K) under weights (row, K), those of several kernels behind each
    other as for the quantiles; NaN where no weight is."""
    rows, keys = values.shape
    total = weights @ np.ones(keys, weights.dtype)  # (kernel · row,)
    top = np.matmul(weights.reshape(-1, rows, 1, keys), values[..., None])  # (kernel, row, 1, 1)
    mean: Doubles = top.reshape(-1) / np.where(total > 0, total, np.nan)
    return mean
