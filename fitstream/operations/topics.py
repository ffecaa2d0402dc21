"""`fitstream topics`: makes the topics, and accepts a recreated one when a person says so."""

from fitstream.archived import archive_key, archive_prefix, archive_span
from fitstream.broker import make_topics, open_positions
from fitstream.repo import progress
from fitstream.repo.database import Db, open_repo
from fitstream.settings import Settings
from fitstream.store import Store, open_store

ARCHIVE = "archive"
_OBJECT_MAX = 20_000  # offsets; an object holds thousands at most


async def adopt_topic(settings: Settings, group: str = ARCHIVE) -> int:
    """Goes on from where the sample topic begins now, under a new generation; its number.

    For a topic that was recreated, or a database that was restored: what the old topic held and
    the ledger had not read is given up by this. Raises Halted while a consumer of the archive's
    `group` still runs, and has changed nothing then.
    """
    async with (
        open_repo(settings) as repo,
        open_store(settings) as store,
        open_positions(settings, group) as positions,
    ):
        starts = await positions.starts()
        archived = await archived_generation(store, settings.topic)
        async with repo.transaction() as db:
            await progress.hold_generation(db)  # an archive that starts meanwhile waits for it
            # Should the transaction fail after this, the archive finds objects beyond its group
            # and halts again: nothing is sealed twice.
            await positions.commit(starts)
            known = await progress.current_generation(db, settings.topic)
            generation = max(known, archived) + 1
            await progress.adopt_generation(db, settings.topic, generation)
            for partition, start in starts.items():
                await _note_unread(db, store, settings.topic, (known, partition))
                await progress.start_progress(db, generation, partition, start)
    return generation


async def _note_unread(db: Db, store: Store, topic: str, place: tuple[int, int]) -> None:
    """What the archive has of a given-up generation and the ledger has not read, as a loss that a
    person has to look at: a replay brings it back."""
    at = await progress.progress_of(db, *place)
    begin = 0 if at is None else at.next_offset
    reach = 0
    prefix = archive_prefix(topic, *place)
    async for key in store.list_keys(prefix, archive_key(topic, *place, (_before(begin), 0))):
        if (span := archive_span(key)) is not None:
            reach = max(reach, span[1] + 1)
    if reach > begin:
        await progress.note_unread(db, *place, (begin, reach))


def _before(offset: int) -> int:
    """Where an object that holds `offset` may begin."""
    return max(offset - _OBJECT_MAX, 0)


async def archived_generation(store: Store, topic: str) -> int:
    """The newest generation that the archive has objects of, 0 for none: a restored database may
    know less, and no generation may come twice (see sealing.seal)."""
    names = await store.list_folders(f"raw/{topic}/")
    return max((int(name) for name in names if name.isdecimal()), default=0)


async def create_topics(settings: Settings) -> list[str]:
    """Creates the topics that are missing; their names."""
    return await make_topics(settings)
