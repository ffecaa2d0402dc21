"""The command about files of rows."""

import sys
from pathlib import Path
from typing import Any

import click

from fitstream.cli_parts import or_complain, target

FORMATS = click.Choice(["csv", "ndjson", "parquet", "legacy_daily"])


@click.command()
@click.argument(
    "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False
)
@click.option("--customer", default="", help="Whose file it is; else its rows say so.")
@click.option("--programme", default="", help="Programme of a file of many customers.")
@click.option("--format", "kind", type=FORMATS, help="Found out when left out.")
@click.option("--mapping", default="", metavar="NAME[@VERSION]", help="How its columns are read.")
@click.option("--priority", type=click.IntRange(0, 1000), help="Who wins; 1000, the lowest.")
@click.option("--ingest", is_flag=True, help="Bring the rows in when the check is done.")
@click.option("--undo", default="", metavar="ID", help="Take an upload back.")
@target
def upload(
    file: Path | None, data: Path | None, url: str | None, key: str | None, **more: Any
) -> None:
    """Check a file of rows against the ledger, bring it in, or take one back."""
    from fitstream.operations.run_uploads import Order, run_uploads
    from fitstream.stack.target import find_target

    if (file is None) == (not more["undo"]):
        raise click.UsageError("name a file, or --undo with the id of an upload")
    api = or_complain(lambda: find_target(data, url, key))
    sys.exit(or_complain(lambda: run_uploads(api, Order(file=file, **more))))
