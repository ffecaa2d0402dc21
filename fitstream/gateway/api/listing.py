"""Lists in the order that the caller asks for: which page it is, and the cursor of the next one.

A cursor is a place in one order: it names its order, and is refused under another.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from fitstream.errors import Rejected
from fitstream.gateway.api.answers import after, cursor, limit, page
from fitstream.gateway.parameters import unknown
from fitstream.repo.paging import Order, Position, Slice, Sorts

Place = tuple[str, Any, Any] | None  # of a cursor: the name of its order, the value, the tie


def slice_of(request: web.Request, sorts: Sorts, with_personal: bool = True) -> Slice:
    """What `sort`, `after` and `limit` ask for.

    Raises Rejected: bad_limit, bad_cursor, bad_filter for an order that the list does not have, or
    that would tell of persons who must not be told of, and for a cursor of another order.
    """
    order = _order(request, sorts, with_personal)
    return Slice(order, limit(request), _position(request, order))


def page_of(items: Sequence[object], asked: Slice, following: Position | None) -> web.Response:
    """A page as its answer."""
    return page(items, place_of(asked, following))


def place_of(asked: Slice, following: Position | None) -> Place:
    """What the cursor of the next page holds; None where there is none."""
    return None if following is None else (asked.order.name, *following)


def next_of(asked: Slice, following: Position | None) -> str | None:
    """The cursor of the next page; None where there is none."""
    place = place_of(asked, following)
    return None if place is None else cursor(place)


def _order(request: web.Request, sorts: Sorts, with_personal: bool) -> Order:
    name = request.query.get("sort", "")
    choices = sorts.names(with_personal)
    if name and name not in choices:
        raise unknown("sort", choices)
    return sorts.order(name)


def _position(request: web.Request, order: Order) -> Position | None:
    """The place that the cursor holds. Raises Rejected(bad_cursor | bad_filter)."""
    place = after(request, tuple[str, Any, Any])
    if place is None:
        return None
    name, value, tie = place
    if name != order.name:
        text = "`after` is a cursor of another order; keep `sort` as it was, or leave `after` out"
        raise Rejected("bad_filter", text)
    kind: Any = order.column.kind | None if order.column.may_lack else order.column.kind
    try:
        return Position(msgspec.convert(value, kind), msgspec.convert(tie, order.tie_kind))
    except msgspec.ValidationError as error:
        raise Rejected("bad_cursor", "`after` is not a cursor of this list") from error
