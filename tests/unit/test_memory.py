"""The limit of a training job's memory: on the CPU alone."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from fitstream.errors import Rejected
from fitstream.tasks.memory import memory_told

LIMITED = """
from types import SimpleNamespace
from fitstream.tasks.memory import limit_training
limit_training(SimpleNamespace(train_memory_bytes=300_000_000), {device!r})
taken = bytearray(200_000_000)
try:
    bytearray(400_000_000)
except MemoryError:
    print("refused")
"""


@pytest.mark.parametrize(("device", "said"), [("cpu", "refused\n"), ("cuda", "")])
def test_a_training_process_gets_no_more_memory_than_it_may_take_unless_it_has_a_gpu(
    device: str, said: str
) -> None:
    code = LIMITED.format(device=device)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == said


@pytest.mark.parametrize(
    "take", [lambda: np.zeros(10**15), lambda: torch.zeros(10**15), lambda: bytearray(10**16)]
)
def test_who_needs_more_memory_than_there_is_is_told_what_to_do(take: Callable[[], object]) -> None:
    with pytest.raises(Rejected, match="raise FITSTREAM_TRAIN_MEMORY_BYTES"), memory_told():
        take()


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_told():
        raise RuntimeError("the shape is wrong")
