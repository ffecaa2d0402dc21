"""`fitstream import` as a command: progress while it runs, totals at the end, an exit code."""

import asyncio
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import msgspec

from fitstream.client import Client, open_client
from fitstream.errors import Rejected, Unavailable
from fitstream.simulate.acknowledged import Acknowledged
from fitstream.simulate.delivery import PATIENCE_S, Totals
from fitstream.simulate.importing import Importer, ImportPlan
from fitstream.simulate.progress import Progress
from fitstream.simulate.session import EXIT_FAILED, run_session
from fitstream.simulate.verifying import verify
from fitstream.simulate.wearers_file import read_wearers


def run_import(
    plan: ImportPlan, api: tuple[str, str], report: Path | None, is_verified: bool = False
) -> int:
    """Imports a file through `api` (address, key); 0 only if all rows were delivered."""

    async def main(stop: asyncio.Event) -> int:
        async with open_client(*api) as admin:
            return await _import(admin, plan, (report, is_verified), stop)

    return run_session("import", main)


async def _import(
    admin: Client, plan: ImportPlan, ending: tuple[Path | None, bool], stop: asyncio.Event
) -> int:
    report, is_verified = ending
    if plan.speed is not None and not 0 < plan.speed < math.inf:
        raise Rejected("bad_speed", "--speed is `max`, or how many times real time: above 0")
    file = await asyncio.to_thread(read_wearers, plan.path)
    kept = Acknowledged() if is_verified else None
    await _tell_if_away(admin)
    with Progress("rows", file.rows if plan.days is None else None) as progress:
        importer = Importer(admin, plan, file, telling(progress), kept.note if kept else None)
        is_done = await importer.run(stop)
    click.echo(summary(importer))
    if report is not None:
        report.write_bytes(msgspec.json.format(msgspec.json.encode(as_report(importer))))
    if not is_done:
        click.echo("stopped; the same command goes on where it was: nothing counts twice", err=True)
        return EXIT_FAILED
    for name, why in importer.failures.items():
        click.echo(f"wearer {name}: {why}", err=True)
    agrees = kept is None or await verify(
        admin, importer.enrolled.values(), lambda who: kept.of(who.customer_id, who.device_id)
    )
    return 0 if agrees and _is_delivered(importer.totals) else EXIT_FAILED


async def _tell_if_away(admin: Client) -> None:
    """Says what is being waited for when nothing answers; an import waits out an outage."""
    try:
        await admin.server_time()
    except Unavailable as error:
        text = f"{error}; trying for up to {PATIENCE_S / 60:.0f} minutes (Ctrl-C stops)"
        click.echo(text, err=True)


def _is_delivered(totals: Totals) -> bool:
    """Whether every row got its verdict, and not all of them were refused."""
    return totals.undelivered == 0 < totals.accepted


def telling(progress: Progress) -> Callable[[Totals], None]:
    """Shows totals as they grow."""

    def tell(totals: Totals) -> None:
        refused = f", {totals.rejected_in_all:,} rejected" if totals.rejected else ""
        progress.show(totals.posted, f"{totals.accepted:,} accepted{refused}")

    return tell


def as_report(importer: Importer) -> Mapping[str, object]:
    """The totals as plain values, and who the wearers are in the system."""
    totals = importer.totals
    return {
        "customers": len(importer.enrolled),
        "rows": totals.rows,
        "posts": totals.posts,
        "posted": totals.posted,
        "accepted": totals.accepted,
        "rejected": dict(totals.rejected),
        "undelivered": totals.undelivered,
        "reasons": dict(totals.reasons),
        "failures": importer.failures,
        "shift_weeks": importer.shift_weeks,
        "seconds": round(importer.seconds, 2),
        "wearers": {
            name: {"customer_id": who.customer_id, "device_id": who.device_id}
            for name, who in importer.enrolled.items()
        },
    }


def summary(importer: Importer) -> str:
    """The totals for a person."""
    totals = importer.totals
    codes = ", ".join(f"{code} {count:,}" for code, count in totals.rejected.most_common())
    reasons = ", ".join(f"{code} {count:,}" for code, count in totals.reasons.most_common())
    return (
        f"{len(importer.enrolled)} customers, moved by {importer.shift_weeks} weeks, in "
        f"{importer.seconds:.1f} s\n"
        f"posted        {totals.posted:>9,} rows in {totals.posts:,} posts\n"
        f"accepted      {totals.accepted:>9,}\n"
        f"rejected      {totals.rejected_in_all:>9,}{f'  ({codes})' if codes else ''}\n"
        f"not delivered {totals.undelivered:>9,}{f'  ({reasons})' if reasons else ''}"
    )
