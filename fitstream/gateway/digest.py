"""HTTP Digest (RFC 7616) with random keys: SHA-256, qop=auth; never for a person's password.

Nonces hold their time and an HMAC, so every gateway of the deployment takes those of the others.
What a key's secret becomes for Digest (HA1) is sealed before it is stored. A nonce counts its uses
per process: a request that is repeated to the same process is refused.
"""

import base64
import hmac
import os
from collections import OrderedDict
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple
from urllib.request import parse_http_list, parse_keqv_list

from fitstream.boxes import close_box, derived, open_box
from fitstream.errors import Rejected

REALM = "fitstream"
NONCE_S = 60
STALE = "stale_nonce"
_TIME_BYTES, _RANDOM_BYTES, _MAC_BYTES = 8, 8, 16
_NONCES_KEPT = 20_000
_WINDOW = 256  # how far behind the highest count of a nonce another may still come


class Given(NamedTuple):
    """What an Authorization header of this scheme says."""

    key_id: str
    nonce: str
    uri: str
    nc: str
    cnonce: str
    response: str


class Digest:
    """Challenges and checks; `masters` are the secret key and, during a rotation, the old one."""

    def __init__(self, masters: list[bytes]) -> None:
        self._masters = masters
        self._nonce_keys = [derived(master, "digest nonces, v1") for master in masters]
        self._used: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def challenge(self, now: datetime, *, stale: bool = False) -> str:
        """The value of WWW-Authenticate; `stale` tells the client to try again without asking."""
        fields = [
            f'realm="{REALM}"',
            'qop="auth"',
            "algorithm=SHA-256",
            f'nonce="{self._nonce(now)}"',
        ]
        return "Digest " + ", ".join([*fields, "stale=true"] if stale else fields)

    def seal_ha1(self, key_text: str) -> bytes:
        """What is stored of a new key `fs_<id>_<secret>`, so that Digest can check it."""
        _, key_id, secret = key_text.split("_")
        ha1 = sha256(f"{key_id}:{REALM}:{secret}".encode()).digest()
        return close_box(self._masters, _box(key_id), ha1)

    def check(self, given: Given, sealed: bytes, request: tuple[str, str], now: datetime) -> None:
        """Passes when the header fits `request`, a method and target as sent.

        Raises Rejected(unauthorized), or Rejected(stale_nonce) when only the nonce is too old, was
        used like this before, or is of another deployment.
        """
        method, target = request
        wanted = _response(self._ha1(given.key_id, sealed), given, method)
        if given.uri != target or not hmac.compare_digest(wanted, given.response.encode()):
            raise refused()
        if not self._is_fresh(given.nonce, now) or not self._is_first(
            given.nonce, int(given.nc, 16)
        ):
            raise Rejected(STALE, "the nonce has expired or was used; answer the new one", 401)

    def _ha1(self, key_id: str, sealed: bytes) -> str:
        try:
            return open_box(self._masters, _box(key_id), sealed).hex()
        except Rejected:  # of a secret key that is gone
            raise refused() from None

    def _nonce(self, now: datetime) -> str:
        stamp = int(now.timestamp() * 1000).to_bytes(_TIME_BYTES, "big") + os.urandom(_RANDOM_BYTES)
        return base64.urlsafe_b64encode(stamp + _mac(self._nonce_keys[0], stamp)).decode()

    def _is_fresh(self, nonce: str, now: datetime) -> bool:
        try:
            raw = base64.b64decode(nonce, b"-_", validate=True)
        except ValueError:
            return False
        stamp, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not any(hmac.compare_digest(_mac(key, stamp), mac) for key in self._nonce_keys):
            return False
        age_s = now.timestamp() - int.from_bytes(stamp[:_TIME_BYTES], "big") / 1000
        return -NONCE_S <= age_s <= NONCE_S  # another gateway's clock may run ahead of ours

    def _is_first(self, nonce: str, count: int) -> bool:
        """Whether this count of the nonce comes for the first time; parallel requests overtake."""
        top, seen = self._used.get(nonce, (0, 0))
        if count > top:
            seen = (seen << (count - top) if count - top < _WINDOW else 0) | 1
            self._keep(nonce, (count, seen & ((1 << _WINDOW) - 1)))
            return True
        mark = 1 << (top - count) if top - count < _WINDOW else 0
        if not mark or seen & mark:
            return False
        self._keep(nonce, (top, seen | mark))
        return True

    def _keep(self, nonce: str, used: tuple[int, int]) -> None:
        self._used[nonce] = used
        self._used.move_to_end(nonce)
        if len(self._used) > _NONCES_KEPT:
            self._used.popitem(last=False)


def parse(header: str) -> Given:
    """The fields of `Authorization: Digest …`. Raises Rejected(unauthorized) for another shape."""
    try:
        fields = parse_keqv_list(parse_http_list(header.partition(" ")[2]))
        given = Given(*(fields[name] for name in ("username", *Given._fields[1:])))
        is_ours = (
            fields["realm"] == REALM
            and fields["algorithm"].upper() == "SHA-256"
            and fields["qop"] == "auth"
        )
        number = int(given.nc, 16) if len(given.nc) == 8 else 0
    except (KeyError, ValueError, IndexError):
        raise refused() from None
    if not is_ours or number < 1 or not given.cnonce or not header.isascii():
        raise refused()
    return given


def refused() -> Rejected:
    """The same for all that is wrong."""
    return Rejected("unauthorized", "the Digest answer does not fit, or its key is unknown", 401)


def _box(key_id: str) -> str:
    """HA1 of one key opens for no other."""
    return f"digest HA1 of {key_id}"


def _response(ha1: str, given: Given, method: str) -> bytes:
    ha2 = sha256(f"{method}:{given.uri}".encode()).hexdigest()
    text = f"{ha1}:{given.nonce}:{given.nc}:{given.cnonce}:auth:{ha2}"
    return sha256(text.encode()).hexdigest().encode()


def _mac(key: bytes, stamp: bytes) -> bytes:
    return hmac.digest(key, stamp, sha256)[:_MAC_BYTES]
