"""Posting as a device does: nothing is given up while the gateway may come back, all is counted.

Must not know where rows come from: real files and simulated wearers use the same door.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from fitstream.errors import FitstreamError, Rejected

PATIENCE_S = 300.0  # how long an outage may last before rows count as not delivered

SentRow = dict[str, Any]


class Posts(Protocol):
    """What is needed of the API to post; `client.Client` is it."""

    async def post_samples(
        self, post: Mapping[str, Any], *, patience_s: float | None = None
    ) -> Any:
        """The receipt of a post."""
        ...


class Refused(NamedTuple):
    """Why a row was not accepted; `retry` says whether sending it later can help."""

    code: str
    retry: bool


class Verdicts(NamedTuple):
    """What became of a post: refused rows by index, and when the device may post again."""

    refused: dict[int, Refused]
    next_post_at: datetime | None = None
    server_time: datetime | None = None


@dataclass
class Totals:
    """Rows by what became of them; `rows` are those that were to be posted, where that is known."""

    rows: int = 0
    posts: int = 0
    posted: int = 0
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def rejected_in_all(self) -> int:
        """Rows that the gateway refused."""
        return sum(self.rejected.values())

    @property
    def undelivered(self) -> int:
        """Rows without an answer: neither accepted nor rejected."""
        return max(self.rows, self.posted) - self.accepted - self.rejected_in_all


class NotDelivered(FitstreamError):
    """The gateway stayed away too long, or does not take this device's posts."""


Remember = Callable[[str, str, Sequence[SentRow]], None]


class Delivery:
    """One way to the gateway: posts, counts, and remembers what was acknowledged.

    `remember` is told customer, device and accepted rows of each post.
    """

    def __init__(
        self, totals: Totals, remember: Remember | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        self.totals = totals
        self._remember = remember
        self._patience_s = patience_s

    async def post(self, posts: Posts, customer_id: str, post: Mapping[str, Any]) -> Verdicts:
        """Verdicts on the rows of a post, when there are any. Raises NotDelivered."""
        rows: Sequence[SentRow] = post["samples"]
        totals = self.totals
        totals.posted += len(rows)
        verdicts = await self._answer(posts, post)
        totals.posts += 1
        totals.accepted += len(rows) - len(verdicts.refused)
        totals.rejected.update(refused.code for refused in verdicts.refused.values())
        if self._remember is not None:
            kept = [row for index, row in enumerate(rows) if index not in verdicts.refused]
            self._remember(customer_id, post["device_id"], kept)
        return verdicts

    async def _answer(self, posts: Posts, post: Mapping[str, Any]) -> Verdicts:
        try:
            receipt = await posts.post_samples(post, patience_s=self._patience_s)
        except Rejected as error:
            if error.code == "nothing_acceptable":
                return Verdicts(_refused(error.extra["rejected"]))
            self.totals.reasons[error.code] += len(post["samples"])
            raise NotDelivered(f"{error.code}: {error.message}") from error
        except FitstreamError as error:
            self.totals.reasons[type(error).__name__.lower()] += len(post["samples"])
            raise NotDelivered(str(error)) from error
        refused = {row.index: Refused(row.code, row.retry) for row in receipt.rejected}
        return Verdicts(refused, receipt.next_post_at, receipt.server_time)


def _refused(rows: Any) -> dict[int, Refused]:
    return {row["index"]: Refused(row["code"], bool(row.get("retry"))) for row in rows}
