"""`/dev/mail`: mails that were written into a folder instead of being sent, for development.

Mails hold links that open accounts. So this answers only on loopback, to a browser that asked for
loopback by that name, and only while a folder is set and no public address.
"""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from fitstream.errors import NotFound
from fitstream.gateway.admin.door import answered
from fitstream.gateway.api.answers import now
from fitstream.gateway.keys import SETTINGS
from fitstream.gateway.view.cookies import LOOPBACK
from fitstream.gateway.view.templates import Shell, html
from fitstream.mail import Written, read_written, written
from fitstream.settings import Settings


class MailsPage(msgspec.Struct, frozen=True):
    """The newest mails, and the one that is open."""

    mails: list[Written]
    open: Written | None
    parts: list[tuple[str, bool]] = []


def add_dev_mail(app: web.Application) -> None:
    """Adds the pages; where they may not be shown they answer 404."""
    app.router.add_get("/dev/mail", answered(show_mails), name="dev_mail")
    app.router.add_get("/dev/mail/{mail}", answered(show_mail), name="dev_mail_one")


async def show_mails(request: web.Request) -> web.StreamResponse:
    """The list, newest first."""
    folder = _folder(request)
    return _page(request, MailsPage(written(folder), None))


async def show_mail(request: web.Request) -> web.StreamResponse:
    """One mail, its link as a link."""
    folder = _folder(request)
    mail = read_written(folder, request.match_info["mail"])
    return _page(request, MailsPage(written(folder), mail, with_links(mail.text)))


def with_links(text: str) -> list[tuple[str, bool]]:
    """Lines of a mail, and whether each is a link."""
    return [(line, line.startswith(("http://", "https://"))) for line in text.splitlines()]


def is_shown(settings: Settings, host: str) -> bool:
    """Whether who asked for `host` may see mails."""
    asked = urlsplit(f"//{host}").hostname or ""
    is_here = settings.host in LOOPBACK and asked in LOOPBACK
    return bool(settings.mail_folder) and is_here and not settings.public_url


def _folder(request: web.Request) -> Path:
    settings = request.app[SETTINGS]
    if not is_shown(settings, request.host):
        raise NotFound("this page")
    return Path(settings.mail_folder)


def _page(request: web.Request, page: MailsPage) -> web.Response:
    return html(request, "admin/dev_mail.html", Shell(section="mail", now=now(request)), page)
