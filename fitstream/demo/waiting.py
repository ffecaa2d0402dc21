"""Waits hop by hop until what was posted has gone the whole way, and says what it waits for."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from fitstream.client import Client
from fitstream.client.operations import Run
from fitstream.errors import Halted
from fitstream.simulate.enrol import patiently

TARGETS = ("steps", "calories_kcal", "heart_rate_bpm")
_POLL_S = 0.5
_TELL_EVERY_S = 2.0
_STUCK_AFTER_S = 240.0

Tell = Callable[[str], None]
Hop = Callable[[], Awaitable[tuple[bool, str]]]


class Waiting:
    """The hops in order; each raises Halted when nothing has changed for four minutes."""

    def __init__(self, admin: Client, customers: int, tell: Tell) -> None:
        self._admin = admin
        self._customers = customers
        self._tell = tell

    async def all(self) -> None:
        """Returns when there is nothing left to do."""
        for hop in (self._is_read, self._are_rolled, self._is_trained, self._are_forecast):
            await self._until(hop)

    async def _until(self, hop: Hop) -> None:
        last, changed_at = "", time.monotonic()
        told, told_at = "", 0.0
        while True:
            is_done, words = await hop()
            now = time.monotonic()
            if words != last:
                last, changed_at = words, now
            if words != told and (is_done or now - told_at >= _TELL_EVERY_S):
                told, told_at = words, now
                self._tell(words)
            if is_done:
                return
            if now - changed_at > _STUCK_AFTER_S:
                raise Halted(f"nothing has changed for {_STUCK_AFTER_S:.0f} s: {words}")
            await asyncio.sleep(_POLL_S)

    async def _is_read(self) -> tuple[bool, str]:
        found = await patiently(self._admin.pipeline)
        if found.kafka is None:
            return False, "ledger: Kafka does not answer"
        behind = found.kafka.records - found.ledger.records
        words = f"ledger: {found.ledger.rows:,} rows, {behind} records to go"
        return behind == 0 and found.ledger.rows > 0, words

    async def _are_rolled(self) -> tuple[bool, str]:
        weeks = (await patiently(self._admin.pipeline)).weeks
        due = weeks.closing + weeks.late
        return due == 0 < weeks.rolled, f"weeks: {weeks.rolled} rolled, {due} to go"

    async def _is_trained(self) -> tuple[bool, str]:
        """A run over all the weeks that are rolled; one that began too early is followed by it."""
        weeks = (await patiently(self._admin.pipeline)).weeks.rolled
        runs = (await patiently(lambda: self._admin.runs(limit=1))).items
        if not runs:
            return False, "training: waiting until no more weeks come"
        if runs[0].state in ("failed", "cancelled"):
            raise Halted(f"the training {runs[0].state}: {runs[0].error}")
        is_done = runs[0].state == "succeeded" and runs[0].weeks == weeks
        run = runs[0]
        if run.state == "waiting":  # the list does not tell how far its candidates are
            run = await patiently(lambda: self._admin.run(runs[0].id))
        return is_done, f"training on {run.weeks} weeks: {_progress(run)}"

    async def _are_forecast(self) -> tuple[bool, str]:
        found = await patiently(self._admin.pipeline)
        words = f"forecasts: for {found.forecast_customers} of {self._customers} customers"
        return found.forecast_customers >= self._customers, words


def _progress(run: Run) -> str:
    if run.state == "waiting" and run.candidates:
        done = sum(each.state == "succeeded" for each in run.candidates)
        epochs = sum(each.epoch for each in run.candidates)
        return f"{done} of {len(run.candidates)} candidates, {epochs} epochs"
    if run.state == "running" and "epoch" in run.progress:
        return f"epoch {run.progress['epoch']} of {run.progress['epochs']}"
    return run.state
