"""Lists read by pages, in an order that the caller chooses: by keys, so that every row comes once.

A block of `sql/` says what is listed; this adds in which order, behind which row and how many. What
it adds is made of the columns of `sorts.py` alone, never of a caller's text.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from fitstream.repo.database import Db
from fitstream.repo.queries import sql

T = TypeVar("T", bound=msgspec.Struct)
Value = str | int | datetime


class Column(NamedTuple):
    """What a list can be sorted by: its `name` in the API, and the `field` of the block."""

    name: str
    kind: type[str] | type[int] | type[datetime]
    field: str
    may_lack: bool = False
    """Whether rows may be without a value: they come last, rising and falling."""
    is_text: bool = False
    """Whether people wrote it: then capitals count like small letters."""
    is_personal: bool = False

    @property
    def key(self) -> str:
        """The expression that is compared; an index that is to help holds the same one."""
        return f"lower(listed.{self.field})" if self.is_text else f"listed.{self.field}"


class Order(NamedTuple):
    """A column, rising or falling; of equal rows `tie` decides, a column that is never the same."""

    column: Column
    tie: str
    tie_kind: type[str] | type[int]
    is_falling: bool = False

    @property
    def name(self) -> str:
        """As the caller writes it: `name`, or `-name` for falling."""
        return f"-{self.column.name}" if self.is_falling else self.column.name


class Sorts(NamedTuple):
    """The orders that one list can be read in; `default` is the one without any asking."""

    tie: str
    tie_kind: type[str] | type[int]
    default: str
    columns: tuple[Column, ...]

    def names(self, with_personal: bool = True) -> list[str]:
        """What may be asked for, each column rising and falling."""
        shown = [one.name for one in self.columns if with_personal or not one.is_personal]
        return [prefix + name for name in shown for prefix in ("", "-")]

    def order(self, name: str = "") -> Order:
        """The order called `name`, the default without one. Raises KeyError for another."""
        name = name or self.default
        columns = {column.name: column for column in self.columns}
        column = columns[name.removeprefix("-")]
        return Order(column, self.tie, self.tie_kind, name.startswith("-"))


class Position(NamedTuple):
    """Where a row stands in an order; None for a row that lacks the value."""

    value: Value | None
    tie: str | int


class Slice(NamedTuple):
    """Which page of a list: its order, how many rows, and the row before it."""

    order: Order
    limit: int
    after: Position | None = None


class Listed(NamedTuple, Generic[T]):
    """A page, and the position of its last row when there are more."""

    items: list[T]
    following: Position | None


class _Part(NamedTuple):
    """A stretch of the order that one index can answer: conditions with `?` for the values."""

    conditions: list[str]
    values: list[Value]


async def fetch_page(db: Db, kind: type[T], name: str, asked: Slice, *args: object) -> Listed[T]:
    """A page of the rows of the named block as `kind`; its columns are the fields, in order."""
    order = asked.order
    found: list[Any] = []
    for part in _parts(order, asked.after):
        wanted = asked.limit + 1 - len(found)  # one more than shown tells whether there are more
        if wanted > 0:
            text = _statement(sql(name), order, part, len(args))
            found += await db.fetch(text, *args, *part.values, wanted)
    shown = found[: asked.limit]
    items = [kind(*tuple(record)[:-1]) for record in shown]
    if len(found) <= asked.limit:
        return Listed(items, None)
    return Listed(items, Position(shown[-1]["sorted_by"], shown[-1][order.tie]))


def _statement(block: str, order: Order, part: _Part, args: int) -> str:
    """The block in an order, behind a row; its parameters are followed by those of the part, and
    by how many rows."""
    key, tie = order.column.key, f"listed.{order.tie}"
    direction = "DESC" if order.is_falling else "ASC"
    keys = [f"{one} {direction}" for one in dict.fromkeys((key, tie))]
    where = " AND ".join(part.conditions) or "true"
    for number in range(len(part.values)):
        where = where.replace("?", f"${args + number + 1}", 1)
    lines = (  # of columns of sorts.py alone
        f"SELECT listed.*, {key} AS sorted_by FROM (",  # noqa: S608
        block,
        f") AS listed WHERE {where}",
        f"ORDER BY {', '.join(keys)} LIMIT ${args + len(part.values) + 1}",
    )
    return "\n".join(lines)


def _parts(order: Order, after: Position | None) -> Iterator[_Part]:
    """The stretches from a position on: rows with a value, then those that lack it."""
    column, tie = order.column, f"listed.{order.tie}"
    beyond = "<" if order.is_falling else ">"
    has, lacks = f"listed.{column.field} IS NOT NULL", f"listed.{column.field} IS NULL"
    if after is not None and after.value is None:
        yield _Part([lacks, f"{tie} {beyond} ?"], [after.tie])
        return
    conditions = [has] if column.may_lack else []
    if after is None:
        yield _Part(conditions, [])
    elif column.field == order.tie:
        yield _Part([f"{tie} {beyond} ?"], [after.tie])
    elif after.value is not None:
        keys = f"({column.key}, {tie}) {beyond} (?, ?)"
        yield _Part([*conditions, keys], [after.value, after.tie])
    if column.may_lack:
        yield _Part([lacks], [])
