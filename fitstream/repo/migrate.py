"""Numbered, forward-only SQL migrations, and the monthly partitions of `sample`.

One runner at a time (advisory lock); a file that was edited after it ran is refused.
"""

from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path

from fitstream.clock import slot_of
from fitstream.errors import Conflict
from fitstream.repo.database import Db, Repo

FOLDER = Path(__file__).parent / "migrations"
_LOCK = 7_310_415
_MONTHS_BACK = 14
_MONTHS_AHEAD = 2
_OLDEST = date(2000, 1, 1)


async def migrate(repo: Repo, today: date) -> list[str]:
    """Applies what is missing and makes the partitions around `today`; names of what ran."""
    async with repo.transaction() as db:
        await db.execute("SET LOCAL lock_timeout = '4s'")
        await db.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        await db.execute(
            "CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, sha256 text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        known = {row["name"]: row["sha256"] for row in await db.fetch("SELECT * FROM migration")}
        applied = [await _apply(db, name, text, known) for name, text in _files()]
        await make_partitions(db, today)
    return [name for name in applied if name]


def _files() -> list[tuple[str, str]]:
    return [(path.name, path.read_text()) for path in sorted(FOLDER.glob("*.sql"))]


async def _apply(db: Db, name: str, text: str, known: dict[str, str]) -> str | None:
    digest = sha256(text.encode()).hexdigest()
    if name in known:
        if known[name] != digest:
            raise Conflict("migration_edited", f"{name} was edited after it was applied")
        return None
    await db.execute(text)
    await db.execute("INSERT INTO migration (name, sha256) VALUES ($1, $2)", name, digest)
    return name


async def make_partitions(db: Db, today: date) -> None:
    """Monthly partitions of `sample` from 14 months back to 2 ahead; repeats do nothing."""
    for ahead in range(-_MONTHS_BACK, _MONTHS_AHEAD + 1):
        await make_partition(db, _month(today, ahead))


def is_month_of_samples(day: date, today: date) -> bool:
    """Whether samples of that day can be real: a partition is made for no other."""
    return _OLDEST <= day < _month(today, _MONTHS_AHEAD + 1)


async def make_partition(db: Db, day: date) -> None:
    """The partition of `sample` for the month of `day`; a repeat does nothing."""
    first = _month(day, 0)
    start, end = _slot(first), _slot(_month(day, 1))
    await db.execute(
        f"CREATE TABLE IF NOT EXISTS sample_{first:%Y_%m}"
        f" PARTITION OF sample FOR VALUES FROM ({start}) TO ({end})"
        " WITH (autovacuum_vacuum_insert_scale_factor = 0.5)"
    )


def _month(day: date, ahead: int) -> date:
    months = day.year * 12 + day.month - 1 + ahead
    return date(months // 12, months % 12 + 1, 1)


def _slot(day: date) -> int:
    return slot_of(datetime(day.year, day.month, day.day, tzinfo=UTC))
