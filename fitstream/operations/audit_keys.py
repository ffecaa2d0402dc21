"""What the audit log is sealed with: a key made from the secret key, and an id that tells nothing
of it. Pure."""

import hmac
from collections.abc import Sequence
from hashlib import sha256

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def mac_of(master: bytes, digest: bytes) -> bytes:
    """The HMAC of a link or an anchor."""
    return hmac.digest(_key(master), digest, "sha256")


def key_id(master: bytes) -> str:
    """Tells which secret key it was, and nothing of it."""
    return sha256(_key(master) + b" id").hexdigest()[:16]


def fault(masters: Sequence[bytes], name: str, digest: bytes, mac: bytes) -> str | None:
    """What is wrong with an HMAC that was made under the key `name`; None when it is ours."""
    known = {key_id(master): master for master in masters}
    if name not in known:
        return f"sealed under the secret key {name}, which is not at hand"
    if not hmac.compare_digest(mac_of(known[name], digest), mac):
        return "it was not made with our secret key"
    return None


def _key(master: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"fitstream audit seal").derive(master)
