"""A process that must not outlive the one that started it."""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, signal: int) -> None:
    """Asks the kernel to send `signal` when process `parent` ends; on Linux only.

    Ends at once when the parent is gone already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal)
    if os.getppid() != parent:
        sys.exit(1)
