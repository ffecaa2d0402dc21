"""Customers' slots as arrays of local days: what every model of the trainer reads.

Must do no I/O beyond the bytes or the file it is handed, and must not fill what was not measured.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fitstream.errors import Rejected

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

TARGETS = ("steps", "calories_kcal", "heart_rate_bpm")
SLOTS = 96
SLOT_US = 900_000_000
DAY_US = SLOTS * SLOT_US

WEAR_MIN_SLOTS = 90
WEAR_MIN_STEPS = 500
WEAR_MIN_ACTIVE = 8
_EPOCH = date(1970, 1, 1)
_TIMES = (pa.types.is_timestamp, pa.types.is_string, pa.types.is_large_string)


@dataclass(frozen=True, eq=False)
class Series:
    """All days of one customer, in their local time.

    `values[target]` is (day, 96) float32, NaN = not measured; `wear` is (day,), True where the day
    tells something about the customer; `first_day` is the local date of row 0.
    """

    customer_id: str
    first_day: date
    values: Mapping[str, Floats]
    wear: Bools

    @property
    def days(self) -> int:
        """Number of rows: local days from `first_day` on, with gaps."""
        return len(self.wear)

    def index(self, day: date) -> int:
        """Row of a local date; may lie outside 0…days."""
        return (day - self.first_day).days

    def weekday(self, index: int) -> int:
        """0 = Monday … 6 = Sunday, of a row that may lie outside the data."""
        return (self.first_day.weekday() + index) % 7

    def before(self, days: int) -> "Series":
        """The same customer as known at the local midnight that begins row `days`."""
        days = max(0, min(days, self.days))
        values = {target: rows[:days] for target, rows in self.values.items()}
        return Series(self.customer_id, self.first_day, values, self.wear[:days])

    def worn(self, target: str) -> Floats:
        """(day, 96): the target on wear days, NaN elsewhere."""
        return np.where(self.wear[:, None], self.values[target], np.float32(np.nan))

    def measured_days(self, target: str) -> Ints:
        """Rows of the wear days on which the target was measured at least once."""
        return np.flatnonzero(np.isfinite(self.worn(target)).any(axis=1))


def empty_series(customer_id: str, first_day: date) -> Series:
    """A customer of whom nothing is known yet."""
    values = {target: np.empty((0, SLOTS), np.float32) for target in TARGETS}
    return Series(customer_id, first_day, values, np.empty(0, np.bool_))


def fingerprint(series: Mapping[str, Series]) -> str:
    """SHA-256 of everything a fit reads: equal data, equal fingerprint."""
    digest = sha256()
    for name in sorted(series):
        each = series[name]
        digest.update(f"{name} {each.first_day} {each.days}\n".encode())
        digest.update(each.wear.tobytes())
        for target in TARGETS:
            digest.update(np.ascontiguousarray(each.values[target]).tobytes())
    return digest.hexdigest()


def wear_days(steps: Floats) -> Bools:
    """(day,): which days of (day, 96) steps were worn, by the rule of dataset/README.md.

    At least 90 slots measured, 500 steps and 8 slots with steps.
    """
    measured = np.isfinite(steps)
    filled = np.where(measured, steps, 0)
    enough = measured.sum(axis=1) >= WEAR_MIN_SLOTS
    walked = filled.sum(axis=1) >= WEAR_MIN_STEPS
    active = (filled > 0).sum(axis=1) >= WEAR_MIN_ACTIVE
    worn: Bools = enough & walked & active
    return worn


def load(parts: Iterable[bytes]) -> dict[str, Series]:
    """Series by customer from Parquet parts of a cohort (columns as in docs: `customer_id`, `slot`,
    `local`, the targets; others are ignored).

    A slot that comes twice counts once, the last part wins. When the clocks go back, the two
    quarter hours that share one local time count as one with the mean of what was measured; when
    they go forward the missing ones are NaN. Raises KeyError when a column is missing.
    """
    columns = ["customer_id", "slot", "local", *TARGETS]
    tables = [pq.read_table(BytesIO(part)).select(columns) for part in parts]
    if not tables:
        return {}
    schema = pa.schema(
        [("customer_id", pa.string()), ("slot", pa.int64()), ("local", pa.timestamp("us"))]
        + [(target, pa.float32()) for target in TARGETS]
    )
    table = pa.concat_tables([each.cast(schema) for each in tables])
    return {str(name): _series(str(name), rows) for name, rows in _by_name(table, "customer_id")}


def from_wearers(path: Path) -> dict[str, Series]:
    """Series by wearer from the shared 15-minute data or a file of the same form (`wearer`,
    `slot_local` in local wall time, the targets, `wear_day`).

    `wear_day` of the file is taken as it is: outside it a zero means nothing; without that column
    the rule of `wear_days` holds. A target without a column was not measured. Raises Rejected for a
    file that is no Parquet, lacks `wearer` or `slot_local`, or holds columns of another type.
    """
    try:
        table = pq.read_table(path)
        missing = {"wearer", "slot_local"} - set(table.column_names)
        if missing:
            raise Rejected("columns_missing", f"{path} lacks {' and '.join(sorted(missing))}")
        return _from_table(table)
    except (pa.ArrowException, OSError) as error:
        raise Rejected("file_unreadable", f"{path} cannot be read: {error}") from error


def _from_table(table: pa.Table) -> dict[str, Series]:
    local = _wall_time(table["slot_local"])
    columns = {"wearer": _ids(table["wearer"]), "local": local, "slot": pc.cast(local, pa.int64())}
    for target in TARGETS:
        known = target in table.column_names
        columns[target] = (
            pc.cast(table[target], pa.float32()) if known else pa.nulls(len(table), pa.float32())
        )
    if "wear_day" in table.column_names:
        columns["wear_day"] = pc.fill_null(pc.cast(table["wear_day"], pa.bool_()), fill_value=False)
    named = columns["wearer"].is_valid()
    whole = pa.table(columns).filter(pc.and_(local.is_valid(), named))
    return {str(name): _series(str(name), rows) for name, rows in _by_name(whole, "wearer")}


def _ids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers that have become floats, as one of them was missing, are whole again."""
    if not pa.types.is_floating(column.type):
        return column
    column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    is_whole = pc.all(pc.equal(pc.floor(column), column)).as_py() is not False
    return pc.cast(column, pa.int64()) if is_whole else column


def _wall_time(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Local wall time without a zone; one with a zone is read as that zone's wall clock. Raises
    Rejected for numbers, whose unit nobody knows, and for dates alone."""
    if not any(is_kind(column.type) for is_kind in _TIMES):
        text = f"`slot_local` holds {column.type}; it must be timestamps, or texts of them"
        raise Rejected("column_type", text)
    if pa.types.is_timestamp(column.type) and column.type.tz:
        column = pc.local_timestamp(column)
    return pc.cast(column, pa.timestamp("us"), safe=False)


def _by_name(table: pa.Table, column: str) -> Iterator[tuple[object, pa.Table]]:
    """The rows of each name in their order, names sorted: the table is put in order once."""
    encoded = pc.dictionary_encode(table[column]).combine_chunks()
    codes = encoded.indices.to_numpy()  # (row,)
    ordered = table.drop_columns([column]).take(np.argsort(codes, kind="stable"))
    stops = np.cumsum(np.bincount(codes, minlength=len(encoded.dictionary)))
    names = encoded.dictionary.to_pylist()
    for code in sorted(range(len(names)), key=names.__getitem__):
        start = stops[code - 1] if code else 0
        yield names[code], ordered.slice(start, stops[code] - start)


def _series(customer_id: str, rows: pa.Table) -> Series:
    slot = rows["slot"].to_numpy()
    last = len(slot) - 1 - np.unique(slot[::-1], return_index=True)[1]  # the last of each slot
    local = pc.cast(rows["local"], pa.int64()).to_numpy()[last]
    first = int(local.min()) // DAY_US
    cell = (local - first * DAY_US) // SLOT_US
    days = int(cell.max()) // SLOTS + 1
    values = {
        target: _cells(rows[target].to_numpy().astype(np.float32)[last], cell, days)
        for target in TARGETS
    }
    if "wear_day" in rows.column_names:
        flags = rows["wear_day"].to_numpy()[last].astype(np.float32)
        wear = np.asarray(np.nan_to_num(_cells(flags, cell, days)).any(axis=1))
    else:
        wear = wear_days(values["steps"])
    return Series(customer_id, _EPOCH + timedelta(days=first), values, wear)


def _cells(column: Floats, cell: Ints, days: int) -> Floats:
    """(day, 96): the mean of the measured values of each cell, NaN where there is none."""
    measured = np.isfinite(column)
    size = days * SLOTS
    count = np.bincount(cell[measured], minlength=size)
    total = np.bincount(cell[measured], weights=column[measured], minlength=size)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean.reshape(days, SLOTS).astype(np.float32)
