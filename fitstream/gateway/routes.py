"""What a module of `api/` tells of each of its routes: where it is, and what it takes and answers.

One table serves the router, the policy test and the OpenAPI document, so that they cannot differ.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
JSON = "application/json"
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_REPLACES = frozenset({"PUT", "PATCH", "DELETE"})


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
    """Query parameters, by their names in `parameters.QUERY`; others are refused."""
    is_tolerant: bool = False
    """Whether other query parameters are passed over: OAuth wants it so, and probes add theirs."""
    tag: str = ""
    summary: str = ""
    reads: tuple[str, ...] = (JSON,)
    """Media types of the body; without `takes` a body of the first one is text or bytes."""
    writes: str = JSON
    """Media type of the answer; empty for an answer without a body."""
    others: tuple[tuple[int, Any], ...] = ()
    """Further answers that are no problems: (status, type or None)."""
    problems: tuple[int, ...] = ()
    """Statuses of problems beside those that every route of its shape has."""
    is_keyed: bool = True
    """Whether an unsafe call may carry `Idempotency-Key`."""
    keeps_itself: bool = False
    """Whether the handler keeps the answer, as its body is too large to be held beforehand."""
    example: Any = None
    """A body that would be accepted."""
    state_of: str = ""
    """Path of the resource that an action changes: what `If-Match` is about."""

    @property
    def changes(self) -> str | None:
        """Path of the resource whose state a change is about; None for what reads or creates."""
        if self.state_of:
            return self.state_of
        return self.path if self.method in _REPLACES else None


def route_table(routes: Iterable[Route]) -> dict[str, Route]:
    """Routes by their names, and by `GET <path>` those that read."""
    table = {}
    for route in routes:
        table[route.name] = route
        if route.method == "GET":
            table[f"GET {route.path}"] = route
    return table
