"""Databases of a test's own on the real Postgres."""

import asyncpg

from fitstream.settings import Settings

# Both copy or sync hundreds of files, so on a disk that others write to they may well take longer
# than any statement of the program may.
_DEADLINE_S = 120.0


async def create_database(settings: Settings, name: str, template: str = "template1") -> None:
    """A database beside that of the settings, a copy of another one nobody is connected to."""
    await _execute(settings, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


async def drop_database(settings: Settings, name: str) -> None:
    """Takes it away again; nobody may be connected to it."""
    await _execute(settings, f'DROP DATABASE "{name}"')


async def _execute(settings: Settings, statement: str) -> None:
    db = await asyncpg.connect(settings.postgres, timeout=_DEADLINE_S)
    try:
        await db.execute(statement, timeout=_DEADLINE_S)
    finally:
        await db.close(timeout=_DEADLINE_S)
