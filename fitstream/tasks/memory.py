"""How much memory the process of a job may take."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

from fitstream.errors import Rejected
from fitstream.settings import Settings


def limit_memory(limit_bytes: int) -> None:
    """No allocation beyond the limit succeeds in this process any more."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def limit_training(settings: Settings, device: str) -> None:
    """The limit of a training job. A GPU's driver maps far more than it uses: none there."""
    if device == "cpu":
        limit_memory(settings.train_memory_bytes)


@contextmanager
def memory_told() -> Iterator[None]:
    """Says what to do where a job has run into its limit. Raises Rejected(out_of_memory)."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # of torch it is the latter
        if isinstance(error, RuntimeError) and "can't allocate memory" not in str(error):
            raise
        text = (
            "it needs more memory than its process may take: for a training raise "
            "FITSTREAM_TRAIN_MEMORY_BYTES or lower FITSTREAM_TRAIN_CUSTOMERS_MAX"
        )
        raise Rejected("out_of_memory", text) from error
