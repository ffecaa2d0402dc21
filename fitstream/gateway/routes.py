"""What a module of `api/` tells of each of its routes: where it is, and what it takes and answers.

One table serves the router, the policy test and the OpenAPI document, so that they cannot differ.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """One method of one path; `name` is its entry in `policy.py` and its OpenAPI operation id."""

    method: str
    path: str
    handler: Handler
    name: str
    takes: Any = None
    """The msgspec type of the JSON body."""
    gives: Any = None
    """The msgspec type of the answer with `status`; None for an answer without JSON."""
    status: int = 200
    query: tuple[str, ...] = ()
    """Query parameters, by their names in `openapi.QUERY`."""
    tag: str = ""
    summary: str = ""
