"""`make demo`: real services, real wearers, the whole way, and a proof at the end."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console

from fitstream.client import Client, open_client
from fitstream.client.operations import Pipeline, Run
from fitstream.demo.child import running_stack
from fitstream.demo.folder import Logins, fresh_folder
from fitstream.demo.live import run_live
from fitstream.demo.proof import prove
from fitstream.demo.table import Counts, show_counts, show_models, show_proof
from fitstream.errors import FitstreamError, Halted
from fitstream.settings import load
from fitstream.simulate.importing import Importer, ImportPlan, Totals
from fitstream.stack.run_file import RunFile
from fitstream.store import open_store

EXIT_DISAGREES = 1
EMAIL = "wearer-{wearer}@demo.fitstream.invalid"
_DAYS = 30
_LIVE_DEVICES = 3
_WAIT_S = 300.0
_REPEAT_S = 10.0
_SHOWN_LOGINS = 3


def run_demo(folder: Path, data: Path, leave: bool) -> int:
    """Runs the demo on `folder`; with `leave` it ends after the table, 0 only if all agrees."""
    console = Console(soft_wrap=True)
    folder = folder.resolve()
    try:
        fresh_folder(folder)
        with running_stack(folder, console.print) as run:
            return asyncio.run(Demo(console, folder, run).show(data, leave))
    except FitstreamError as error:
        console.print(f"demo: {error}", markup=False)
        return EXIT_DISAGREES
    except KeyboardInterrupt:
        console.print("\nstopped")
        return 0 if not leave else EXIT_DISAGREES


class Demo:
    """One demo against one running stack."""

    def __init__(self, console: Console, folder: Path, run: RunFile) -> None:
        self._console = console
        self._run = run
        self._logins = Logins(folder)
        self._started = time.monotonic()
        self._said, self._said_at = "", 0.0

    async def show(self, data: Path, leave: bool) -> int:
        """Everything from the first customer to the last forecast; the exit code."""
        if self._run.admin is None:
            raise Halted("this stack has no administrator of its own")
        async with open_client(self._run.gateway, self._run.admin.api_key) as admin:
            totals = await self._import(admin, data)
            await self._give_logins(admin, totals)
            pipeline = await self._wait_for_forecasts(admin, len(totals.acknowledged))
            code = await self._report(admin, totals, pipeline)
            self._show_addresses()
            if leave:
                return code
            say = f"{_LIVE_DEVICES} simulated phones keep posting. Ctrl-C stops everything."
            self._console.print(say)
            await run_live(admin, totals.acknowledged, _LIVE_DEVICES)
        return code

    async def _import(self, admin: Client, data: Path) -> Totals:
        fields = {"email": EMAIL, "name": "Wearer {wearer}", "consents": {"training": True}}
        plan = ImportPlan(data, shift_weeks=None, days=_DAYS, fields=fields)
        self._say(f"importing {data.name}: {_DAYS} days each, a day per post")
        last = 0.0

        def tell(totals: Totals) -> None:
            nonlocal last
            if time.monotonic() - last > 1 or totals.days == totals.days_in_all:
                last = time.monotonic()
                self._say(f"{totals.days} of {totals.days_in_all} days posted")

        return await Importer(admin, plan, tell).run()

    async def _give_logins(self, admin: Client, totals: Totals) -> None:
        for customer_id in totals.acknowledged:
            email = (await admin.customer(customer_id)).email or ""
            await admin.set_login(customer_id, email, self._logins.make(email))
        self._say(f"{totals.customers} customers have a login and consent to training")

    async def _wait_for_forecasts(self, admin: Client, customers: int) -> Pipeline:
        """Waits hop by hop; what it waits for is said."""

        async def is_read() -> bool:
            found = await admin.pipeline()
            lag = found.kafka.groups["ledger"]["lag"] if found.kafka else -1
            self._say(f"ledger: {found.ledger.rows:,} rows, {lag} records behind")
            return lag == 0 and bool(found.kafka and found.ledger.records == found.kafka.records)

        async def are_rolled() -> bool:
            weeks = (await admin.pipeline()).weeks
            self._say(f"weeks: {weeks.rolled} rolled, {weeks.closing + weeks.late} to go")
            return weeks.closing == weeks.late == 0 < weeks.rolled

        async def is_trained() -> bool:
            runs = (await admin.runs(limit=1)).items
            self._say(f"training: {_progress(runs[0])}" if runs else "training: not begun")
            failed = [run for run in runs if run.state == "failed"]
            if failed:
                raise Halted(f"the training failed: {failed[0].error}")
            return bool(runs) and runs[0].state == "succeeded"

        async def are_forecast() -> bool:
            found = await admin.pipeline()
            self._say(f"forecasts: {found.forecast_customers} of {customers} customers")
            return found.forecast_customers == customers

        for check in (is_read, are_rolled, is_trained, are_forecast):
            await self._until(check)
        return await admin.pipeline()

    async def _until(self, check: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + _WAIT_S
        while not await check():
            if time.monotonic() > deadline:
                raise Halted(f"nothing more has happened for {_WAIT_S:.0f} s; see {self._run.logs}")
            await asyncio.sleep(1)

    async def _report(self, admin: Client, totals: Totals, pipeline: Pipeline) -> int:
        self._say("comparing the ledger with what was accepted")
        proof = await prove(admin, totals.acknowledged)
        counts = Counts(totals, pipeline, await self._objects(), proof, len(totals.acknowledged))
        show_counts(self._console, counts)
        show_models(self._console, (await admin.runs(limit=1)).items[0])
        show_proof(self._console, proof)
        wrong = counts.disagreements()
        for name in wrong:
            self._console.print(f"DOES NOT AGREE: {name}")
        if not wrong:
            self._console.print("All counts agree.")
        return EXIT_DISAGREES if wrong else 0

    async def _objects(self) -> int:
        async with open_store(load(self._run.settings)) as store:
            return len([key async for key in store.list_keys()])

    def _show_addresses(self) -> None:
        admin = self._run.admin
        lines = [
            f"Administrators  {self._run.gateway}/admin",
            f"                {admin.email}  {admin.password}" if admin else "",
            f"Customers       {self._run.pages}/",
        ]
        for email, password in list(self._logins.passwords.items())[:_SHOWN_LOGINS]:
            lines.append(f"                {email}  {password}")
        for line in lines:
            self._console.print(line, highlight=False, markup=False)

    def _say(self, text: str) -> None:
        """A line with its time; the same line again only after a while."""
        now = time.monotonic()
        if text == self._said and now - self._said_at < _REPEAT_S:
            return
        self._said, self._said_at = text, now
        elapsed = now - self._started
        self._console.print(f"{elapsed:5.1f} s  {text}", highlight=False, markup=False)
        sys.stdout.flush()


def _progress(run: Run) -> str:
    if "epoch" in run.progress:
        return f"{run.state}, epoch {run.progress['epoch']} of {run.progress['epochs']}"
    return run.state
