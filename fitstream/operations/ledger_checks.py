"""Checks of the ledger as a whole: positions, losses, counters, runs. Only reads."""

from collections.abc import Mapping

from fitstream.operations.findings import Finding, Report
from fitstream.repo import checks, progress
from fitstream.repo.checks import LedgerPosition
from fitstream.repo.database import Db


async def check_positions(db: Db, topic: str, committed: Mapping[int, int], report: Report) -> None:
    """Kafka's group is never beyond the ledger; every loss has been seen by a person."""
    generation = await progress.current_generation(db, topic)
    found = await checks.ledger_positions(db, generation)
    for detail in beyond(committed, found):
        report.differs(Finding("position", f"{topic} generation {generation}", detail))
    for each in found:
        for detail in miscounted(each):
            where = f"{topic} generation {generation} partition {each.partition}"
            report.differs(Finding("count", where, detail))
    for loss in await checks.losses(db):
        where = f"{topic} generation {loss.generation} partition {loss.partition}"
        offsets = f"offsets {loss.first_offset} to {loss.next_offset - 1}"
        detail = f"of the {loss.reader}: {offsets}, found {loss.found_at:%F}"
        report.differs(Finding("loss", where, detail))


async def check_counts(db: Db, report: Report) -> None:
    """Rows that chunks inserted are rows that customers gained; dead letters are told apart."""
    sums = await checks.ledger_sums(db)
    if sums.inserted > sums.gained:
        detail = f"{sums.inserted} rows were inserted, customers gained {sums.gained}"
        report.differs(Finding("count", "ledger", detail))
    if sums.parked:
        report.stands_apart(Finding("dead", "dead letters", f"{sums.parked} wait"))


async def check_runs(db: Db, report: Report) -> None:
    """One run per dataset and recipe."""
    for run in await checks.repeated_runs(db):
        where = f"dataset {run.dataset_hash[:12]} recipe {run.recipe_hash[:12]}"
        report.differs(Finding("run", where, f"{run.runs} runs succeeded"))


def beyond(committed: Mapping[int, int], found: list[LedgerPosition]) -> list[str]:
    """Partitions in which Kafka's group is further than the ledger."""
    stored = {each.partition: each.next_offset for each in found}
    return [
        f"partition {partition}: the group stands at {offset}, the ledger at"
        f" {stored.get(partition, 'nothing')}"
        for partition, offset in sorted(committed.items())
        if offset > stored.get(partition, 0)
    ]


def miscounted(position: LedgerPosition) -> list[str]:
    """Counters of a partition that cannot be: applied, superseded and duplicate rows make up
    what was read, and no record is counted that is not below the position."""
    wrong = []
    if position.inserted + position.updated > position.samples:
        applied = f"{position.inserted} inserted and {position.updated} updated"
        wrong.append(f"{applied} of {position.samples} rows read")
    if position.records > position.next_offset:
        wrong.append(f"{position.records} records read below offset {position.next_offset}")
    return wrong
