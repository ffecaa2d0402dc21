"""Everything that the demo's table shows and judges, counted where it lies: API, ledger, S3."""

from contextlib import suppress
from typing import NamedTuple

from fitstream.client import Client
from fitstream.client.operations import Pipeline, Run
from fitstream.demo.waiting import TARGETS
from fitstream.errors import NotFound
from fitstream.merge import NAMES
from fitstream.settings import load
from fitstream.simulate.acknowledged import Acknowledged
from fitstream.simulate.compare import Comparison
from fitstream.simulate.delivery import Totals
from fitstream.simulate.enrol import Enrolled
from fitstream.stack.run_file import RunFile
from fitstream.store import open_store


class Counts(NamedTuple):
    """What was counted at each hop, and what the comparison found."""

    totals: Totals
    customers: int
    slots: int
    pipeline: Pipeline
    objects: dict[str, int]
    version_files: int
    missing_files: int
    forecasts: dict[str, int]
    without_forecast: list[str]
    run: Run
    comparison: Comparison

    def disagreements(self) -> list[str]:
        """Which counts do not agree, in words; empty when all do."""
        p, t = self.pipeline, self.totals
        records = p.kafka.records if p.kafka else -1
        checks = {
            "every row got its verdict": t.undelivered == 0 < t.accepted,
            "there is a Kafka record for every post": records >= t.posts,
            "the ledger has read every Kafka record": p.ledger.records == records,
            "every accepted slot is one row of the ledger": p.ledger.rows == self.slots,
            "the ledger equals what was accepted": self.comparison.agrees,
            "no record had to be parked": p.dead_letters == 0,
            "every finished week is rolled": p.weeks.closing == p.weeks.late == 0 < p.weeks.rolled,
            "every version has its file": self.missing_files == 0
            and self.version_files == p.weeks.versions,
            "the model has seen every rolled week": self.run.weeks == p.weeks.rolled,
            "every customer of the demo trained it": self.run.customers == self.customers,
            "a model is in use": p.models.champion is not None,
            "every customer has a forecast of every target that was measured": (
                not self.without_forecast and p.forecast_customers >= self.customers
            ),
        }
        return [name for name, holds in checks.items() if not holds]


async def gather_counts(
    admin: Client,
    run: RunFile,
    wearers: list[Enrolled],
    seen: tuple[Totals, Acknowledged, Comparison],
) -> Counts:
    """Counts of the system as it is now."""
    totals, kept, comparison = seen
    keys = await _keys(run)
    files = await _version_files(admin, wearers)
    has_forecast = {target: await _forecasts(admin, wearers, target) for target in TARGETS}
    return Counts(
        totals=totals,
        customers=len(wearers),
        slots=kept.count,
        pipeline=await admin.pipeline(),
        objects=_by_folder(keys),
        version_files=len(files),
        missing_files=len(files - keys),
        forecasts={target: len(found) for target, found in has_forecast.items()},
        without_forecast=[
            f"{who.customer_id}: {target}"
            for target, found in has_forecast.items()
            for who in wearers
            if who.customer_id not in found and _was_measured(kept, who, target)
        ],
        run=(await admin.runs(limit=1)).items[0],
        comparison=comparison,
    )


async def _keys(run: RunFile) -> set[str]:
    async with open_store(load(run.settings)) as store:
        return {key async for key in store.list_keys()}


async def _version_files(admin: Client, wearers: list[Enrolled]) -> set[str]:
    """The files that the versions of all weeks name."""
    files = set()
    for who in wearers:
        for week in (await admin.weeks(who.customer_id)).items:
            versions = (await admin.week(who.customer_id, week.week)).versions
            files |= {version.object_key for version in versions}
    return files


async def _forecasts(admin: Client, wearers: list[Enrolled], target: str) -> set[str]:
    """Customers who have a forecast of the target."""
    found = set()
    for who in wearers:
        with suppress(NotFound):
            if (await admin.forecast(who.customer_id, target)).items:
                found.add(who.customer_id)
    return found


def _was_measured(kept: Acknowledged, who: Enrolled, target: str) -> bool:
    index = NAMES.index(target)
    rows = kept.of(who.customer_id, who.device_id).values()
    return any(row.values[index] is not None for row in rows)


def _by_folder(keys: set[str]) -> dict[str, int]:
    """Objects by what they are: archive, weeks, forecasts, datasets, models, keys."""
    counts: dict[str, int] = {}
    for key in keys:
        parts = key.split("/")
        folder = parts[2] if parts[0] == "users" and len(parts) > 3 else parts[0]
        counts[folder] = counts.get(folder, 0) + 1
    return dict(sorted(counts.items()))
