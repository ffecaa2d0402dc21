"""The metrics of one post, scaled and checked column by column.

Arrays where there are many rows; plain numbers where there are few, since making an array costs
more than a small post. Both say the same. Must not know slots or verdicts: that is `samples`.
"""

from collections.abc import Callable, Sequence
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fitstream.events import Column
from fitstream.merge import HEART, METRICS, MINUTES

MINUTES_MAX = 150  # of one slot, in tenths
FEW_ROWS = 8
_MEAN, _LOW, _HIGH = HEART
_ORDERED = ((_LOW, _MEAN), (_MEAN, _HIGH), (_LOW, _HIGH))
_SCALES = np.array([metric.scale for metric in METRICS], dtype=np.float64)


class Measured(Protocol):
    """Rounded values of all rows; each check gives the indexes of the rows that fail it."""

    def scaled(self) -> list[Column | None]:
        """Scaled integers per metric (halves to even), None for one that no row measured."""
        ...

    def wrong_heart(self) -> list[int]:
        """Rows whose heart rates are not min <= mean <= max."""
        ...

    def wrong_minutes(self) -> list[int]:
        """Rows whose activity minutes exceed the slot."""
        ...


def measure(columns: Sequence[Sequence[Any]]) -> Measured:
    """The metrics of a post, one column of equal length for each of METRICS."""
    return _Few(columns) if len(columns[0]) <= FEW_ROWS else _Many(columns)


class _Few:
    def __init__(self, columns: Sequence[Sequence[Any]]) -> None:
        count = len(columns[0])
        self._columns: list[Column | None] = [
            None
            if column.count(None) == count
            else [None if value is None else round(value * metric.scale) for value in column]
            for column, metric in zip(columns, METRICS, strict=True)
        ]

    def scaled(self) -> list[Column | None]:
        return self._columns

    def wrong_heart(self) -> list[int]:
        wrong = set()
        for least, most in _ORDERED:
            pairs = zip(self._columns[least] or (), self._columns[most] or (), strict=False)
            for index, (low, high) in enumerate(pairs):
                if low is not None and high is not None and low > high:
                    wrong.add(index)
        return sorted(wrong)

    def wrong_minutes(self) -> list[int]:
        present = [column for i in MINUTES if (column := self._columns[i]) is not None]
        rows = zip(*present, strict=True)
        return [i for i, row in enumerate(rows) if sum(v or 0 for v in row) > MINUTES_MAX]


class _Many:
    """One array of the metrics that any row measured, NaN = absent."""

    def __init__(self, columns: Sequence[Sequence[Any]]) -> None:
        count = len(columns[0])
        self._present = [i for i, column in enumerate(columns) if not _is_empty(column, count)]
        pack = Struct(f"{count}d").pack
        packed = b"".join([_doubles(columns[i], pack) for i in self._present])
        raw = np.frombuffer(packed).reshape(len(self._present), count)
        self._values = np.rint(raw * _SCALES[self._present, None])
        self._absent = np.isnan(self._values)
        self._gaps: list[bool] = np.logical_or.reduce(self._absent, axis=1).tolist()
        self._whole = np.where(self._absent, 0, self._values) if any(self._gaps) else self._values

    def scaled(self) -> list[Column | None]:
        columns: list[Column | None] = [None] * len(METRICS)
        integers = self._whole.astype(np.int64).tolist()
        for row, index in enumerate(self._present):
            column = integers[row]
            if self._gaps[row]:
                marks = self._absent[row].tolist()
                column = [
                    None if gone else value for value, gone in zip(column, marks, strict=True)
                ]
            columns[index] = column
        return columns

    def wrong_heart(self) -> list[int]:
        wrong: set[int] = set()
        for least, most in _ORDERED:
            low, high = self._of(least), self._of(most)
            if low is not None and high is not None:
                above = low > high  # false where either is absent
                if above.any():
                    wrong.update(np.flatnonzero(above).tolist())
        return sorted(wrong)

    def wrong_minutes(self) -> list[int]:
        present = [row for row, index in enumerate(self._present) if index in MINUTES]
        if len(present) < 2:
            return []  # one alone cannot exceed the slot
        exceeds = self._whole[present].sum(axis=0) > MINUTES_MAX
        wrong: list[int] = np.flatnonzero(exceeds).tolist() if exceeds.any() else []
        return wrong

    def _of(self, index: int) -> NDArray[np.float64] | None:
        return self._values[self._present.index(index)] if index in self._present else None


def _is_empty(column: Sequence[Any], count: int) -> bool:
    return column[0] is None and column.count(None) == count


def _doubles(column: Sequence[Any], pack: Callable[..., bytes]) -> bytes:
    """A column as doubles, NaN = absent. Packing is twice as fast, but knows no absence."""
    try:
        return pack(*column)
    except StructError:
        return np.array(column, dtype=np.float64).tobytes()
