"""`make demo`: real services, real wearers, the whole way, and a proof at the end."""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console

from fitstream.client import Client, open_client
from fitstream.demo.child import Child, stack_on
from fitstream.demo.folder import Logins, fresh_folder
from fitstream.demo.gather import gather_counts
from fitstream.demo.live import run_live
from fitstream.demo.table import show_counts, show_models, show_proof
from fitstream.demo.waiting import Waiting
from fitstream.errors import Halted
from fitstream.simulate.acknowledged import Acknowledged
from fitstream.simulate.compare import compare_all, settled
from fitstream.simulate.delivery import Totals
from fitstream.simulate.enrol import Enrolled
from fitstream.simulate.importing import Importer, ImportPlan
from fitstream.simulate.session import EXIT_FAILED, run_session
from fitstream.simulate.wearers_file import read_wearers
from fitstream.stack.run_file import RunFile

EMAIL = "wearer-{wearer}@demo.fitstream.invalid"
_FIELDS = {"name": "Wearer {wearer}", "email": EMAIL, "consents": {"training": True}}
_DAYS = 30
_LIVE_DEVICES = 3
_SHOWN_LOGINS = 3
_SAY_EVERY_S = 1.0


def run_demo(folder: Path, data: Path, leave: bool) -> int:
    """Runs the demo on `folder`; with `leave` it ends after the table, 0 only if all agrees."""
    folder = folder.resolve()

    async def main(stop: asyncio.Event) -> int:
        demo = Demo(folder, data)
        fresh_folder(folder)
        async with stack_on(folder) as child:
            await _first(stop, demo.show(child, leave), child.ended())
            demo.say("stopping everything")
        return demo.code

    return run_session("demo", main)


async def _first(
    stop: asyncio.Event, showing: Coroutine[Any, Any, None], ended: Coroutine[Any, Any, None]
) -> None:
    """Until the show is over, the stack has ended, or somebody asks to stop."""
    tasks = [asyncio.create_task(work) for work in (showing, ended)]
    stopping = asyncio.create_task(stop.wait())
    both: list[asyncio.Future[Any]] = [*tasks, stopping]
    try:
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for each in both:
            each.cancel()
        await asyncio.gather(*both, return_exceptions=True)


class Demo:
    """One demo on one folder; `code` is its exit code so far."""

    def __init__(self, folder: Path, data: Path) -> None:
        self._console = Console(soft_wrap=True)
        self._folder = folder
        self._data = data
        self._file = read_wearers(data)  # a wrong file is told before anything starts
        self._started = time.monotonic()
        self._said_at = 0.0
        self.code = EXIT_FAILED

    async def show(self, child: Child, leave: bool) -> None:
        """Everything from the first customer to the last forecast, then the table."""
        run = await child.ready(self.say)
        if run.admin is None:
            raise Halted("this stack has no administrator of its own")
        async with open_client(run.gateway, run.admin.api_key) as admin:
            kept = Acknowledged()
            importer = await self._import(admin, kept)
            wearers = list(importer.enrolled.values())
            logins = await self._give_logins(admin, importer)
            await Waiting(admin, len(wearers), self.say).all()
            await self._report(admin, run, (importer.totals, kept), wearers)
            self._show_addresses(run, logins)
            if not leave:
                text = f"{_LIVE_DEVICES} simulated phones keep posting; Ctrl-C stops everything."
                self._console.print(text)
                await run_live(admin, wearers, kept, _LIVE_DEVICES)

    async def _import(self, admin: Client, kept: Acknowledged) -> Importer:
        plan = ImportPlan(self._data, days=_DAYS, fields=_FIELDS)
        importer = Importer(admin, plan, self._file, self._tell, kept.note)
        self.say(f"importing {self._data.name}: up to {_DAYS} days each, a day per post")
        await importer.run(asyncio.Event())
        for name, why in importer.failures.items():
            raise Halted(f"wearer {name}: {why}")
        rows = f"{importer.totals.accepted:,} of {importer.totals.rows:,} rows"
        self.say(f"{rows} accepted, moved by {importer.shift_weeks} weeks")
        return importer

    def _tell(self, totals: Totals) -> None:
        if time.monotonic() - self._said_at > _SAY_EVERY_S:
            self.say(f"{totals.accepted:,} rows accepted")

    async def _give_logins(self, admin: Client, importer: Importer) -> Logins:
        logins = Logins(self._folder)
        for name, who in importer.enrolled.items():
            email = EMAIL.format(wearer=name)
            await admin.set_login(who.customer_id, email, logins.make(email))
        self.say(f"{len(importer.enrolled)} customers have a login and consent to training")
        return logins

    async def _report(
        self,
        admin: Client,
        run: RunFile,
        posted: tuple[Totals, Acknowledged],
        wearers: list[Enrolled],
    ) -> None:
        totals, kept = posted
        self.say("comparing the ledger with what was accepted, slot by slot")
        await settled(admin)
        comparison = await compare_all(
            admin, wearers, lambda who: kept.of(who.customer_id, who.device_id)
        )
        counts = await gather_counts(admin, run, wearers, (totals, kept, comparison))
        show_counts(self._console, counts)
        show_models(self._console, counts.run)
        show_proof(self._console, counts)
        self.say("done")
        self.code = EXIT_FAILED if counts.disagreements() else 0

    def _show_addresses(self, run: RunFile, logins: Logins) -> None:
        lines = [f"Administrators  {run.gateway}/admin"]
        if run.admin is not None:
            lines.append(f"                {run.admin.email}  {run.admin.password}")
        lines.append(f"Customers       {run.pages}/")
        for email, password in list(logins.passwords.items())[:_SHOWN_LOGINS]:
            lines.append(f"                {email}  {password}")
        lines.append(f"All logins      {logins.path}")
        for line in lines:
            self._console.print(line, highlight=False, markup=False)

    def say(self, text: str) -> None:
        """A line with the seconds since the start."""
        self._said_at = time.monotonic()
        line = f"{self._said_at - self._started:5.1f} s  {text}"
        self._console.print(line, highlight=False, markup=False)
