"""Secrets of a stack: made once, kept in its folder, readable by its owner only."""

import base64
import os
import secrets
from pathlib import Path

import msgspec

from fitstream.ids import new_key
from fitstream.stack.kept import read_kept

_DAMAGED = "bring it back from a backup: without it this folder's data cannot be opened"


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """What the services and the first administrator are protected by."""

    secret_key: str
    postgres_password: str
    redis_password: str
    s3_access_key: str
    s3_secret_key: str
    kafka_cluster_id: str
    admin_email: str
    admin_password: str
    admin_key: str


def load_secrets(folder: Path) -> Secrets:
    """The secrets of the stack in `folder`, made and stored at the first call."""
    path = folder / "secrets.json"
    if path.is_file():
        return read_kept(path, Secrets, _DAMAGED)
    made = Secrets(
        secret_key=base64.b64encode(secrets.token_bytes(32)).decode(),
        postgres_password=secrets.token_hex(16),
        redis_password=secrets.token_hex(16),
        s3_access_key=secrets.token_hex(10),
        s3_secret_key=secrets.token_hex(20),
        kafka_cluster_id=base64.urlsafe_b64encode(b"f" + secrets.token_bytes(15)).decode()[:22],
        admin_email="admin@fitstream.invalid",
        admin_password=secrets.token_urlsafe(15),
        admin_key=new_key().text,
    )
    write_private(path, msgspec.json.encode(made))
    return made


def write_private(path: Path, body: bytes) -> None:
    """Replaces a file at once and whole, readable by its owner only."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
