"""Small secrets at rest: sealed under the secret key, for one purpose, opened with the old key too.

For what waits in the database for a while and must not lie there in the clear.
"""

import hmac
from hashlib import sha256
from secrets import token_bytes

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fitstream.errors import Rejected

_NONCE_BYTES = 12


def close_box(masters: list[bytes], purpose: str, value: bytes) -> bytes:
    """`value` sealed; it opens for the same purpose only."""
    nonce = token_bytes(_NONCE_BYTES)
    sealer = AESGCM(derived(masters[0], purpose))
    return nonce + sealer.encrypt(nonce, value, purpose.encode())


def open_box(masters: list[bytes], purpose: str, box: bytes) -> bytes:
    """Inverse of `close_box`; raises Rejected(unsealable) when no key opens it."""
    for master in masters:
        try:
            opener = AESGCM(derived(master, purpose))
            return opener.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError):  # another key, or no box at all
            continue
    raise Rejected("unsealable", f"what was sealed for {purpose} opens with no secret key")


def derived(master: bytes, purpose: str) -> bytes:
    """A key of its own for each purpose, 32 bytes."""
    return hmac.digest(master, f"fitstream {purpose}".encode(), sha256)


def mark(masters: list[bytes], purpose: str, value: str) -> bytes:
    """What stands for `value` where it must not be readable: an HMAC under the secret key."""
    return hmac.digest(derived(masters[0], purpose), value.encode(errors="replace"), sha256)
