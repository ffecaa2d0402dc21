"""A convolutional memory over the past days' courses, read into a residual on the climatology.

Source: Shi et al. 2015, section 3 (equation 3: LSTM gates as convolutions over maps); changed: one
dimension (the slots of a day) instead of two, days as time steps, no peepholes, gaps as a mask, and
the output corrects the weighted climatology through a head that starts at zero. Must not train
itself.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fitstream.trainer.data import SLOTS, Floats
from fitstream.trainer.models.climatology import predict_own
from fitstream.trainer.models.context import FEATURES, contexts
from fitstream.trainer.models.head import ResidualHead
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.models.shape import Shape
from fitstream.trainer.windows import Reach, Windows

CHANNELS = 4  # value over its usual, measured, same weekday as the forecast day, same day class
_REACH = 2  # positions to each side that a convolution sees
State = tuple[Tensor, Tensor]  # hidden and cell of one layer


@dataclass(frozen=True, eq=False)
class Images:
    """Windows as tensors: image (n, day, channel, 96), oldest day first; base (n, 96, 4);
    query (n, F) context; known (n, 96) whether the base is more than a guess."""

    image: Tensor
    base: Tensor
    query: Tensor
    known: Tensor


class DayMemory(nn.Module):
    """The network of one target. In: Images. Out: (n, 96, 4); untrained it gives the base."""

    def __init__(self, kernel: Kernel, reach: Reach, shape: Shape) -> None:
        super().__init__()
        self.kernel, self.reach = kernel, reach
        self.days, self.width = min(shape.days, reach.days), shape.width
        self.patch = shape.patch
        self.gates = _gates(CHANNELS * shape.patch, shape.width)
        self.more = nn.ModuleList(_gates(shape.width, shape.width) for _ in range(1, shape.layers))
        self.head = ResidualHead(shape.width + FEATURES, shape.hidden, shape.dropout)

    def batch(self, windows: Windows, dtype: torch.dtype) -> Images:
        """Tensors of some windows, with the climatology they are a residual on."""
        base = predict_own(self.kernel, windows)
        query, _ = contexts(windows)
        return Images(
            image=torch.from_numpy(_images(windows, self.days)).to(dtype),
            base=torch.from_numpy(np.nan_to_num(base)).to(dtype),
            query=torch.from_numpy(query).to(dtype),
            known=torch.from_numpy(windows.count > 0),
        )

    def forward(self, batch: Images) -> Tensor:
        n, positions = len(batch.base), SLOTS // self.patch
        images = self._patched(batch.image)  # (n, day, channel * patch, position)
        start = batch.base.new_zeros(n, self.width, positions)  # (n, channel, position)
        states = [(start, start)] * (1 + len(self.more))
        for day in range(self.days):
            states = self._step(images[:, day], states)
        hidden = states[-1][0].repeat_interleave(self.patch, dim=2)  # (n, channel, slot)
        context = batch.query[:, None].expand(n, SLOTS, FEATURES)  # (n, slot, F)
        features = torch.cat([hidden.transpose(1, 2), context], dim=2)  # (n, slot, channel + F)
        out = self.head(batch.base, features)  # (n, slot, output)
        return torch.where(batch.known[..., None], out, torch.zeros_like(out))

    def _patched(self, image: Tensor) -> Tensor:
        """Slots of a patch as channels of one position, as in patches to tokens."""
        n, days, channels, slots = image.shape
        cut = image.reshape(n, days, channels, slots // self.patch, self.patch)
        return cut.transpose(3, 4).reshape(n, days, channels * self.patch, slots // self.patch)

    def _step(self, image: Tensor, states: list[State]) -> list[State]:
        """One day through all layers; each reads what the one below it holds now."""
        below, after = image, []
        for gates, (hidden, cell) in zip([self.gates, *self.more], states, strict=True):
            stacked = torch.cat([below, hidden], dim=1)  # (n, channel, position)
            padded = nn.functional.pad(stacked, (_REACH, _REACH), mode="circular")
            into, forget, out, new = gates(padded).chunk(4, dim=1)  # (n, channel, position) each
            kept = torch.sigmoid(forget + 1) * cell + torch.sigmoid(into) * torch.tanh(new)
            below = torch.sigmoid(out) * torch.tanh(kept)
            after.append((below, kept))
        return after


def _gates(inputs: int, width: int) -> nn.Conv1d:
    """All four gates of one layer."""
    return nn.Conv1d(inputs + width, 4 * width, 2 * _REACH + 1)


def _images(windows: Windows, days: int) -> Floats:
    """(n, day, channel, 96), oldest day first; a slot that was not measured is 0 in all maps of
    values."""
    rows = windows.anchors[:, :days]  # (n, lag, slot)
    measured = np.isfinite(rows)
    filled = np.where(measured, rows, 0)
    count = np.maximum(measured.sum(axis=(1, 2), keepdims=True), 1)
    usual = filled.sum(axis=(1, 2), keepdims=True) / count + 1e-6  # (n, 1, 1)
    value = np.where(measured, np.log1p(filled / usual), 0)  # (n, lag, slot)
    weekday = (windows.weekday[:, None] - np.arange(1, days + 1)) % 7  # (n, lag)
    same = weekday == windows.weekday[:, None]
    alike = (weekday >= 5) == (windows.weekday[:, None] >= 5)
    flags = [np.broadcast_to(each[..., None], rows.shape) for each in (same, alike)]
    image: Floats = np.stack([value, measured, *flags], axis=2).astype(np.float32)
    return np.ascontiguousarray(image[:, ::-1])
