"""Posts a file of wearers as devices would: a day at a time, all wearers side by side.

Repeating an import changes nothing: customer and device are found again, `auto` keeps the shift of
the first time, and the merge rule drops what the ledger has. Must not give up a row while the
gateway may come back.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from fitstream.client import Client
from fitstream.errors import FitstreamError
from fitstream.simulate.delivery import Delivery, NotDelivered, Remember, Totals
from fitstream.simulate.enrol import Enrolled, Wanted, enrol, patiently
from fitstream.simulate.session import until_stopped
from fitstream.simulate.wearers_file import (
    HOME_ZONE,
    WearerDay,
    WearerRows,
    WearersFile,
    days_of,
    weeks_to_shift,
)

_AT_ONCE = 32
_APP_VERSION = "fitstream-import"

Tell = Callable[[Totals], None]


class ImportPlan(NamedTuple):
    """What is imported and how: `shift_weeks` None is auto, `speed` is times real time, None as
    fast as allowed. In text `fields` of a new customer `{wearer}` is filled in."""

    path: Path
    shift_weeks: int | None = None
    speed: float | None = None
    days: int | None = None
    prefix: str = "wearer-"
    fields: Mapping[str, Any] = {}


class Importer:
    """One import of one file through one API."""

    def __init__(
        self,
        admin: Client,
        plan: ImportPlan,
        file: WearersFile,
        tell: Tell = lambda _: None,
        remember: Remember | None = None,
    ) -> None:
        self._admin = admin
        self._plan = plan
        self._file = file
        self._tell = tell
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._started = 0.0
        self.totals = Totals()
        self._delivery = Delivery(self.totals, remember)
        self.shift_weeks = plan.shift_weeks or 0
        self.enrolled: dict[str, Enrolled] = {}
        self.failures: dict[str, str] = {}
        self.seconds = 0.0

    async def run(self, stop: asyncio.Event) -> bool:
        """Posts everything; whether it came to the end before `stop`.

        A wearer whose rows cannot be delivered stands in `failures` and stops no other.
        """
        self._started = time.monotonic()
        is_done = await until_stopped(stop, [asyncio.create_task(self._choose_shift())])
        if is_done:
            wearers = self._file.wearers.items()
            tasks = [asyncio.create_task(self._wearer(name, rows)) for name, rows in wearers]
            is_done = await until_stopped(stop, tasks)
        self.seconds = time.monotonic() - self._started
        return is_done

    async def _choose_shift(self) -> None:
        if self._plan.shift_weeks is None:
            self.shift_weeks = await self._auto_shift()

    async def _auto_shift(self) -> int:
        """The shift of the first time if this file is here already, else the latest possible."""
        external_id = f"{self._plan.prefix}{next(iter(self._file.wearers))}"
        found = await patiently(lambda: self._admin.customers(search=external_id))
        known = next((c for c in found.items if c.external_id == external_id), None)
        devices = await patiently(lambda: self._admin.devices(known.id)) if known else []
        shifts = [shift_in(d.name, self._file.name) for d in devices if d.removed_at is None]
        earlier = [shift for shift in shifts if shift is not None]
        return max(earlier, default=weeks_to_shift(self._file.last_s, datetime.now(UTC)))

    async def _wearer(self, name: str, rows: WearerRows) -> None:
        days = list(days_of(rows, self.shift_weeks, self._plan.days))
        self.totals.rows += sum(len(day.rows) for day in days)
        try:
            async with self._room:
                who = await enrol(self._admin, self._wanted(name))
            self.enrolled[name] = who
            phone = self._admin.as_who(who.key)
            for day in days:
                await self._wait_for(day)
                async with self._room:
                    await self._delivery.post(phone, who.customer_id, _post(who, day))
                self._tell(self.totals)
        except NotDelivered as error:
            self.failures[name] = str(error)
        except FitstreamError as error:
            self.failures[name] = f"could not be enrolled: {error}"

    def _wanted(self, name: str) -> Wanted:
        filled = {
            key: value.format(wearer=name) if isinstance(value, str) else value
            for key, value in self._plan.fields.items()
        }
        device = device_name(self._file.name, self.shift_weeks)
        return Wanted(f"{self._plan.prefix}{name}", device, HOME_ZONE, fields=filled)

    async def _wait_for(self, day: WearerDay) -> None:
        """Until the day has passed on a clock that runs `speed` times as fast as the real one."""
        if self._plan.speed is None:
            return
        first_s = self._file.first_s + self.shift_weeks * 604_800
        due = self._started + (day.end.timestamp() - first_s) / self._plan.speed
        await asyncio.sleep(max(0.0, due - time.monotonic()))


def device_name(file: str, shift_weeks: int) -> str:
    """Name of the device that stands for a file moved by so many weeks."""
    return f"{file} {shift_weeks:+d} weeks"


def shift_in(name: str, file: str) -> int | None:
    """The weeks in a name that `device_name` made for this file, else None."""
    found = re.fullmatch(re.escape(file) + r" ([+-]\d+) weeks", name)
    return int(found.group(1)) if found else None


def _post(who: Enrolled, day: WearerDay) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "device_id": who.device_id,
        "sent_at": now.isoformat(),
        "complete_through": min(day.end, now).isoformat(),
        "app_version": _APP_VERSION,
        "samples": day.rows,
    }
