"""Adding a device: by the code that it shows, or by one that this page shows for it to scan."""

import msgspec
from aiohttp import web

from fitstream.client.data import PairingAsked, PairingOffer
from fitstream.errors import NotFound, Rejected, TooMany
from fitstream.gateway.pages.door import Viewer
from fitstream.gateway.view.qr import QrCode, qr_of
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.words import capital, sentence_of

KINDS = {"phone": "Phone", "watch": "Watch", "other": "Other"}
_UNKNOWN = "This code is not known. It may have expired: ask the device for a new one."
_TEXT_MAX = 256


class AddPage(msgspec.Struct, frozen=True, kw_only=True):
    """The two ways, and how far one of them has come."""

    kinds: dict[str, str]
    zone: str
    code: str = ""
    asked: PairingAsked | None = None
    offer: PairingOffer | None = None
    qr: QrCode | None = None
    name: str = ""
    error: str = ""
    offer_error: str = ""


async def show_add(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Both forms; with the code of a device in the query, that device and the question."""
    code = request.query.get("code", "").strip()[:64]
    page = _blank(viewer, code)
    if not code:
        return _render(request, viewer, page)
    try:
        asked = await viewer.client.look_pairing(code)
    except (NotFound, Rejected):
        return _render(request, viewer, _with(page, error=_UNKNOWN), 404)
    except TooMany as error:
        return _render(request, viewer, _with(page, error=capital(str(error))), 429)
    return _render(request, viewer, _with(page, asked=asked))


async def decide(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Approves the device that shows the code, or turns it away; back to the list."""
    posted = await request.post()
    code, approve = str(posted.get("code", ""))[:64], posted.get("answer") == "yes"
    name = str(posted.get("name", "")).strip()[:_TEXT_MAX]
    try:
        await viewer.client.decide_pairing(code, approve, name)
    except (NotFound, Rejected):
        return _render(request, viewer, _with(_blank(viewer, code), error=_UNKNOWN), 404)
    except TooMany as error:
        page = _with(_blank(viewer, code), error=capital(str(error)))
        return _render(request, viewer, page, 429)
    return see(f"/devices?done={'approved' if approve else 'denied'}")


async def offer(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """A code and its QR code, shown once: whoever has it posts for this customer."""
    posted = await request.post()
    name = str(posted.get("name", "")).strip()[:_TEXT_MAX]
    kind = str(posted.get("kind", "phone"))
    page = _with(_blank(viewer, ""), name=name)
    if not name or kind not in KINDS:
        text = "Give the device a name, so that you know it again."
        return _render(request, viewer, _with(page, offer_error=text), 422)
    try:
        made = await viewer.client.offer_pairing(kind, name)
    except (Rejected, TooMany) as error:
        text = sentence_of(error) if isinstance(error, Rejected) else capital(str(error))
        return _render(request, viewer, _with(page, offer_error=text), 422)
    shown = _with(page, offer=made, qr=qr_of(made.redeem_uri))
    return _render(request, viewer, shown, 201)


def _blank(viewer: Viewer, code: str) -> AddPage:
    return AddPage(kinds=KINDS, zone=viewer.customer.zone, code=code)


def _with(page: AddPage, **changed: object) -> AddPage:
    return msgspec.structs.replace(page, **changed)


def _render(
    request: web.Request, viewer: Viewer, page: AddPage, status: int = 200
) -> web.StreamResponse:
    return html(request, "pages/add_device.html", viewer.shell("devices"), page, status)
