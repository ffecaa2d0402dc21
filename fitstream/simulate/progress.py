"""Progress for people: a bar on a terminal, a plain line every few seconds elsewhere."""

import sys
import time
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import Any

_PLAIN_EVERY_S = 2.0


class Progress:
    """Shows how many of `total` are done, and a few words; `total` may be None."""

    def __init__(self, title: str, total: int | None = None) -> None:
        self._title = title
        self._total = total
        self._bar = _bar() if sys.stdout.isatty() and find_spec("rich") else None
        self._task: Any = None
        self._shown_at = 0.0
        self._last = ""

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._total, words="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._last:
            self._write(self._last)

    def show(self, done: int, words: str = "") -> None:
        """Called as often as you like."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, words=words)
            return
        of = "" if self._total is None else f" of {self._total:,}"
        line = f"{self._title}: {done:,}{of}{f', {words}' if words else ''}"
        self._last = line
        if time.monotonic() - self._shown_at >= _PLAIN_EVERY_S:
            self._write(line)

    def _write(self, line: str) -> None:
        self._shown_at, self._last = time.monotonic(), ""
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _bar() -> Any:
    """rich is an extra; whoever lacks it sees plain lines."""
    progress = import_module("rich.progress")
    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[words]}"),
        progress.TimeElapsedColumn(),
    )
