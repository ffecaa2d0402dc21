"""Random identifiers and keys: opaque, lower-case, collision-free, safe in URLs and object keys."""

import os
import re
import secrets
import time
from hashlib import sha256
from typing import NamedTuple

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LETTERS = _ALPHABET.encode() * 8  # for each byte one: 32 of them divide 256
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}", re.ASCII)


class ApiKey(NamedTuple):
    """A new key: its public id, the text shown once, and the hash that is stored."""

    id: str
    text: str
    secret_sha: bytes


def new_id(prefix: str) -> str:
    """`prefix_` and 100 random bits."""
    return f"{prefix}_{os.urandom(20).translate(_LETTERS).decode()}"


def is_id(text: str) -> bool:
    """Whether a text has the shape of a public id: fit for object names, whoever wrote it."""
    return _ID.fullmatch(text) is not None


def new_batch_id() -> str:
    """48 bits of milliseconds since 1970, then 48 random ones: tells a search where to begin."""
    return (int(time.time() * 1000).to_bytes(6, "big") + os.urandom(6)).hex()


def new_secret() -> str:
    """256 random bits as text."""
    return secrets.token_hex(32)


def new_key() -> ApiKey:
    """A key `fs_<id>_<secret>`; 256 random bits need no slow hash."""
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(16))
    secret = new_secret()
    return ApiKey(key_id, f"fs_{key_id}_{secret}", hashed(secret))


def key_of(text: str) -> ApiKey:
    """The key of a text that `new_key` made; raises ValueError for any other text."""
    parts = split_key(text)
    if parts is None:
        raise ValueError("not the text of a key")
    key_id, secret = parts
    return ApiKey(key_id, text, hashed(secret))


def split_key(text: str) -> tuple[str, str] | None:
    """(id, secret) of a key's text, or None when it has another shape."""
    parts = text.split("_")
    if len(parts) != 3 or parts[0] != "fs" or not text.isascii():
        return None
    return (parts[1], parts[2]) if parts[1].isalnum() and parts[2].isalnum() else None


def hashed(secret: str) -> bytes:
    """SHA-256 of a random secret, as stored; any text has one, bytes of a header that are no UTF-8
    too."""
    return sha256(secret.encode(errors="surrogatepass")).digest()
