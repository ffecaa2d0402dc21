"""What the two readers of the sample topic start from: the loop's limits and the generation."""

from fitstream.consumers.buffer import Limits
from fitstream.repo import progress
from fitstream.repo.database import Repo
from fitstream.settings import Settings


async def generation_of(repo: Repo, topic: str) -> int:
    """The topic's generation; it changes only while consumers are stopped."""
    async with repo.connection() as db:
        return await progress.current_generation(db, topic)


def limits_of(settings: Settings) -> Limits:
    """The loop's limits."""
    return Limits(
        settings.batch_max_records,
        settings.batch_max_bytes,
        settings.batch_max_age_s,
        settings.unavailable_max_s,
        settings.stuck_after_s,
    )
