"""Small secrets that lie sealed in rows, for whoever seals them anew."""

from typing import Literal

import msgspec

from fitstream.repo.database import Db, execute, fetch

Table = Literal["second_factor", "api_key"]
TABLES: tuple[Table, ...] = ("second_factor", "api_key")


class Box(msgspec.Struct, frozen=True):
    """A sealed value, and the purpose it opens for."""

    id: str
    purpose: str
    value: bytes


async def lock_boxes(db: Db, table: Table, after: str, limit: int) -> list[Box]:
    """A page of sealed values by id, held until the transaction ends."""
    name = "boxed.second_factor_boxes" if table == "second_factor" else "boxed.api_key_boxes"
    return await fetch(db, Box, name, after, limit)


async def set_box(db: Db, table: Table, box_id: str, value: bytes) -> None:
    """The same, sealed anew."""
    name = "boxed.set_second_factor_box" if table == "second_factor" else "boxed.set_api_key_box"
    await execute(db, name, box_id, value)
