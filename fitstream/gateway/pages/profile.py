"""What the programme knows about the customer, to read."""

import msgspec
from aiohttp import web

from fitstream.client.data import Customer, Device
from fitstream.gateway.pages.door import Viewer
from fitstream.gateway.view.templates import html


class ProfilePage(msgspec.Struct, frozen=True, kw_only=True):
    """Fields, devices and consents."""

    customer: Customer
    email: str
    devices: list[Device]


async def show_profile(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The profile."""
    devices = await viewer.client.devices(viewer.customer.id)
    page = ProfilePage(
        customer=viewer.customer,
        email=viewer.email,
        devices=[device for device in devices if device.removed_at is None],
    )
    return html(request, "pages/profile.html", viewer.shell("profile"), page)
