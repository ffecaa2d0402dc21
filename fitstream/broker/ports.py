"""The two ports: what a Producer and a Source promise, whatever stands behind them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes]]


class Record(NamedTuple):
    """An event as read: where it stands and its bytes."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: dict[str, bytes]
    timestamp_ms: int


class Position(NamedTuple):
    """Where an acknowledged event stands."""

    partition: int
    offset: int


class Producer(Protocol):
    """Sends events; returns only after the broker has them (acks=all)."""

    async def send(self, topic: str, key: bytes, value: bytes, headers: Headers) -> Position:
        """Position of the stored event.

        Raises Unavailable when the outcome is not known, Rejected(too_large) for one over 1 MiB.
        """
        ...

    async def ping(self) -> None:
        """Raises Unavailable unless the broker answers."""
        ...


class Source(Protocol):
    """Reads events of one group; positions are the caller's, never the library's."""

    async def poll(self, timeout_s: float) -> list[Record]:
        """Records in order per partition, perhaps none. Raises Unavailable."""
        ...

    def epoch(self) -> int:
        """Rises with every rebalance: positions taken under another epoch are void."""
        ...

    def assigned(self) -> set[int]:
        """Partitions that are this consumer's now."""
        ...

    async def seek(self, partition: int, offset: int) -> None:
        """The next poll starts at `offset`."""
        ...

    async def passed(self, partition: int) -> int:
        """Where the client stands: behind what it has delivered, and what it has passed over."""
        ...

    async def ends(self, partition: int) -> tuple[int, int]:
        """(log start, log end) of the partition."""
        ...

    async def committed(self, partition: int) -> int | None:
        """The group's committed offset."""
        ...

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Stores next offsets; what a rebalance took away is dropped in silence."""
        ...

    async def fetch_one(self, partition: int, offset: int) -> Record | None:
        """The record at `offset`, None where there is none (retention, compaction).

        Raises Unavailable where it is and does not come in time.
        """
        ...
