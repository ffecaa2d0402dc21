"""A chart: what `charts.js` draws, and the table that says the same. Pure."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from fitstream.gateway.view import words

Kind = Literal["bar", "line", "dash", "area", "band", "mark"]
Number = float | int | None


class Series(NamedTuple):
    """Values over the x axis; a band has its lower edge too. `color` is a token's name."""

    name: str
    kind: Kind
    color: str
    values: Sequence[Number]
    low: Sequence[Number] | None = None


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """`summary` is the picture in one sentence; `x_name` heads the table's first column.

    Labels stand at `first` and then at each `every`-th x.
    """

    id: str
    summary: str
    x_name: str
    x: Sequence[str]
    series: Sequence[Series]
    unit: str = ""
    size: Literal["low", "", "tall"] = ""
    every: int = 1
    first: int = 0
    least: float | None = None
    long_x: Sequence[str] | None = None

    @property
    def spec(self) -> dict[str, Any]:
        """The data that the script reads."""
        spec: dict[str, Any] = {
            "x": list(self.x),
            "unit": self.unit,
            "every": self.every,
            "first": self.first,
            "series": [_without_none(series) for series in self.series],
        }
        if self.least is not None:
            spec["min"] = self.least
        if self.long_x is not None:
            spec["long"] = list(self.long_x)
        return spec

    @property
    def columns(self) -> list[str]:
        """Heads of the table."""
        names = [
            f"{series.name} ({self.unit})" if self.unit else series.name for series in self.series
        ]
        return [self.x_name, *names]

    @property
    def rows(self) -> list[list[str]]:
        """The table, one row per x."""
        names = self.long_x or self.x
        return [
            [name, *(_shown(series, index) for series in self.series)]
            for index, name in enumerate(names)
        ]


class Spark(NamedTuple):
    """A tiny line inside a table: an SVG path in a box of 100 x 20."""

    path: str


def spark(values: Sequence[Number]) -> Spark:
    """A small chart of values in order; gaps stay gaps."""
    known = [value for value in values if value is not None]
    if not known:
        return Spark("")
    low, high = min(known), max(known)
    scale = 18 / (high - low) if high > low else 0
    step = 100 / max(len(values) - 1, 1)
    parts, is_open = [], False
    for index, value in enumerate(values):
        if value is None:
            is_open = False
            continue
        y = 19 - (value - low) * scale
        parts.append(f"{'L' if is_open else 'M'}{index * step:.1f} {y:.1f}")
        is_open = True
    return Spark("".join(parts))


def _without_none(series: Series) -> dict[str, Any]:
    return {name: value for name, value in series._asdict().items() if value is not None}


def _shown(series: Series, index: int) -> str:
    value = words.number(series.values[index])
    if series.low is None or series.values[index] is None:
        return value
    return f"{words.number(series.low[index])} {words.DASH} {value}"
