"""Holds the ledger against what was acknowledged, and says so in words."""

from collections.abc import Callable, Iterable

import click

from fitstream.client import Client
from fitstream.simulate.acknowledged import Versions
from fitstream.simulate.compare import Comparison, compare_all, settled
from fitstream.simulate.enrol import Enrolled
from fitstream.simulate.progress import Progress


async def verify(
    admin: Client, enrolled: Iterable[Enrolled], expected: Callable[[Enrolled], Versions]
) -> bool:
    """Whether the ledger holds exactly what was acknowledged; prints what it found."""
    everybody = list(enrolled)
    if not await settled(admin):
        click.echo("the ledger is still behind the topic; comparing anyway", err=True)
    with Progress("customers compared", len(everybody)) as progress:
        found = await compare_all(
            admin, everybody, expected, lambda so_far: progress.show(so_far.customers)
        )
    click.echo(words(found))
    return found.agrees


def words(found: Comparison) -> str:
    """The comparison for a person."""
    lines = [f"compared {found.slots:,} slots of {found.customers:,} devices with the ledger"]
    if found.agrees:
        lines.append("every slot holds exactly what was acknowledged")
    else:
        lines.append(f"{found.differing:,} slots differ; the first of them:")
        lines += [f"  {difference}" for difference in found.examples]
    return "\n".join(lines)
