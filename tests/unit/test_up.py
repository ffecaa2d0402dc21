"""`fitstream up` where the machine or a person is at fault: clear words, and it lives on."""

import asyncio
import errno
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from fitstream import cli_parts
from fitstream.cli import main
from fitstream.errors import Halted
from fitstream.stack import up
from fitstream.stack.control import Status, shown
from fitstream.stack.ports import choose_ports
from fitstream.stack.run_file import RunFile, S3Address, read_run_file
from fitstream.stack.secrets_file import load_secrets
from tests.conftest import clean_environ

FULL = OSError(errno.ENOSPC, "No space left on device")


def run_file(pids: dict[str, int]) -> RunFile:
    return RunFile(
        gateway="http://127.0.0.1:8080", pages="http://127.0.0.1:8081", kafka="", postgres="",
        redis="", logs="/data/logs", admin=None, settings={}, supervisor=os.getpid(), pids=pids,
        s3=S3Address(endpoint="", bucket="", access_key="", secret_key=""), started={},
    )  # fmt: skip


def started(folder: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "fitstream", "up", "--data", str(folder), "--services-only"],
        env=clean_environ(**environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_wrong_setting_is_named_before_anything_starts(tmp_path: Path) -> None:
    done = started(tmp_path, FITSTREAM_POOL_SIZE="many")
    assert done.returncode == 1
    assert "FITSTREAM_POOL_SIZE" in done.stderr
    assert not (tmp_path / "postgres").exists()


@pytest.mark.parametrize("option", ["--port", "--pages-port"])
def test_a_port_that_cannot_be_one_is_refused(option: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["up", "--data", str(tmp_path), option, "65536"])
    assert done.exit_code == 2
    assert "1<=x<=65535" in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = started(tmp_path / "file" / "data")
    assert done.returncode == 1
    assert "--data" in done.stderr
    assert str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_at_the_start_says_to_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def is_full(_: object) -> None:
        raise FULL

    monkeypatch.setattr(up, "load_secrets", is_full)
    assert up.run_up(up.Options(tmp_path, None, None, services_only=True)) == 1
    said = capsys.readouterr().err
    assert "No space left" in said
    assert "make room" in said
    assert str(tmp_path) in said


def test_a_refusal_that_has_nothing_to_do_with_the_folder_does_not_send_anybody_to_it() -> None:
    text = up._told(OSError(errno.ENOMEM, "Cannot allocate memory"), Path("/data"))
    assert "Cannot allocate memory" in text
    assert "--data" not in text


@pytest.mark.parametrize("command", ["status", "down"])
def test_who_may_not_read_the_run_file_is_told_so(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_refused(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (tmp_path / "run.json").write_text("{}")
    monkeypatch.setattr(Path, "read_bytes", is_refused)
    done = CliRunner().invoke(main, [command, "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert "Permission denied" in done.output
    assert "run.json" in done.output


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("ports.json", lambda folder: choose_ports(folder, ["kafka"], {})),
        ("secrets.json", load_secrets),
        ("run.json", read_run_file),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, name: str, read: Any) -> None:
    damages = [b'{"kafka": 9', b"", b"\0" * 40, b'{"kafka\xff": 9, "secret_key": "\xff"}']
    damages += [b'{"pages": %d}' % port for port in (-1, 0, 65_536)]
    for damage in [*damages, b'{"settings": ' + b"[" * 10_000]:
        (tmp_path / name).write_bytes(damage)
        with pytest.raises(Halted, match=name) as error:
            read(tmp_path)
        assert any(remedy in str(error.value) for remedy in ("remove", "backup"))


def test_ports_are_replaced_whole_so_that_no_kill_leaves_half_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ports.json").write_text("{}")

    def is_killed(*_: object) -> None:
        raise FULL

    monkeypatch.setattr(Path, "rename", is_killed)
    with pytest.raises(OSError, match="No space"):
        choose_ports(tmp_path, ["kafka"], {})
    assert (tmp_path / "ports.json").read_text() == "{}"


async def test_without_room_for_the_run_file_the_stack_lives_and_the_file_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = up.Stack(up.Options(tmp_path, None, None, services_only=True), {})
    stack._run = run_file({})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", _no_room)
        stack._write_run_file()
        stack._write_run_file()
    assert capsys.readouterr().out.count("make room") == 1
    assert not (tmp_path / "run.json").exists()
    monkeypatch.setattr(up, "_CATCH_UP_S", 0.001)
    catching_up = asyncio.create_task(stack._catch_up())
    async with asyncio.timeout(2):
        while not (tmp_path / "run.json").exists():  # noqa: ASYNC110  a file is waited for
            await asyncio.sleep(0.001)
    catching_up.cancel()
    with suppress(asyncio.CancelledError):
        await catching_up
    assert read_run_file(tmp_path).supervisor == os.getpid()


def test_services_alone_have_no_gateway_that_could_be_ready() -> None:
    services = {"kafka": 7, "postgres": 8}
    alone = Status(True, False, services, [], run_file(services))
    assert "services alone" in shown(alone)
    assert "gateway" not in shown(alone)
    whole = services | {"gateway": 9}
    assert "http://127.0.0.1:8080 is not ready" in shown(
        Status(True, False, whole, [], run_file(whole))
    )


def _no_room(*_: object) -> None:
    raise FULL


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_missing(_: str) -> None:
        raise ModuleNotFoundError("No module named 'psutil'", name="psutil")

    monkeypatch.setattr(cli_parts, "import_module", is_missing)
    with pytest.raises(click.ClickException, match=r"psutil.*fitstream\[local\]"):
        cli_parts.local_part("fitstream.stack.up")
