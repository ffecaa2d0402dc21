"""How much memory the process of a job may take."""

import resource

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
