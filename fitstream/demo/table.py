"""What the demo shows at the end: counts at each hop, and the model beside its baselines."""

from typing import Any

from rich.console import Console
from rich.table import Table

from fitstream.client.operations import Run
from fitstream.demo.gather import Counts
from fitstream.simulate.verifying import words

MODELS = {
    "naive_day": "yesterday again",
    "naive_week": "last week again",
    "weighted_climatology": "weighted climatology",
    "mixture": "mixture of kernels",
    "climatology": "plain climatology",
    "ensemble": "ensemble",
    "transformer": "Transformer",
    "convlstm": "ConvLSTM",
}
TARGETS = {"steps": "steps", "calories_kcal": "calories", "heart_rate_bpm": "heart rate"}


def show_counts(console: Console, counts: Counts) -> None:
    """One line per hop."""
    p, t = counts.pipeline, counts.totals
    codes = ", ".join(f"{code} {count:,}" for code, count in t.rejected.most_common())
    objects = ", ".join(f"{count} {folder}" for folder, count in counts.objects.items())
    forecasts = ", ".join(f"{n} of {TARGETS[target]}" for target, n in counts.forecasts.items())
    archived = p.kafka.records if p.kafka else 0
    lines = [
        ("posted", t.posted, f"rows in {t.posts:,} posts of {counts.customers} customers"),
        ("accepted", t.accepted, "rows acknowledged after Kafka had them"),
        ("rejected", t.rejected_in_all, codes or "rows refused, each with a code"),
        ("Kafka records", archived, "one for each post"),
        ("ledger rows", p.ledger.rows,
         f"{p.ledger.updated:,} replaced, {p.ledger.unchanged:,} seen again"),
        ("weeks", p.weeks.rolled, f"finished and rolled; {p.weeks.open} still open"),
        ("versions", p.weeks.versions, f"published states of weeks, {counts.version_files} files"),
        ("S3 objects", sum(counts.objects.values()), objects),
        ("training runs", p.training_runs,
         f"on {counts.run.weeks} weeks of {counts.run.customers} customers"),
        ("models", p.models.total, _champion(counts)),
        ("forecasts", sum(counts.forecasts.values()), f"{forecasts}; 96 slots each"),
    ]  # fmt: skip
    table = Table(title="The way of a sample", title_justify="left")
    table.add_column("hop")
    table.add_column("count", justify="right")
    table.add_column("what it is", overflow="fold")
    for hop, count, what in lines:
        table.add_row(hop, f"{count:,}", what)
    console.print(table)


def show_models(console: Console, run: Run) -> None:
    """The leaderboard of a run on held-out days: every model and baseline, every target."""
    rows: list[dict[str, Any]] = run.metrics.get("leaderboard", [])
    if not rows:
        console.print(f"Training: {run.verdict}")
        return
    title = "Forecasts of held-out days: error (WQL, lower is better) and cover of the 80 % band"
    table = Table(title=title, title_justify="left")
    targets = list(dict.fromkeys(row["target"] for row in rows))
    table.add_column("model")
    for target in targets:
        table.add_column(TARGETS.get(target, target), justify="right")
    for kind, name in MODELS.items():
        found = {row["target"]: row for row in rows if row["model"] == kind}
        if found:
            table.add_row(name, *(_figures(found.get(target)) for target in targets))
    console.print(table)
    console.print(str(run.verdict), highlight=False)


def show_proof(console: Console, counts: Counts) -> None:
    """Whether the ledger equals what was accepted, and whatever else does not agree."""
    console.print(words(counts.comparison), highlight=False, markup=False)
    wrong = counts.disagreements()
    for name in wrong:
        console.print(f"NOT SO: {name}", markup=False)
    if not wrong:
        console.print("All counts agree.")


def _champion(counts: Counts) -> str:
    champion = counts.pipeline.models.champion
    return f"in use: {MODELS.get(champion.kind, champion.kind)}" if champion else "none in use"


def _figures(row: dict[str, Any] | None) -> str:
    if row is None or row["wql"] is None:
        return "–"
    mark = " *" if row["champion"] else ""
    cover = "" if row["coverage"] is None else f"  {100 * row['coverage']:.0f} %"
    return f"{row['wql']:.4f}{cover}{mark}"
