"""Commands: load settings, open resources, run, exit code. Nothing else happens here."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

if TYPE_CHECKING:
    from fitstream.settings import Settings

DATA = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Speak to the stack that `fitstream up` runs on this directory.",
)


@click.group()
@click.version_option(package_name="fitstream")
def main() -> None:
    """Backend of wearable-data programmes; docs/operations.md describes every setting."""


@main.command()
@click.option("--port", type=int, help="Port to listen on (FITSTREAM_PORT).")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True)
@DATA
def gateway(port: int | None, processes: int, data: Path | None) -> None:
    """Serve the API for devices and programs, and the administrators' pages."""
    from fitstream.gateway.run import run_gateway, run_many

    if processes > 1:
        sys.exit(run_many(port, processes))
    _run("gateway", lambda settings, stop: run_gateway(settings, port, stop), data)


@main.command()
@click.option("--port", type=int, help="Port to listen on (FITSTREAM_PAGES_PORT).")
@DATA
def pages(port: int | None, data: Path | None) -> None:
    """Serve the customers' pages, which speak to the API only."""
    from fitstream.gateway.pages.app import run_pages

    _run("pages", lambda settings, stop: run_pages(settings, port, stop), data)


@main.command()
@click.argument("consumer", type=click.Choice(["ledger", "archive", "roller", "dispatcher"]))
@DATA
def consume(consumer: str, data: Path | None) -> None:
    """Run one of the consumers."""
    from fitstream.consumers import run

    mains = {
        "ledger": run.run_ledger,
        "archive": run.run_archive,
        "roller": run.run_roller,
        "dispatcher": run.run_dispatcher,
    }
    _run(consumer, mains[consumer], data)


@main.command()
@DATA
def worker(data: Path | None) -> None:
    """Run jobs: training, forecasts, upkeep."""
    from fitstream.worker import run_worker

    _run("worker", run_worker, data)


@main.command(hidden=True)
@click.argument("job_id")
@click.argument("epoch", type=int)
def job(job_id: str, epoch: int) -> None:
    """Do one claimed job; started by a worker."""
    from fitstream.tasks.child import run_job

    _run("job", lambda settings, stop: run_job(settings, stop, job_id, epoch), None)


@main.command()
@DATA
def setup(data: Path | None) -> None:
    """Migrate, make topics and bucket, create the first administrator; repeatable."""
    from fitstream.setup import set_up

    async def run(settings: "Settings", _: asyncio.Event) -> None:
        admin = await set_up(settings)
        click.echo(msgspec.json.encode({"admin": admin}).decode())

    _run("setup", run, data)


@main.command("create-admin")
@click.option("--email", required=True)
@click.option("--password", help="Made up and printed when left out.")
@DATA
def create_admin(email: str, password: str | None, data: Path | None) -> None:
    """Create an administrator and print the credentials once."""
    from fitstream.repo.database import open_repo
    from fitstream.setup import create_admin as create

    async def run(settings: "Settings", _: asyncio.Event) -> None:
        async with open_repo(settings) as repo:
            click.echo(msgspec.json.encode(await create(repo, email, password)).decode())

    _run("create-admin", run, data)


def _run(
    name: str,
    run: "Callable[[Settings, asyncio.Event], Awaitable[None]]",
    data: Path | None,
) -> None:
    from fitstream.process import run as run_process

    sys.exit(run_process(name, run, _environ(data)))


def _environ(data: Path | None) -> dict[str, str]:
    """The environment, with the addresses of the stack on `data` below what is set by hand."""
    if data is None:
        return dict(os.environ)
    from fitstream.stack.run_file import environ_of

    return environ_of(data) | dict(os.environ)
