"""The first rows of a file, and what a mapping makes of them. Pure."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec

from fitstream import events
from fitstream.clock import slot_start
from fitstream.merge import unscaled
from fitstream.posts import verdict_of
from fitstream.samples import Decoded, Envelope, SampleRow, Window, check
from fitstream.uploads.mapper import bind
from fitstream.uploads.spec import MappingSpec
from fitstream.uploads.timestamps import RowRefused

HEAD_ROWS = 20
_CELL_CHARS = 120
_ENVELOPE = Envelope(device_id="upload", sent_at=datetime(1970, 1, 1, tzinfo=UTC))


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a file begins with: its columns, their types, and the first rows."""

    columns: list[str] = []
    kinds: list[str] = []
    rows: list[list[Any]] = []


class PreviewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row before and after; `code` and `message` say why it would be refused."""

    index: int
    cells: list[Any]
    customer: str | None = None
    sample: dict[str, Any] | None = None
    code: str | None = None
    message: str | None = None


def plain(cell: Any) -> Any:
    """A cell as JSON has it, long ones cut."""
    if isinstance(cell, str):
        return cell[:_CELL_CHARS]
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return str(cell)
    if isinstance(cell, float | int | bool) or cell is None:
        return cell
    return str(cell)[:_CELL_CHARS]


def as_they_stand(head: Head) -> list[PreviewRow]:
    """The first rows that nobody has read yet."""
    return [PreviewRow(index=index, cells=list(cells)) for index, cells in enumerate(head.rows)]


def preview(head: Head, spec: MappingSpec, zone: str, accepted: Window) -> list[PreviewRow]:
    """What the mapping makes of the first rows. Raises Rejected(bad_mapping) naming the column."""
    mapper = bind(spec, head.columns)
    found = []
    for index, cells in enumerate(head.rows):
        customer: str | None = None
        try:
            customer = mapper.customer_of(cells) or None
            row = mapper.row(cells, zone)
        except RowRefused as error:
            found.append(_refused(index, cells, customer, (error.code, str(error))))
        except (msgspec.ValidationError, ValueError, OverflowError) as error:
            verdict = verdict_of(index, error, None)
            found.append(_refused(index, cells, customer, (verdict.code, verdict.message)))
        else:
            found.append(_judged(index, cells, customer, row, accepted))
    return found


def _judged(
    index: int, cells: Sequence[Any], customer: str | None, row: SampleRow, accepted: Window
) -> PreviewRow:
    checked = check(Decoded(_ENVELOPE, [row], [index], []), accepted)
    if checked.rejected:
        verdict = checked.rejected[0]
        return _refused(index, cells, customer, (verdict.code, verdict.message))
    (slot, version), *_ = events.rows(checked.columns)
    sample = {
        "slot": slot_start(slot).isoformat(),
        "tz_offset_min": version.tz_offset_min,
        "rev": version.rev,
        "deleted": version.deleted,
        **unscaled(version.values),
    }
    return PreviewRow(index=index, cells=list(cells), customer=customer, sample=sample)


def _refused(
    index: int, cells: Sequence[Any], customer: str | None, why: tuple[str, str]
) -> PreviewRow:
    return PreviewRow(
        index=index, cells=list(cells), customer=customer, code=why[0], message=why[1]
    )
