"""Signed receipts: a compact EdDSA JWS (RFC 7515, RFC 8037) over what a 202 answered.

The Ed25519 key is derived from the secret key, so a rotation of that is one of this. Pure: must
not read settings, nor say what a receipt means.
"""

import base64
import binascii
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fitstream.errors import Rejected

ALGORITHM = "EdDSA"
TYPE = "fitstream-receipt+jws"
_INFO = b"fitstream signed receipts, Ed25519, v1"
_KID_CHARS = 16


class PublicKey(NamedTuple):
    """A key that receipts are verified with; `kid` begins its RFC 7638 thumbprint."""

    kid: str
    raw: bytes

    def jwk(self) -> dict[str, str]:
        """The key as RFC 8037 writes it."""
        return {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": _base64(self.raw).decode(),
            "kid": self.kid,
            "use": "sig",
            "alg": ALGORITHM,
        }


class _Header(msgspec.Struct, frozen=True):
    """The protected header; `crit` names what a reader must know, and we know none."""

    alg: str
    kid: str
    typ: str
    crit: list[str] | None = None


_decode_header = msgspec.json.Decoder(_Header).decode


class Signer:
    """Signs with the first of the secret keys; the others' public keys stay published."""

    def __init__(self, masters: Sequence[bytes]) -> None:
        pairs = [_derive(master) for master in masters]
        self.public = [public_key(pair.public_key().public_bytes_raw()) for pair in pairs]
        self._sign = pairs[0].sign
        header = {"alg": ALGORITHM, "kid": self.public[0].kid, "typ": TYPE}
        self._head = _base64(msgspec.json.encode(header)) + b"."

    def sign(self, payload: bytes) -> bytes:
        """The compact JWS of `payload`; the same payload gives the same bytes."""
        signed = self._head + _base64(payload)
        return signed + b"." + _base64(self._sign(signed))

    def jwk_set(self) -> bytes:
        """The published keys, the one in use first."""
        return msgspec.json.encode({"keys": [key.jwk() for key in self.public]})


def public_key(raw: bytes) -> PublicKey:
    """The key of 32 bytes with its id."""
    members = b'{"crv":"Ed25519","kty":"OKP","x":"' + _base64(raw) + b'"}'
    return PublicKey(_base64(sha256(members).digest()).decode()[:_KID_CHARS], raw)


def verify(jws: str, keys: Sequence[PublicKey]) -> bytes:
    """The payload that one of `keys` signed.

    Raises Rejected: `unreadable` for what is no JWS of ours, `unknown_key` for another key's,
    `bad_signature` for one that was changed.
    """
    try:
        head, body, mark = jws.encode("ascii").split(b".")
        header = _decode_header(_unbase64(head))
        payload, signature = _unbase64(body), _unbase64(mark)
    except (ValueError, msgspec.MsgspecError) as error:
        raise Rejected("unreadable", f"not a compact JWS: {error}") from error
    if (header.alg, header.typ, header.crit) != (ALGORITHM, TYPE, None):
        raise Rejected("unreadable", f"not a receipt: alg {header.alg}, typ {header.typ}")
    key = next((key for key in keys if key.kid == header.kid), None)
    if key is None:
        raise Rejected("unknown_key", f"signed with the key {header.kid}, which is not ours")
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, head + b"." + body)
    except InvalidSignature:
        raise Rejected("bad_signature", "the signature does not fit the receipt") from None
    return payload


def _derive(master: bytes) -> Ed25519PrivateKey:
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(master)
    return Ed25519PrivateKey.from_private_bytes(seed)


def _base64(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def _unbase64(text: bytes) -> bytes:
    """Strict: what does not encode back to itself is refused, so a receipt has one spelling."""
    try:
        value = base64.b64decode(text + b"=" * (-len(text) % 4), b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if _base64(value) != text:
        raise ValueError("not canonical base64url")
    return value
