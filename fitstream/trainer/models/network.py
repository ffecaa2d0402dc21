"""Networks of either architecture behind one contract: made, run, saved and read alike.

Must not train.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fitstream.trainer.data import SLOTS, Floats
from fitstream.trainer.models.climatology import OUTPUTS
from fitstream.trainer.models.convlstm import DayMemory
from fitstream.trainer.models.kernel import Kernel
from fitstream.trainer.models.shape import CONVLSTM, Shape
from fitstream.trainer.models.transformer import SlotAttention
from fitstream.trainer.windows import Reach, Windows

Network = SlotAttention | DayMemory
_CHUNK = 16


def make_network(kernel: Kernel, reach: Reach, shape: Shape, seed: int) -> Network:
    """An untrained network of one target: it forecasts like the weighted climatology of its kernel.

    Equal seeds give equal networks; the global random state stays as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = DayMemory if shape.kind == CONVLSTM else SlotAttention
        return made(kernel, reach, shape).float()


def network_from_arrays(
    kernel: Kernel, reach: Reach, shape: Shape, arrays: Mapping[str, Floats]
) -> Network:
    """A network with saved weights. Raises RuntimeError when they do not fit."""
    network = make_network(kernel, reach, shape, seed=0)
    network.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in arrays.items()})
    return network.eval()


def predict_network(network: Network, windows: Windows) -> Floats:
    """(n, 96, 4) from own history alone, NaN where a slot has no value to stand on; in double
    precision, so that the order of additions does not show."""
    out = np.empty((len(windows), SLOTS, OUTPUTS), np.float32)
    double = deepcopy(network).double().eval()
    with torch.inference_mode():
        for start in range(0, len(windows), _CHUNK):
            part = windows.take(np.arange(start, min(start + _CHUNK, len(windows))))
            forecast = run_network(double, part, torch.float64).numpy()
            out[start : start + len(part)] = np.where(part.count[..., None] > 0, forecast, np.nan)
    return out


def attention_of(network: SlotAttention, windows: Windows) -> Floats:
    """(n, 24, K): how a Transformer weighs each key of each hour, in key order and in units of its
    own; in double precision, as it forecasts."""
    double = deepcopy(network).double().eval()
    with torch.inference_mode():
        weights: Floats = double.key_weights(double.days(windows, torch.float64)).numpy()
    return weights


def run_network(network: Network, windows: Windows, dtype: torch.dtype) -> Tensor:
    """(n, 96, 4) with gradients, in one piece."""
    batch: Any = network.batch(windows, dtype)
    forecast: Tensor = network(batch)
    return forecast
