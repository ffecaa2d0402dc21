"""Where the ledger stands in each partition, topic generations, proven losses, dead letters."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from fitstream.repo.database import Db, execute, fetch_one, fetch_value


class Progress(msgspec.Struct, frozen=True):
    """Where the ledger stands in a partition."""

    next_offset: int
    last_batch_id: str


class Passed(NamedTuple):
    """Offsets [begin, end) of a partition that were applied by a replay, and what they brought."""

    begin: int
    end: int
    last_batch_id: str
    records: int
    samples: int
    inserted: int
    updated: int
    newest_at: datetime | None


async def progress_of(db: Db, generation: int, partition: int) -> Progress | None:
    """Where the ledger stands, None before its first contact."""
    return await fetch_one(db, Progress, "progress.progress_of", generation, partition)


async def start_progress(db: Db, generation: int, partition: int, offset: int) -> None:
    """First contact with a partition; a repeat changes nothing."""
    await execute(db, "progress.start_progress", generation, partition, offset)


async def skip_lost(db: Db, generation: int, partition: int, span: tuple[int, int]) -> None:
    """Records a proven loss [from, to) and moves past it, in the caller's transaction."""
    await _note_loss(db, "ledger", (generation, partition), span)
    await execute(db, "progress.skip_lost", generation, partition, *span)


async def note_unread(db: Db, generation: int, partition: int, span: tuple[int, int]) -> None:
    """Records that the ledger has not read [from, to) of a generation that is given up."""
    await _note_loss(db, "ledger", (generation, partition), span)


async def note_archive_loss(db: Db, generation: int, partition: int, span: tuple[int, int]) -> None:
    """Records that the archive lacks [from, to) for ever: a replay will not bring it back."""
    await _note_loss(db, "archive", (generation, partition), span)


async def _note_loss(db: Db, reader: str, place: tuple[int, int], span: tuple[int, int]) -> None:
    await execute(db, "progress.insert_loss", reader, *place, *span)


async def current_generation(db: Db, topic: str) -> int:
    """Generation of `topic`, 1 before anything was adopted."""
    return await fetch_value(db, "progress.current_generation", topic) or 1


async def settled_generation(db: Db, topic: str) -> int:
    """The same, after whoever adopts the topic just now has finished; in a transaction."""
    await execute(db, "progress.wait_for_adoption")
    return await current_generation(db, topic)


async def hold_generation(db: Db) -> None:
    """Keeps `settled_generation` of others waiting until the caller's transaction ends."""
    await execute(db, "progress.hold_generation")


async def adopt_generation(db: Db, topic: str, generation: int) -> None:
    """Registers a generation of `topic`; a repeat changes nothing."""
    await execute(db, "progress.insert_generation", topic, generation)


async def insert_dead_letter(db: Db, values: Sequence[object]) -> None:
    """Parks one record: topic, generation, partition, offset, reason, detail, key, value."""
    await execute(db, "progress.insert_dead_letter", *values)


async def pass_replayed(db: Db, generation: int, partition: int, passed: Passed) -> bool:
    """Moves a partition past a replay; False when it is not where the replay began."""
    name = "progress.pass_replayed"
    return bool(await execute(db, name, generation, partition, *passed))


async def count_parked(db: Db, topic: str, where: tuple[int, int], offsets: tuple[int, int]) -> int:
    """How many of `offsets` [first, next) in (generation, partition) are dead letters."""
    found = await fetch_value(db, "progress.count_parked", topic, *where, *offsets)
    return int(found)
