"""The fitstream processes of a stack, each with its settings, log and readiness."""

import socket
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from fitstream.stack.program import Program, answers

CONSUMERS = ("ledger", "archive", "roller", "dispatcher")
BEHIND = (*CONSUMERS, "worker")
NAMES = ("gateway", "pages", *BEHIND)
_CONSUME, _SERVE = 1, 2
_MEMBER = "FITSTREAM_GROUP_MEMBER"


def processes(folder: Path, ports: dict[str, int], environ: Mapping[str, str]) -> list[Program]:
    """Every process of a stack; what serves people starts last and stops first."""
    behind = [_behind(folder, name, ports[f"{name}_metrics"], environ) for name in BEHIND]
    serving = [_serving(folder, name, ports[name], environ) for name in ("gateway", "pages")]
    return [*behind, *serving]


def _behind(folder: Path, name: str, port: int, environ: Mapping[str, str]) -> Program:
    command = [name] if name == "worker" else ["consume", name]
    return Program(
        name=name,
        command=[sys.executable, "-m", "fitstream", *command],
        log=folder / "logs" / f"{name}.log",
        ready=answers(port),
        stage=_CONSUME,
        environ={_MEMBER: _member(folder), **environ, "FITSTREAM_METRICS_PORT": str(port)},
    )


def _serving(folder: Path, name: str, port: int, environ: Mapping[str, str]) -> Program:
    return Program(
        name=name,
        command=[sys.executable, "-m", "fitstream", name, "--port", str(port)],
        log=folder / "logs" / f"{name}.log",
        ready=answers(port),
        stage=_SERVE,
        environ=environ,
    )


def _member(folder: Path) -> str:
    """A consumer started again takes its own place in its group, instead of waiting for it."""
    place = f"{socket.gethostname()}:{folder}"
    return f"up-{sha256(place.encode()).hexdigest()[:16]}"
