"""Writes the lock files of `localstack/` from `localstack/jars.toml`; for maintainers.

Kafka's jars are what its module resolves to. S3Proxy's are those that it loads at work, out of
five times as many, so they are listed by hand.
"""

import sys
import tomllib
from hashlib import sha256
from typing import Any

from jgo.maven import Dependency, MavenContext

from fitstream.stack.jars import cache_folder, lock_folder


def main() -> int:
    """Resolves, fetches and hashes; the files are then committed."""
    wanted = tomllib.loads((lock_folder() / "jars.toml").read_text())
    context = MavenContext(repo_cache=cache_folder())
    for name, entry in wanted.items():
        lines = [_line(context, coordinates) for coordinates in _coordinates(context, entry)]
        head = f"# {entry['what']}\n# group:artifact:version bytes sha256, in class path order\n"
        (lock_folder() / f"{name}.lock").write_text(head + "".join(lines))
    return 0


def _coordinates(context: MavenContext, entry: dict[str, Any]) -> list[str]:
    named: list[str] = entry["jars"]
    found = []
    for coordinates in entry.get("resolve", []):
        group, artifact, version = coordinates.split(":")
        root = context.project(group, artifact).at_version(version).artifact()
        _, nodes = context.resolver.get_dependency_list([Dependency(root)])
        found += [f"{n.dep.groupId}:{n.dep.artifactId}:{n.dep.version}" for n in nodes]
    return [*named, *found]


def _line(context: MavenContext, coordinates: str) -> str:
    group, artifact, version = coordinates.split(":")
    body = context.project(group, artifact).at_version(version).artifact().resolve().read_bytes()
    return f"{coordinates} {len(body)} {sha256(body).hexdigest()}\n"


if __name__ == "__main__":
    sys.exit(main())
