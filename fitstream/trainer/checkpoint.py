"""Checkpoints of a fit: safetensors with the progress as JSON in its header, replaced as a whole.

Must never unpickle anything, and must not resume from another recipe or other data.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

State = dict[str, Tensor]
WORST = sys.float_info.max  # a score that was never finite; JSON has no infinity


class Progress(msgspec.Struct, kw_only=True):
    """Where the fit of one target stands."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = WORST
    done: bool = False
    curve: list[float] = []


class Header(msgspec.Struct, kw_only=True):
    """What a checkpoint belongs to and how far each target has come."""

    run_key: str
    progress: dict[str, Progress]


def write_checkpoint(path: Path, header: Header, states: Mapping[str, State]) -> None:
    """Replaces the file by the states of all targets; a reader sees the old or the new one."""
    tensors = {
        f"{target}/{name}": tensor.contiguous()
        for target, state in states.items()
        for name, tensor in state.items()
    }
    metadata = {"fit": msgspec.json.encode(header).decode()}
    draft = path.with_name(path.name + ".tmp")
    save_file(tensors, draft, metadata=metadata)
    draft.replace(path)


def read_checkpoint(path: Path, run_key: str) -> tuple[dict[str, Progress], dict[str, State]]:
    """Progress and states by target; empty when there is no readable file of this very run."""
    if not path.exists():
        return {}, {}
    try:
        with safe_open(path, framework="pt") as file:
            header = msgspec.json.decode((file.metadata() or {}).get("fit", ""), type=Header)
            if header.run_key != run_key:
                return {}, {}
            states: dict[str, State] = {target: {} for target in header.progress}
            names: list[str] = list(file.keys())
            for key in names:
                target, _, name = key.partition("/")
                states[target][name] = file.get_tensor(key)
    except (SafetensorError, msgspec.MsgspecError):
        return {}, {}
    return header.progress, states
