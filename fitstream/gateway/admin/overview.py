"""The overview: the way of a sample from device to forecast, and what needs a person now."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from aiohttp import web

from fitstream.client.operations import Pipeline, Weeks
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.admin.throughput import LOOKS, throughput_chart
from fitstream.gateway.scoping import within
from fitstream.gateway.view import words
from fitstream.gateway.view.charts import Chart
from fitstream.gateway.view.templates import html
from fitstream.gateway.view.words import count_of, number
from fitstream.gateway.view.work import JobView, job_view

_LAG_WARN = 1000
_JOBS_SHOWN = 5
_STALE = timedelta(hours=1)
_OLD = timedelta(seconds=5)


class Stop(NamedTuple):
    """One hop on the way: what stands there, and a word on its health."""

    icon: str
    name: str
    figure: str
    note: str
    tone: str = ""


class Part(NamedTuple):
    """A stretch of a bar of 100, and its row in the table below."""

    name: str
    weeks: int
    look: str
    x: float
    width: float


class Attention(NamedTuple):
    """Something a person should look at, and where: the page and the name of its route."""

    tone: str
    tag: str
    text: str
    href: str
    link: str
    page: str = "overview"


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on the page."""

    found: Pipeline
    headline: str
    stops: list[Stop]
    weeks: list[Part]
    attention: list[Attention]
    jobs: list[JobView]
    chart: Chart | None
    is_live: bool
    is_old: bool  # what grows with the customers was counted longer ago than all else


async def show_overview(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The whole page."""
    is_live = request.query.get("live") != "off"
    page = await _overview(request, viewer, is_live)
    return html(request, "admin/overview.html", viewer.shell("overview"), page)


async def show_live(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The part of the page that keeps itself fresh."""
    page = await _overview(request, viewer, True)
    return html(request, "admin/overview_live.html", viewer.shell("overview"), page)


async def _overview(request: web.Request, viewer: Viewer, is_live: bool) -> Overview:
    found = await reads.pipeline(request)
    recent = (await reads.jobs(request)).items[:_JOBS_SHOWN]
    attention = attention_of(found)
    return Overview(
        found=found,
        headline=headline(attention),
        stops=stops_of(found, viewer.now),
        weeks=parts_of(found.weeks),
        attention=attention,
        jobs=[job_view(job, viewer.now) for job in recent],
        chart=chart_of(request, viewer.now),
        is_live=is_live,
        is_old=found.at - found.counted_at > _OLD,
    )


def chart_of(request: web.Request, now: datetime) -> Chart | None:
    """Samples per minute of all programmes, for whoever sees all: of one they are not known."""
    looks = request.app[LOOKS]
    return throughput_chart(looks, now) if within(request) is None else None


def headline(attention: Sequence[Attention]) -> str:
    """The state of everything in one line."""
    bad = sum(item.tone == "bad" for item in attention)
    if bad:
        return f"{count_of(bad, 'thing is', 'things are')} wrong"
    return f"{count_of(len(attention), 'thing')} to look at" if attention else "All is well"


def stops_of(found: Pipeline, now: datetime) -> list[Stop]:
    """The six hops."""
    people = found.customers
    devices = Stop(
        "device", "Devices", number(found.devices.get("total", 0)),
        f"{number(people.seen_1h)} of {count_of(people.total, 'customer')} seen in the last hour",
    )  # fmt: skip
    forecasts = Stop(
        "forecast", "Forecasts", number(found.forecasts),
        f"for {count_of(found.forecast_customers, 'customer')}" if found.forecasts else "none yet",
    )  # fmt: skip
    return [
        devices, _topic(found), _ledger(found, now), _weeks(found), _model(found, now), forecasts,
    ]  # fmt: skip


def attention_of(found: Pipeline) -> list[Attention]:
    """What needs a person, the worst first."""
    silent = found.customers.total - found.customers.seen_24h
    failed = found.jobs.get("failed", 0)
    items = []
    if found.kafka is None:
        text = "Kafka does not answer: devices keep their samples until it does"
        items.append(Attention("bad", "Kafka", text, "/admin", "Look again"))
    elif found.kafka.lag > _LAG_WARN:
        text = f"Consumers are {count_of(found.kafka.lag, 'record')} behind"
        items.append(Attention("warn", "Lag", text, "/admin", "Look again"))
    if failed:
        text = f"{count_of(failed, 'job has', 'jobs have')} failed"
        items.append(Attention("bad", "Jobs", text, "/admin/jobs?state=failed", "Show", "jobs"))
    if found.dead_letters:
        text = f"{count_of(found.dead_letters, 'record')} could not be read and lie parked"
        items.append(
            Attention("bad", "Dead letters", text, "/admin/dead-letters", "Show", "letters")
        )
    if silent > 0:
        text = f"{count_of(silent, 'customer')} without data for 24 h"
        items.append(
            Attention("", "Silent", text, "/admin/customers?filter=silent", "List", "customers")
        )
    if found.models.champion is None and found.weeks.rolled:
        text = "There are finished weeks, but no model yet"
        items.append(Attention("", "Model", text, "/admin/models", "Show", "models"))
    return items


def parts_of(weeks: Weeks) -> list[Part]:
    """Weeks by state as a bar and its rows."""
    states = (
        ("Rolled", weeks.rolled, "good"),
        ("Open", weeks.open, "accent"),
        ("Closing, waiting for late data", weeks.closing, "warn"),
        ("Late, rolling again", weeks.late, "sleep"),
    )
    total = sum(count for _, count, _ in states) or 1
    parts, x = [], 0.0
    for name, count, look in states:
        width = round(100 * count / total, 2)
        parts.append(Part(name, count, look, round(x, 2), max(width - 0.6, 0.0)))
        x += width
    return parts


def _topic(found: Pipeline) -> Stop:
    if found.kafka is None:
        return Stop("topic", "Kafka", "no answer", "devices keep their samples", "bad")
    behind = [f"{name} {number(group['lag'])}" for name, group in found.kafka.groups.items()]
    note = f"records, lag {', '.join(behind)}" if found.kafka.lag else "records, nobody behind"
    tone = "warn" if found.kafka.lag > _LAG_WARN else ""
    return Stop("topic", "Kafka", number(found.kafka.records), note, tone)


def _ledger(found: Pipeline, now: datetime) -> Stop:
    newest = found.ledger.newest_at
    note = f"samples, newest {words.ago(newest, now)}" if newest else "no sample yet"
    tone = "warn" if newest and now - newest > _STALE else ""
    return Stop("ledger", "Ledger", number(found.ledger.rows), note, tone)


def _weeks(found: Pipeline) -> Stop:
    weeks = found.weeks
    note = f"{number(weeks.versions)} versions, {number(weeks.open)} open"
    if weeks.late:
        return Stop("week", "Weeks", f"{number(weeks.late)} late", "rolling again", "warn")
    if weeks.closing:
        return Stop("week", "Weeks", f"{number(weeks.closing)} closing", note)
    return Stop("week", "Weeks", f"{number(weeks.rolled)} rolled", note)


def _model(found: Pipeline, now: datetime) -> Stop:
    champion = found.models.champion
    if champion is None:
        return Stop("model", "Model", "none yet", count_of(found.training_runs, "training run"))
    note = f"trained {words.ago(champion.created_at, now)}"
    return Stop("model", "Model", words.plain(champion.kind), note)
