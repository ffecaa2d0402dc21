"""Mails: text from a template, then to an SMTP server, or into a folder where there is none.

The only importer of aiosmtplib. Must not decide who gets what: `outbox.py` and the task do.
"""

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from email import policy
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol

import aiosmtplib
import jinja2

from fitstream.errors import NotFound, Rejected, Unavailable
from fitstream.settings import Settings

_DEADLINES = 3  # a mail takes several steps, each with its own time-out
_KEPT = 500
# Lines as long as SMTP allows: a link must not be broken, not even for readers of plain files.
_POLICY = policy.SMTP.clone(max_line_length=998)
_SHOWN = 100


class Mailer(Protocol):
    """Takes a mail, once; raises Unavailable to be asked again, Rejected when that is no use."""

    async def send(self, message: EmailMessage) -> None:
        """The mail is with somebody who will not lose it."""
        ...


class SmtpMailer:
    """Hands mails to an SMTP server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def send(self, message: EmailMessage) -> None:
        """Raises Unavailable for what may pass, Rejected(mail_refused) for what will not."""
        settings = self._settings
        security = settings.smtp_security
        try:
            async with asyncio.timeout(settings.smtp_timeout_s * _DEADLINES):
                await aiosmtplib.send(
                    message,
                    hostname=settings.smtp_host,
                    port=settings.smtp_port,
                    username=settings.smtp_user or None,
                    password=settings.smtp_password or None,
                    use_tls=security == "tls",
                    start_tls=security == "starttls",
                    timeout=settings.smtp_timeout_s,
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refusal([refused.code for refused in error.recipients]) from None
        except aiosmtplib.SMTPAuthenticationError:
            raise Unavailable("smtp", "the server refuses our log-in") from None
        except aiosmtplib.SMTPResponseException as error:
            raise _refusal([error.code]) from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise Unavailable("smtp", type(error).__name__) from error


class FolderMailer:
    """Writes mails into a folder, for development; keeps the newest ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, message: EmailMessage) -> None:
        """Repeats of one mail are one file. Raises Unavailable when it cannot be written."""
        try:
            await asyncio.to_thread(self._write, message)
        except OSError as error:
            raise Unavailable("mail", type(error).__name__) from error

    def _write(self, message: EmailMessage) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        part = self._folder / f".{name}.part"
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(message.as_bytes())
        part.rename(self._folder / f"{name}.eml")
        for old in _newest_first(self._folder)[_KEPT:]:
            old.unlink(missing_ok=True)


class Nowhere:
    """No server and no folder: mails wait, and the job says for what."""

    async def send(self, message: EmailMessage) -> None:
        raise Unavailable("smtp", "set FITSTREAM_SMTP_HOST, so that mails can be sent")


class Written(NamedTuple):
    """A mail in the folder."""

    id: str
    to: str
    subject: str
    text: str
    at: datetime


def mailer_of(settings: Settings) -> Mailer:
    """Where mails go by the settings."""
    if settings.smtp_host:
        return SmtpMailer(settings)
    return FolderMailer(Path(settings.mail_folder)) if settings.mail_folder else Nowhere()


def compose(
    settings: Settings, mail_id: str, to: str, template: str, values: Mapping[str, object]
) -> EmailMessage:
    """The mail of `templates/mail/<template>.txt`, whose first line is the subject.

    `mail_id` names it for ever, so that a repeat is known as one. Raises Rejected(bad_address).
    """
    text = _templates().get_template(f"{template}.txt").render(values)
    subject, _, body = text.partition("\n")
    message = EmailMessage(policy=_POLICY)
    try:
        message["To"] = Address(addr_spec=to)  # one address, whatever commas are in it
        message["From"] = settings.mail_from
    except (ValueError, HeaderParseError):  # a line break, or what no address may hold
        raise Rejected("bad_address", "the address cannot be written to", 422) from None
    message["Subject"] = subject.strip()
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{mail_id}@{settings.mail_from.rpartition('@')[2] or 'localhost'}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body.strip() + "\n")
    return message


def written(folder: Path) -> list[Written]:
    """The mails of a folder, newest first."""
    return [_read(path) for path in _newest_first(folder)[:_SHOWN]]


def read_written(folder: Path, mail_id: str) -> Written:
    """One mail of a folder; raises NotFound."""
    for path in _newest_first(folder):
        if path.stem == mail_id:
            return _read(path)
    raise NotFound("this mail")


def _newest_first(folder: Path) -> list[Path]:
    found = [(path.stat().st_mtime_ns, path) for path in folder.glob("*.eml")]
    return [path for _, path in sorted(found, reverse=True)]


def _read(path: Path) -> Written:
    message = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
    at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    text = str(message.get_content())
    return Written(path.stem, str(message["To"]), str(message["Subject"]), text, at)


def _refusal(codes: list[int]) -> Rejected | Unavailable:
    """SMTP says by the first digit whether asking again can help (RFC 5321, 4.2.1)."""
    if all(code >= 500 for code in codes):
        return Rejected("mail_refused", f"the mail server refuses this mail: {codes}")
    return Unavailable("smtp", f"the server answers {codes}")


@cache
def _templates() -> jinja2.Environment:
    package = Path(__file__).parent
    installed = package / "_templates"
    folder = installed if installed.is_dir() else package.parent / "templates"
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder / "mail"),
        autoescape=False,  # noqa: S701  plain text
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
