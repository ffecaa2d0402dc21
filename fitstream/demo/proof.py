"""Proves that the ledger equals what was accepted: slot by slot, read back through the API."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fitstream.client import Client
from fitstream.merge import METRICS

Rows = Sequence[Mapping[str, Any]]
_PAGE = "500"


class Proof(NamedTuple):
    """Slots compared, and those that differ, are missing, or that nobody sent."""

    compared: int
    different: int
    missing: int
    unknown: int

    @property
    def holds(self) -> bool:
        """Whether ledger and accepted rows are the same."""
        return not (self.different or self.missing or self.unknown)


async def prove(admin: Client, acknowledged: Mapping[str, Rows]) -> Proof:
    """Compares every customer's ledger with the rows that were acknowledged for them."""
    total = Proof(0, 0, 0, 0)
    for customer_id, rows in acknowledged.items():
        found = compare(rows, await _ledger(admin, customer_id))
        total = Proof(*(a + b for a, b in zip(total, found, strict=True)))
    return total


def compare(sent: Rows, held: Rows) -> Proof:
    """The accepted rows of one device against the rows of the ledger."""
    expected = {_instant(row["slot"]): _scaled(row) for row in sent}
    actual = {_instant(row["slot"]): _scaled(row) for row in held}
    both = expected.keys() & actual.keys()
    return Proof(
        compared=len(both),
        different=sum(expected[slot] != actual[slot] for slot in both),
        missing=len(expected.keys() - actual.keys()),
        unknown=len(actual.keys() - expected.keys()),
    )


async def _ledger(admin: Client, customer_id: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after = ""
    while True:
        page = await admin.samples(customer_id, after=after, limit=_PAGE)
        rows += page.items
        if page.next is None:
            return rows
        after = page.next


def _instant(text: str) -> np.datetime64:
    return np.datetime64(text.removesuffix("Z").removesuffix("+00:00"), "s")


def _scaled(row: Mapping[str, Any]) -> tuple[int | None, ...]:
    """Metrics as the gateway rounds them: scaled integers, halves to even."""
    return tuple(
        None if row.get(metric.name) is None else int(np.rint(row[metric.name] * metric.scale))
        for metric in METRICS
    )
