"""SQL kept as SQL: `-- name: block` sections of `sql/<module>.sql`, read once and by name."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

_HEAD = re.compile(r"^-- name: (?P<name>\w+)(?: -> (?P<row>\w+))?$", re.MULTILINE)
FOLDER = Path(__file__).parent / "sql"


class Block(NamedTuple):
    """One statement, and the struct its rows become (None when it returns none)."""

    text: str
    row: str | None


def sql(name: str) -> str:
    """The statement `module.block`; an unknown name is a bug and raises KeyError."""
    module, _, block = name.partition(".")
    return blocks(module)[block].text


@cache
def blocks(module: str) -> dict[str, Block]:
    """Every block of `sql/<module>.sql`."""
    text = (FOLDER / f"{module}.sql").read_text()
    heads = list(_HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {
        head["name"]: Block(text[head.end() : end].strip(), head["row"])
        for head, end in zip(heads, ends, strict=True)
    }
