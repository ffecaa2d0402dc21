"""Second factors: codes of an authenticator app (RFC 6238), and recovery codes for when it is lost.

A secret lies sealed under the secret key. A step's code works once, on every process: the step is
compared and set in the database.
"""

import secrets
from datetime import datetime, timedelta
from io import BytesIO
from typing import NamedTuple

import pyotp
import segno

from fitstream.boxes import close_box, mark, open_box
from fitstream.errors import Rejected
from fitstream.ids import hashed, new_secret
from fitstream.repo import factors
from fitstream.repo.accounts import Account
from fitstream.repo.database import Db

ISSUER = "fitstream"
RECOVERY_CODES = 10
CHALLENGE_S = 300.0
_TRIES = 5
_STEP_S = 30
_DRIFT_STEPS = 1
_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"  # what cannot be misread
_CODE_CHARS = 10


class Challenge(NamedTuple):
    """What stands for a right password until the code comes."""

    token: str
    expires_at: datetime


class Enrolment(NamedTuple):
    """A secret as people and apps take it."""

    secret: str
    uri: str
    qr_svg: str


async def begin(db: Db, masters: list[bytes], account_no: int, email: str) -> Enrolment:
    """A new secret, in force once it is confirmed. Raises Rejected(factor_is_on)."""
    secret = pyotp.random_base32()
    box = close_box(masters, _purpose(account_no), secret.encode())
    if not await factors.begin(db, account_no, box):
        raise Rejected("factor_is_on", "the second factor is set up; remove it first", 409)
    return _enrolment(secret, email)


async def waiting(db: Db, masters: list[bytes], account_no: int, email: str) -> Enrolment | None:
    """The secret that waits for its first code; None when there is none."""
    found = await factors.find(db, account_no)
    if found is None or found.confirmed_at is not None:
        return None
    secret = open_box(masters, _purpose(account_no), found.secret).decode()
    return _enrolment(secret, email)


async def confirm(
    db: Db, masters: list[bytes], account_no: int, code: str, now: datetime
) -> list[str]:
    """Puts a new secret in force; its recovery codes. Raises Rejected(wrong_code)."""
    found = await factors.find(db, account_no)
    if found is None or found.confirmed_at is not None:
        raise no_factor()
    step = _step_of(masters, account_no, found.secret, code, now)
    if step is None or not await factors.confirm(db, account_no, step, now):
        raise wrong_code()
    return await renew_recovery_codes(db, masters, account_no)


async def renew_recovery_codes(db: Db, masters: list[bytes], account_no: int) -> list[str]:
    """New recovery codes; older ones end. Only their HMACs stay."""
    codes = [_new_code() for _ in range(RECOVERY_CODES)]
    marks = [_mark(masters, account_no, code) for code in codes]
    await factors.set_recovery_codes(db, account_no, marks)
    return codes


async def check(db: Db, masters: list[bytes], account_no: int, code: str, now: datetime) -> None:
    """Takes a code of the app or a recovery code, each once. Raises Rejected(wrong_code)."""
    found = await factors.find(db, account_no)
    if found is None or found.confirmed_at is None:
        raise wrong_code()
    step = _step_of(masters, account_no, found.secret, code, now)
    if step is not None and await factors.use_step(db, account_no, step):
        return
    for master in masters:  # the old key marked those of before its rotation
        if await factors.use_recovery_code(db, account_no, _mark([master], account_no, code), now):
            return
    raise wrong_code()


async def challenge(db: Db, account: Account, now: datetime) -> Challenge | None:
    """What the code is sent with; None for an account whose password is enough.

    Raises Rejected(wrong_code) when the password changed meanwhile.
    """
    found = await factors.find(db, account.account_no)
    if found is None or found.confirmed_at is None:
        return None
    token, expires_at = new_secret(), now + timedelta(seconds=CHALLENGE_S)
    if not await factors.insert_challenge(db, hashed(token), account, _TRIES, expires_at):
        raise wrong_code()
    return Challenge(token, expires_at)


async def end_challenge(db: Db, token: str) -> None:
    """Takes a challenge that was answered. Raises Rejected(wrong_code) for one that has ended."""
    if not await factors.end_challenge(db, hashed(token)):
        raise wrong_code()


async def answered_by(db: Db, token: str, now: datetime) -> int:
    """Number of the account that a challenge stands for; one of its few tries is gone.

    Raises Rejected(wrong_code) for one that has expired, is used up or never was.
    """
    found = await factors.try_challenge(db, hashed(token), now)
    if found is None:
        raise wrong_code()
    return found


def _enrolment(secret: str, email: str) -> Enrolment:
    uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)
    return Enrolment(secret, uri, qr_svg(uri))


def qr_svg(text: str) -> str:
    """A QR code as SVG without styles or scripts."""
    out = BytesIO()
    code = segno.make(text, error="m", micro=False)
    code.save(
        out, kind="svg", scale=4, border=2, light="#fff", xmldecl=False, svgclass=None,
        lineclass=None,
    )  # fmt: skip
    return out.getvalue().decode()


def no_factor() -> Rejected:
    """There is nothing to confirm, or to make recovery codes for."""
    return Rejected("no_factor", "set up a second factor first", 409)


def wrong_code() -> Rejected:
    """The one answer for all that is wrong."""
    text = "the code is wrong, was used already, or the log-in took too long"
    return Rejected("wrong_code", text, 401)


def _step_of(
    masters: list[bytes], account_no: int, box: bytes, code: str, now: datetime
) -> int | None:
    """The step whose code this is, at most one away from now."""
    totp = pyotp.TOTP(open_box(masters, _purpose(account_no), box).decode())
    given = _plain(code)
    current = int(now.timestamp()) // _STEP_S
    for step in range(current - _DRIFT_STEPS, current + _DRIFT_STEPS + 1):
        if given.isascii() and secrets.compare_digest(totp.generate_otp(step), given):
            return step
    return None


def _new_code() -> str:
    text = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_CHARS))
    return f"{text[:5]}-{text[5:]}"


def _mark(masters: list[bytes], account_no: int, code: str) -> bytes:
    """A code is short enough to be found from a plain hash by trying."""
    return mark(masters, "recovery code", f"{account_no} {_plain(code)}")


def _plain(code: str) -> str:
    return "".join(code.lower().split()).replace("-", "")


def _purpose(account_no: int) -> str:
    return f"second factor of {account_no}"
