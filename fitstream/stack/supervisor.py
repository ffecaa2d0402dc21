"""Starts programs in order, starts again what ends, and stops everything in order.

`restarts` says when: a program that keeps crashing ends the stack, with the last lines of its log.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, Signals
from typing import BinaryIO

import psutil

from fitstream.errors import FitstreamError, Halted
from fitstream.process import EXIT_HALTED, EXIT_UNAVAILABLE
from fitstream.stack.program import Program
from fitstream.stack.restarts import Life, Restarts

_READY_POLL_S, _READY_POLL_MAX_S = 0.05, 0.5
_READY_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 6.0
_LOG_TAIL_BYTES = 3000
_LOG_MAX_BYTES = 50_000_000

CRASH_AT = "FITSTREAM_CRASH_AT"  # a process dies there once, not again when started again

Tell = Callable[[str], None]


class CrashLoop(FitstreamError):
    """A program ends again and again; the message holds the last lines of its log."""


class Supervisor:
    """Runs programs until it is told to stop; `changed` is called whenever a process id changes."""

    def __init__(self, tell: Tell, changed: Callable[[], None]) -> None:
        self._tell = tell
        self._changed = changed
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._programs: dict[str, Program] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._ready: dict[str, asyncio.Event] = {}
        self._stopping = asyncio.Event()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {name: process.pid for name, process in self._running.items()}

    async def start(self, programs: Iterable[Program]) -> None:
        """Starts programs side by side and waits until each is ready.

        Raises CrashLoop, or Halted when one is not ready in time.
        """
        chosen = list(programs)
        for program in chosen:
            self._programs[program.name] = program
            self._ready[program.name] = asyncio.Event()
            self._watching[program.name] = asyncio.create_task(self._keep(program))
        await asyncio.gather(*(self._wait_ready(program) for program in chosen))

    async def failed(self) -> None:
        """Returns when a program has given up for good, by raising its CrashLoop."""
        while True:
            tasks = list(self._watching.values())
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await asyncio.sleep(_READY_POLL_S)

    async def stop(self) -> None:
        """Ends everything, what was started last first; SIGKILL for what does not listen."""
        self._stopping.set()
        stages = sorted({program.stage for program in self._programs.values()}, reverse=True)
        for stage in stages:
            names = [name for name, p in self._programs.items() if p.stage == stage]
            await asyncio.gather(*(self._end(name) for name in names))
        for task in self._watching.values():
            task.cancel()
        await asyncio.gather(*self._watching.values(), return_exceptions=True)

    async def _end(self, name: str) -> None:
        process = self._running.get(name)
        if process is None or process.returncode is not None:
            return
        program = self._programs[name]
        for number, patience_s in ((program.stops_by, _STOP_TIMEOUT_S), (SIGKILL, 2.0)):
            _signal(process.pid, number)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), patience_s)
                return

    async def _keep(self, program: Program) -> None:
        """One program, started again whenever it ends."""
        restarts = Restarts()
        environ = dict(program.environ) or dict(os.environ)
        while not self._stopping.is_set():
            life = await self._live(program, environ)
            environ = {k: v for k, v in environ.items() if k != CRASH_AT}
            if self._stopping.is_set():
                return
            delay_s = restarts.ended(life)
            if restarts.is_hopeless(life):
                text = f"{program.name} keeps ending (exit code {life.code}):\n{log_tail(program)}"
                raise CrashLoop(text)
            if restarts.is_alarming:
                self._tell(_alarm(program, restarts.kills))
            self._tell(_why(program, life.code, delay_s))
            await asyncio.sleep(delay_s)

    async def _live(self, program: Program, environ: dict[str, str]) -> Life:
        """One run of a program, from its start to its end."""
        started = time.monotonic()
        self._ready[program.name].clear()
        watching = asyncio.create_task(self._watch_ready(program))
        try:
            code = await self._run(program, environ)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return Life(code, time.monotonic() - started, self._ready[program.name].is_set())

    async def _watch_ready(self, program: Program) -> None:
        """Notes when a program that was just started is ready."""
        poll_s = _READY_POLL_S
        while not await program.ready():
            await asyncio.sleep(poll_s)
            poll_s = min(poll_s * 1.1, _READY_POLL_MAX_S)
        self._ready[program.name].set()

    async def _run(self, program: Program, environ: dict[str, str]) -> int:
        with self._log_of(program) as log:
            process = await asyncio.create_subprocess_exec(
                *program.launched_by(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                start_new_session=True,  # Ctrl-C reaches us alone; we stop the others in order
            )
        self._running[program.name] = process
        self._changed()
        return await process.wait()

    def _log_of(self, program: Program) -> BinaryIO:
        """Where a program writes; nowhere while there is no room for a new file."""
        try:
            _trim(program)
            return program.log.open("ab")
        except OSError as error:
            self._tell(f"{program.name} starts without its log: {error}")
            return Path(os.devnull).open("ab")

    async def _wait_ready(self, program: Program) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        started = time.monotonic()
        while not self._ready[program.name].is_set():
            watching = self._watching[program.name]
            if watching.done():
                watching.result()
            if time.monotonic() > deadline:
                text = f"{program.name} is not ready after {_READY_TIMEOUT_S:.0f} s:\n"
                raise Halted(text + log_tail(program))
            await asyncio.sleep(_READY_POLL_S)
        self._tell(f"{program.name} ready after {time.monotonic() - started:.1f} s")


def log_tail(program: Program) -> str:
    """The last lines of a program's log, and where the rest is."""
    try:
        tail = program.log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
    except FileNotFoundError:
        tail = ""
    return f"{tail.strip()}\n(all of it: {program.log})"


def start_time(pid: int) -> float | None:
    """When a process began, None when there is none."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _why(program: Program, code: int, delay_s: float) -> str:
    if code == EXIT_UNAVAILABLE:
        reason = "waits for a service"
    elif code == EXIT_HALTED:
        reason = f"has halted and needs a person:\n{log_tail(program)}\n{program.name}"
    elif code < 0:
        reason = f"was ended by {Signals(-code).name}"
    else:
        reason = f"ended with exit code {code}"
    return f"{program.name} {reason}; starting again in {delay_s:.1f} s"


def _alarm(program: Program, kills: int) -> str:
    return (
        f"ALARM: {program.name} has been killed from outside {kills} times, each time soon after it"
        " was started: is there too little memory? (the kernel's log tells)"
    )


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _trim(program: Program) -> None:
    """Keeps one log of a bounded size before this one."""
    if program.log.is_file() and program.log.stat().st_size > _LOG_MAX_BYTES:
        program.log.replace(program.log.with_suffix(".log.1"))
