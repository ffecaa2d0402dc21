"""What the customer tells of themselves: fields to change, a picture, and the consents to read."""

from datetime import date
from zoneinfo import available_timezones

import msgspec
from aiohttp import web

from fitstream.client.data import Customer
from fitstream.client.people import Profile
from fitstream.errors import Conflict, Rejected
from fitstream.gateway.pages.door import Viewer
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.words import capital, sentence_of

_SAID = {
    "profile": "Your profile is stored.",
    "picture": "Your picture is stored.",
    "no-picture": "Your picture is gone.",
}
SEXES = {"": "rather not say", "female": "female", "male": "male", "other": "other"}
PICTURE_MAX_BYTES = 5 * 1024 * 1024
_FORM_EXTRA_BYTES = 65_536
PICTURE_FORM_MAX_BYTES = PICTURE_MAX_BYTES + _FORM_EXTRA_BYTES


class ProfilePage(msgspec.Struct, frozen=True, kw_only=True):
    """The form as it stands or was filled in, and what the last one did."""

    customer: Customer
    email: str
    has_picture: bool
    fields: dict[str, str]
    sexes: dict[str, str]
    zones: list[str]
    latest: date
    said: str = ""
    error: str = ""
    picture_error: str = ""


async def show_profile(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The profile."""
    profile = await viewer.client.profile(viewer.customer.id)
    said = _SAID.get(request.query.get("done", ""), "")
    return _render(request, _page(viewer, profile, _fields(profile), said=said))


async def change_profile(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Stores all fields, or shows the form again with what is wrong."""
    posted = {name: str(value).strip() for name, value in (await request.post()).items()}
    try:
        await viewer.client.replace_profile(
            viewer.customer.id, posted.get("zone", ""), **_sent(posted)
        )
    except (Rejected, Conflict) as error:
        profile = await viewer.client.profile(viewer.customer.id)
        return _render(request, _page(viewer, profile, posted, error=_said(error)), 422)
    return see("/profile?done=profile")


async def change_picture(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Stores another picture, or says why not."""
    file = (await request.post()).get("picture")
    try:
        raw, content_type = _picture_of(file)
        await viewer.client.replace_picture(viewer.customer.id, raw, content_type)
    except (Rejected, Conflict) as error:
        profile = await viewer.client.profile(viewer.customer.id)
        shown = _page(viewer, profile, _fields(profile), picture_error=_said(error))
        return _render(request, shown, 422)
    return see("/profile?done=picture")


def _picture_of(file: object) -> tuple[bytes, str]:
    """The bytes and the type of an uploaded file. Raises Rejected(invalid) when none was sent."""
    if not isinstance(file, web.FileField):
        raise Rejected("invalid", "choose a picture first", 422)
    return file.file.read(PICTURE_MAX_BYTES + 1), file.content_type


async def remove_picture(_: web.Request, viewer: Viewer) -> web.StreamResponse:
    """No picture any more."""
    await viewer.client.remove_picture(viewer.customer.id)
    return see("/profile?done=no-picture")


async def show_picture(_: web.Request, viewer: Viewer) -> web.StreamResponse:
    """The picture itself; never cached, never anything but a picture."""
    picture = await viewer.client.picture(viewer.customer.id)
    headers = {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return web.Response(body=picture, content_type="image/jpeg", headers=headers)


def _page(
    viewer: Viewer,
    profile: Profile,
    fields: dict[str, str],
    *,
    said: str = "",
    error: str = "",
    picture_error: str = "",
) -> tuple[Viewer, ProfilePage]:
    page = ProfilePage(
        customer=viewer.customer,
        email=viewer.email,
        has_picture=profile.has_picture,
        fields={name: fields.get(name, "") for name in _NAMES},
        sexes=SEXES,
        zones=sorted(available_timezones()),
        latest=viewer.now.date(),
        said=said,
        error=error,
        picture_error=picture_error,
    )
    return viewer, page


def _render(
    request: web.Request, shown: tuple[Viewer, ProfilePage], status: int = 200
) -> web.StreamResponse:
    viewer, page = shown
    return html(request, "pages/profile.html", viewer.shell("profile"), page, status)


_NAMES = ("name", "zone", "birth_date", "sex", "height_cm", "weight_kg")


def _fields(profile: Profile) -> dict[str, str]:
    """The profile as its form shows it."""
    found = {name: getattr(profile, name) for name in _NAMES}
    return {
        name: f"{value:g}" if isinstance(value, float) else str(value or "")
        for name, value in found.items()
    }


def _sent(posted: dict[str, str]) -> dict[str, object]:
    """The form as the API takes it. Raises Rejected(invalid) for what is no number."""
    texts: dict[str, object] = {
        name: posted[name] for name in ("name", "birth_date", "sex") if posted.get(name)
    }
    for name in ("height_cm", "weight_kg"):
        if posted.get(name):
            texts[name] = _number(posted[name])
    return texts


def _number(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise Rejected("invalid", "write height and weight as numbers", 422) from None


def _said(error: Rejected | Conflict) -> str:
    if isinstance(error, Conflict):
        return capital(error.message)
    for field, text in _WRONG.items():
        if f"$.{field}" in error.message:
            return text
    if error.code == "unknown_zone":
        return "Choose the time zone you live in from the list, for example Europe/Berlin."
    if error.status == 415:
        return "Choose a picture: JPEG, PNG or WebP."
    return sentence_of(error)


_WRONG = {
    "height_cm": "The height must lie between 50 and 260 cm.",
    "weight_kg": "The weight must lie between 10 and 400 kg.",
    "birth_date": "The birth date is no date.",
    "name": "The name is longer than 256 characters.",
    "zone": "Choose the time zone you live in from the list, for example Europe/Berlin.",
}
