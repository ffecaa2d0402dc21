"""Letters that wait to be sent: job rows, inserted in the transaction that causes them.

What is in a letter is sealed, because jobs are shown to people. Whether an address is known is
looked up by the worker, never here: the answer to who asked takes the same time either way.
"""

import base64
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from fitstream.boxes import close_box, open_box
from fitstream.ids import new_id
from fitstream.repo import jobs
from fitstream.repo.database import Db
from fitstream.repo.jobs import NewJob
from fitstream.settings import Settings

KIND = "mail"
LINK_DATA = "link data"  # what the data of a link is sealed for
_PURPOSE = "outbox"
_PATIENT = 24
News = Literal["password_changed", "email_changed", "factor_on", "factor_off"]


class Registration(msgspec.Struct, frozen=True, kw_only=True, tag="registration"):
    """Somebody wants to become a customer; the link in the mail makes them one."""

    email: str
    programme: str
    zone: str
    name: str | None
    password_hash: str
    legacy: dict[str, str] = {}


class ResetAsked(msgspec.Struct, frozen=True, kw_only=True, tag="reset"):
    """Somebody says they lost the password of this address."""

    email: str


class EmailChange(msgspec.Struct, frozen=True, kw_only=True, tag="email_change"):
    """Somebody wants another address, which must answer first."""

    account_no: int
    email: str


class Invitation(msgspec.Struct, frozen=True, kw_only=True, tag="invitation"):
    """A customer without a log-in is asked to choose a password."""

    customer_no: int


class Notice(msgspec.Struct, frozen=True, kw_only=True, tag="notice"):
    """News that the owner of an account must hear of, should it not have been them."""

    news: News
    email: str


Letter = Registration | ResetAsked | EmailChange | Invitation | Notice
_TAGS: dict[type[Any], str] = {
    kind: str(kind.__struct_config__.tag)
    for kind in (Registration, ResetAsked, EmailChange, Invitation, Notice)
}


class Outbox:
    """Puts letters into the job table, and takes them out again."""

    def __init__(self, masters: list[bytes], settings: Settings) -> None:
        self._masters = masters
        self._deadline_s = settings.mail_deadline_s

    async def post(
        self, db: Db, letter: Letter, now: datetime, customer_no: int | None = None
    ) -> str:
        """Id of the letter's job, in the caller's transaction."""
        tag = _TAGS[type(letter)]
        is_awaited = not isinstance(letter, Notice | Invitation)
        wait_s = self._deadline_s * (1 if is_awaited else _PATIENT)
        box = close_box(self._masters, _PURPOSE, msgspec.msgpack.encode(letter))
        payload = {
            "letter": tag,
            "deadline": now + timedelta(seconds=wait_s),
            "sealed": base64.b64encode(box).decode(),
        }
        new = NewJob(
            kind=KIND,
            queue="mail",  # of its own: nobody waits for a password behind a training
            dedupe_key=f"mail:{new_id('let')}",
            payload=payload,
            customer_no=customer_no,
        )
        return await jobs.insert_job(db, new)

    def opened(self, payload: dict[str, Any]) -> tuple[Letter, datetime]:
        """The letter of a job and its deadline. Raises Rejected(unsealable)."""
        box = base64.b64decode(str(payload.get("sealed", "")))
        raw = open_box(self._masters, _PURPOSE, box)
        letter: Letter = msgspec.msgpack.decode(raw, type=Letter)
        return letter, datetime.fromisoformat(str(payload["deadline"]))
