"""Rows of a file in chunks: whose they are, as samples, with a verdict on each that is refused.

Pure but for reading the file; who the customers are is asked between the two halves.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from fitstream import samples
from fitstream.events import SampleColumns
from fitstream.posts import verdict_of
from fitstream.samples import Decoded, Envelope, SampleRow, Verdict, Window
from fitstream.uploads.mapper import Cells, Mapper
from fitstream.uploads.tabular import TableFile
from fitstream.uploads.timestamps import RowRefused

_ENVELOPE = Envelope(device_id="upload", sent_at=datetime(1970, 1, 1, tzinfo=UTC))
_UNREADABLE = (msgspec.ValidationError, ValueError, OverflowError)


class Wearer(NamedTuple):
    """A customer whose rows may come in."""

    customer_no: int
    id: str
    zone: str


class Read(NamedTuple):
    """A row that says whose it is; `key` is "" where the file does not."""

    index: int  # type: ignore[assignment]  # as in samples.Verdict
    key: str
    cells: Cells


class Chunk(NamedTuple):
    """Some rows of a file, and verdicts on those that cannot be read at all."""

    first: int
    next: int
    reads: Sequence[Read]
    refused: Sequence[Verdict]

    @property
    def keys(self) -> set[str]:
        """Whose rows these are."""
        return {read.key for read in self.reads}


class Group(NamedTuple):
    """Accepted rows of one customer with their indexes in the file, and verdicts on the others."""

    wearer: Wearer
    columns: SampleColumns
    indexes: Sequence[int]
    refused: Sequence[Verdict]


class Judged(NamedTuple):
    """A chunk by customer; `refused` are rows of nobody."""

    groups: Sequence[Group]
    refused: Sequence[Verdict]


def chunks(table: TableFile, mapper: Mapper, is_strict: bool, size: int) -> Iterator[Chunk]:
    """The file in chunks of `size` rows. Raises Rejected when it cannot be read on."""
    reads: list[Read] = []
    refused: list[Verdict] = []
    first = index = 0
    for index, row in enumerate(table.rows(mapper.columns, is_strict), 1):
        try:
            if isinstance(row, RowRefused):
                raise row
            reads.append(Read(index - 1, mapper.customer_of(row), row))
        except RowRefused as error:
            refused.append(Verdict(index - 1, error.code, str(error)))
        if index - first == size:
            yield Chunk(first, index, reads, refused)
            first, reads, refused = index, [], []
    if index > first:
        yield Chunk(first, index, reads, refused)


def judge(chunk: Chunk, wearers: Mapping[str, Wearer], mapper: Mapper, accepted: Window) -> Judged:
    """The verdict on every row; rows of customers that `wearers` lacks are refused."""
    refused = list(chunk.refused)
    by_customer: dict[Wearer, list[Read]] = {}
    for read in chunk.reads:
        wearer = wearers.get(read.key)
        if wearer is None:
            text = f"no customer {read.key[:60]!r} to whom this upload may give rows"
            refused.append(Verdict(read.index, "unknown_customer", text))
        else:
            by_customer.setdefault(wearer, []).append(read)
    groups = [_group(wearer, reads, mapper, accepted) for wearer, reads in by_customer.items()]
    return Judged(groups, sorted(refused))


def _group(wearer: Wearer, reads: Sequence[Read], mapper: Mapper, accepted: Window) -> Group:
    rows: list[SampleRow] = []
    indexes: list[int] = []
    refused: list[Verdict] = []
    for read in reads:
        try:
            rows.append(mapper.row(read.cells, wearer.zone))
            indexes.append(read.index)
        except RowRefused as error:
            refused.append(Verdict(read.index, error.code, str(error)))
        except _UNREADABLE as error:
            refused.append(verdict_of(read.index, error, None))
    checked = samples.check(Decoded(_ENVELOPE, rows, indexes, refused), accepted)
    out = {verdict.index for verdict in checked.rejected}
    kept = [index for index in indexes if index not in out]
    return Group(wearer, checked.columns, kept, checked.rejected)
