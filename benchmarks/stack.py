"""A stack for one benchmark: real services in a temporary folder, and our processes on them.

Must not measure anything: it starts, waits until ready, and stops.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fitstream.settings import PREFIX, Settings
from fitstream.stack.program import answers, listens
from fitstream.stack.run_file import RunFile, read_run_file

_START_S = 240.0  # the first start on a machine fetches the services' jars
UNLIMITED = {"FITSTREAM_INGEST_RATE_PER_S": "100000", "FITSTREAM_INGEST_BURST": "1000000"}


@dataclass(frozen=True)
class Stack:
    """A running stack: its folder and what `run.json` says of it."""

    folder: Path
    run: RunFile

    @property
    def settings(self) -> Settings:
        """What our processes on this stack read."""
        return settings_of(self.run.settings)

    def environ(self, **more: str) -> dict[str, str]:
        """The environment of a process on this stack."""
        return clean_environ() | self.run.settings | more


def settings_of(environ: dict[str, str]) -> Settings:
    """Settings from FITSTREAM_* variables."""
    values = {name.removeprefix(PREFIX).lower(): value for name, value in environ.items()}
    return msgspec.convert(values, Settings, strict=False)


def clean_environ() -> dict[str, str]:
    """This environment without any setting of ours."""
    return {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder that Postgres' own user can pass through; removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="fitstream-bench-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def stack(
    settings: Mapping[str, str] = {}, *, whole: bool = False, data: Path | None = None
) -> Iterator[Stack]:
    """The four services, or the `whole` system, with `settings` as FITSTREAM_* variables."""
    if data is None:
        with folder() as made, stack(settings, whole=whole, data=made) as running:
            yield running
        return
    command = [sys.executable, "-m", "fitstream", "up", "--data", str(data)]
    command += [] if whole else ["--services-only"]
    log = data / "up.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env=clean_environ() | dict(settings)
        )
    try:
        _wait_ready(process, log, b"ready. " if whole else b"services are ready")
        yield Stack(data, read_run_file(data))
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def process(stack: Stack, *command: str, **settings: str) -> Iterator[int]:
    """`fitstream <command>` on the stack; its pid once it is ready."""
    port = free_port()
    own = (
        {"FITSTREAM_PORT": str(port)}
        if command[0] == "gateway"
        else {"FITSTREAM_METRICS_PORT": str(port)}
    )
    environ = stack.environ(**own, **settings)
    with program("fitstream", *command, environ=environ, port=port) as pid:
        yield pid


@contextmanager
def gateway(stack: Stack, **settings: str) -> Iterator[tuple[int, int]]:
    """A gateway without limits per key: (pid, port)."""
    port = free_port()
    environ = stack.environ(FITSTREAM_PORT=str(port), **UNLIMITED, **settings)
    with program("fitstream", "gateway", environ=environ, port=port) as pid:
        yield pid, port


@contextmanager
def program(
    module: str, *arguments: str, environ: dict[str, str], port: int, has_health: bool = True
) -> Iterator[int]:
    """`python -m <module>` until the block ends; its pid once `port` is ready."""
    command = [sys.executable, "-m", module, *arguments]
    with tempfile.NamedTemporaryFile(prefix="fitstream-bench-", suffix=".log") as log:
        child = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        try:
            ready = answers(port) if has_health else listens(port)
            deadline = time.monotonic() + 60
            while not asyncio.run(ready()):
                if child.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command} is not ready: {_tail(Path(log.name))}")
                time.sleep(0.1)
            yield child.pid
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_ready(process: subprocess.Popen[bytes], log: Path, words: bytes) -> None:
    deadline = time.monotonic() + _START_S
    while words not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the stack is not ready: {_tail(log)}")
        time.sleep(0.05)


def _tail(path: Path) -> str:
    return path.read_bytes()[-2000:].decode(errors="replace")
