"""`fitstream up`: local services, schema, topics, bucket, then every process, supervised."""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fitstream.errors import FitstreamError, Unavailable
from fitstream.process import EXIT_FAILED, EXIT_HALTED
from fitstream.settings import SettingsError, load
from fitstream.stack.folder_lock import locked_folder
from fitstream.stack.kafka import kafka
from fitstream.stack.leftovers import end_leftovers
from fitstream.stack.ports import choose_ports
from fitstream.stack.postgres import address, postgres
from fitstream.stack.processes import BEHIND, processes
from fitstream.stack.program import Program
from fitstream.stack.run_file import NAME, AdminLogin, RunFile, S3Address, write_run_file
from fitstream.stack.s3 import s3
from fitstream.stack.secrets_file import Secrets, load_secrets
from fitstream.stack.supervisor import CRASH_AT, Supervisor, start_time
from fitstream.stack.valkey import valkey

BUCKET = "fitstream"
_SET_UP_TRIES = 20
_SET_UP_TIMEOUT_S = 60
_CATCH_UP_S = 5.0
_PREFIX = "FITSTREAM_"
_OWN = ("FITSTREAM_METRICS_PORT", CRASH_AT)
_ROOM = (errno.ENOSPC, errno.EDQUOT)
_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
_REMEDIES = dict.fromkeys(_ROOM, "make room there") | dict.fromkeys(
    _PLACE, "name a folder with --data that you may write to"
)


@dataclass(frozen=True)
class Options:
    """What `fitstream up` was asked for."""

    data: Path
    port: int | None
    pages_port: int | None
    services_only: bool


def run_up(options: Options) -> int:
    """Runs a stack until SIGTERM or Ctrl-C; the exit code."""
    try:
        asyncio.run(_until_stopped(options))
    except FitstreamError as error:
        _say(f"fitstream up: {error}", sys.stderr)
        return EXIT_HALTED
    except SettingsError as error:
        _say(f"fitstream up: {error}", sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        _say(f"fitstream up: {_told(error, options.data)}", sys.stderr)
        return EXIT_FAILED
    return 0


def _told(error: OSError, folder: Path) -> str:
    """What the machine refused, and what to do."""
    remedy = _REMEDIES.get(error.errno or 0, "mend what it names")
    return f"{error}: {remedy}, then run the same command again ({folder})"


async def _until_stopped(options: Options) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serving = asyncio.create_task(Stack(options, dict(os.environ)).run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not serving.done():
        _say("stopping ...")
        serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving


class Stack:
    """One stack on one folder."""

    def __init__(self, options: Options, environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = environ
        self._folder = options.data.resolve()
        self._supervisor = Supervisor(_say, self._write_run_file)
        self._run: RunFile | None = None
        self._is_behind = False  # run.json tells less than we know

    async def run(self) -> None:
        """Starts everything and returns only by an error or by being cancelled."""
        for folder in (self._folder, self._folder / "logs"):
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        with locked_folder(self._folder):
            for name in await asyncio.to_thread(end_leftovers, self._folder):
                _say(f"{name} was left by a killed stack and has been ended")
            (self._folder / NAME).unlink(missing_ok=True)
            catching_up = asyncio.create_task(self._catch_up())
            try:
                await self._start()
                await self._supervisor.failed()
            finally:
                catching_up.cancel()
                await self._supervisor.stop()
                (self._folder / NAME).unlink(missing_ok=True)
                _say("stopped")

    async def _start(self) -> None:
        ports = choose_ports(self._folder, self._port_names(), self._fixed_ports())
        secrets = load_secrets(self._folder)
        settings = self._settings(ports, secrets)
        load(settings)  # a wrong one is told before anything starts
        await self._supervisor.start(await self._services(ports, secrets))
        admin = await self._set_up(settings, secrets)
        self._run = self._run_file(ports, secrets, settings, admin)
        self._write_run_file()
        if not self._options.services_only:
            environ = {**self._others(), **settings, **self._crash_point()}
            await self._supervisor.start(processes(self._folder, ports, environ))
        self._announce(self._run)

    def _port_names(self) -> list[str]:
        names = [f"{name}_metrics" for name in BEHIND]
        wanted = {"kafka": ["kafka", "kafka_controller"], "postgres": ["postgres"],
                  "redis": ["redis"], "s3": ["s3"]}  # fmt: skip
        local = [port for name, ports in wanted.items() if self._is_local(name) for port in ports]
        return ["gateway", "pages", *local, *names]

    def _fixed_ports(self) -> dict[str, int]:
        asked = {"gateway": self._options.port, "pages": self._options.pages_port}
        return {name: port for name, port in asked.items() if port}

    def _is_local(self, service: str) -> bool:
        """Whether a service is ours to start; an address of another one in the environment wins."""
        variable = "FITSTREAM_S3_ENDPOINT" if service == "s3" else f"{_PREFIX}{service.upper()}"
        return not self._environ.get(variable)

    async def _services(self, ports: dict[str, int], secrets: Secrets) -> list[Program]:
        """The services that are ours, made ready side by side: downloads, formats, databases."""
        folder = self._folder
        making = {
            "kafka": lambda: kafka(folder, ports, secrets.kafka_cluster_id, _say),
            "postgres": lambda: postgres(
                folder, ports["postgres"], secrets.postgres_password, _say
            ),
            "redis": lambda: valkey(folder, ports["redis"], secrets.redis_password),
            "s3": lambda: s3(folder, ports["s3"], secrets, _say),
        }
        local = [make for name, make in making.items() if self._is_local(name)]
        return list(await asyncio.gather(*(asyncio.to_thread(make) for make in local)))

    def _settings(self, ports: dict[str, int], secrets: Secrets) -> dict[str, str]:
        """FITSTREAM_* variables of every process: ours, with those of the environment above."""
        ours = {
            "FITSTREAM_SECRET_KEY": secrets.secret_key,
            "FITSTREAM_PORT": str(ports["gateway"]),
            "FITSTREAM_PAGES_PORT": str(ports["pages"]),
            "FITSTREAM_GATEWAY_URL": f"http://127.0.0.1:{ports['gateway']}",
            "FITSTREAM_TRUSTED_PROXIES": "127.0.0.1",  # the pages speak for their visitors
        }
        if self._is_local("kafka"):
            ours["FITSTREAM_KAFKA"] = f"127.0.0.1:{ports['kafka']}"
        if self._is_local("postgres"):
            ours["FITSTREAM_POSTGRES"] = address(ports["postgres"], secrets.postgres_password)
        if self._is_local("redis"):
            ours["FITSTREAM_REDIS"] = (
                f"redis://:{secrets.redis_password}@127.0.0.1:{ports['redis']}/0"
            )
        if self._is_local("s3"):
            ours |= {
                "FITSTREAM_S3_ENDPOINT": f"http://127.0.0.1:{ports['s3']}",
                "FITSTREAM_S3_BUCKET": BUCKET,
                "FITSTREAM_S3_ACCESS_KEY": secrets.s3_access_key,
                "FITSTREAM_S3_SECRET_KEY": secrets.s3_secret_key,
            }
        if not self._environ.get("FITSTREAM_SMTP_HOST"):
            ours["FITSTREAM_MAIL_FOLDER"] = str(self._folder / "mail")
        given = {
            name: value
            for name, value in self._environ.items()
            if name.startswith(_PREFIX) and name not in _OWN
        }
        fixed = {name: ours[name] for name in ("FITSTREAM_PORT", "FITSTREAM_PAGES_PORT")}
        return ours | given | fixed

    def _others(self) -> dict[str, str]:
        return {k: v for k, v in self._environ.items() if not k.startswith(_PREFIX)}

    def _crash_point(self) -> dict[str, str]:
        armed = self._environ.get(CRASH_AT)
        return {CRASH_AT: armed} if armed else {}

    async def _set_up(self, settings: dict[str, str], secrets: Secrets) -> AdminLogin | None:
        """Schema, topics, bucket and first administrator; tried again until all services answer."""
        admin = AdminLogin(
            email=secrets.admin_email, password=secrets.admin_password, api_key=secrets.admin_key
        )
        for _ in range(_SET_UP_TRIES):
            code, words = await _run_set_up({**self._others(), **settings}, admin)
            if code == 0:
                return admin if b'"admin": true' in words or b'"admin":true' in words else None
            await asyncio.sleep(0.5)
        raise Unavailable("set-up", words[-2000:].decode(errors="replace"))

    def _run_file(
        self,
        ports: dict[str, int],
        secrets: Secrets,
        settings: dict[str, str],
        admin: AdminLogin | None,
    ) -> RunFile:
        known = load(settings)
        return RunFile(
            gateway=f"http://127.0.0.1:{ports['gateway']}",
            pages=f"http://127.0.0.1:{ports['pages']}",
            kafka=known.kafka,
            postgres=known.postgres,
            redis=known.redis,
            s3=S3Address(
                endpoint=known.s3_endpoint,
                bucket=known.s3_bucket,
                access_key=known.s3_access_key,
                secret_key=known.s3_secret_key,
            ),
            admin=admin,
            supervisor=os.getpid(),
            pids={},
            started={},
            logs=str(self._folder / "logs"),
            settings=settings,
        )

    def _write_run_file(self) -> None:
        if self._run is None:
            return
        pids = {"up": os.getpid(), **self._supervisor.pids}
        started = {name: start_time(pid) or 0.0 for name, pid in pids.items()}
        self._run = msgspec.structs.replace(self._run, pids=pids, started=started)
        try:
            write_run_file(self._folder, self._run)
            self._is_behind = False
        except OSError as error:  # no room: the stack goes on, its file follows
            if not self._is_behind:  # told once, however long there is no room
                _say(f"{NAME} could not be written ({error}): make room in {self._folder}")
            self._is_behind = True

    async def _catch_up(self) -> None:
        """Writes the run file as soon as there is room for it again."""
        while True:
            await asyncio.sleep(_CATCH_UP_S)
            if self._is_behind:
                self._write_run_file()

    def _announce(self, run: RunFile) -> None:
        if self._options.services_only:
            _say(f"services are ready; their addresses are in {self._folder / 'run.json'}")
            return
        _say(f"ready. Administrators: {run.gateway}/admin  Customers: {run.pages}/")
        _say(f"logins and keys: {self._folder / 'run.json'}  logs: {run.logs}  Ctrl-C stops all")


async def _run_set_up(environ: dict[str, str], admin: AdminLogin) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fitstream",
        "setup",
        "--admin-stdin",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environ,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_SET_UP_TIMEOUT_S):
            words, _ = await process.communicate(msgspec.json.encode(admin))
    except (TimeoutError, asyncio.CancelledError):
        process.kill()
        raise
    return process.returncode or 0, words


def _say(text: str, to: "object" = None) -> None:
    stream = sys.stdout if to is None else sys.stderr
    with suppress(OSError):  # where our words go may have no room; the stack must live on
        stream.write(text + "\n")
        stream.flush()
