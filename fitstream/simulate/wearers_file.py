"""A Parquet file of wearers as customers' days: what devices would have sent.

Pure but for reading the file. Local wall time becomes instants at a fixed offset; values outside
wear days are left out, because such files fill time without the device with zeros.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fitstream.clock import SLOT_S, epoch_s
from fitstream.errors import Rejected
from fitstream.merge import METRICS

OFFSET_MIN = -240
HOME_ZONE = "Etc/GMT+4"
REQUIRED = ("wearer", "slot_local")
_WEEK_S = 7 * 86_400
_ROWS_MAX = 1500  # of one post; a day of quarter hours has 96
_DECIMALS = {metric.name: {1: 0, 10: 1, 100: 2}[metric.scale] for metric in METRICS}
_DERIVED = ("active_minutes", "mvpa_minutes")
_METRICS = (*_DECIMALS, *_DERIVED)

Floats = NDArray[np.float64]
Seconds = NDArray[np.int64]


class WearerDay(NamedTuple):
    """One local day of one wearer: the instant up to which it is complete, and its rows."""

    end: datetime
    rows: list[dict[str, Any]]


class WearerRows(NamedTuple):
    """A wearer's rows in order of time: instants in seconds since 1970 (UTC, not moved yet), and a
    column per metric of the contract, NaN where nothing was measured."""

    seconds: Seconds
    columns: Mapping[str, Floats]


class WearersFile(NamedTuple):
    """The rows of a file by wearer; `first_s` and `last_s` are the ends of all its slots."""

    name: str
    wearers: dict[str, WearerRows]
    first_s: int
    last_s: int

    @property
    def rows(self) -> int:
        """Rows of all wearers."""
        return sum(len(rows.seconds) for rows in self.wearers.values())


def read_wearers(path: Path) -> WearersFile:
    """The wearers of a file. Raises Rejected naming what is wrong with it."""
    table = _read(path)
    seconds = _seconds(path, table)
    order = pc.sort_indices(
        pa.table({"wearer": table["wearer"], "second": pa.array(seconds)}),
        sort_keys=[("wearer", "ascending"), ("second", "ascending")],
    ).to_numpy()
    names = [str(name) for name in pc.take(table["wearer"], pa.array(order)).to_pylist()]
    columns = {name: values[order] for name, values in _columns(path, table).items()}
    seconds = seconds[order]
    starts = [i for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
    wearers = {
        names[start]: WearerRows(
            seconds[start:end], {name: values[start:end] for name, values in columns.items()}
        )
        for start, end in pairwise([*starts, len(names)])
    }
    return WearersFile(path.stem, wearers, int(seconds.min()), int(seconds.max()))


def weeks_to_shift(last_s: int, now: datetime) -> int:
    """The largest number of whole weeks that leaves the slot that begins at `last_s` in the past.

    Negative for a file that ends in the future.
    """
    return int((now - epoch_s(last_s + SLOT_S)) // timedelta(weeks=1))


def days_of(rows: WearerRows, shift_weeks: int, days: int | None = None) -> Iterator[WearerDay]:
    """A wearer's local days in order, moved by whole weeks; the last `days` of them if given.

    A day that has more rows than a post may hold comes in parts. The last day is complete up to
    its last slot, all others up to midnight.
    """
    seconds = rows.seconds + shift_weeks * _WEEK_S
    local_days = (seconds + OFFSET_MIN * 60) // 86_400
    wanted = np.unique(local_days)[-days if days else None :]
    for day in wanted.tolist():
        at = np.flatnonzero(local_days == day)
        end_s = (day + 1) * 86_400 - OFFSET_MIN * 60
        if day == wanted[-1]:
            end_s = min(end_s, int(seconds[at[-1]]) + SLOT_S)
        for first in range(0, len(at), _ROWS_MAX):
            part = at[first : first + _ROWS_MAX].tolist()
            is_last = first + _ROWS_MAX >= len(at)
            end = end_s if is_last else int(seconds[part[-1]])
            yield WearerDay(epoch_s(end), [_row(int(seconds[i]), rows.columns, i) for i in part])


def _read(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Rejected("unreadable", f"{path} is not a readable Parquet file: {error}") from error
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        text = f"{path} has no column {missing[0]!r}; it needs {' and '.join(REQUIRED)}"
        raise Rejected("missing_column", text)
    if not any(name in _METRICS for name in table.column_names):
        text = f"{path} has no column with a metric: one of {', '.join(_METRICS)}"
        raise Rejected("missing_column", text)
    if not table.num_rows:
        raise Rejected("empty", f"{path} has no rows")
    for name in REQUIRED:
        if table[name].null_count:
            raise Rejected("bad_column", f"{path}: {table[name].null_count} rows have no {name}")
    return table


def _seconds(path: Path, table: pa.Table) -> Seconds:
    column = table["slot_local"]
    try:
        if pa.types.is_timestamp(column.type) and column.type.tz is not None:
            text = "it has a time zone; local wall time is wanted"
            raise Rejected("bad_column", f"{path}: slot_local: {text}")
        local = pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Rejected("bad_column", f"{path}: slot_local is no local time: {error}") from error
    found: Seconds = local // 1_000_000 - OFFSET_MIN * 60
    return found


def _columns(path: Path, table: pa.Table) -> dict[str, Floats]:
    """Metrics of the contract, rounded to its precision, NaN where nothing was measured."""
    given = {name: _floats(path, table, name) for name in _METRICS if name in table.column_names}
    active, mvpa = (given.pop(name, None) for name in _DERIVED)
    if mvpa is not None:
        given.setdefault("moderate_min", mvpa)
        if active is not None:
            given.setdefault("light_min", active - mvpa)
    if not given:
        text = (
            f"{path} has no column with a metric; active_minutes says nothing without mvpa_minutes"
        )
        raise Rejected("missing_column", text)
    worn = _worn(path, table)
    return {
        name: np.where(worn & np.isfinite(values), np.round(values, _DECIMALS[name]), np.nan)
        for name, values in given.items()
    }


def _worn(path: Path, table: pa.Table) -> NDArray[np.bool_]:
    """Rows of days on which the device was worn: all of them where the file does not say."""
    if "wear_day" not in table.column_names:
        return np.ones(table.num_rows, dtype=bool)
    try:
        worn = pc.fill_null(pc.cast(table["wear_day"], pa.bool_()), False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Rejected("bad_column", f"{path}: wear_day must be true or false: {error}") from error
    found: NDArray[np.bool_] = worn.to_numpy(zero_copy_only=False).astype(bool)
    return found


def _floats(path: Path, table: pa.Table, name: str) -> Floats:
    try:
        values = pc.cast(table[name], pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Rejected("bad_column", f"{path}: {name} must be numbers: {error}") from error
    return np.array(values, dtype=np.float64)


def _row(second: int, columns: Mapping[str, Floats], index: int) -> dict[str, Any]:
    """One row as a device writes it; what was not measured is left out."""
    row: dict[str, Any] = {
        "slot": datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tz_offset_min": OFFSET_MIN,
    }
    for name, values in columns.items():
        value = float(values[index])
        if value == value:  # noqa: PLR0124  NaN is what differs from itself
            row[name] = value if _DECIMALS[name] else int(value)
    return row
