"""The leaderboard of a training run: one table per target, the champion marked. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fitstream.gateway.view import words
from fitstream.gateway.view.forecasting import TARGETS

NAMES = {
    "weighted_climatology": "Weighted climatology",
    "climatology": "Plain climatology",
    "ensemble": "Ensemble",
    "mixture": "Mixture of kernels",
    "transformer": "Transformer",
    "convlstm": "ConvLSTM",
    "naive_day": "Same as yesterday",
    "naive_week": "Same as last week",
}


class Entry(NamedTuple):
    """A candidate and its figures, as texts; a dash where a figure does not exist."""

    name: str
    is_champion: bool
    figures: tuple[str, ...]


class Board(NamedTuple):
    """Candidates of one target, the best first."""

    target: str
    title: str
    entries: list[Entry]


COLUMNS = ("WQL", "MASE", "RMSE", "Coverage", "Daily error", "Seconds")


def boards_of(metrics: Mapping[str, Any]) -> list[Board]:
    """Boards in the order of the targets; none before the run has ended."""
    rows = [row for row in metrics.get("leaderboard", []) if isinstance(row, Mapping)]
    known = [target for target in TARGETS if any(row.get("target") == target for row in rows)]
    return [
        Board(target, TARGETS[target], [_entry(row) for row in rows if row["target"] == target])
        for target in known
    ]


def _entry(row: Mapping[str, Any]) -> Entry:
    kind = str(row.get("model", ""))
    figures = (
        _figure(row.get("wql"), 3),
        _figure(row.get("mase"), 2),
        _figure(row.get("rmse"), 1),
        _percent(row.get("coverage")),
        _percent(row.get("daily_wape")),
        _figure(row.get("seconds"), 1),
    )
    return Entry(NAMES.get(kind, words.plain(kind)), bool(row.get("champion")), figures)


def _figure(value: Any, digits: int) -> str:
    return words.number(value, digits) if isinstance(value, int | float) else words.DASH


def _percent(value: Any) -> str:
    return f"{100 * value:.0f}{words.NBSP}%" if isinstance(value, int | float) else words.DASH
