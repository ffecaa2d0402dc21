"""CPU-seconds (user + system) and memory of named processes with their children."""

from collections.abc import Mapping

import psutil


def seconds(pid: int) -> float:
    """CPU-seconds of a process and everything it started, ended children included."""
    total = 0.0
    for process in _tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def rss_bytes(pid: int) -> int:
    """Resident memory of one process."""
    size: int = psutil.Process(pid).memory_info().rss
    return size


def own_bytes(pid: int) -> int:
    """Memory that a process and its children do not share with others."""
    total = 0
    for process in _tree(pid):
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total


class Meter:
    """CPU-seconds of several processes since it was made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before = self._read()

    def used(self) -> dict[str, float]:
        """CPU-seconds by name."""
        now = self._read()
        return {name: now[name] - self._before[name] for name in now}

    def _read(self) -> dict[str, float]:
        return {name: seconds(pid) for name, pid in self._pids.items()}


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]
