"""Schema mappings: versions of how a source's files are read, per programme and name."""

from datetime import datetime
from typing import Any

import msgspec

from fitstream.errors import NotFound
from fitstream.repo.database import Db, fetch, fetch_one


class Mapping(msgspec.Struct, frozen=True):
    """One version of a mapping; `spec` is that of `uploads.spec.MappingSpec`."""

    mapping_no: int
    programme: str
    name: str
    version: int
    spec: dict[str, Any]
    created_by: str
    created_at: datetime
    uploads: int


async def insert_mapping(
    db: Db, programme_no: int, name: str, spec: dict[str, Any], created_by: str
) -> Mapping:
    """The next version of `name`; the newest one when it says the same already."""
    newest = await fetch_one(db, Mapping, "mappings.newest_for_update", programme_no, name)
    if newest is not None and newest.spec == spec:
        return newest
    version = 1 if newest is None else newest.version + 1
    values = (programme_no, name, version, spec, created_by)
    made = await fetch_one(db, Mapping, "mappings.insert_mapping", *values)
    if made is None:
        raise NotFound(f"mapping {name}")
    return made


async def get_mapping(db: Db, programme_no: int, name: str, version: int | None) -> Mapping:
    """One version, the newest by default; raises NotFound."""
    found = await fetch_one(db, Mapping, "mappings.find_mapping", programme_no, name, version)
    if found is None:
        raise NotFound(f"mapping {name}{'' if version is None else f' version {version}'}")
    return found


async def list_mappings(db: Db, programme_no: int, after: str, limit: int) -> list[Mapping]:
    """The newest version of each name after `after`, by name."""
    return await fetch(db, Mapping, "mappings.list_mappings", programme_no, after, limit)


async def list_versions(db: Db, programme_no: int, name: str) -> list[Mapping]:
    """Every version of a name, newest first; raises NotFound when there is none."""
    found = await fetch(db, Mapping, "mappings.list_mapping_versions", programme_no, name)
    if not found:
        raise NotFound(f"mapping {name}")
    return found
