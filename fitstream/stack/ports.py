"""Ports of a stack: free ones the first time, the same ever after, since devices remember them."""

import fcntl
import os
import socket
import tempfile
from pathlib import Path

import msgspec

from fitstream.errors import Halted
from fitstream.settings import Port
from fitstream.stack.kept import read_kept
from fitstream.stack.secrets_file import write_private

PREFERRED = {"gateway": 8080, "pages": 8081}
_DAMAGED = "correct it, or remove it to get new ports (devices must then be told)"
_held: list[int] = []  # locks that the kernel lets go of when we end


def choose_ports(folder: Path, names: list[str], fixed: dict[str, int]) -> dict[str, int]:
    """A port for each name, as remembered in `folder`; `fixed` ones win and are remembered.

    Raises Halted when a remembered or fixed port is taken by somebody else.
    """
    path = folder / "ports.json"
    known: dict[str, int] = {}
    if path.is_file():
        known = read_kept(path, dict[str, Port], _DAMAGED)
    known |= fixed
    taken = set(known.values())
    for name in names:
        if name in known:
            _check_free(name, known[name], path)
        else:
            known[name] = _free_port(PREFERRED.get(name, 0), taken)
            taken.add(known[name])
    write_private(path, msgspec.json.format(msgspec.json.encode(known)))
    return known


def reserve(port: int) -> bool:
    """Whether the port is free and no other stack that is starting has chosen it; ours until we
    end. Between the choice and the listening another stack must not choose it too."""
    path = Path(tempfile.gettempdir()) / f"fitstream-port-{port}.lock"
    try:
        held = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    except OSError:
        return False
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        return False
    _held.append(held)
    return is_free(port)


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _check_free(name: str, port: int, path: Path) -> None:
    if not reserve(port):
        text = (
            f"port {port}, which {name} of this stack uses, is taken by another program. Stop that"
            f" program, or take `{name}` out of {path} to get another port"
        )
        raise Halted(text)


def _free_port(preferred: int, taken: set[int]) -> int:
    if preferred and preferred not in taken and reserve(preferred):
        return preferred
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in taken and reserve(port):
            return port
