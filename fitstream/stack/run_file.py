"""`run.json`: where a running stack is reached, and which processes it is made of."""

from pathlib import Path
from typing import Any

import msgspec

from fitstream.errors import NotFound
from fitstream.stack.kept import read_kept
from fitstream.stack.secrets_file import write_private

NAME = "run.json"
_DAMAGED = "end the stack's processes, remove the file, and start the stack again"


class S3Address(msgspec.Struct, frozen=True, kw_only=True):
    """How the bucket is reached."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str


class AdminLogin(msgspec.Struct, frozen=True, kw_only=True):
    """The first administrator."""

    email: str
    password: str
    api_key: str


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses, credentials and process ids; `settings` is what a process of this stack reads.

    `started` holds each process's start time, so that a number used again is not taken for it.
    """

    gateway: str
    pages: str
    kafka: str
    postgres: str
    redis: str
    s3: S3Address
    admin: AdminLogin | None
    supervisor: int
    pids: dict[str, int]
    started: dict[str, float]
    logs: str
    settings: dict[str, str]


def write_run_file(folder: Path, run: RunFile) -> None:
    """Replaces `run.json`, mode 0600."""
    write_private(folder / NAME, msgspec.json.format(msgspec.json.encode(run)))


def read_run_file(folder: Path) -> RunFile:
    """The stack on `folder`. Raises NotFound when none was started there."""
    path = folder / NAME
    if not path.is_file():
        raise NotFound(f"a stack on {folder} (start one with `fitstream up --data {folder}`)")
    return read_kept(path, RunFile, _DAMAGED)


def environ_of(folder: Path) -> dict[str, str]:
    """FITSTREAM_* variables with which a process speaks to the stack on `folder`."""
    return dict(read_run_file(folder).settings)


def as_json(run: RunFile) -> dict[str, Any]:
    """The file's content as plain values."""
    found: dict[str, Any] = msgspec.to_builtins(run)
    return found
