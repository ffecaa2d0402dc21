"""How long a training will still take, by how long what is over has taken."""

import time
from dataclasses import dataclass, field


@dataclass(eq=False)
class Pace:
    """Begins when it is made, with `done` epochs over before: of a checkpoint, or of others."""

    done: int = 0
    began: float = field(default_factory=time.monotonic)

    def left_s(self, epoch: int, epochs: int) -> float | None:
        """Seconds until `epochs` are over when `epoch` are; None before the first one is."""
        if epoch <= self.done:
            return None
        per_epoch = (time.monotonic() - self.began) / (epoch - self.done)
        return round(per_epoch * max(epochs - epoch, 0), 1)
