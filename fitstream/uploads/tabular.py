"""Files of lines: CSV and NDJSON, plain or gzip, read a bounded line at a time.

A line that cannot be read spoils its own row only. Must not judge values.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

import msgspec

from fitstream.errors import Rejected
from fitstream.uploads.mapper import Cells
from fitstream.uploads.timestamps import RowRefused

COLUMNS_MAX = 500
LINE_MAX = 65_536
_GZIP = b"\x1f\x8b"
_DELIMITERS = ",;\t|"
_HEADER_ROWS = 1000
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BROKEN = (gzip.BadGzipFile, EOFError, zlib.error)
_JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

Row = Cells | RowRefused


class Bounds(NamedTuple):
    """What a file may be at most."""

    rows: int
    inflated_bytes: int


class TableFile(Protocol):
    """A file of rows; `kinds` are the types of its columns, in words."""

    header: list[str]
    kinds: list[str]

    def rows(self, columns: Sequence[str], is_strict: bool) -> Iterator[Row]:
        """Rows in order, each as its cells by `header`; only `columns` need have values.

        With `is_strict` a row with a field that the header lacks is refused. Raises Rejected when
        the file cannot be read on, or is larger than its bounds.
        """
        ...

    def share(self) -> float:
        """How much of the file `rows` has read, 0 to 1."""
        ...


class _Lines:
    """Lines of a file as bytes, none longer than LINE_MAX, all together within the bounds."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self._path = path
        self._bounds = bounds
        self._size = max(path.stat().st_size, 1)
        self._at = 0
        with path.open("rb") as file:
            self._is_gzip = file.read(2) == _GZIP

    def share(self) -> float:
        return min(self._at / self._size, 1.0)

    def read(self) -> Iterator[bytes | None]:
        """Each line without its end; None for one that is too long. Raises Rejected."""
        with self._path.open("rb") as raw:
            source = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if self._is_gzip else raw
            inflated = 0
            is_long = False
            try:
                while part := source.readline(LINE_MAX):
                    inflated += len(part)
                    if inflated > self._bounds.inflated_bytes:
                        raise _too_large(self._bounds)
                    self._at = raw.tell()
                    is_whole = part.endswith(b"\n") or len(part) < LINE_MAX
                    if is_whole and (is_long or part.strip()):
                        yield None if is_long else part.rstrip(b"\r\n")
                    is_long = not is_whole
                if is_long:
                    yield None
            except _BROKEN as error:
                raise Rejected("unreadable", f"the file is no sound gzip: {error}", 422) from error


class CsvFile:
    """Comma, semicolon, tab or bar separated, with a header line."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self._lines = _Lines(path, bounds)
        self._bounds = bounds
        first = next(self._lines.read(), b"")
        text = _header_text(first)
        self._delimiter = max(_DELIMITERS, key=text.count)
        self.header = [name.strip() for name in self._split(text)]
        self.kinds = ["text"] * len(self.header)
        _check_columns(self.header)

    def rows(self, columns: Sequence[str], is_strict: bool) -> Iterator[Row]:  # noqa: ARG002
        lines = self._lines.read()
        next(lines, None)
        for count, line in enumerate(lines, 1):
            _check_rows(count, self._bounds)
            yield self._row(line)

    def share(self) -> float:
        return self._lines.share()

    def _row(self, line: bytes | None) -> Row:
        if line is None:
            return RowRefused("wrong_type", f"the line is longer than {LINE_MAX} bytes")
        try:
            cells = self._split(line.decode())
        except UnicodeDecodeError:
            return RowRefused("wrong_type", "the line is not UTF-8")
        if len(cells) != len(self.header):
            text = f"the row has {len(cells)} cells, the header {len(self.header)}"
            return RowRefused("wrong_type", text)
        return cells

    def _split(self, line: str) -> list[str]:
        """Each line by itself, as no cell holds a line break: a stray quote spoils one row."""
        try:
            return next(csv.reader([line], delimiter=self._delimiter, strict=True))
        except (csv.Error, StopIteration):
            return [line]


class NdjsonFile:
    """One JSON object a line; its columns are the fields of the first thousand."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self._lines = _Lines(path, bounds)
        self._bounds = bounds
        kinds: dict[str, str] = {}
        for at, line in enumerate(self._lines.read()):
            row = _object(line)
            if isinstance(row, dict):
                for name, value in row.items():
                    kinds.setdefault(name, type(value).__name__)
            if at >= _HEADER_ROWS or len(kinds) > COLUMNS_MAX:
                break
        self.header = list(kinds)
        self.kinds = list(kinds.values())
        _check_columns(self.header)

    def rows(self, columns: Sequence[str], is_strict: bool) -> Iterator[Row]:  # noqa: ARG002
        known = set(self.header)
        for count, line in enumerate(self._lines.read(), 1):
            _check_rows(count, self._bounds)
            row = _object(line)
            if isinstance(row, RowRefused):
                yield row
            elif is_strict and (extra := row.keys() - known):
                yield RowRefused("unknown_field", f"field {min(extra)[:40]!r} is unknown")
            else:
                yield [row.get(name) for name in self.header]

    def share(self) -> float:
        return self._lines.share()


def _object(line: bytes | None) -> dict[str, Any] | RowRefused:
    if line is None:
        return RowRefused("wrong_type", f"the line is longer than {LINE_MAX} bytes")
    try:
        found = msgspec.json.decode(line)
    except _JSON_ERRORS as error:
        return RowRefused("wrong_type", f"the line is not JSON: {str(error)[:100]}")
    if not isinstance(found, dict):
        return RowRefused("wrong_type", "the line is no JSON object")
    return found


def _header_text(line: bytes | None) -> str:
    if line is None:
        text = f"the header line is longer than {LINE_MAX} bytes"
        raise Rejected("unreadable", text, 422)
    if line[:2] in _UTF16:
        raise Rejected("unreadable", "the file is UTF-16; save it as UTF-8", 422)
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Rejected("unreadable", "the file is no text in UTF-8", 422) from error
    if not text.strip() or "\x00" in text:
        raise Rejected("unreadable", "the file has no header line that names its columns", 422)
    return text


def _check_columns(header: Sequence[str]) -> None:
    if not header:
        raise Rejected("unreadable", "the file has no rows with columns", 422)
    if len(header) > COLUMNS_MAX:
        raise Rejected("too_many_columns", f"a file may have {COLUMNS_MAX} columns", 422)


def _check_rows(count: int, bounds: Bounds) -> None:
    if count > bounds.rows:
        text = f"a file may have {bounds.rows} rows; send it in parts"
        raise Rejected("too_many_rows", text, 422)


def _too_large(bounds: Bounds) -> Rejected:
    text = f"the file has more than {bounds.inflated_bytes} bytes inflated; send it in parts"
    return Rejected("file_too_large", text, 422)
