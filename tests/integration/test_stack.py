"""`fitstream up`: one per folder, no orphans after a kill, clear words when it cannot start."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL, SIGTERM

import msgspec
import psutil
import pytest
from aiohttp import ClientSession

from fitstream.stack.run_file import read_run_file
from tests.conftest import RunningStack, clean_environ
from tests.real import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.geteuid() and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o001)
    yield tmp_path / "data"
    fitstream("down", "--data", str(tmp_path / "data"))


def fitstream(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "fitstream", *arguments],
        env=clean_environ(**environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def start_services(folder: Path) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-m", "fitstream", "up", "--data", str(folder), "--services-only"],
        env=clean_environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (folder / "run.json").exists():
        assert process.poll() is None, "up has ended"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return process


@pytest.mark.slow
def test_a_killed_supervisor_leaves_no_orphan_and_its_successor_takes_over(folder: Path) -> None:
    first = start_services(folder)
    before = read_run_file(folder)
    os.kill(first.pid, SIGKILL)
    first.wait(10)
    second = start_services_after(folder, before.supervisor)
    after = read_run_file(folder)
    assert not [pid for pid in before.pids.values() if psutil.pid_exists(pid)]
    assert (after.kafka, after.postgres, after.gateway) == (
        before.kafka,
        before.postgres,
        before.gateway,
    )
    assert after.admin == before.admin
    second.send_signal(SIGTERM)
    assert second.wait(25) == 0
    assert not [pid for pid in after.pids.values() if psutil.pid_exists(pid)]


def start_services_after(folder: Path, supervisor: int) -> "subprocess.Popen[bytes]":
    (folder / "run.json").rename(folder / "run.json.before")
    (folder / "run.json.before").rename(folder / "run.json")
    process = subprocess.Popen(
        [sys.executable, "-m", "fitstream", "up", "--data", str(folder), "--services-only"],
        env=clean_environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not _is_new(folder, supervisor):
        assert process.poll() is None, "up has ended"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return process


def _is_new(folder: Path, supervisor: int) -> bool:
    path = folder / "run.json"
    return path.exists() and read_run_file(folder).supervisor != supervisor


def test_a_second_up_on_one_folder_says_who_has_it(stack: RunningStack) -> None:
    done = fitstream("up", "--data", str(stack.folder))
    assert done.returncode == 70
    assert f"process {stack.run.supervisor}" in done.stderr
    assert "fitstream down" in done.stderr


def test_a_taken_port_is_named_with_what_to_do(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = fitstream("up", "--data", str(folder), "--port", str(port))
    assert done.returncode == 70
    assert f"port {port}" in done.stderr
    assert "ports.json" in done.stderr


def test_status_tells_what_runs_and_where(stack: RunningStack) -> None:
    done = fitstream("status", "--data", str(stack.folder), "--json")
    assert done.returncode == 0, done.stdout
    found = msgspec.json.decode(done.stdout)
    assert found["ready"]
    assert set(found["living"]) >= {
        "kafka",
        "postgres",
        "redis",
        "s3",
        "gateway",
        "pages",
        "worker",
    }
    assert fitstream("status", "--data", str(stack.folder)).stdout.count("process") >= 11


def test_status_and_down_of_a_folder_without_a_stack_say_how_to_start_one(tmp_path: Path) -> None:
    for command in ("status", "down"):
        done = fitstream(command, "--data", str(tmp_path))
        assert done.returncode == 1
        assert "fitstream up" in done.stderr


def test_secrets_are_readable_by_their_owner_only(stack: RunningStack) -> None:
    for name in ("run.json", "secrets.json", "redis/valkey.conf", "s3/s3proxy.conf"):
        assert (stack.folder / name).stat().st_mode & 0o077 == 0, name


def test_a_command_without_its_settings_names_the_missing_one() -> None:
    done = fitstream("consume", "ledger")
    assert done.returncode == 78
    assert "FITSTREAM_KAFKA" in done.stderr


def test_an_unknown_setting_is_named() -> None:
    done = fitstream("worker", FITSTREAM_KAFKAA="x")
    assert done.returncode == 78
    assert "FITSTREAM_KAFKAA" in done.stderr


@pytest.mark.parametrize("name", ["ledger", "archive", "roller", "dispatcher", "worker"])
async def test_every_process_shows_its_metrics_and_health(stack: RunningStack, name: str) -> None:
    ports = msgspec.json.decode((stack.folder / "ports.json").read_bytes())
    async with ClientSession(f"http://127.0.0.1:{ports[f'{name}_metrics']}") as session:
        for path, marks in (("/healthz", "ok"), ("/readyz", "ready"), ("/metrics", "fitstream_")):
            async with session.get(path) as answer:
                assert answer.status == 200
                assert marks in await answer.text()


async def test_what_serves_people_shows_its_metrics_and_health_too(stack: RunningStack) -> None:
    for address in (stack.gateway, stack.pages):
        async with ClientSession(address) as session:
            for path, marks in (
                ("/healthz", "ok"),
                ("/readyz", "ready"),
                ("/metrics", "fitstream_request_seconds"),
            ):
                async with session.get(path) as answer:
                    assert (answer.status, path) == (200, path)
                    assert marks in await answer.text()
    async with ClientSession(stack.gateway) as session, session.get("/metrics") as answer:
        assert 'fitstream_lag_records{group="' in await answer.text()


async def test_the_time_is_the_servers_and_names_the_slot_that_runs(http: ClientSession) -> None:
    before = datetime.now(UTC)
    async with http.get("/v1/time") as answer:
        told = await answer.json()
    now = datetime.fromisoformat(told["now"])
    assert before <= now <= datetime.now(UTC)
    assert told["slot"] == int(now.timestamp()) // 900


def test_no_secret_stands_on_a_command_line(stack: RunningStack) -> None:
    secrets = msgspec.json.decode((stack.folder / "secrets.json").read_bytes(), type=dict[str, str])
    hidden = [value for name, value in secrets.items() if "email" not in name and "id" not in name]
    assert len(hidden) >= 6
    for name, pid in read_run_file(stack.folder).pids.items():
        words = " ".join(psutil.Process(pid).cmdline())
        assert [secret for secret in hidden if secret in words] == [], name


def test_a_gateway_on_a_taken_port_halts_and_says_so(stack: RunningStack) -> None:
    port = stack.gateway.rpartition(":")[2]
    done = fitstream("gateway", "--port", port, "--data", str(stack.folder))
    assert done.returncode == 70
    assert f"port {port}" in done.stderr


async def test_several_gateway_processes_share_one_port(stack: RunningStack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["gateway", "--processes", "2", "--port", str(port), "--data", str(stack.folder)]
    process = _start(command)
    try:
        async with ClientSession(f"http://127.0.0.1:{port}") as session:

            async def answers() -> bool:
                try:
                    async with session.get("/readyz") as answer:
                        return answer.status == 200
                except OSError:
                    return False

            await eventually(answers)
        assert len(psutil.Process(process.pid).children()) == 2
    finally:
        process.terminate()
        process.wait(20)
    assert process.returncode == 0


async def test_several_gateways_told_to_end_while_they_start_end_well(
    stack: RunningStack,
) -> None:
    process = _start(["gateway", "--processes", "2", "--data", str(stack.folder)])

    async def has_children() -> bool:
        return len(psutil.Process(process.pid).children()) == 2

    await eventually(has_children)
    process.terminate()
    assert process.wait(20) == 0


def _start(command: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "fitstream", *command],
        env=clean_environ(),
        stderr=subprocess.DEVNULL,
    )
