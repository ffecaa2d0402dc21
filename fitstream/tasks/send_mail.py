"""Sends one letter of the outbox: looks up whom it concerns, makes its link, hands it over.

The link's token is an HMAC of the job, so that a mail that is sent twice is the same mail, and a
link that was used stays used. What was in the letter is forgotten with its end.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from fitstream.boxes import close_box, mark
from fitstream.errors import NotFound, Rejected
from fitstream.mail import Mailer, compose, mailer_of
from fitstream.outbox import (
    LINK_DATA,
    EmailChange,
    Invitation,
    Letter,
    Notice,
    Outbox,
    Registration,
    ResetAsked,
)
from fitstream.repo import jobs, links, people
from fitstream.repo.database import Db
from fitstream.repo.links import Link
from fitstream.repo.people import Candidate
from fitstream.sealing import master_keys
from fitstream.settings import Settings, pages_url
from fitstream.tasks.context import JobContext

_WAYS = {"register": "verify", "email": "verify", "reset": "reset", "invite": "welcome"}


class Draft(NamedTuple):
    """Whom a mail goes to, by which template, and the link that it holds."""

    to: str
    template: str
    values: dict[str, Any]
    link: Link | None = None


async def send_mail(context: JobContext) -> None:
    """Ends the job with the mail; raises Unavailable to be tried again until the deadline."""
    await send_letter(context, mailer_of(context.settings))


async def send_letter(context: JobContext, mailer: Mailer) -> None:
    """The same through a mailer of the caller's choice."""
    masters, now = master_keys(context.settings), context.now()
    try:
        draft = await _draft(context, _opened(context, masters, now), masters, now)
        if draft is not None:
            values = _values(context, draft, masters)
            await mailer.send(
                compose(context.settings, context.job.id, draft.to, draft.template, values)
            )
    except (Rejected, NotFound) as error:
        await _end(context, "failed", str(error))
        return
    await _end(context, "succeeded", None)


def _opened(context: JobContext, masters: list[bytes], now: datetime) -> Letter:
    letter, deadline = Outbox(masters, context.settings).opened(context.job.payload)
    if now > deadline:
        raise Rejected("too_late", "nobody took the mail before its deadline")
    return letter


async def _draft(
    context: JobContext, letter: Letter, masters: list[bytes], now: datetime
) -> Draft | None:
    """The mail with its link stored; None when the letter concerns nobody."""
    async with context.repo.transaction() as db:
        await links.forget_links(db, now)
        drafter = _Drafter(db, context.settings, masters, now)
        draft = await drafter.of(letter)
        if draft is not None and draft.link is not None:
            token, link = _token(context, masters), draft.link
            if link.purpose == "invite":
                went_to = links.address_mark(token, draft.to)
                link = msgspec.structs.replace(link, data=went_to)
            await links.insert_link(db, token, link)
    return draft


class _Drafter:
    """One letter to one draft."""

    def __init__(self, db: Db, settings: Settings, masters: list[bytes], now: datetime) -> None:
        self._db = db
        self._settings = settings
        self._masters = masters
        self._now = now

    async def of(self, letter: Letter) -> Draft | None:
        """What to send; None for nothing."""
        match letter:
            case Registration():
                return await self._registration(letter)
            case ResetAsked():
                return await self._reset(letter)
            case EmailChange():
                return await self._email_change(letter)
            case Invitation():
                return self._invitation(await people.get_candidate(self._db, letter.customer_no))
            case Notice():
                return Draft(letter.email, "notice", {"news": letter.news})

    async def _registration(self, letter: Registration) -> Draft | None:
        """A link; who is known gets a hint instead, who is expected an invitation."""
        if await people.person_by_email(self._db, letter.email) is not None:
            return Draft(letter.email, "known", {})
        expected = await people.candidate_by_email(self._db, letter.email)
        if expected is not None:
            return self._invitation(expected)
        programme = await people.registration_of(self._db, letter.programme)
        data = close_box(self._masters, LINK_DATA, msgspec.msgpack.encode(letter))
        # Not the name: whoever typed it need not be who reads the mail.
        values = {"programme": programme.name}
        return Draft(letter.email, "registration", values, self._link("register", data=data))

    async def _reset(self, letter: ResetAsked) -> Draft | None:
        person = await people.person_by_email(self._db, letter.email)
        if person is None or not person.is_active:
            return None
        return Draft(person.email, "reset", {}, self._link("reset", account_no=person.account_no))

    async def _email_change(self, letter: EmailChange) -> Draft | None:
        if await people.person_by_email(self._db, letter.email) is not None:
            return Draft(letter.email, "known", {})
        data = close_box(self._masters, LINK_DATA, letter.email.encode())
        link = self._link("email", account_no=letter.account_no, data=data)
        return Draft(letter.email, "email_change", {}, link)

    def _invitation(self, who: Candidate) -> Draft | None:
        if who.email is None or who.account_no is not None or not who.is_active:
            return None
        values = {"programme": who.programme, "name": who.name}
        link = self._link("invite", customer_no=who.customer_no)
        return Draft(who.email, "invitation", values, link)

    def _link(
        self,
        purpose: links.Purpose,
        account_no: int | None = None,
        customer_no: int | None = None,
        data: bytes | None = None,
    ) -> Link:
        settings = self._settings
        is_invite = purpose == "invite"
        lifetime_s = settings.invite_lifetime_s if is_invite else settings.link_lifetime_s
        expires_at = links.expiry(self._now, lifetime_s)
        return Link(purpose, account_no, customer_no, expires_at, data)


def _values(context: JobContext, draft: Draft, masters: list[bytes]) -> dict[str, Any]:
    """The template's values with the link, and in words how long it works."""
    home = pages_url(context.settings)
    if draft.link is None:
        return {**draft.values, "link": f"{home}/forgot"}
    address = f"{home}/{_WAYS[draft.link.purpose]}?token={_token(context, masters)}"
    return {
        **draft.values,
        "link": address,
        "lifetime": in_words(draft.link.expires_at - context.now()),
    }


def in_words(length: timedelta) -> str:
    """`10 minutes`, `7 days`."""
    minutes = max(1, round(length.total_seconds() / 60))
    for size, name in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size * (2 if size > 1 else 1):
            count = round(minutes / size)
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "a moment"


def _token(context: JobContext, masters: list[bytes]) -> str:
    return mark(masters, "link", context.job.id).hex()


async def _end(context: JobContext, state: str, error: str | None) -> None:
    async with context.repo.transaction() as db:
        await jobs.forget_letter(db, context.job.id)
        await jobs.finish_job(db, context.job, state, {}, error)
