"""The body of a post to rows: JSON or CSV, one verdict per unreadable row.

Must not judge values: that is `samples.check`.
"""

import csv
import io
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from fitstream.errors import Rejected
from fitstream.samples import Decoded, Envelope, SampleRow, Verdict, parse_slot


class Post(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON post: envelope and rows."""

    samples: list[SampleRow]


class _RawPost(Envelope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    samples: list[msgspec.Raw]


_post = msgspec.json.Decoder(Post)
_raw_post = msgspec.json.Decoder(_RawPost)
_row = msgspec.json.Decoder(SampleRow)
_anything = msgspec.json.Decoder()
_FIELDS = frozenset(SampleRow.__struct_fields__)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_FIELD_AT = re.compile(r" - at `\$\.([^`]+)`")


def decode_json(body: bytes, rows_max: int) -> Decoded:
    """Rows of a JSON post. Raises Rejected when the envelope itself cannot be read."""
    try:
        post = _post.decode(body)
    except _UNREADABLE:
        return _decode_rows(body, rows_max)
    _check_count(len(post.samples), rows_max)
    return Decoded(post, post.samples, range(len(post.samples)), [])


def _decode_rows(body: bytes, rows_max: int) -> Decoded:
    """The same for a post of which at least one row, or the envelope, is wrong."""
    post = _split(body)
    _check_count(len(post.samples), rows_max)
    rows, indexes, rejected = [], [], []
    for index, raw in enumerate(post.samples):
        try:
            rows.append(_row.decode(raw))
            indexes.append(index)
        except _UNREADABLE as error:
            rejected.append(verdict_of(index, error, _slot(raw)))
    return Decoded(post, rows, indexes, rejected)


def _split(body: bytes) -> _RawPost:
    """The envelope, and each row as its own text."""
    try:
        return _raw_post.decode(body)
    except msgspec.ValidationError as error:
        raise Rejected(_code(str(error), "unreadable"), f"the envelope: {error}") from error
    except _UNREADABLE:
        return _split_slowly(body)


def _split_slowly(body: bytes) -> _RawPost:
    """The same where a row holds what msgspec cannot skip: NaN, or half a surrogate pair."""
    try:
        found = json.loads(body.decode())
        rows = found.pop("samples")
        fields = json.dumps(found | {"samples": []}).encode()
        texts = [msgspec.Raw(json.dumps(row).encode()) for row in rows]
        return msgspec.structs.replace(_raw_post.decode(fields), samples=texts)
    except (*_UNREADABLE, ValueError, TypeError, AttributeError, KeyError) as error:
        text = (
            f"the body is not JSON ({error}): send one object with device_id, sent_at and samples"
        )
        raise Rejected("unreadable", text) from error


def decode_csv(body: bytes, query: Mapping[str, str], rows_max: int) -> Decoded:
    """Rows of a CSV post whose header names the fields; the envelope stands in the query."""
    envelope = _envelope(query)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = f"the body is not UTF-8 CSV ({error}): write it as UTF-8 with a header line"
        raise Rejected("unreadable", text) from error
    lines = [_cells(line) for line in io.StringIO(text, newline=None) if line.strip()]
    if not lines:
        raise Rejected("unreadable", "the CSV has no header line; name the columns, `slot` first")
    header = [name.strip() for name in lines[0]]
    _check_header(header)
    _check_count(len(lines) - 1, rows_max)
    rows, indexes, rejected = [], [], []
    for index, line in enumerate(lines[1:]):
        try:
            rows.append(_csv_row(header, line))
            indexes.append(index)
        except (msgspec.ValidationError, ValueError) as error:
            text = dict(zip(header, line, strict=False)).get("slot", "")
            rejected.append(verdict_of(index, error, _slot_of(text.strip())))
    return Decoded(envelope, rows, indexes, rejected)


def _cells(line: str) -> list[str]:
    """Each line by itself, as no cell holds a line break: a stray quote spoils one row only."""
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error:
        return [line]


def _envelope(query: Mapping[str, str]) -> Envelope:
    known = {name: query[name] for name in Envelope.__struct_fields__ if name in query}
    try:
        return msgspec.convert(known, Envelope, strict=False)
    except msgspec.ValidationError as error:
        text = f"a CSV post carries its envelope in the query: {error}"
        raise Rejected(_code(str(error), "unreadable"), text) from error


def _check_header(header: list[str]) -> None:
    unknown = [name for name in header if name not in _FIELDS]
    if unknown:
        text = f"column {unknown[0][:40]!r} is unknown; columns are {', '.join(sorted(_FIELDS))}"
        raise Rejected("unknown_field", text, 422)
    if "slot" not in header or len(set(header)) < len(header):
        raise Rejected("missing_field", "the CSV needs each column once, and `slot`", 422)


def _csv_row(header: list[str], line: list[str]) -> SampleRow:
    if len(line) != len(header):
        raise ValueError(f"the row has {len(line)} cells, the header {len(header)}")
    cells: dict[str, Any] = {
        name: cell.strip() for name, cell in zip(header, line, strict=True) if cell.strip()
    }
    return row_of(cells)


def row_of(cells: dict[str, Any]) -> SampleRow:
    """A row from values by field, texts allowed. Raises ValidationError or ValueError."""
    row = msgspec.convert(cells, SampleRow, strict=False)
    for name in cells:
        value = getattr(row, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} is not a finite number")
    return row


def _check_count(count: int, rows_max: int) -> None:
    if count > rows_max:
        text = f"{count} samples in one post; send at most {rows_max} and the rest in another"
        raise Rejected("too_many_rows", text, 413)


def _slot(raw: msgspec.Raw) -> int | None:
    """The slot of a row that was refused for another reason, for the week's picture."""
    return _slot_of(_anything_of(raw).get("slot"))


def _slot_of(text: object) -> int | None:
    try:
        return parse_slot(text) if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None


def _anything_of(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        found = _anything.decode(raw)
    except _UNREADABLE:
        return {}
    return found if isinstance(found, dict) else {}


def verdict_of(index: int, error: Exception, slot: int | None) -> Verdict:
    """The verdict on a row that could not be decoded; `slot` where that much could be read."""
    text = str(error)
    found = _FIELD_AT.search(text)
    named = f"{found.group(1)}: {text[: found.start()]}" if found else text
    return Verdict(index, _code(text, "wrong_type"), named, False, slot)


def _code(message: str, otherwise: str) -> str:
    if "unknown field" in message:
        return "unknown_field"
    if "missing required field" in message:
        return "missing_field"
    if "` >= " in message or "` <= " in message or "out of range" in message:
        return "out_of_range"
    return otherwise
