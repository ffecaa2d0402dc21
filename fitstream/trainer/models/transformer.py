"""Attention over the customer's own past slots that starts as the weighted climatology.

Source: Vaswani et al. 2017, section 3.2 (scaled dot-product attention, several heads); changed:
the logits start at the log of the hand-set kernel, the values are the past observations, the
output is their weighted quantiles, and a residual head starts at zero. Must not train itself.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fitstream.trainer.data import SLOTS, Floats
from fitstream.trainer.metrics import LEVELS
from fitstream.trainer.models.climatology import (
    OUTPUTS,
    Climatology,
    fill_from_pool,
)
from fitstream.trainer.models.context import FEATURES, contexts
from fitstream.trainer.models.kernel import Kernel, day_weights, slot_weights
from fitstream.trainer.windows import Reach, Windows

HEADS = 4
WIDTH = 8
HIDDEN = 24
HOURS = 24
_CHUNK = 16


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows as tensors: n windows, D lags, K keys.

    values (n, 96, K), order (n, 96, K) int64, count (n, 96) int64, prior (n, D) log day weights,
    query (n, F) and key (n, D, F) contexts, truth (n, 96) with NaN = not scored.
    """

    values: Tensor
    order: Tensor
    count: Tensor
    prior: Tensor
    query: Tensor
    key: Tensor
    truth: Tensor


def to_batch(windows: Windows, kernel: Kernel, dtype: torch.dtype) -> Batch:
    """Tensors of some windows; the kernel's day factors become the prior of the logits."""
    query, key = contexts(windows)
    prior = np.log(day_weights(kernel, windows.weekday, windows.reach))
    return Batch(
        values=torch.from_numpy(windows.values).to(dtype),
        order=torch.from_numpy(windows.order).long().clamp_max(windows.reach.keys),
        count=torch.from_numpy(windows.count).long(),
        prior=torch.from_numpy(prior).to(dtype),
        query=torch.from_numpy(query).to(dtype),
        key=torch.from_numpy(key).to(dtype),
        truth=torch.from_numpy(windows.truth).to(dtype),
    )


class SlotAttention(nn.Module):
    """The network of one target.

    In: a Batch. Out: (n, 96, 4) q10, q50, q90, mean; a slot without any measured key gives 0.
    Untrained it equals `climatology.predict_own` of its kernel.
    """

    def __init__(self, kernel: Kernel, reach: Reach) -> None:
        super().__init__()
        self.reach = reach
        # not a buffer: it is the kernel's, stays in double precision and is not saved
        self.slot_prior = torch.from_numpy(np.log(slot_weights(kernel, reach)))  # (offset,)
        self.query = nn.Parameter(torch.zeros(FEATURES, HEADS, WIDTH))
        self.key = nn.Parameter(torch.randn(FEATURES, HEADS, WIDTH) * FEATURES**-0.5)
        self.mix = nn.Parameter(torch.ones(HOURS, HEADS) + 0.1 * torch.randn(HOURS, HEADS))
        self.lag = nn.Parameter(torch.zeros(reach.days))
        self.offset = nn.Parameter(torch.zeros(HOURS, reach.width))
        self.head_context = nn.Linear(FEATURES, HIDDEN)
        self.head_hour = nn.Parameter(0.1 * torch.randn(HOURS, HIDDEN))
        self.head_base = nn.Linear(OUTPUTS, HIDDEN, bias=False)
        self.head_out = nn.Linear(HIDDEN, 2 * OUTPUTS)
        nn.init.zeros_(self.head_out.weight)
        nn.init.zeros_(self.head_out.bias)

    def forward(self, batch: Batch) -> Tensor:
        weights = self.attention(batch)  # (n, slot, K)
        base = _distribution(batch, weights)  # (n, slot, output)
        return self._residual(batch, base)

    def attention(self, batch: Batch) -> Tensor:
        """(n, slot, K): weight of each sorted key; 0 where nothing was measured."""
        n = len(batch.prior)
        query = torch.einsum("nf,fhw->nhw", batch.query, self.query)  # (n, head, width)
        key = torch.einsum("nlf,fhw->nlhw", batch.key, self.key)  # (n, lag, head, width)
        score = torch.einsum("nhw,nlhw->nlh", query, key) * WIDTH**-0.5  # (n, lag, head)
        day = torch.einsum("nlh,th->ntl", score, self.mix)  # (n, hour, lag)
        day = day + (batch.prior + self.lag)[:, None, :]  # (n, hour, lag)
        slot = self.slot_prior.to(day) + self.offset  # (hour, offset)
        weights = day.exp()[..., None] * slot.exp()[None, :, None, :]  # (n, hour, lag, offset)
        weights = weights.reshape(n, HOURS, self.reach.keys)  # (n, hour, K)
        weights = nn.functional.pad(weights, (0, 1))  # (n, hour, K + 1): not measured weighs 0
        quarters = SLOTS // HOURS
        order = batch.order.reshape(n, HOURS, -1)  # (n, hour, quarter * K)
        sorted_ = weights.gather(2, order)  # (n, hour, quarter * K)
        return sorted_.reshape(n, HOURS * quarters, self.reach.keys)

    def _residual(self, batch: Batch, base: Tensor) -> Tensor:
        scale = base[..., -1:].mean(dim=1, keepdim=True).clamp_min(1e-6)  # (n, 1, 1)
        hour = self.head_hour.repeat_interleave(SLOTS // HOURS, dim=0)  # (slot, hidden)
        context = self.head_context(batch.query)[:, None, :]  # (n, 1, hidden)
        hidden = torch.tanh(context + hour + self.head_base(torch.log1p(base / scale)))
        factor, shift = self.head_out(hidden).chunk(2, dim=-1)  # (n, slot, output) each
        out = base * torch.exp(torch.tanh(factor)) + base[..., -1:] * shift  # (n, slot, output)
        quantiles = out[..., : len(LEVELS)].sort(dim=-1).values  # (n, slot, level)
        return torch.cat([quantiles, out[..., len(LEVELS) :]], dim=-1).clamp_min(0)


def _distribution(batch: Batch, weights: Tensor) -> Tensor:
    """(n, slot, 4): as `kernel.weighted_quantiles` and `weighted_mean`, with gradients."""
    values = batch.values  # (n, slot, K), constants
    c = weights.cumsum(dim=-1)  # (n, slot, K)
    middle = c - 0.5 * weights  # (n, slot, K)
    total = c[..., -1:]  # (n, slot, 1)
    at = total * torch.tensor(LEVELS, dtype=values.dtype)  # (n, slot, level)
    last = (batch.count - 1).clamp_min(0)[..., None]  # (n, slot, 1)
    found = torch.searchsorted(middle.detach().contiguous(), at.detach().contiguous())
    beyond = middle.detach().gather(-1, last) < at.detach()  # (n, slot, level)
    high = torch.where(beyond, last, found)  # (n, slot, level)
    low = torch.where(beyond, last, (found - 1).clamp_min(0))  # (n, slot, level)
    p_low, p_high = middle.gather(-1, low), middle.gather(-1, high)
    v_low, v_high = values.gather(-1, low), values.gather(-1, high)
    gap = p_high - p_low
    share = (at - p_low) / torch.where(gap > 0, gap, torch.ones_like(gap))  # (n, slot, level)
    share = torch.where(gap > 0, share, torch.zeros_like(share)).clamp(0, 1)
    quantiles = v_low + share * (v_high - v_low)  # (n, slot, level)
    mean = (values * weights).sum(dim=-1, keepdim=True) / total.clamp_min(1e-12)
    out = torch.cat([quantiles, mean], dim=-1)  # (n, slot, output)
    return torch.where(batch.count[..., None] > 0, out, torch.zeros_like(out))


@dataclass(frozen=True, eq=False)
class Transformer:
    """Trained networks by target on top of the climatology they started from.

    A target without a network is forecast by the climatology.
    """

    base: Climatology
    networks: Mapping[str, SlotAttention]

    kind = "transformer"

    @property
    def reach(self) -> Reach:
        """As in the climatology it started from."""
        return self.base.reach

    @property
    def targets(self) -> tuple[str, ...]:
        """What it can forecast."""
        return self.base.targets

    def arrays(self) -> dict[str, Floats]:
        """Weights of all networks by `target/name`."""
        return {
            f"{target}/{name}": tensor.detach().numpy()
            for target, network in self.networks.items()
            for name, tensor in network.state_dict().items()
        }

    def predict(self, windows: Windows) -> Floats:
        """(n, 96, 4): q10, q50, q90, mean of each slot; cold starts as in the climatology."""
        network = self.networks.get(windows.target)
        if network is None:
            return self.base.predict(windows)
        own = predict_network(network, self.base.kernels[windows.target], windows)
        return fill_from_pool(own, self.base.pool[windows.target], windows)


def network_from_arrays(
    kernel: Kernel, reach: Reach, arrays: Mapping[str, Floats]
) -> SlotAttention:
    """A network with saved weights. Raises RuntimeError when they do not fit."""
    with torch.random.fork_rng(devices=[]):
        network = SlotAttention(kernel, reach).float()
    network.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in arrays.items()})
    return network.eval()


def predict_network(network: SlotAttention, kernel: Kernel, windows: Windows) -> Floats:
    """(n, 96, 4) from own history alone, NaN where a slot has no past value; in double precision,
    so that the order of additions does not show."""
    out = np.empty((len(windows), SLOTS, OUTPUTS), np.float32)
    double = deepcopy(network).double()
    with torch.inference_mode():
        for start in range(0, len(windows), _CHUNK):
            part = windows.take(np.arange(start, min(start + _CHUNK, len(windows))))
            forecast = double(to_batch(part, kernel, torch.float64)).numpy()
            out[start : start + len(part)] = np.where(part.count[..., None] > 0, forecast, np.nan)
    return out
