"""The jars of Kafka and S3Proxy: fetched once from Maven Central, checked against the lock files.

Must not resolve anything: which jars, which versions and which bytes stand in `localstack/`.
"""

import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from jgo.maven import MavenContext
from platformdirs import user_cache_path

from fitstream.errors import Unavailable

Tell = Callable[[str], None]
_AT_ONCE = 6
_TRIES = 3
_TIMEOUT_S = 30
_PAUSE_S = 2.0  # before the second try, twice that before the third


class Jar(NamedTuple):
    """One line of a lock file."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def path(self) -> Path:
        """Where it lies below a Maven repository."""
        name = f"{self.artifact}-{self.version}.jar"
        return Path(*self.group.split("."), self.artifact, self.version, name)


def lock_folder() -> Path:
    """The folder of the lock files: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent.parent
    installed = package / "_localstack"
    return installed if installed.is_dir() else package.parent / "localstack"


def cache_folder() -> Path:
    """Where jars are kept for every stack of this user."""
    return user_cache_path("fitstream") / "maven"


def locked(name: str) -> list[Jar]:
    """The jars of `localstack/<name>.lock`, in the order of the class path."""
    lines = (lock_folder() / f"{name}.lock").read_text().splitlines()
    return [_jar(line) for line in lines if line and not line.startswith("#")]


def class_path(name: str, tell: Tell = print) -> list[Path]:
    """Paths of a lock file's jars, missing ones fetched with progress.

    Raises Unavailable(maven) naming what could not be fetched and how to try again.
    """
    jars = locked(name)
    missing = [jar for jar in jars if not _is_there(jar)]
    if missing:
        _fetch_all(name, missing, tell)
    return [cache_folder() / jar.path for jar in jars]


def _fetch_all(name: str, missing: list[Jar], tell: Tell) -> None:
    total = sum(jar.size for jar in missing)
    tell(f"{name}: fetching {len(missing)} jars, {total / 1e6:.0f} MB, into {cache_folder()}")
    context = MavenContext(repo_cache=cache_folder(), timeout=_TIMEOUT_S)
    done = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for number, jar in enumerate(pool.map(lambda jar: _fetch(context, jar), missing), 1):
            done += jar.size
            tell(f"{name}: {number}/{len(missing)} {jar.artifact} ({done / 1e6:.0f} MB)")


def _fetch(context: MavenContext, jar: Jar) -> Jar:
    """One jar with the locked bytes; others are removed and fetched again."""
    problem = "it did not arrive"
    for number in range(_TRIES):
        time.sleep(number * _PAUSE_S * random.uniform(0.5, 1.5))
        try:
            context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
            problem = str(error)
            continue
        if _is_there(jar, deep=True):
            return jar
        (cache_folder() / jar.path).unlink(missing_ok=True)
        problem = "its bytes differ from the lock file"
    text = (
        f"{jar.group}:{jar.artifact}:{jar.version} could not be fetched: {problem}. Check the way"
        " to Maven Central (a proxy is taken from HTTPS_PROXY) and run the same command again;"
        " what was fetched already is kept"
    )
    raise Unavailable("maven", text)


def _is_there(jar: Jar, deep: bool = False) -> bool:
    path = cache_folder() / jar.path
    if not path.is_file() or path.stat().st_size != jar.size:
        return False
    return not deep or sha256(path.read_bytes()).hexdigest() == jar.sha256


def _jar(line: str) -> Jar:
    coordinates, size, digest = line.split()
    group, artifact, version = coordinates.split(":")
    return Jar(group, artifact, version, int(size), digest)


def main() -> int:
    """Fetches all jars, so that the first start finds them there."""
    try:
        for name in ("kafka", "s3proxy"):
            class_path(name, _line)
    except Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
