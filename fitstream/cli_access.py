"""Commands about who may what: the audit log, and OAuth clients."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fitstream.cli_parts import DATA, environ, or_complain, run, target

if TYPE_CHECKING:
    from fitstream.settings import Settings

GRANTS = {
    "code": "authorization_code",
    "device": "urn:ietf:params:oauth:grant-type:device_code",
    "client": "client_credentials",
}


@click.group()
def audit() -> None:
    """The audit log and its seals."""


@audit.command("verify")
@click.option("--head", help="A link noted earlier, NUMBER:HASH: it must be in the chain.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@DATA
def verify_audit(head: str | None, as_json: bool, data: Path | None) -> None:
    """Prove that nothing was changed or taken out: 0 it holds, 1 it does not, 2 could not look."""
    from fitstream.operations.run_audit import run_audit_verify

    sys.exit(run_audit_verify(environ(data), head, as_json))


@audit.command("seal")
@DATA
def seal_audit(data: Path | None) -> None:
    """Seal now what the dispatcher would seal within a minute."""
    from fitstream.operations.run_audit import run_seal

    async def seal(settings: "Settings", _: asyncio.Event) -> None:
        click.echo(f"sealed {await run_seal(settings)} entries")

    run("audit", seal, data)


@click.command("oauth-client")
@click.option("--name", required=True, help="What customers see on the consent page.")
@click.option("--redirect", multiple=True, help="An exact address to go back to; repeatable.")
@click.option("--scope", multiple=True, required=True, help="What it may ask for; repeatable.")
@click.option("--grant", multiple=True, default=("code",), type=click.Choice(list(GRANTS)))
@click.option("--programme", multiple=True, help="Only these programmes; repeatable.")
@click.option("--confidential", is_flag=True, help="It can keep a secret, which is printed once.")
@target
def oauth_client(data: Path | None, url: str | None, key: str | None, **wanted: Any) -> None:
    """Register an OAuth client and print its id, and its secret once."""
    from fitstream.operations.run_clients import register
    from fitstream.stack.target import find_target

    api = or_complain(lambda: find_target(data, url, key))
    grants = [GRANTS[name] for name in wanted.pop("grant")]
    click.echo(or_complain(lambda: register(api, grants=grants, **wanted)))


@click.command()
@DATA
def rewrap(data: Path | None) -> None:
    """Seal under the new secret key what lies under the old one; then the old may go."""
    from fitstream.operations.run_rewrap import run_rewrap

    async def go(settings: "Settings", _: asyncio.Event) -> None:
        click.echo(await run_rewrap(settings))

    run("rewrap", go, data)
