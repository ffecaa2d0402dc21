"""The limit of a training job's memory: on the CPU alone."""

import subprocess
import sys

import pytest

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
