"""Token buckets that every gateway shares, for what strangers may try. Keys are marks, no names."""

from typing import NamedTuple

from fitstream.errors import TooMany
from fitstream.repo.database import Db, execute, fetch_value


class Bucket(NamedTuple):
    """A bucket of `burst` tokens that regains `per_s` a second."""

    key: bytes
    burst: float
    per_s: float


async def take(db: Db, bucket: Bucket) -> float:
    """Takes a token; how many are left. Raises TooMany when there is none."""
    left = await fetch_value(db, "throttle.take", bucket.key, bucket.burst, bucket.per_s)
    if left is None:
        raise TooMany(1 / bucket.per_s)
    return float(left)


async def take_some(db: Db, bucket: Bucket) -> float:
    """Takes a token if there is one; how many are left. Never refuses."""
    left = await fetch_value(db, "throttle.take_some", bucket.key, bucket.burst, bucket.per_s)
    return float(left)


async def take_many(db: Db, bucket: Bucket, count: int) -> int:
    """Takes `count` tokens in the caller's transaction, or as many whole ones as there are."""
    level = float(await fetch_value(db, "throttle.level", *bucket))
    taken = min(int(level), count)
    await execute(db, "throttle.spend", bucket.key, float(taken))
    return taken


async def give_back(db: Db, bucket: Bucket) -> None:
    """Puts a token back: the try counts for nothing."""
    await execute(db, "throttle.give_back", bucket.key, bucket.burst)


async def forget(db: Db) -> None:
    """Removes buckets that say nothing any more."""
    await execute(db, "throttle.forget")
