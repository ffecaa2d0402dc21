"""Ports of a stack: the same ever after, and never those of another stack."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fitstream.errors import Halted
from fitstream.stack.ports import choose_ports, reserve


def test_ports_are_remembered(tmp_path: Path) -> None:
    first = _choose(tmp_path)
    assert len(set(first.values())) == len(first)
    assert _choose(tmp_path) == first


def _choose(folder: Path) -> dict[str, int]:
    """What another process chooses: a lock is one process's alone."""
    code = (
        "import sys, json; from pathlib import Path;"
        "from fitstream.stack.ports import choose_ports;"
        "print(json.dumps(choose_ports(Path(sys.argv[1]), ['kafka', 's3'], {})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    import json

    ports: dict[str, int] = json.loads(done.stdout)
    return ports


def test_two_stacks_that_start_at_once_choose_different_ports(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert reserve(port)
    (tmp_path / "ports.json").write_text(f'{{"kafka": {port}}}')
    code = (
        "import sys; from pathlib import Path; from fitstream.stack.ports import choose_ports;"
        "choose_ports(Path(sys.argv[1]), ['kafka'], {})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert "is taken by another program" in done.stderr


def test_a_taken_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(Halted, match=f"port {port}, which gateway"):
            choose_ports(tmp_path, ["gateway"], {"gateway": port})
