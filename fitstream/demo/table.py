"""What the demo shows at the end: counts at each hop, and the model beside its baselines."""

from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from fitstream.client.operations import Pipeline, Run
from fitstream.demo.proof import Proof
from fitstream.simulate.importing import Totals

MODELS = {
    "naive_day": "yesterday again",
    "naive_week": "last week again",
    "weighted_climatology": "weighted climatology",
    "transformer": "Transformer",
}


class Counts(NamedTuple):
    """Everything that was counted."""

    totals: Totals
    pipeline: Pipeline
    objects: int
    proof: Proof
    customers: int

    def disagreements(self) -> list[str]:
        """Which counts do not agree; empty when all do."""
        p, t = self.pipeline, self.totals
        records = p.kafka.records if p.kafka else -1
        checks = {
            "posted = accepted + rejected": t.is_complete,
            "one Kafka record per post": records == t.posts,
            "every Kafka record is in the ledger": p.ledger.records == records,
            "every accepted row is in the ledger": p.ledger.rows == t.accepted == p.ledger.inserted,
            "no dead letters": p.dead_letters == 0,
            "every finished week is rolled": p.weeks.closing == p.weeks.late == 0 < p.weeks.rolled,
            "a model is in use": p.models.champion is not None,
            "every customer has a forecast": p.forecast_customers == self.customers,
            "the ledger equals what was accepted": self.proof.holds,
        }
        return [name for name, holds in checks.items() if not holds]


def show_counts(console: Console, counts: Counts) -> None:
    """One line per hop."""
    p, t = counts.pipeline, counts.totals
    table = Table(title="The way of a sample", title_justify="left")
    table.add_column("hop")
    table.add_column("count", justify="right")
    table.add_column("what it is")
    lines = [
        ("posted", t.posted, f"rows in {t.posts:,} posts of {counts.customers} customers"),
        ("accepted", t.accepted, "rows acknowledged after Kafka had them"),
        ("rejected", sum(t.rejected.values()), "rows refused, each with a code"),
        ("Kafka records", p.kafka.records if p.kafka else 0, "one per post"),
        ("ledger rows", p.ledger.rows, f"{p.ledger.updated:,} were replaced by a better version"),
        ("weeks", p.weeks.rolled, f"rolled; {p.weeks.open} still open"),
        ("versions", p.weeks.versions, "published states of weeks"),
        ("S3 objects", counts.objects, "archive, week files, manifests, models, forecasts"),
        ("training runs", p.training_runs, f"which made {p.models.total} model(s)"),
        ("forecasts", p.forecasts, f"for {p.forecast_customers} customers, 96 slots each"),
    ]  # fmt: skip
    for hop, count, what in lines:
        table.add_row(hop, f"{count:,}", what)
    console.print(table)


def show_models(console: Console, run: Run) -> None:
    """The leaderboard of a run: held-out days, every target."""
    rows: list[dict[str, Any]] = run.metrics.get("leaderboard", [])
    if not rows:
        console.print(f"Training: {run.verdict}")
        return
    table = Table(title="Forecasts of held-out days (WQL, lower is better)", title_justify="left")
    targets = list(dict.fromkeys(row["target"] for row in rows))
    table.add_column("model")
    for target in targets:
        table.add_column(target, justify="right")
    for kind, name in MODELS.items():
        scores = {r["target"]: r["wql"] for r in rows if r["model"] == kind}
        table.add_row(name, *(_figure(scores.get(t)) for t in targets))
    console.print(table)
    console.print(str(run.verdict))


def show_proof(console: Console, proof: Proof) -> None:
    """Whether the ledger equals what was accepted."""
    if proof.holds:
        console.print(
            f"Proved: the ledger equals what was accepted ({proof.compared:,} slots compared)"
        )
        return
    console.print(
        f"NOT EQUAL: {proof.missing} accepted slots missing, {proof.different} different, "
        f"{proof.unknown} that nobody sent"
    )


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
