"""Forgets job rows that ended well long ago, so that the table does not grow for ever."""

from fitstream.repo import jobs
from fitstream.repo.database import Repo

_AT_ONCE = 5_000
_TIMES = 40


async def forget_jobs(repo: Repo, keep_days: int) -> int:
    """Removes old rows a few thousand at a time; how many. A repeat goes on with the rest."""
    forgotten = 0
    for _ in range(_TIMES):
        async with repo.transaction() as db:
            done = await jobs.prune(db, keep_days, _AT_ONCE)
        forgotten += done
        if done < _AT_ONCE:
            break
    return forgotten
