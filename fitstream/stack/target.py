"""Which API a command speaks to: a stack's folder, or an address with a key."""

from pathlib import Path
from typing import NamedTuple

from fitstream.errors import Rejected
from fitstream.stack.run_file import read_run_file


class Target(NamedTuple):
    """Address of an API and an administrator's key."""

    url: str
    key: str


def find_target(data: Path | None, url: str | None, key: str | None) -> Target:
    """The API of the stack on `data`, or the one named. Raises Rejected, NotFound."""
    if url and key:
        return Target(url, key)
    if data is None:
        raise Rejected("no_target", "name a stack with --data DIR, or an API with --url and --key")
    run = read_run_file(data)
    if run.admin is None:
        raise Rejected("no_target", f"{data}/run.json has no administrator's key: give --key")
    return Target(url or run.gateway, key or run.admin.api_key)
