"""Commands: load settings, open resources, run, exit code. Nothing else happens here."""

import asyncio
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from fitstream.cli_access import audit, oauth_client, rewrap
from fitstream.cli_api import openapi
from fitstream.cli_parts import DATA, PORT, target
from fitstream.cli_parts import environ as _environ
from fitstream.cli_parts import local_part as _local_part
from fitstream.cli_parts import number as _number
from fitstream.cli_parts import or_complain as _or_complain
from fitstream.cli_parts import run as _run
from fitstream.cli_trainer import evaluate, forecast, models, train
from fitstream.cli_uploads import upload

if TYPE_CHECKING:
    from fitstream.settings import Settings

DEMO_FILE = "dataset/wearers_15min.parquet"
FIRST_ADMIN = "admin@fitstream.invalid"


@click.group()
@click.version_option(package_name="fitstream")
def main() -> None:
    """Backend of wearable-data programmes; docs/operations.md describes every setting."""


main.add_command(openapi)
main.add_command(audit)
main.add_command(oauth_client)
main.add_command(rewrap)
main.add_command(evaluate)
main.add_command(train)
main.add_command(models)
main.add_command(forecast)
main.add_command(upload)


@main.command()
@click.option("--port", type=PORT, help="Port to listen on (FITSTREAM_PORT).")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--shared", type=int, hidden=True, help="Parent of several on this port.")
@DATA
def gateway(port: int | None, processes: int, shared: int | None, data: Path | None) -> None:
    """Serve the API for devices and programs, and the administrators' pages."""
    from fitstream.gateway.run import run_gateway, run_many
    from fitstream.parent import die_with_parent

    if processes > 1:
        sys.exit(run_many(port, processes, _environ(data)))
    if shared:
        die_with_parent(shared, signal.SIGKILL)
    _run("gateway", lambda s, stop: run_gateway(s, port, stop, is_shared=bool(shared)), data)


@main.command()
@click.option("--port", type=PORT, help="Port to listen on (FITSTREAM_PAGES_PORT).")
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
    _run(consumer, import_module(f"fitstream.consumers.run_{consumer}").run, data)


@main.command()
@DATA
def worker(data: Path | None) -> None:
    """Run jobs: training, forecasts, upkeep."""
    from fitstream.worker import run_worker

    _run("worker", run_worker, data)


@main.command(hidden=True)
@click.argument("job_id")
@click.argument("epoch", type=int)
@click.argument("worker_pid", type=int)
def job(job_id: str, epoch: int, worker_pid: int) -> None:
    """Do one claimed job; started by a worker, and ended with it."""
    from fitstream.parent import die_with_parent
    from fitstream.tasks.child import run_job

    die_with_parent(worker_pid, signal.SIGKILL)
    _run("job", lambda settings, stop: run_job(settings, stop, job_id, epoch), None)


@main.command()
@click.option("--admin-stdin", is_flag=True, help="Read the first administrator as JSON.")
@DATA
def setup(admin_stdin: bool, data: Path | None) -> None:
    """Migrate, make topics and bucket, create the first administrator; repeatable."""
    from fitstream.setup import NewAdmin, new_admin, set_up

    text = sys.stdin.buffer.read() if admin_stdin else b""
    first = msgspec.json.decode(text, type=NewAdmin) if text else new_admin(FIRST_ADMIN, None)

    async def run(settings: "Settings", _: asyncio.Event) -> None:
        done = await set_up(settings, first)
        shown = done.known if admin_stdin else (first if done.made else None)
        click.echo(msgspec.json.encode({"admin": shown}).decode())

    _run("setup", run, data)


@main.command()
@click.option("--adopt", is_flag=True, help="Accept a topic that was recreated: go on from it.")
@DATA
def topics(adopt: bool, data: Path | None) -> None:
    """Create the topics that are missing; consumers must be halted for --adopt."""
    from fitstream.operations.topics import adopt_topic, create_topics

    async def run(settings: "Settings", _: asyncio.Event) -> None:
        if adopt:
            click.echo(f"the sample topic has generation {await adopt_topic(settings)} now")
        else:
            made = await create_topics(settings)
            click.echo(f"created: {', '.join(made) or 'nothing was missing'}")

    _run("topics", run, data)


@main.command()
@click.option("--repair", is_flag=True, help="Have weeks that differ rolled again.")
@click.option("--acknowledge-loss", is_flag=True, help="You have seen every proven loss.")
@click.option("--receipts", type=click.Path(path_type=Path), help="Receipts to look for, too.")
@click.option("--customer", help="Look at one customer only.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@DATA
def verify(data: Path | None, **order: Any) -> None:
    """Prove that ledger, versions and files agree: 0 clean, 1 differences, 2 could not look."""
    from fitstream.operations.run_verify import COULD_NOT_LOOK, Order, run_verify

    try:
        environ = _environ(data)
    except click.ClickException as error:
        error.show()
        sys.exit(COULD_NOT_LOOK)
    sys.exit(run_verify(environ, Order(**order)))


@main.command("create-admin")
@click.option("--email", required=True)
@click.option("--password", help="Made up and printed when left out.")
@DATA
def create_admin(email: str, password: str | None, data: Path | None) -> None:
    """Create an administrator and print the credentials once."""
    from fitstream.repo.database import open_repo
    from fitstream.setup import create_admin as create
    from fitstream.setup import new_admin

    async def run(settings: "Settings", _: asyncio.Event) -> None:
        new = new_admin(email, password)
        async with open_repo(settings) as repo:
            await create(repo, new)
        click.echo(msgspec.json.encode(new).decode())

    _run("create-admin", run, data)


@main.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the stack.")
@click.option("--port", type=PORT, help="Port of the gateway; the same ever after.")
@click.option("--pages-port", type=PORT, help="Port of the customers' pages; the same ever after.")
@click.option("--services-only", is_flag=True, help="Kafka, Postgres, Valkey and S3 alone.")
def up(data: Path, port: int | None, pages_port: int | None, services_only: bool) -> None:
    """Run everything on this machine: local services and all processes, supervised."""
    stack = _local_part("fitstream.stack.up")
    sys.exit(stack.run_up(stack.Options(data, port, pages_port, services_only)))


@main.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the stack.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(data: Path, as_json: bool) -> None:
    """Show the stack that `fitstream up` runs on a folder; exit code 1 unless all of it lives."""
    control = _local_part("fitstream.stack.control")
    found = _or_complain(lambda: control.status(data))
    click.echo(msgspec.json.encode(found).decode() if as_json else control.shown(found))
    sys.exit(0 if found.is_up and not found.ended else 1)


@main.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the stack.")
def down(data: Path) -> None:
    """Stop the stack that `fitstream up` runs on a folder."""
    control = _local_part("fitstream.stack.control")
    was_up = _or_complain(lambda: control.down(data))
    click.echo("stopped" if was_up else "nothing was running")


@main.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--shift-weeks", default="auto", show_default=True, help="`auto` ends it just now.")
@click.option("--speed", default="max", show_default=True, help="Times real time, or `max`.")
@click.option("--days", type=click.IntRange(1), help="Only the last days of each wearer.")
@click.option("--report", type=click.Path(path_type=Path), help="Totals as JSON into this file.")
@click.option("--consent", multiple=True, type=click.Choice(["training", "sharing"]))
@click.option("--verify", is_flag=True, help="Then compare the ledger with what was accepted.")
@target
def import_(file: Path, shift_weeks: str, speed: str, **more: Any) -> None:
    """Post a Parquet file of wearers as their devices would."""
    from fitstream.simulate.importing import ImportPlan
    from fitstream.simulate.run_import import run_import
    from fitstream.stack.target import find_target

    weeks = None if shift_weeks == "auto" else _number(shift_weeks, int, "--shift-weeks")
    times = None if speed == "max" else _number(speed, float, "--speed")
    consents = dict.fromkeys(more["consent"], True)
    plan = ImportPlan(file, weeks, times, more["days"], fields={"consents": consents})
    api = _or_complain(lambda: find_target(more["data"], more["url"], more["key"]))
    sys.exit(run_import(plan, api, more["report"], more["verify"]))


@main.command()
@click.option("--devices", type=click.IntRange(1), default=20, show_default=True)
@click.option("--days", type=click.IntRange(0, 399), default=0, help="History that is sent first.")
@click.option("--live", is_flag=True, help="Go on in real time; so it does without --days.")
@click.option("--seed", type=click.IntRange(0, 2**62), default=1, show_default=True)
@click.option("--faults", type=click.Choice(["none", "some", "many"]), default="none")
@click.option("--for-s", type=click.FloatRange(0), help="Stop after so many seconds.")
@click.option("--speed", type=click.FloatRange(1), default=1, help="Live through --days faster.")
@click.option("--verify", is_flag=True, help="Then compare the ledger with what was acknowledged.")
@target
def simulate(verify: bool, **more: Any) -> None:
    """Post as a fleet of virtual wearers would."""
    from fitstream.simulate.fleet import Order
    from fitstream.simulate.run_simulate import run_simulate
    from fitstream.stack.target import find_target

    api = _or_complain(lambda: find_target(*(more.pop(name) for name in ("data", "url", "key"))))
    sys.exit(run_simulate(Order(**more | {"live": more["live"] or not more["days"]}), api, verify))


@main.command()
@click.option("--from-archive", is_flag=True, required=True, help="From S3, not from Kafka.")
@click.option("--customer", help="Only the records of one customer.")
@click.option("--from", "first", help="Only posts with a slot from here on: a slot, day or time.")
@click.option("--to", "end", help="Only posts with a slot before this.")
@click.option("--resume", is_flag=True, help="Pass over what the ledger has read to its end.")
@DATA
def replay(data: Path | None, **asked: Any) -> None:
    """Rebuild the ledger from the archived records; what is there already stays as it is."""
    from fitstream.operations.run_replay import order_of, replay

    del asked["from_archive"]
    order = _or_complain(lambda: order_of(**asked))
    _run("replay", lambda settings, stop: replay(settings, stop, order), data)


@main.command("dead-letters")
@click.option("--reason", default="", help="Only those parked for this reason.")
@click.option(
    "--state", type=click.Choice(["parked", "replayed", "discarded", "all"]), default="parked"
)
@click.option("--replay", default="", metavar="ID|all", help="Apply one again, or all parked ones.")
@click.option("--discard", default="", metavar="ID", help="Give one up; its bytes are kept.")
@target
def dead_letters(data: Path | None, url: str | None, key: str | None, **more: str) -> None:
    """List records that could not be applied, apply them again, or give them up."""
    from fitstream.operations.run_dead_letters import Order, run_dead_letters
    from fitstream.stack.target import find_target

    api = _or_complain(lambda: find_target(data, url, key))
    sys.exit(_or_complain(lambda: run_dead_letters(api, Order(**more))))


@main.command()
@click.option("--batch", help="The batch_id of a receipt.")
@click.option("--customer", help="A customer, with --slot.")
@click.option("--slot", help="RFC 3339, like 2026-11-23T00:15:00Z.")
@click.option("--device", help="Only this device of the customer.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@target
def trace(data: Path | None, url: str | None, key: str | None, **more: Any) -> None:
    """Follow a post or a slot from its record to the forecasts; 1 when nothing is known."""
    from fitstream.operations.run_trace import Order, run_trace
    from fitstream.stack.target import find_target

    api = _or_complain(lambda: find_target(data, url, key))
    sys.exit(_or_complain(lambda: run_trace(api, Order(**more))))


@main.command()
@click.option("--data", type=click.Path(path_type=Path), default=Path("demo-data"))
@click.option("--file", type=click.Path(path_type=Path), default=Path(DEMO_FILE))
@click.option("--exit", "leave", is_flag=True, help="Stop after the table; 0 only if all agrees.")
def demo(data: Path, file: Path, leave: bool) -> None:
    """Show the whole way of a sample on real data, and prove that nothing was lost."""
    sys.exit(_local_part("fitstream.demo.run").run_demo(data, file, leave))
