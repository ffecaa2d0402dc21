"""Which programmes a caller sees: what a path names must lie in one of them.

The path decides nothing by itself: everything it names is looked up, and what belongs to another
programme does not exist. A parameter that is not known here is refused to whoever does not see all
programmes, and a test fails. Lists filter by `Principal.within()` in their queries.
"""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from fitstream.errors import NotFound
from fitstream.gateway.keys import REPO
from fitstream.gateway.principal import PRINCIPAL, Principal
from fitstream.repo import customers, scoping
from fitstream.repo.customers import Programme
from fitstream.repo.database import Db

Lookup = Callable[[Db, str], Awaitable[int | None]]

LOOKUPS: dict[str, Lookup] = {
    "programme": scoping.programme,
    "customer": scoping.customer,
    "job": scoping.job,
    "run": scoping.run,
    "model": scoping.model,
    "letter": scoping.letter,
    "upload": scoping.upload,
}
# Names that mean something only below one of the others, or nothing of a programme.
INSIDE = frozenset(
    {"mapping", "way", "device", "week", "version", "session", "grant", "rest", "path", "uid",
     "forecast", "token", "object", "mail"}
)  # fmt: skip
# Names of what may belong to several programmes: their handlers ask `covers`.
MANAGED = frozenset({"account", "client", "key"})


async def check_path(request: web.Request, principal: Principal) -> None:
    """Raises NotFound when the path names anything of a programme that the caller does not see."""
    if principal.programmes is None:
        return
    for name, value in request.match_info.items():
        if name in INSIDE | MANAGED:
            continue
        lookup = LOOKUPS.get(name)
        if lookup is None:
            raise NotFound(f"{name} {value}")
        async with request.app[REPO].connection() as db:
            if not principal.sees(await lookup(db, value)):
                raise NotFound(f"{name} {value}")


async def programme_of(db: Db, principal: Principal, programme_id: str) -> Programme:
    """A programme that a body or query names; raises NotFound unless the caller sees it."""
    found = await customers.get_programme(db, programme_id)
    if not principal.sees(found.programme_no):
        raise NotFound(f"programme {programme_id}")
    return found


def covers(principal: Principal, programmes: Sequence[int] | None) -> bool:
    """Whether the caller manages what belongs to these programmes (None: to all)."""
    if principal.programmes is None:
        return True
    return programmes is not None and set(programmes) <= principal.programmes


async def numbers_of(
    db: Db, principal: Principal, programme_ids: Sequence[str] | None
) -> list[int] | None:
    """Numbers of programmes that the caller sees; without ids all those of the caller.

    Raises NotFound for another.
    """
    if programme_ids is None:
        return principal.within()
    found = [await programme_of(db, principal, each) for each in programme_ids]
    return sorted({programme.programme_no for programme in found})


async def ids_of(db: Db, numbers: Sequence[int] | None) -> list[str] | None:
    """Public ids of programmes, None for all."""
    if numbers is None:
        return None
    return [programme.id for programme in await customers.list_programmes(db, numbers)]


def within(request: web.Request) -> list[int] | None:
    """Numbers of the programmes that lists may show to the caller, None for all."""
    return request[PRINCIPAL].within()


async def check_customer(db: Db, principal: Principal, customer_id: str) -> None:
    """Raises NotFound unless the caller sees the customer that a body or query names."""
    if principal.programmes is not None and not principal.sees(
        await scoping.customer(db, customer_id)
    ):
        raise NotFound(f"customer {customer_id}")
