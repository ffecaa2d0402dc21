"""Lists that are pages, as one iteration or one list."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from fitstream.client.data import Items

T = TypeVar("T")


async def each(ask: Callable[[str], Awaitable[Items[T]]]) -> AsyncIterator[T]:
    """Every item of a list, page by page; `ask` answers the page after a cursor.

    `async for customer in each(lambda after: client.customers(after=after))`
    """
    after: str | None = ""
    while after is not None:
        page = await ask(after)
        for item in page.items:
            yield item
        after = page.next


async def every(ask: Callable[[str], Awaitable[Items[T]]]) -> list[T]:
    """All items of a list that is known to be short."""
    return [item async for item in each(ask)]
