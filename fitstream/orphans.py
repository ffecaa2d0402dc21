"""Objects under `users/<customer>/weeks/` that no version refers to: what a crash left behind.

Only finds them. Names that the roller would not have written are never among them.
"""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from fitstream.repo import checks
from fitstream.repo.database import Repo
from fitstream.store import Listed, Store

MIN_AGE = timedelta(hours=24)
_NAME = re.compile(
    r"users/(?P<customer>[^/]+)/weeks/(?P<week>\d{4}-W\d\d)/"
    r"(?:v(?P<data>\d{4,})-[0-9a-f]{12}(?:-originals)?\.parquet"
    r"|manifest-v(?P<manifest>\d{4,})-[0-9a-f]{12}\.json)"
)


class WeekObject(NamedTuple):
    """An object with the week and version that its name speaks of."""

    key: str
    modified: datetime
    customer_id: str
    week: str
    version: int


class Orphan(NamedTuple):
    """An object without a version. `is_past`: its week has got as far as the name's version, so
    no roll can still come to refer to it."""

    object: WeekObject
    is_past: bool


def week_object(listed: Listed) -> WeekObject | None:
    """The object as part of a week; None when its name is no name of the roller's."""
    found = _NAME.fullmatch(listed.key)
    if found is None:
        return None
    version = int(found["data"] or found["manifest"])
    return WeekObject(listed.key, listed.modified, found["customer"], found["week"], version)


def is_collectable(orphan: Orphan, now: datetime) -> bool:
    """Whether nobody can come to need it: older than a day, and its version is long made."""
    return orphan.is_past and now - orphan.object.modified > MIN_AGE


async def orphans(
    store: Store, repo: Repo, customer_id: str | None = None
) -> AsyncIterator[Orphan]:
    """Orphans in order of their names, of one customer or all.

    References are read after the objects are listed: what a roll commits meanwhile is no orphan.
    """
    prefix = f"users/{customer_id}/weeks/" if customer_id else "users/"
    held: list[WeekObject] = []
    async for listed in store.list_objects(prefix):
        found = week_object(listed)
        if found is None:
            continue
        if held and held[0].customer_id != found.customer_id:
            for orphan in await _unreferenced(repo, held):
                yield orphan
            held = []
        held.append(found)
    for orphan in await _unreferenced(repo, held):
        yield orphan


async def _unreferenced(repo: Repo, held: Sequence[WeekObject]) -> list[Orphan]:
    """Which objects of one customer no version names."""
    if not held:
        return []
    async with repo.connection() as db:
        found = await checks.files_of_customer(db, held[0].customer_id)
    named = {key for week in found for key in week.keys}
    current = {week.week: week.current_version or 0 for week in found}
    return [
        Orphan(each, each.version <= current.get(each.week, 0))
        for each in held
        if each.key not in named
    ]
