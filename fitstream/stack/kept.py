"""Small files that a stack keeps in its folder: read whole, or told which one is damaged."""

from pathlib import Path
from typing import TypeVar

import msgspec

from fitstream.errors import Halted

T = TypeVar("T")


def read_kept(path: Path, kind: type[T], remedy: str) -> T:
    """What a JSON file of ours holds. Raises Halted naming the file, with what to do about it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (ValueError, RecursionError) as error:  # no JSON, another shape, no UTF-8, no end
        raise Halted(f"{path} cannot be read ({error}): {remedy}", "damaged_file") from error
