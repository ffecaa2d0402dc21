"""Mails that the running system wrote: the newest to an address, and the link in it."""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from fitstream.mail import Written, written
from tests.real import eventually

LINK = re.compile(r"https?://\S+")


async def mail_to(folder: Path, address: str, subject: str) -> Written:
    """The newest mail to `address` whose subject holds `subject`, once it is there."""
    found: list[Written] = []

    async def check() -> bool:
        mails = written(folder / "mail") if (folder / "mail").is_dir() else []
        found[:] = [mail for mail in mails if mail.to == address and subject in mail.subject]
        return bool(found)

    await eventually(check)
    return found[0]


def link_of(mail: Written) -> str:
    """The address in a mail."""
    found = LINK.search(mail.text)
    assert found is not None, mail.text
    return found[0]


def token_of(mail: Written) -> str:
    """The token of the link in a mail."""
    return parse_qs(urlsplit(link_of(mail)).query)["token"][0]
