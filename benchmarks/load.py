"""The load generator, a process of its own: sends ready requests on a schedule, open loop.

`python -m benchmarks.load PLAN` says `ready`, begins at a line on its input, and answers with one
JSON line. Latency counts from the moment a request was meant to be sent, so a slow server cannot
hide behind a generator that waits for it. `late_p99_ms` is the generator's own delay.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

LATE_MS = 50.0


class Plan(msgspec.Struct, frozen=True):
    """What to send where; a rate of 0 means all at once, as fast as they are answered."""

    port: int
    rate_per_s: float
    connections: int
    requests: list[bytes]


class Outcome(msgspec.Struct, frozen=True):
    """What came of a plan."""

    seconds: float
    statuses: dict[int, int]
    p50_ms: float
    p99_ms: float
    late_p99_ms: float
    kept_up: bool

    def check(self) -> "Outcome":
        """Itself; raises RuntimeError when anything but 202 was answered."""
        if set(self.statuses) != {202}:
            raise RuntimeError(f"the server answered {self.statuses}")
        return self


class Started:
    """A generator that has its requests and waits for the word."""

    def __init__(self, plan: Plan) -> None:
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(msgspec.msgpack.encode(plan))
        self._path = Path(file.name)
        command = [sys.executable, "-m", "benchmarks.load", file.name]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self._path.unlink()

    def go(self) -> Outcome:
        """Sends everything; returns when all is answered."""
        text, _ = self._process.communicate("go\n", timeout=300)
        return msgspec.json.decode(text, type=Outcome)


class _Connection(asyncio.Protocol):
    """One kept connection with at most one request under way."""

    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._due = 0.0
        self._head = b""
        self._missing = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, due: float, request: bytes) -> None:
        self._due = due
        self._transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._head[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            self._missing = length - (len(self._head) - end - 4)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            status = int(self._head[9:12])
            self._head, self._missing = b"", -1
            self._run.answered(self, self._due, status)

    def connection_lost(self, _: Exception | None) -> None:
        self._run.lost()


class _Run:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._free: deque[_Connection] = deque()
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._latencies: list[float] = []
        self._late: list[float] = []
        self._statuses: Counter[int] = Counter()
        self._done = asyncio.Event()

    async def connect(self) -> None:
        for _ in range(self._plan.connections):
            _, connection = await self._loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", self._plan.port
            )
            self._free.append(connection)

    async def send_all(self) -> Outcome:
        start = self._loop.time()
        step = 1 / self._plan.rate_per_s if self._plan.rate_per_s else 0.0
        for number, request in enumerate(self._plan.requests):
            due = start + number * step
            ahead = due - self._loop.time()
            if ahead > 0:
                await asyncio.sleep(ahead)
            self._late.append(max(self._loop.time() - due, 0.0))
            if self._free:
                self._free.popleft().send(due, request)
            else:
                self._waiting.append((due, request))
        await self._done.wait()
        late_ms = percentile(self._late, 0.99) * 1000
        return Outcome(
            round(self._loop.time() - start, 3),
            dict(self._statuses),
            round(percentile(self._latencies, 0.5) * 1000, 2),
            round(percentile(self._latencies, 0.99) * 1000, 2),
            round(late_ms, 2),
            late_ms < LATE_MS or not self._plan.rate_per_s,
        )

    def answered(self, connection: _Connection, due: float, status: int) -> None:
        self._latencies.append(self._loop.time() - due)
        self._statuses[status] += 1
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._free.append(connection)
        if len(self._latencies) == len(self._plan.requests):
            self._done.set()

    def lost(self) -> None:
        if len(self._latencies) < len(self._plan.requests):
            self._statuses[0] += 1
            self._done.set()


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie; 0 for none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


async def _main(plan: Plan) -> None:
    run = _Run(plan)
    await run.connect()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    outcome = await run.send_all()
    print(msgspec.json.encode(outcome).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(_main(msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=Plan)))
