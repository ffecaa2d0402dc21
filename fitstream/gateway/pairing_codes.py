"""Codes by which a device and a customer find each other, and how often strangers may try them.

A short code is typed by people: letters that no one mixes up, no vowels, so no words. Only an HMAC
of it is ever stored. Every gateway counts in the same buckets.
"""

import secrets
from typing import NamedTuple

from aiohttp import web

from fitstream.boxes import mark
from fitstream.errors import Rejected
from fitstream.gateway.keys import MASTERS, REPO, SETTINGS
from fitstream.gateway.view.addresses import address_of
from fitstream.repo import throttle
from fitstream.repo.throttle import Bucket

_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_GROUP = 4
SHOWN_BY_DEVICE = 8  # 34 bits, tried by people who are logged in
SHOWN_BY_PAGE = 12  # 52 bits, tried by anybody
_START_SHARE, _START_SLOWER = 1 / 3, 1 / 10  # of what an address may fail to log in
_REDEEM_SHARE, _REDEEM_SLOWER = 1 / 6, 1 / 30
_APPROVE_BURST, _APPROVE_PER_S = 10, 1 / 60


class Code(NamedTuple):
    """A short code as people see it, and its hash."""

    text: str
    sha: bytes


def new_code(masters: list[bytes], length: int) -> Code:
    """A random code in groups of four letters."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(length))
    groups = [letters[at : at + _GROUP] for at in range(0, length, _GROUP)]
    return Code("-".join(groups), _sha(masters, letters))


def code_sha(masters: list[bytes], typed: str) -> bytes:
    """The hash of what a person typed, however they grouped it. Raises Rejected(unknown_code)."""
    letters = "".join(letter for letter in typed.upper() if letter in _LETTERS)
    if len(letters) not in (SHOWN_BY_DEVICE, SHOWN_BY_PAGE):
        raise unknown_code()
    return _sha(masters, letters)


def unknown_code() -> Rejected:
    """The same for a code that never was, has expired, or was used."""
    text = "this code is not known; it may have expired: ask for a new one"
    return Rejected("unknown_code", text, 404)


async def count_start(request: web.Request) -> None:
    """One more device of this address that begins. Raises TooMany."""
    await _take(request, _of_address(request, "pairing start", _START_SHARE, _START_SLOWER))


async def count_redeem(request: web.Request) -> Bucket:
    """One try of a page's code from this address; given back when it was right. Raises TooMany."""
    bucket = _of_address(request, "pairing redeem", _REDEEM_SHARE, _REDEEM_SLOWER)
    return await _take(request, bucket)


async def count_approve(request: web.Request, account_id: str) -> Bucket:
    """One try of a device's code by an account; given back when it was right. Raises TooMany."""
    bucket = _bucket(request, f"pairing approve {account_id}", _APPROVE_BURST, _APPROVE_PER_S)
    return await _take(request, bucket)


async def give_back(request: web.Request, bucket: Bucket) -> None:
    """The try was right: it counts for nothing."""
    async with request.app[REPO].connection() as db:
        await throttle.give_back(db, bucket)


async def _take(request: web.Request, bucket: Bucket) -> Bucket:
    async with request.app[REPO].connection() as db:
        await throttle.take(db, bucket)
    return bucket


def _of_address(request: web.Request, what: str, share: float, slower: float) -> Bucket:
    settings = request.app[SETTINGS]
    address = address_of(request, settings.trusted_proxies)
    burst, per_s = settings.auth_burst * share, settings.auth_rate_per_s * slower
    return _bucket(request, f"{what} {address}", max(1.0, burst), per_s)


def _bucket(request: web.Request, about: str, burst: float, per_s: float) -> Bucket:
    return Bucket(mark(request.app[MASTERS], "throttle", about), burst, per_s)


def _sha(masters: list[bytes], letters: str) -> bytes:
    return mark(masters, "pairing code", letters)
