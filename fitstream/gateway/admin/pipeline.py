"""A customer's three steps: data, schema, models; each with how it stands and what to do next."""

from typing import NamedTuple

import msgspec
from aiohttp import web

from fitstream.client.data import Customer, Device, Forecast, Items, Week
from fitstream.client.operations import Model
from fitstream.client.uploads import Upload
from fitstream.gateway import policy
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.customer import local_today, slots_so_far
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.api import uploads as upload_views
from fitstream.gateway.principal import PRINCIPAL
from fitstream.gateway.uploading import LOWEST
from fitstream.gateway.view import words
from fitstream.gateway.view.templates import html
from fitstream.gateway.view.uploaded import Step, UploadView, upload_view

_LIST = "10"


class Action(NamedTuple):
    """A button; `is_first` marks the next sensible step of all."""

    text: str
    href: str
    is_first: bool


class PipelinePage(msgspec.Struct, frozen=True, kw_only=True):
    """The three steps and the uploads."""

    customer: Customer
    tab: str
    steps: list[tuple[Step, Action | None]]
    devices: list[Device]
    uploads: list[UploadView]
    is_moving: bool
    may_send: bool
    may_see: bool
    lowest: int


async def show_pipeline(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Set-up, schema mapping, training."""
    customer = await reads.customer(request)
    devices = await reads.devices(request)
    may_see = policy.may("customer_uploads", request[PRINCIPAL])
    uploads = await _uploads(request) if may_see else []
    weeks = (await reads.weeks(request, "")).items
    forecast = await reads.forecast(request, "steps")
    champion = next((m for m in await reads.models(request) if m.stage == "champion"), None)
    today = local_today(customer, viewer.now)
    days = await reads.days(request, today, today)
    measured = days[0].measured if days else 0
    home = f"/admin/customers/{customer.id}"
    so_far = slots_so_far(today, customer.zone, viewer.now)
    first = _data(customer, devices, (measured, so_far))
    steps: list[tuple[Step, Action | None]] = [
        (first, Action("Devices", f"{home}/devices", first.tone != "good")),
        (_schema(uploads), _schema_action(uploads, viewer.may, is_first=first.tone == "good")),
        (_models(weeks, champion, forecast), _model_action(home, forecast)),
    ]
    page = PipelinePage(
        customer=customer,
        tab="pipeline",
        steps=steps,
        devices=[device for device in devices if device.kind != "upload"],
        uploads=[upload_view(upload) for upload in uploads],
        is_moving=any(upload.is_moving for upload in uploads),
        may_send=policy.may("admin:create_customer_upload", request[PRINCIPAL]),
        may_see=may_see,
        lowest=LOWEST,
    )
    return html(request, "admin/pipeline.html", viewer.shell("customers"), page)


async def _uploads(request: web.Request) -> list[Upload]:
    found = await reads.ask(request, upload_views.list_uploads, Items[Upload], limit=_LIST)
    return found.items


def _data(customer: Customer, devices: list[Device], today: tuple[int, int]) -> Step:
    living = [device for device in devices if device.removed_at is None]
    if customer.last_contact_at is None:
        note = "add a device, or upload a file" if not living else "nothing has come yet"
        return Step("1 Data", "none", note, "warn", "device")
    share = words.share(*today) if today[1] else "–"
    note = f"of today so far; {words.count_of(len(living), 'device')}"
    return Step("1 Data", share, note, "good", "device")


def _schema(uploads: list[Upload]) -> Step:
    if not uploads:
        return Step("2 Schema", "as posted", "devices need no mapping", "good", "ledger")
    waiting = [upload for upload in uploads if upload.state == "unmapped"]
    if waiting:
        files = words.count_of(len(waiting), "file")
        return Step("2 Schema", files, "wait for a mapping", "warn", "ledger")
    newest = uploads[0]
    if newest.mapping is not None:
        figure = f"version {newest.mapping.version}"
        return Step("2 Schema", figure, newest.mapping.name, "good", "ledger")
    return Step("2 Schema", words.plain(newest.state), newest.name, "good", "ledger")


def _schema_action(uploads: list[Upload], may: frozenset[str], *, is_first: bool) -> Action | None:
    """What to do about files; nothing where whoever looks may not."""
    if "upload_act" not in may:
        return Action("Show the files", "#uploads", is_first=False) if uploads else None
    for upload in uploads:
        if upload.state == "unmapped":
            return Action("Map its columns", f"/admin/uploads/{upload.id}/mapping", is_first)
        if upload.state == "checked":
            return Action("Bring the rows in", f"/admin/uploads/{upload.id}", is_first)
    return Action("Upload a file", "#upload", is_first=False)


def _models(weeks: list[Week], champion: Model | None, forecast: Forecast | None) -> Step:
    finished = sum(week.current_version is not None for week in weeks)
    if forecast is not None:
        figure = words.day_of(forecast.issued_at.date())
        return Step("3 Models", figure, "its newest forecast", "good", "model")
    if champion is not None:
        return Step("3 Models", "ready", "no forecast for this customer yet", "", "model")
    if finished:
        weeks_text = words.count_of(finished, "finished week")
        return Step("3 Models", weeks_text, "no model yet", "warn", "model")
    return Step("3 Models", "–", "begin with the first finished week", "later", "model")


def _model_action(home: str, forecast: Forecast | None) -> Action:
    if forecast is not None:
        return Action("Show the forecast", f"{home}/forecast", is_first=False)
    return Action("Show the models", "/admin/models", is_first=False)
