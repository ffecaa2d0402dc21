"""Becomes a child of the stack: other user if asked, dies with its parent, then runs the command.

    python -m fitstream.stack.launch PARENT_PID SIGNAL USER COMMAND...

USER is `-` for the same user. A program of its own, so that nothing runs between fork and exec in
the supervisor. Must import nothing that is slow.
"""

import os
import pwd
import sys

from fitstream.parent import die_with_parent


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


if __name__ == "__main__":
    main(sys.argv[1:])
