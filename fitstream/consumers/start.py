"""What the two readers of the sample topic start from: the loop's limits."""

from fitstream.consumers.buffer import Limits
from fitstream.settings import Settings


def limits_of(settings: Settings) -> Limits:
    """The loop's limits."""
    return Limits(
        settings.batch_max_records,
        settings.batch_max_bytes,
        settings.batch_max_age_s,
        settings.unavailable_max_s,
        settings.stuck_after_s,
        settings.rejects_max,
    )
