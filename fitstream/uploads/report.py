"""What a dry run says of a file: a verdict on every row in parts, and sums over all of them.

Pure. A part is a chunk of the file; its sums stand in the report, so that a reader who wants only
some rows opens only the parts that have them.
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from fitstream.samples import Verdict
from fitstream.uploads.compare import OUTCOMES, Changes, Outcome

_CUSTOMERS_SHOWN = 100
_PART_BYTES_MAX = 64 * 2**20


class RowVerdict(msgspec.Struct, frozen=True, array_like=True):
    """What would become of a row of the file, `index` counted from 0 below the header."""

    index: int
    outcome: Outcome
    customer: str | None = None
    slot: int | None = None
    code: str | None = None
    message: str | None = None
    changes: Changes = {}


class Part(msgspec.Struct, frozen=True):
    """Rows [first, next) of the file, and how many had which outcome."""

    first: int
    next: int
    outcomes: dict[str, int]


class Report(msgspec.Struct, kw_only=True):
    """Sums over a file; `prefix` is where its parts lie."""

    prefix: str = ""
    rows: int = 0
    outcomes: dict[str, int] = {}
    codes: dict[str, int] = {}
    customers: int = 0
    by_customer: dict[str, dict[str, int]] = {}
    first_slot: int | None = None
    last_slot: int | None = None
    parts: list[Part] = []


class Summing:
    """A report in the making."""

    def __init__(self, prefix: str) -> None:
        self._report = Report(prefix=prefix)
        self._customers: set[str] = set()

    def add(self, first: int, end: int, verdicts: Sequence[RowVerdict]) -> None:
        """Counts a chunk."""
        report = self._report
        outcomes: dict[str, int] = {}
        for verdict in verdicts:
            _count(outcomes, verdict.outcome)
            _count(report.outcomes, verdict.outcome)
            if verdict.code:
                _count(report.codes, verdict.code)
            if verdict.customer is not None:
                self._count_customer(verdict.customer, verdict.outcome)
            if verdict.slot is not None and verdict.outcome != "rejected":
                report.first_slot = min(verdict.slot, report.first_slot or verdict.slot)
                report.last_slot = max(verdict.slot, report.last_slot or verdict.slot)
        report.rows = end
        report.parts.append(Part(first, end, outcomes))

    def done(self) -> Report:
        """The sums of all chunks."""
        self._report.customers = len(self._customers)
        return self._report

    def _count_customer(self, customer: str, outcome: str) -> None:
        self._customers.add(customer)
        shown = self._report.by_customer
        if customer in shown or len(shown) < _CUSTOMERS_SHOWN:
            _count(shown.setdefault(customer, {}), outcome)


def refusals(verdicts: Iterable[Verdict], customer: str | None) -> list[RowVerdict]:
    """Refused rows as the report has them."""
    return [
        RowVerdict(each.index, "rejected", customer, each.slot, each.code, each.message)
        for each in verdicts
    ]


def part_key(prefix: str, part: Part) -> str:
    """Object name of a part."""
    return f"{prefix}rows-{part.first:09d}.msgpack"


def encode_part(verdicts: Sequence[RowVerdict]) -> bytes:
    """A part's bytes, rows by index."""
    return zlib.compress(msgspec.msgpack.encode(sorted(verdicts, key=lambda each: each.index)), 1)


def decode_part(body: bytes) -> list[RowVerdict]:
    """Inverse of `encode_part`."""
    inflated = zlib.decompressobj().decompress(body, _PART_BYTES_MAX)
    return msgspec.msgpack.decode(inflated, type=list[RowVerdict])


def parts_with(report: Report, only: Sequence[str], start: int) -> list[Part]:
    """Parts that have rows of these outcomes (all by default) from row `start` on."""
    wanted = set(only) or set(OUTCOMES)
    return [part for part in report.parts if part.next > start and wanted & part.outcomes.keys()]


def _count(counts: dict[str, Any], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
