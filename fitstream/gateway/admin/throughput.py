"""How many samples reached the ledger per minute lately, kept in this process for the overview.

One look at the ledger's counters per half minute; a restart starts the line anew.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from aiohttp import web

from fitstream.errors import FitstreamError
from fitstream.gateway.keys import REPO
from fitstream.gateway.view.charts import Chart, Series
from fitstream.gateway.view.words import number
from fitstream.logs import get
from fitstream.repo import pipeline

log = get(__name__)
LOOK_EVERY_S = 30.0
_LOOKS = 241  # two hours
_LEAST = 4


class Look(NamedTuple):
    """Samples read by the ledger so far, at one instant."""

    at: datetime
    samples: int


LOOKS: web.AppKey[deque[Look]] = web.AppKey("looks", deque)


@asynccontextmanager
async def watch(app: web.Application) -> AsyncIterator[None]:
    """Looks in the background while the application runs; an outage leaves a gap."""
    app[LOOKS] = deque(maxlen=_LOOKS)
    watching = asyncio.create_task(_follow(app))
    yield
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


def per_minute(looks: Sequence[Look]) -> list[tuple[datetime, float]]:
    """Samples per minute between neighbouring looks; a counter that fell counts as nothing."""
    rates = []
    for before, after in pairwise(looks):
        minutes = (after.at - before.at).total_seconds() / 60
        if minutes > 0:
            rates.append((after.at, max(after.samples - before.samples, 0) / minutes))
    return rates


def throughput_chart(looks: Sequence[Look], now: datetime) -> Chart | None:
    """Samples per minute of the last two hours, None until there is a line to draw."""
    rates = per_minute(looks)
    if len(rates) < _LEAST:
        return None
    ages = [round((now - at).total_seconds() / 60) for at, _ in rates]
    last = rates[-1][1]
    return Chart(
        id="throughput",
        summary=f"Samples per minute, {number(last, 0)} just now",
        x_name="Time",
        x=[f"−{age} min" if age else "now" for age in ages],
        long_x=[f"{at.astimezone(UTC):%H:%M:%S} UTC" for at, _ in rates],
        series=[Series("Samples per minute", "area", "accent", [round(rate) for _, rate in rates])],
        every=max(1, len(rates) // 5),
        least=0,
    )


async def _follow(app: web.Application) -> None:
    while True:
        try:
            async with app[REPO].connection() as db:
                counts = await pipeline.ledger_counts(db)
            app[LOOKS].append(Look(datetime.now(UTC), counts.samples))
        except FitstreamError as error:
            log.info("look_missed", detail=str(error))
        await asyncio.sleep(LOOK_EVERY_S)
