"""Lists of customers as CSV: read with a verdict per row, written so that no spreadsheet computes.

Pure. Columns: external_id, email, name, zone, consents; a row needs an external id or an e-mail.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from fitstream import clock
from fitstream.client.people import RowVerdict
from fitstream.errors import Rejected
from fitstream.gateway.api.customers import CreateCustomer
from fitstream.repo.customers import NewCustomer

COLUMNS = ("external_id", "email", "name", "zone", "consents")
ROWS_MAX = 2000
BYTES_MAX = 1_048_576
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_EXTRA = ""  # where cells stand that no column is for
_PURPOSES = ("training", "sharing")


class Wanted(NamedTuple):
    """A row that may become a customer."""

    line: int
    new: NewCustomer


class Listed(NamedTuple):
    """A list as read: rows that may become customers, and verdicts on the others."""

    wanted: list[Wanted]
    wrong: list[RowVerdict]


def read_list(raw: bytes, programme: str, zone: str) -> Listed:
    """The rows of a CSV with a header. `zone` is for rows without one.

    Raises Rejected(unreadable | unknown_column | too_many_rows) for a list that is none.
    """
    reader = csv.DictReader(io.StringIO(_text(raw), newline=""), restkey=_EXTRA, strict=True)
    try:
        _check_columns(reader.fieldnames or ())
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise Rejected("unreadable", f"the list is no CSV: {error}") from error
    if len(rows) > ROWS_MAX:
        raise Rejected("too_many_rows", f"split the list: {ROWS_MAX} rows at most", 413)
    listed = Listed([], [])
    seen: set[str] = set()
    for line, row in rows:
        cells = _cells(row) | {"programme": programme}
        if _EXTRA in row:
            cells[_EXTRA] = True
        _judge(listed, seen, line, cells, zone)
    return listed


def write_row(cells: Iterable[object]) -> str:
    """One line of CSV; what a spreadsheet would take for a formula is made text."""
    out = io.StringIO()
    csv.writer(out).writerow([_safe(cell) for cell in cells])
    return out.getvalue()


def _judge(listed: Listed, seen: set[str], line: int, cells: dict[str, Any], zone: str) -> None:
    try:
        new = _customer(cells, zone)
        _check_unseen(seen, new)
    except Rejected as error:
        external_id = cells.get("external_id")
        listed.wrong.append(
            RowVerdict(line=line, verdict="wrong", external_id=external_id, message=error.message)
        )
    else:
        listed.wanted.append(Wanted(line, new))


def _check_unseen(seen: set[str], new: NewCustomer) -> None:
    names = [f"id {new.external_id}"] if new.external_id else []
    names += [f"mail {new.email.lower()}"] if new.email else []
    if seen.intersection(names):
        raise Rejected("invalid", "this external id or e-mail stands in the list already")
    seen.update(names)


def _customer(cells: dict[str, Any], zone: str) -> NewCustomer:
    if _EXTRA in cells:
        raise Rejected("invalid", "the row has more cells than the first line has names")
    if not cells.get("external_id") and not cells.get("email"):
        raise Rejected("invalid", "a row needs an external id or an e-mail")
    consents = _consents(cells.pop("consents", ""))
    try:
        wanted = msgspec.convert({"zone": zone} | cells, CreateCustomer)
    except msgspec.ValidationError as error:
        raise Rejected("invalid", _plain(str(error))) from error
    clock.check_zone(wanted.zone)
    return NewCustomer(
        zone=wanted.zone,
        programme=wanted.programme,
        external_id=wanted.external_id,
        email=wanted.email,
        name=wanted.name,
        consents=consents,
    )


def _consents(text: str) -> dict[str, bool]:
    given = text.replace(",", " ").replace(";", " ").lower().split()
    unknown = sorted(set(given) - {*_PURPOSES, "none"})
    if unknown:
        text = f"`consents` holds {' or '.join(_PURPOSES)}, or nothing; not {unknown[0]!r}"
        raise Rejected("invalid", text)
    return dict.fromkeys([purpose for purpose in _PURPOSES if purpose in given], True)


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    """Cells that are not empty, without blanks around them."""
    return {name: cell.strip() for name, cell in row.items() if name and cell and cell.strip()}


def _check_columns(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or not {"external_id", "email"} & set(names) or len(set(names)) != len(names):
        text = f"the first line names the columns, of {', '.join(COLUMNS)}, each once"
        raise Rejected("unknown_column", text)


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Rejected("unreadable", "save the list as CSV in UTF-8") from error
    if "\0" in text:
        raise Rejected("unreadable", "the list holds NUL characters")
    return text


def _safe(cell: object) -> str:
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _plain(message: str) -> str:
    if "email" in message:
        return "the e-mail address is not valid"
    return "a cell is longer than 256 characters"
