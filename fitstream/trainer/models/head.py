"""The small residual head that every network has on top of a climatology; it starts at zero.

Must not know where the hidden features come from.
"""

import torch
from torch import Tensor, nn

from fitstream.trainer.data import SLOTS
from fitstream.trainer.metrics import LEVELS
from fitstream.trainer.models.climatology import OUTPUTS

HOURS = 24
PREFIX = "head"  # parameters of heads learn at a rate of their own


class ResidualHead(nn.Module):
    """Scales and shifts a base forecast by what hidden features say.

    In: base (n, 96, 4) and features (n, 1 or 96, F). Out: (n, 96, 4), quantiles in order, nothing
    below zero. Untrained it returns the base.
    """

    def __init__(self, features: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.context = nn.Linear(features, hidden)
        self.hour = nn.Parameter(0.1 * torch.randn(HOURS, hidden))
        self.base = nn.Linear(OUTPUTS, hidden, bias=False)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, 2 * OUTPUTS)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, base: Tensor, features: Tensor) -> Tensor:
        scale = base[..., -1:].mean(dim=1, keepdim=True).clamp_min(1e-6)  # (n, 1, 1)
        hour = self.hour.repeat_interleave(SLOTS // HOURS, dim=0)  # (slot, hidden)
        like = self.base(torch.log1p(base / scale))  # (n, slot, hidden)
        hidden = self.drop(torch.tanh(self.context(features) + hour + like))  # (n, slot, hidden)
        factor, shift = self.out(hidden).chunk(2, dim=-1)  # (n, slot, output) each
        out = base * torch.exp(torch.tanh(factor)) + base[..., -1:] * shift  # (n, slot, output)
        quantiles = out[..., : len(LEVELS)].sort(dim=-1).values  # (n, slot, level)
        return torch.cat([quantiles, out[..., len(LEVELS) :]], dim=-1).clamp_min(0)
