"""Parquet files: what their footer claims is checked before anything is read by it.

Only columns of plain values are read, a few thousand rows at a time. What lies in spite of that
ends its own process, which has a limit of memory.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from fitstream.errors import Rejected
from fitstream.uploads.tabular import COLUMNS_MAX, Bounds, Row

_BATCH_ROWS = 2000
_BATCH_BYTES = 256 * 2**20
_GROUPS_MAX = 10_000
_THRIFT_TEXT = 16 * 2**20
_THRIFT_ITEMS = 1_000_000
_ERRORS = (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, MemoryError)
_PLAIN = (
    pt.is_integer, pt.is_floating, pt.is_boolean, pt.is_string, pt.is_large_string,
    pt.is_timestamp, pt.is_date, pt.is_time, pt.is_decimal,
)  # fmt: skip


class ParquetTable:
    """One Parquet file. Raises Rejected(unreadable, too_many_columns, too_many_rows)."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self._file = _opened(path)
        _check_footer(self._file, bounds)
        self._schema = self._schema_of()
        self._total = max(int(self._file.metadata.num_rows), 1)
        self._rows = bounds.rows
        self._done = 0
        self.header = [str(name) for name in self._schema.names]
        self.kinds = [str(field.type)[:60] for field in self._schema]

    def rows(self, columns: Sequence[str], is_strict: bool) -> Iterator[Row]:  # noqa: ARG002
        self._done = 0
        wanted = set(columns)
        read = [name for name in self.header if name in wanted]
        self._check_types(read)
        places = [self.header.index(name) for name in read]
        for batch in self._batches(read):
            for values in zip(*batch, strict=True):
                cells: list[Any] = [None] * len(self.header)
                for at, value in zip(places, values, strict=True):
                    cells[at] = value
                self._done += 1
                if self._done > self._rows:
                    text = f"a file may have {self._rows} rows; send it in parts"
                    raise Rejected("too_many_rows", text, 422)
                yield cells

    def share(self) -> float:
        return min(self._done / self._total, 1.0)

    def plain_columns(self) -> list[str]:
        """Columns that can be read at all."""
        return [field.name for field in self._schema if _is_plain(field.type)]

    def _batches(self, columns: list[str]) -> Iterator[list[list[Any]]]:
        batches = self._file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False)
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                if batch.nbytes > _BATCH_BYTES:
                    text = f"{_BATCH_ROWS} rows take more than {_BATCH_BYTES} bytes"
                    raise Rejected("file_too_large", text, 422)
                # Columns come in the order of the file, whatever was asked.
                yield [_values(batch.column(batch.schema.names.index(name))) for name in columns]
            except _ERRORS as error:
                raise _unreadable(error) from error

    def _check_types(self, columns: Sequence[str]) -> None:
        for name in columns:
            kind = self._schema.field(name).type
            if not _is_plain(kind):
                text = f"column {name[:60]!r}: values of type {str(kind)[:60]} cannot be read"
                raise Rejected("bad_mapping", text, 422, {"column": name[:256]})

    def _schema_of(self) -> Any:
        try:
            return self._file.schema_arrow
        except _ERRORS as error:
            raise _unreadable(error) from error


def _opened(path: Path) -> Any:
    try:
        return pq.ParquetFile(
            path,
            memory_map=False,
            pre_buffer=False,
            buffer_size=1_048_576,
            thrift_string_size_limit=_THRIFT_TEXT,
            thrift_container_size_limit=_THRIFT_ITEMS,
            page_checksum_verification=True,
            arrow_extensions_enabled=False,
        )
    except _ERRORS as error:
        raise _unreadable(error) from error


def _check_footer(file: Any, bounds: Bounds) -> None:
    facts = file.metadata
    if facts.num_columns > COLUMNS_MAX:
        raise Rejected("too_many_columns", f"a file may have {COLUMNS_MAX} columns", 422)
    if not 0 <= facts.num_rows <= bounds.rows:
        text = f"a file may have {bounds.rows} rows; send it in parts"
        raise Rejected("too_many_rows", text, 422)
    if facts.num_row_groups > _GROUPS_MAX:
        raise Rejected("unreadable", f"a file may have {_GROUPS_MAX} row groups", 422)
    size = 0
    for at in range(facts.num_row_groups):
        size += max(int(facts.row_group(at).total_byte_size), 0)
    if size > bounds.inflated_bytes:
        text = f"the file has more than {bounds.inflated_bytes} bytes inflated; send it in parts"
        raise Rejected("file_too_large", text, 422)


def _is_plain(kind: Any) -> bool:
    if pt.is_dictionary(kind):
        kind = kind.value_type
    return any(test(kind) for test in _PLAIN)


def _values(column: Any) -> list[Any]:
    """Cells as Python has them; instants to the microsecond, as Python has no finer ones."""
    kind = column.type
    if pt.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pt.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", tz=kind.tz), safe=False)
    if pt.is_time64(kind):
        column = column.cast(pa.time64("us"), safe=False)
    found: list[Any] = column.to_pylist()
    return found


def _unreadable(error: BaseException) -> Rejected:
    text = f"the file is no Parquet that can be read: {str(error)[:200]}"
    return Rejected("unreadable", text, 422)
