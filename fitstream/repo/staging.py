"""A chunk's rows in columns: one version per key, in the order of keys, as bytes that COPY reads.

Says for a whole chunk at once what `events.rows` and `merge.wins` say row by row. Must do no I/O.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fitstream.clock import Week, Zones, week_of
from fitstream.events import SampleBatch, SampleColumns
from fitstream.merge import NAMES, completeness, ties

# Columns of `sample`, by width, as `_ROW` has them.
_LONGS = ("tie", "src")
_INTS = (
    "customer_no", "slot", "device_no", "rev", "received_s", "distance_m", "calories_kcal",
)  # fmt: skip
_SHORTS = (
    "tz_offset_min", "steps", "heart_rate_bpm", "heart_rate_min_bpm", "heart_rate_max_bpm",
    "light_min", "moderate_min", "vigorous_min", "sedentary_min", "sleep_min", "floors",
)  # fmt: skip
COLUMNS = (*_LONGS, *_INTS, *_SHORTS)
_TIE, _SRC, _CUSTOMER, _SLOT, _DEVICE, _REV, _RECEIVED = range(7)
_ZONE = COLUMNS.index("tz_offset_min")
_METRICS = [COLUMNS.index(name) for name in NAMES]
_KEY = [_CUSTOMER, _SLOT, _DEVICE]
_HEADS = [_SRC, _CUSTOMER, _DEVICE, _RECEIVED]
_OFFSET_BITS = 48

_FIRST_INT, _FIRST_SHORT = len(_LONGS), len(_LONGS) + len(_INTS)
_WIDTHS = np.array([8] * len(_LONGS) + [4] * len(_INTS) + [2] * len(_SHORTS))
_HIGHEST = ((1 << (8 * _WIDTHS - 1)) - 1)[:, np.newaxis]
_LOWEST = ~_HIGHEST


def _field(width: int) -> np.dtype[np.void]:
    return np.dtype([("bytes", ">i4"), ("value", f">i{width}")])


# A row as binary COPY has it: the number of its fields, then each with its length before it.
_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("longs", _field(8), len(_LONGS)),
        ("ints", _field(4), len(_INTS)),
        ("shorts", _field(2), len(_SHORTS)),
    ]
)
_BLANK = np.zeros(1, _ROW)
_BLANK["fields"] = len(COLUMNS)
for _group, _width in (("longs", 8), ("ints", 4), ("shorts", 2)):
    _BLANK[_group]["bytes"] = _width
_NULL = -1  # the length of an absent value, of which nothing follows
# The column whose value each byte of a row is a part of; what is no value is always there, as src.
_PART_OF = np.repeat(
    [_SRC, *chain.from_iterable((_SRC, column) for column in range(len(COLUMNS)))],
    [2, *chain.from_iterable((4, width) for width in _WIDTHS)],
)
_HEAD, _TAIL = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"

Table = NDArray[np.int64]  # (column, row), in the order of COLUMNS
Mask = NDArray[np.bool_]
Clash = tuple[int, ...]
Place = tuple[int, str]  # a customer and the name of a week


class Device(NamedTuple):
    """The numbers behind a device's public id, and the home zones that file its slots."""

    device_no: int
    customer_id: str
    customer_no: int
    zones: Zones
    is_upload: bool


class Stage(NamedTuple):
    """What a chunk carries: the bytes of binary COPY, and where the rows in it lie."""

    copied: bytearray
    weeks: dict[Place, Week]
    keys: dict[Place, int]  # how many rows lie in each of `weeks`
    conflicts: list[Clash]  # of two rows of the chunk: key, rev, ties, src
    samples: int  # how many rows there were before they were merged


class _Rows(NamedTuple):
    """Columns of the same rows: values, which of them are absent, which rows are tombstones."""

    table: Table
    absent: Mask
    deleted: Mask

    def at(self, which: NDArray[np.intp] | Mask) -> "_Rows":
        return _Rows(self.table[:, which], self.absent[:, which], self.deleted[which])


def stage(
    generation: int, known: Sequence[tuple[int, SampleBatch]], devices: Mapping[str, Device]
) -> Stage:
    """Rows of batches by offset, the merge rule applied among them.

    Raises OverflowError or ValueError where a row holds what no table can.
    """
    samples = sum(len(batch.columns.slot) for _, batch in known)
    if not samples:
        return Stage(bytearray(), {}, {}, [], 0)
    rows = _rows(generation, known, devices)
    table = rows.table
    rows = rows.at(np.lexsort((table[_DEVICE], table[_SLOT], table[_CUSTOMER])))  # stable
    table = rows.table
    table[_TIE] = ties(table[_METRICS], rows.absent[_METRICS], table[_ZONE], rows.deleted)
    kept, conflicts = _merge(table)
    if not kept.all():
        rows = rows.at(kept)
    weeks, keys = _weeks(rows.table, {ref.customer_no: ref.zones for ref in devices.values()})
    return Stage(_copied(rows), weeks, keys, conflicts, samples)


def _rows(
    generation: int, known: Sequence[tuple[int, SampleBatch]], devices: Mapping[str, Device]
) -> _Rows:
    """Rows in the order of their arrival, without their ties."""
    parts = [(batch.columns, len(batch.columns.slot)) for _, batch in known]
    counts = [count for _, count in parts]
    samples = sum(counts)
    deleted = np.zeros(samples, np.bool_)
    deleted[_tombstones(parts)] = True
    metrics = _metrics(parts, samples)
    lacking = np.isnan(metrics) | deleted  # a tombstone carries no metric
    metrics[lacking] = 0
    table = np.zeros((len(COLUMNS), samples), np.int64)
    table[_HEADS] = np.repeat(_heads(generation, known, devices), counts, axis=1)
    table[_SLOT] = _joined((columns.slot for columns, _ in parts), samples)
    table[_REV] = _joined((_spread(columns.rev, n) for columns, n in parts), samples)
    table[_ZONE] = _joined((_spread(columns.tz_offset_min, n) for columns, n in parts), samples)
    _check(table, slice(None))
    _check(metrics, _METRICS)
    table[_METRICS] = metrics
    absent = np.zeros(table.shape, np.bool_)
    absent[_METRICS] = lacking
    return _Rows(table, absent, deleted)


def _heads(
    generation: int, known: Sequence[tuple[int, SampleBatch]], devices: Mapping[str, Device]
) -> Table:
    """What all rows of a batch share, in the order of _HEADS: one column for each batch."""
    heads = [
        (
            generation << _OFFSET_BITS | offset,
            devices[batch.device_id].customer_no,
            devices[batch.device_id].device_no,
            batch.received_at // 1000,
        )
        for offset, batch in known
    ]
    return np.array(heads, np.int64).T


def _tombstones(parts: Sequence[tuple[SampleColumns, int]]) -> list[int]:
    found: list[int] = []
    first = 0
    for columns, count in parts:
        found += [first + at for at in columns.deleted if 0 <= at < count]
        first += count
    return found


def _metrics(parts: Sequence[tuple[SampleColumns, int]], samples: int) -> NDArray[np.float64]:
    """All metrics in the order of METRICS; NaN where absent, whole numbers exactly."""
    nothing = {count: [None] * count for _, count in parts}
    columns = (getattr(each, name) or nothing[n] for name in NAMES for each, n in parts)
    flat = np.fromiter(chain.from_iterable(columns), np.float64, len(NAMES) * samples)
    return flat.reshape(len(NAMES), samples)


def _joined(columns: Iterable[list[int]], samples: int) -> NDArray[np.int64]:
    return np.fromiter(chain.from_iterable(columns), np.int64, samples)


def _spread(value: int | list[int], count: int) -> list[int]:
    return [value] * count if isinstance(value, int) else value


def _check(values: NDArray[np.int64] | NDArray[np.float64], columns: slice | list[int]) -> None:
    """Raises OverflowError unless every value fits its column."""
    low, high = _LOWEST[columns], _HIGHEST[columns]
    if (values < low).any() or (values > high).any():
        raise OverflowError("a value does not fit its column")


def _merge(table: Table) -> tuple[Mask, list[Clash]]:
    """Which rows stay of a table in the order of keys, and which pairs are worth a record."""
    kept = np.ones(table.shape[1], np.bool_)
    conflicts: list[Clash] = []
    keys = table[_KEY]
    repeats = np.flatnonzero((keys[:, 1:] == keys[:, :-1]).all(axis=0)) + 1
    best = last = -1
    for new in repeats.tolist():
        if new - 1 != last:
            best = new - 1
        last = new
        one, other = table[:, best].tolist(), table[:, new].tolist()
        if (conflict := _conflict(one, other)) is not None:
            conflicts.append(conflict)
        is_better = (other[_REV], other[_TIE]) > (one[_REV], one[_TIE])  # merge.wins, on columns
        kept[best if is_better else new] = False
        best = new if is_better else best
    return kept, conflicts


def _conflict(old: list[int], new: list[int]) -> Clash | None:
    """What is noted of two rows of one key and rev, equally complete, with other content."""
    a, b = old[_TIE], new[_TIE]
    if old[_REV] != new[_REV] or a == b or completeness(a) != completeness(b):
        return None
    return (*(new[at] for at in _KEY), new[_REV], max(a, b), min(a, b), new[_SRC])


def _weeks(table: Table, zones: Mapping[int, Zones]) -> tuple[dict[Place, Week], dict[Place, int]]:
    """Weeks that rows in the order of keys lie in, and how many in each."""
    weeks: dict[Place, Week] = {}
    keys: dict[Place, int] = {}
    near: dict[Zones, Week] = {}  # found last: neighbours mostly share zone and week
    slots = table[_SLOT]
    begins = [0, *(np.flatnonzero(np.diff(table[_CUSTOMER])) + 1).tolist()]
    for begin, end in zip(begins, [*begins[1:], len(slots)], strict=True):
        customer_no, last, at = int(table[_CUSTOMER, begin]), int(slots[end - 1]), begin
        home = zones[customer_no]
        while at < end:
            slot, week = int(slots[at]), near.get(home)
            if week is None or not week.start_slot <= slot < week.end_slot:
                week = near[home] = week_of(slot, home)
            is_last = last < week.end_slot
            next_at = end if is_last else at + int(np.searchsorted(slots[at:end], week.end_slot))
            weeks[customer_no, week.name] = week
            keys[customer_no, week.name] = next_at - at
            at = next_at
    return weeks, keys


def _copied(rows: _Rows) -> bytearray:
    """The rows as binary COPY reads them; the driver would take `bytes` for a path."""
    table = rows.table.T
    packed = np.repeat(_BLANK, len(table))
    packed["longs"]["value"] = table[:, :_FIRST_INT]
    packed["ints"]["value"] = table[:, _FIRST_INT:_FIRST_SHORT]
    packed["shorts"]["value"] = table[:, _FIRST_SHORT:]
    if not rows.absent.any():
        return bytearray(_HEAD + packed.tobytes() + _TAIL)
    absent = rows.absent.T
    packed["ints"]["bytes"][absent[:, _FIRST_INT:_FIRST_SHORT]] = _NULL
    packed["shorts"]["bytes"][absent[:, _FIRST_SHORT:]] = _NULL
    octets = packed.view(np.uint8).reshape(len(table), _ROW.itemsize)
    return bytearray(_HEAD + octets[~absent[:, _PART_OF]].tobytes() + _TAIL)
