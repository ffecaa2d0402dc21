"""Commands about the API itself."""

from pathlib import Path

import click


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="A file to write instead.")
def openapi(out: Path | None) -> None:
    """Print the OpenAPI document of this version."""
    from fitstream.gateway.app import api_routes
    from fitstream.gateway.openapi import text_of

    text = text_of(api_routes())
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text)
