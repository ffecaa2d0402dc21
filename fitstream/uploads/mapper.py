"""A row of a file as a sample, by a mapping. Pure; ranges and slots are judged by `samples`."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from fitstream.errors import Rejected
from fitstream.merge import METRICS
from fitstream.posts import row_of
from fitstream.samples import SampleRow, Text
from fitstream.uploads.spec import FACTORS, MappingSpec, bad_mapping
from fitstream.uploads.timestamps import HOME, RowRefused, joined, reader

Cells = Sequence[Any]
_COUNTS = frozenset(metric.name for metric in METRICS if metric.scale == 1)
_TIMES = ("slot", "date", "time")
_NOT_NUMBERS = frozenset({"customer", "deleted", *_TIMES})
_DIGITS_MAX = 40


class _Read(NamedTuple):
    """One column that is read: where it stands, and what it becomes."""

    at: int
    to: str
    factor: float


class Mapper:
    """A mapping bound to the header of one file.

    Raises Rejected(bad_mapping) for a column that the file lacks, or has and may not have.
    """

    def __init__(self, spec: MappingSpec, header: Sequence[str]) -> None:
        places = {name: at for at, name in reversed(list(enumerate(header)))}
        targets = spec.targets()
        for each in targets.values():
            if each.column not in places:
                raise bad_mapping(each.column, "the file has no such column")
        known = {each.column for each in spec.columns}
        if spec.others == "refuse" and not known.issuperset(header):
            extra = next(name for name in header if name not in known)
            raise bad_mapping(extra, "the mapping does not name it; map it, or to ignore")
        self._spec = spec
        self._absent = frozenset(spec.absent)
        self._at = {to: places[each.column] for to, each in targets.items()}
        self._reads = [
            _Read(places[each.column], to, FACTORS.get(to, {}).get(each.unit, 1.0))
            for to, each in targets.items()
            if to not in (*_TIMES, "customer")
        ]
        self._constants: dict[str, Any] = {
            name: value for name, value in spec.constants.items() if name != "customer"
        }
        self._begin = reader(spec.time)
        offset_is_known = "tz_offset_min" in targets or "tz_offset_min" in spec.constants
        self._tells_offset = bool(spec.time.zone) and not offset_is_known

    @property
    def names_customers(self) -> bool:
        """Whether rows say whose they are."""
        return "customer" in self._at or "customer" in self._spec.constants

    @property
    def columns(self) -> list[str]:
        """The columns of the file that are read."""
        return [each.column for each in self._spec.targets().values()]

    def customer_of(self, cells: Cells) -> str:
        """Whose row this is, "" where the file does not say. Raises RowRefused."""
        if "customer" not in self._at:
            return str(self._spec.constants.get("customer", ""))
        found = self._cell(cells, self._at["customer"])
        if found is None:
            raise RowRefused("missing_field", "the row does not say whose it is")
        try:
            return msgspec.convert(str(found), Text)
        except msgspec.ValidationError as error:
            raise RowRefused("wrong_type", "customer: not an id of at most 256 letters") from error

    def row(self, cells: Cells, home_zone: str) -> SampleRow:
        """The row as a sample of a customer at home in `home_zone`.

        Raises RowRefused, or what `posts.row_of` raises.
        """
        zone = home_zone if self._spec.time.zone == HOME else self._spec.time.zone
        begin = self._begin(self._time(cells), zone)
        values = dict(self._constants)
        values["slot"] = begin.instant.astimezone(UTC).isoformat()
        if self._tells_offset and begin.offset_min is not None:
            values["tz_offset_min"] = begin.offset_min
        for read in self._reads:
            cell = self._cell(cells, read.at)
            if cell is not None:
                values[read.to] = self._value(cell, read)
        return row_of(values)

    def _time(self, cells: Cells) -> Any:
        if "slot" in self._at:
            return self._cell(cells, self._at["slot"])
        return joined(*(self._cell(cells, self._at[name]) for name in ("date", "time")))

    def _cell(self, cells: Cells, at: int) -> Any:
        """A cell, None where it says that there is nothing."""
        cell = cells[at]
        if isinstance(cell, str):
            cell = cell.strip()
            return None if cell in self._absent else cell
        return None if isinstance(cell, float) and math.isnan(cell) else cell

    def _value(self, cell: Any, read: _Read) -> Any:
        if read.to in _NOT_NUMBERS or isinstance(cell, bool):
            return cell
        number = self._number(cell)
        if number is None:
            return cell  # no number: the decoder says so
        if not math.isfinite(number):
            raise RowRefused("wrong_type", f"{read.to} is not a finite number")
        if read.factor != 1.0:
            number = number * read.factor
        is_whole = read.to in _COUNTS or read.to in ("rev", "tz_offset_min")
        return int(number) if is_whole and float(number).is_integer() else number

    def _number(self, cell: Any) -> float | int | None:
        if isinstance(cell, int | float):
            return cell
        if isinstance(cell, Decimal):
            return float(cell)
        if not isinstance(cell, str) or len(cell) > _DIGITS_MAX:
            return None
        if "_" in cell or not cell.isascii():
            return None
        text = cell.replace(",", ".") if self._spec.decimal == "," else cell
        return _parsed(text)


def _parsed(text: str) -> float | int | None:
    kinds: tuple[Callable[[str], float | int], ...] = (int, float)
    for kind in kinds:
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def bind(spec: MappingSpec, header: Sequence[str]) -> Mapper:
    """`Mapper`, with a header that has a column twice refused where that column is read."""
    twice = {name for name in header if list(header).count(name) > 1}
    for each in spec.targets().values():
        if each.column in twice:
            raise bad_mapping(each.column, "the file has it twice")
    return Mapper(spec, header)


__all__ = ["Cells", "Mapper", "Rejected", "bind"]
