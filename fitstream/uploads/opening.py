"""Which kind of file it is, from its first bytes, and the file opened as that kind."""

import zlib
from importlib import import_module
from pathlib import Path
from typing import Literal

from fitstream.uploads.tabular import Bounds, CsvFile, NdjsonFile, TableFile

Format = Literal["csv", "ndjson", "parquet", "legacy_daily"]
PEEK_BYTES = 8192
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_GZIP_WINDOW = 31
_LEGACY_MARKS = (b"activeScore", b"marginalCalories", b"heartData")


def format_of(first: bytes) -> Format:
    """The kind of a file that begins with `first` (PEEK_BYTES of it); CSV unless it shows."""
    if first.startswith(_PARQUET):
        return "parquet"
    text = _inflated(first) if first.startswith(_GZIP) else first
    line = text.removeprefix(b"\xef\xbb\xbf").lstrip()
    if line.startswith(b"{"):
        return "ndjson"
    header = line.partition(b"\n")[0]
    return "legacy_daily" if all(mark in header for mark in _LEGACY_MARKS) else "csv"


def open_table(path: Path, kind: Format, bounds: Bounds) -> TableFile:
    """The file as a table. Raises Rejected(unreadable) and what its kind raises."""
    if kind == "parquet":
        table: TableFile = import_module("fitstream.uploads.columnar").ParquetTable(path, bounds)
        return table
    return NdjsonFile(path, bounds) if kind == "ndjson" else CsvFile(path, bounds)


def _inflated(first: bytes) -> bytes:
    try:
        return zlib.decompressobj(_GZIP_WINDOW).decompress(first, PEEK_BYTES)
    except zlib.error:
        return b""
