"""The sample topic as a consumer found it: its generation, which must not change under it."""

from typing import NamedTuple

from fitstream.errors import Unavailable
from fitstream.repo import progress
from fitstream.repo.database import Repo


class Stream(NamedTuple):
    """A topic and its generation at the consumer's start."""

    repo: Repo
    topic: str
    generation: int

    async def confirm(self) -> None:
        """Called when a partition is taken: whoever started before a topic was adopted must not
        write under the old generation. Raises Unavailable, so that the process starts again."""
        async with self.repo.transaction() as db:
            now = await progress.settled_generation(db, self.topic)
        if now != self.generation:
            text = f"{self.topic} is generation {now} by now, this process began with"
            raise Unavailable("kafka", f"{text} {self.generation}; starting again")


async def open_stream(repo: Repo, topic: str) -> Stream:
    """The topic as it is now."""
    async with repo.connection() as db:
        return Stream(repo, topic, await progress.current_generation(db, topic))
