"""In which order a list is shown: the heads of its table as links, and the same as a choice.

A phone shows no heads, so every list has the choice, and heads where a column is shown.
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from fitstream.repo.paging import Order, Sorts

# Rising and falling, in words; what people want to see first comes with the first click.
_WORDS = {
    "created_at": ("Oldest first", "Newest first"),
    "at": ("Oldest first", "Newest first"),
    "parked_at": ("Oldest first", "Newest first"),
    "name": ("Name, from A", "Name, from Z"),
    "external_id": ("External id, from A", "External id, from Z"),
    "email": ("E-mail, from A", "E-mail, from Z"),
    "last_contact_at": ("Silent the longest", "Latest contact first"),
    "role": ("Role, from A", "Role, from Z"),
    "expires_at": ("Ends the soonest", "Ends the latest"),
    "size": ("Smallest first", "Largest first"),
    "done_at": ("Ended the longest ago", "Ended last"),
    "kind": ("Kind, from A", "Kind, from Z"),
    "reason": ("Reason, from A", "Reason, from Z"),
    "settled_at": ("Settled the longest ago", "Settled last"),
    "action": ("Action, from A", "Action, from Z"),
}
_FALLING_FIRST = {
    "created_at", "at", "parked_at", "last_contact_at", "size", "done_at", "settled_at",
}  # fmt: skip


class Head(NamedTuple):
    """Where the head of a column leads, and what `aria-sort` says of it (nothing: another one)."""

    href: str
    standing: str


class Sorting(msgspec.Struct, frozen=True):
    """The orders of a list: the one it has, all as a choice in words, and heads by column.

    `asked` is empty in the order that nobody has to ask for.
    """

    current: str
    asked: str
    choices: dict[str, str]
    heads: dict[str, Head]


def sort_of(request: web.Request, sorts: Sorts, with_personal: bool = True) -> str:
    """The order that the query asks for; the default for one that is none."""
    asked = request.query.get("sort", "")
    return asked if asked in sorts.names(with_personal) else sorts.default


def sorting_of(
    request: web.Request,
    sorts: Sorts,
    path: str,
    query: Mapping[str, str],
    with_personal: bool = True,
) -> Sorting:
    """The orders of the list at `path`; its links keep `query` and begin with the first page."""
    current = sort_of(request, sorts, with_personal)
    names = sorts.names(with_personal)
    heads = {}
    for name in names:
        if not name.startswith("-"):
            link = href(path, **query, sort=_next(name, current))
            heads[name] = Head(link, _standing(name, sorts.order(current)))
    asked = "" if current == sorts.default else current
    return Sorting(current, asked, {name: _said(name) for name in names}, heads)


def _said(name: str) -> str:
    return _WORDS[name.removeprefix("-")][name.startswith("-")]


def _next(column: str, current: str) -> str:
    """What a press on a head leads to: the other direction, or the one that is looked for first."""
    if current.removeprefix("-") == column:
        return column if current.startswith("-") else f"-{column}"
    return f"-{column}" if column in _FALLING_FIRST else column


def _standing(column: str, current: Order) -> str:
    if current.column.name != column:
        return ""
    return "descending" if current.is_falling else "ascending"


def href(path: str, **query: str | None) -> str:
    """The address of a list with what of the query is given."""
    given = {name: text for name, text in query.items() if text}
    return f"{path}?{urlencode(given)}" if given else path
