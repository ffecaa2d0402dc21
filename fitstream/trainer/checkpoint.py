"""Checkpoints of a fit as bytes: safetensors with the progress as JSON in its header.

Must never unpickle anything, must not resume from another recipe or other data, and must do no I/O.
"""

import sys

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

State = dict[str, Tensor]
WORST = sys.float_info.max  # a score that was never finite; JSON has no infinity
_HEADER = "fit"


class Progress(msgspec.Struct, kw_only=True):
    """Where the fit of one candidate stands."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = WORST
    done: bool = False
    curve: list[float] = []


class Header(msgspec.Struct, kw_only=True):
    """What a checkpoint belongs to, how far it has come, and the CPU-seconds that took."""

    run_key: str
    progress: Progress
    seconds: float = 0.0


def encode_checkpoint(header: Header, state: State) -> bytes:
    """A fit on its way; equal fits give equal bytes."""
    tensors = {name: tensor.contiguous() for name, tensor in sorted(state.items())}
    return save(tensors, metadata={_HEADER: msgspec.json.encode(header).decode()})


def decode_checkpoint(body: bytes | None, run_key: str) -> tuple[Header, State] | None:
    """Header and state; None for bytes that are no checkpoint of this very run."""
    if body is None:
        return None
    try:
        header = _header_of(body)
        return (header, load(body)) if header.run_key == run_key else None
    except (SafetensorError, msgspec.MsgspecError, ValueError):
        return None


def _header_of(body: bytes) -> Header:
    """The header of safetensors: eight bytes of length, then JSON."""
    size = int.from_bytes(body[:8], "little")
    found = msgspec.json.decode(body[8 : 8 + size], type=dict[str, dict[str, object]])
    text = str(found.get("__metadata__", {}).get(_HEADER, ""))
    return msgspec.json.decode(text, type=Header)


def encode_weights(state: State) -> bytes:
    """The weights of a network alone; equal weights give equal bytes."""
    return save({name: tensor.contiguous() for name, tensor in sorted(state.items())})


def decode_weights(body: bytes) -> State:
    """Inverse of `encode_weights`. Raises SafetensorError."""
    found: State = load(body)
    return found
