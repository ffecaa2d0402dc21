"""Becomes a child of the stack: other user if asked, dies with its parent, then runs the command.

    python -m fitstream.stack.launch PARENT_PID SIGNAL USER COMMAND...

USER is `-` for the same user. A program of its own, so that nothing runs between fork and exec in
the supervisor. Must import nothing that is slow.
"""

import ctypes
import os
import pwd
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Never returns: the process becomes the command."""
    parent, signal, user, *command = arguments
    if user != "-":
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
        os.environ["HOME"] = "/"
    die_with_parent(int(parent), int(signal))
    os.execvp(command[0], command)  # noqa: S606  our own command, no shell


def die_with_parent(parent: int, signal: int) -> None:
    """Asks the kernel to send `signal` when the parent ends; on Linux only.

    Ends at once when the parent is gone already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
