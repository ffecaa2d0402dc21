"""Attention over the customer's own past slots that starts as the weighted climatology.

Source: Vaswani et al. 2017, section 3.2 (scaled dot-product attention, several heads); changed:
the logits start at the log of the hand-set kernel, the values are the past observations, the
output is their weighted quantiles, and a residual head starts at zero. Must not train itself.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fitstream.trainer.cohort import PRIOR
from fitstream.trainer.data import SLOTS
from fitstream.trainer.metrics import LEVELS
from fitstream.trainer.models.context import FEATURES, contexts
from fitstream.trainer.models.head import HOURS, ResidualHead
from fitstream.trainer.models.kernel import (
    PARTS,
    Kernel,
    blurred_levels,
    day_weights,
    slot_weights,
)
from fitstream.trainer.models.shape import Shape
from fitstream.trainer.windows import Reach, Windows

HEADS = 4
_OUT_OF_SIGHT = 6.0  # in logits; a day beyond the history counts where there is nothing nearer
_QUARTERS = SLOTS // HOURS
_PART_HOURS = HOURS // PARTS


@dataclass(frozen=True, eq=False)
class Keys:
    """Windows as tensors: n windows, D lags, K keys.

    values (n, 96, K), order (n, 96, K) int64, count (n, 96) int64, prior (n, hour, D) log day
    weights, query (n, F) and key (n, D, F) contexts.
    """

    values: Tensor
    order: Tensor
    count: Tensor
    prior: Tensor
    query: Tensor
    key: Tensor


class Days(NamedTuple):
    """What the attention over days looks at: `prior`, `query` and `key` as in `Keys`."""

    prior: Tensor
    query: Tensor
    key: Tensor


class SlotAttention(nn.Module):
    """The network of one target.

    In: Keys. Out: (n, 96, 4) q10, q50, q90, mean; a slot without any measured key gives 0.
    Untrained it equals `climatology.predict_own` of its kernel, but for a shorter history.
    """

    def __init__(self, kernel: Kernel, reach: Reach, shape: Shape) -> None:
        super().__init__()
        self.kernel, self.reach, self.width = kernel, reach, shape.width
        self.history = shape.history or reach.days
        # not buffers: they are the kernel's, stay in double precision and are not saved
        slot = np.repeat(slot_weights(kernel, reach), _PART_HOURS, axis=0)
        others = np.repeat(np.array(kernel.prior_days) / PRIOR, _PART_HOURS)
        self.slot_prior = torch.from_numpy(slot)  # (hour, offset)
        self.cohort_prior = torch.from_numpy(others)  # (hour,)
        self.query = nn.Parameter(torch.zeros(FEATURES, HEADS, shape.width))
        self.key = nn.Parameter(torch.randn(FEATURES, HEADS, shape.width) * FEATURES**-0.5)
        self.mix = nn.Parameter(torch.ones(HOURS, HEADS) + 0.1 * torch.randn(HOURS, HEADS))
        self.lag = nn.Parameter(torch.zeros(reach.days))
        self.offset = nn.Parameter(torch.zeros(HOURS, reach.width))
        self.cohort = nn.Parameter(torch.zeros(HOURS))
        self.head = ResidualHead(FEATURES, shape.hidden, shape.dropout)

    def batch(self, windows: Windows, dtype: torch.dtype) -> Keys:
        """Tensors of some windows; the kernel's day factors become the prior of the logits."""
        days = self.days(windows, dtype)
        return Keys(
            values=torch.from_numpy(windows.values).to(dtype),
            order=torch.from_numpy(windows.order).long().clamp_max(self.reach.all_keys),
            count=torch.from_numpy(windows.count).long(),
            prior=days.prior,
            query=days.query,
            key=days.key,
        )

    def days(self, windows: Windows, dtype: torch.dtype) -> Days:
        """What the attention looks at, as tensors: everything but the values it weighs."""
        query, key = contexts(windows)
        prior = np.log(day_weights(self.kernel, windows.weekday, self.reach))  # (n, part, lag)
        prior[:, :, self.history :] -= _OUT_OF_SIGHT
        prior = np.repeat(prior, _PART_HOURS, axis=1)  # (n, hour, lag)
        return Days(*(torch.from_numpy(each).to(dtype) for each in (prior, query, key)))

    def forward(self, batch: Keys) -> Tensor:
        base = self.distribution(batch, self.attention(batch))  # (n, slot, output)
        out = self.head(base, batch.query[:, None])  # (n, slot, output)
        return torch.where(batch.count[..., None] > 0, out, torch.zeros_like(out))

    def attention(self, batch: Keys) -> Tensor:
        """(n, slot, K): weight of each sorted key; 0 where nothing was measured."""
        n, keys = len(batch.prior), self.reach.all_keys
        weights = self.key_weights(Days(batch.prior, batch.query, batch.key))  # (n, hour, K)
        weights = nn.functional.pad(weights, (0, 1))  # (n, hour, K + 1): not measured weighs 0
        order = batch.order.reshape(n, HOURS, -1)  # (n, hour, quarter * K)
        sorted_ = weights.gather(2, order)  # (n, hour, quarter * K)
        return sorted_.reshape(n, HOURS * _QUARTERS, keys)

    def key_weights(self, days: Days) -> Tensor:
        """(n, hour, K): weight of each key in key order, own past first, then the cohort's; the
        same for all quarters of an hour, whether anything was measured there or not."""
        n = len(days.prior)
        query = torch.einsum("nf,fhw->nhw", days.query, self.query)  # (n, head, width)
        key = torch.einsum("nlf,fhw->nlhw", days.key, self.key)  # (n, lag, head, width)
        score = torch.einsum("nhw,nlhw->nlh", query, key) * self.width**-0.5  # (n, lag, head)
        day = torch.einsum("nlh,th->ntl", score, self.mix) + days.prior + self.lag
        slot = self.slot_prior.to(day) * self.offset.exp()  # (hour, offset)
        weights = day.exp()[..., None] * slot[None, :, None, :]  # (n, hour, lag, offset)
        weights = weights.reshape(n, HOURS, self.reach.keys)  # (n, hour, own key)
        others = self.cohort_prior.to(day) * self.cohort.exp()  # (hour,)
        others = others[None, :, None].expand(n, HOURS, PRIOR)  # (n, hour, cohort key)
        return torch.cat([weights, others], dim=2)  # (n, hour, K)

    def distribution(self, batch: Keys, weights: Tensor) -> Tensor:
        """(n, slot, 4): as `kernel.weighted_quantiles` and `weighted_mean`, with gradients."""
        levels = blurred_levels(LEVELS, self.kernel.blur)
        quantiles = _quantiles(batch, weights, levels)  # (n, slot, all levels)
        near = quantiles.reshape(*quantiles.shape[:2], len(LEVELS), -1)
        quantiles = near.mean(dim=-1)  # (n, slot, level)
        total = weights.sum(dim=-1, keepdim=True)  # (n, slot, 1)
        mean = (batch.values * weights).sum(dim=-1, keepdim=True) / total.clamp_min(1e-12)
        out = torch.cat([quantiles, mean], dim=-1)  # (n, slot, output)
        return torch.where(batch.count[..., None] > 0, out, torch.zeros_like(out))


def _quantiles(batch: Keys, weights: Tensor, levels: list[float]) -> Tensor:
    values = batch.values  # (n, slot, K), constants
    c = weights.cumsum(dim=-1)  # (n, slot, K)
    middle = c - 0.5 * weights  # (n, slot, K)
    at = c[..., -1:] * c.new_tensor(levels)  # (n, slot, level)
    last = (batch.count - 1).clamp_min(0)[..., None]  # (n, slot, 1)
    found = torch.searchsorted(middle.detach().contiguous(), at.detach().contiguous())
    found = found.clamp_max(values.shape[-1] - 1)  # beyond it where a weight is not finite
    beyond = middle.detach().gather(-1, last) < at.detach()  # (n, slot, level)
    high = torch.where(beyond, last, found)  # (n, slot, level)
    low = torch.where(beyond, last, (found - 1).clamp_min(0))  # (n, slot, level)
    p_low, p_high = middle.gather(-1, low), middle.gather(-1, high)
    v_low, v_high = values.gather(-1, low), values.gather(-1, high)
    gap = p_high - p_low
    share = (at - p_low) / torch.where(gap > 0, gap, torch.ones_like(gap))  # (n, slot, level)
    share = torch.where(gap > 0, share, torch.zeros_like(share)).clamp(0, 1)
    return v_low + share * (v_high - v_low)  # (n, slot, level)
