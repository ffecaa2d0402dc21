"""What the API answers about accounts, profiles, second factors and invitations."""

from datetime import date, datetime
from typing import Literal

import msgspec

Sex = Literal["female", "male", "other"]
Verdict = Literal["new", "exists", "wrong"]


class Mailed(msgspec.Struct, frozen=True):
    """The same for everybody: if the address can be written to, a mail is on its way."""

    status: Literal["mailed"] = "mailed"


class Joining(msgspec.Struct, frozen=True):
    """A programme, and whether anybody may register with it."""

    programme: str
    name: str
    is_open: bool


class LinkShown(msgspec.Struct, frozen=True):
    """What a mailed link is for."""

    purpose: Literal["register", "reset", "email", "invite"]
    expires_at: datetime


class Verified(msgspec.Struct, frozen=True):
    """An address has answered, and logs in from now on."""

    email: str


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer told of themselves."""

    name: str | None = None
    zone: str
    birth_date: date | None = None
    sex: Sex | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    has_picture: bool = False
    email_verified_at: datetime | None = None


class Factor(msgspec.Struct, frozen=True, kw_only=True):
    """How the second factor of an account stands."""

    is_on: bool
    is_required: bool
    recovery_codes_left: int = 0


class FactorMade(msgspec.Struct, frozen=True):
    """A new second factor, to be confirmed with its first code; shown once."""

    secret: str
    uri: str
    qr_svg: str


class RecoveryCodes(msgspec.Struct, frozen=True):
    """Each logs in once without the device; shown once."""

    codes: list[str]


class Challenged(msgspec.Struct, frozen=True):
    """The password was right; the second factor is missing."""

    challenge: str
    expires_at: datetime


class RowVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a row of a list would become, or became."""

    line: int
    verdict: Verdict
    external_id: str | None = None
    customer_id: str | None = None
    message: str = ""


class ListVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a list of customers: on every row that is no plain success, and counts."""

    is_dry_run: bool
    new: int
    exists: int
    wrong: int
    invited: int = 0
    rows: list[RowVerdict] = []
