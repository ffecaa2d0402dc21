"""The card of a model as a page shows it: figures beside the baselines, for whom and when. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fitstream.client.operations import Candidate
from fitstream.gateway.view import words
from fitstream.gateway.view.charts import Spark, spark
from fitstream.gateway.view.forecasting import TARGETS
from fitstream.gateway.view.leaderboard import NAMES


class Compared(NamedTuple):
    """A row of WQLs: what it is about, whose days, and a figure for each model."""

    name: str
    note: str
    figures: tuple[str, ...]


class Table(NamedTuple):
    """Rows of one kind, with the names of the models in the columns."""

    id: str
    title: str
    heads: tuple[str, ...]
    rows: list[Compared]


class TargetCard(NamedTuple):
    """One target: how its days were held out, and its tables."""

    target: str
    title: str
    days: str
    tables: list[Table]


class Tried(NamedTuple):
    """A candidate of a search: how far it is or how it ended, and its curve."""

    target: str
    name: str
    state: str
    said: str
    curve: Spark
    href: str


def cards_of(card: Mapping[str, Any]) -> list[TargetCard]:
    """Targets in their usual order; none for a card of an earlier version."""
    metrics = card.get("metrics", {})
    days = card.get("counts", {}).get("days", {})
    return [
        TargetCard(
            target,
            title,
            _days(days.get(target, {})),
            [table for table in _tables(target, metrics[target]) if table.rows],
        )
        for target, title in TARGETS.items()
        if isinstance(metrics.get(target), Mapping)
    ]


def own_cards_of(card: Mapping[str, Any]) -> list[TargetCard]:
    """The same for the model of one customer."""
    rows = card.get("targets", {})
    if not isinstance(rows, Mapping):
        return []
    return [
        TargetCard(target, title, _days(rows[target].get("days", {})), [_own(target, rows[target])])
        for target, title in TARGETS.items()
        if target in rows
    ]


def tried_now(candidates: Sequence[Candidate]) -> list[Tried]:
    """The candidates of a run that goes on."""
    return [
        Tried(
            words.metric(each.target), each.name, each.state, _progress(each), spark(each.curve),
            f"/admin/jobs/{each.job}",
        )
        for each in candidates
    ]  # fmt: skip


def tried_before(metrics: Mapping[str, Any]) -> list[Tried]:
    """The candidates of a run that is over, the best of each target first."""
    return [
        Tried(
            words.metric(str(row.get("target"))), str(row.get("candidate")), "", _ended(row),
            spark(row.get("curve", [])), "",
        )
        for row in metrics.get("trials", [])
    ]  # fmt: skip


def _tables(target: str, found: Mapping[str, Any]) -> list[Table]:
    kinds = (
        ("horizons", "How far ahead", "horizon"),
        ("parts", "Part of the day", "part"),
        ("slices", "For whom, and when", "slice"),
    )
    return [
        *(_table(f"{target}-{key}", title, found.get(key, []), name) for key, title, name in kinds),
        _mixture(target, found.get("mixture_gate", {})),
        _today(target, found.get("nowcast", {})),
    ]


def _table(key: str, title: str, rows: Sequence[Mapping[str, Any]], name: str) -> Table:
    models = list(rows[0]["wql"]) if rows else []
    return Table(
        key,
        title,
        tuple(NAMES.get(model, words.plain(model)) for model in models),
        [
            Compared(
                _capital(str(row[name])),
                _note(row),
                tuple(_figure(row["wql"].get(model)) for model in models),
            )
            for row in rows
        ],
    )


def _mixture(target: str, gate: Mapping[str, Mapping[str, float]]) -> Table:
    """The mixture of kernels against each it has to beat, on the days of its own gate."""
    rows = [
        Compared(
            f"Against {NAMES.get(rival, words.plain(rival))}",
            f"{_percent(found.get('low'))} to {_percent(found.get('high'))}",
            (_percent(found.get("difference")),),
        )
        for rival, found in gate.items()
    ]
    return Table(f"{target}-mixture", "The mixture of kernels on its gate", ("WQL",), rows)


def _today(target: str, found: Mapping[str, Any]) -> Table:
    """The networks of the next hour beside the kernel alone, and what their gate said."""
    title = "The rest of today, on the days of the gate"
    table = _table(f"{target}-today", title, found.get("today", []), "ahead")
    if table.rows and (chosen := found.get("chosen")):
        against = found.get("gate", {}).get("kernel alone", {})
        low, high = _percent(against.get("low")), _percent(against.get("high"))
        verdict = "passed" if found.get("serves") else "not passed: the kernel serves alone"
        note = (
            f"next hour {_percent(against.get('difference'))} against the kernel "
            f"({low} to {high}); "
            f"{chosen['networks']} networks, {chosen['epochs']} epochs, share {chosen['weight']:g}"
        )
        table.rows.append(Compared(f"Gate: {verdict}", note, tuple("" for _ in table.heads)))
    return table


def _own(target: str, row: Mapping[str, Any]) -> Table:
    """The own model beside everybody's on the test days, and what the gate said."""
    test, gate = row.get("test", {}), row.get("gate", {}).get("cohort's model", {})
    names = list(test)
    rows = [Compared("Test days", "", tuple(_figure(test[name].get("wql")) for name in names))]
    verdict = "passed" if row.get("passed") else "not passed: everybody's model serves"
    low, high = _percent(gate.get("low")), _percent(gate.get("high"))
    note = f"{_percent(gate.get('difference'))} against everybody's ({low} to {high})"
    rows.append(Compared(f"Gate: {verdict}", note, tuple("" for _ in names)))
    return Table(f"{target}-own", "WQL", tuple(_capital(name) for name in names), rows)


def _note(row: Mapping[str, Any]) -> str:
    if "people" in row:
        return f"{words.count_of(row['people'], 'person', 'people')}, {row['days']} days"
    if "from_hour" in row:
        return f"{row['from_hour']:02d}:00 to {row['to_hour']:02d}:00"
    return ""


def _days(split: Mapping[str, Any]) -> str:
    parts = [f"{words.number(split[name])} {name}" for name in split]
    return f"Days: {', '.join(parts)}" if parts else ""


def _progress(each: Candidate) -> str:
    if each.error:
        return each.error
    if each.stop_wql is not None:
        return f"WQL {_figure(each.stop_wql)} after {words.count_of(each.epoch, 'epoch')}"
    if each.epochs:
        left = f", {each.left_s:.0f} s left" if each.left_s is not None else ""
        loss = f", loss {each.loss:.4f}" if each.loss is not None else ""
        return f"epoch {each.epoch} of {each.epochs}{loss}{left}"
    return ""


def _ended(row: Mapping[str, Any]) -> str:
    share = row.get("share")
    parts = [f"rung {int(row.get('rung', 0)) + 1}", f"WQL {_figure(row.get('stop_wql'))}"]
    parts.append(words.count_of(int(row.get("epochs", 0)), "epoch"))
    if share:
        parts.append(f"{100 * share:.0f}{words.NBSP}% of the mix")
    return ", ".join(parts)


def _figure(value: Any) -> str:
    return words.number(value, 4) if isinstance(value, int | float) else words.DASH


def _percent(value: Any) -> str:
    return f"{100 * value:+z.1f}{words.NBSP}%" if isinstance(value, int | float) else words.DASH


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
