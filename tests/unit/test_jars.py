"""Jars are fetched once, with progress; what could not be fetched is named, with how to retry."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from fitstream.errors import Unavailable
from fitstream.stack import jars

BYTES = {"kafka": b"a broker", "logger": b"a logger"}
LOCK = "".join(
    f"org.example:{name}:1.0 {len(body)} {sha256(body).hexdigest()}\n"
    for name, body in BYTES.items()
)


class Maven:
    """Maven Central: counts what is asked for; may be away, or give other bytes."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.asked: list[str] = []
        self.is_away = False
        self.wrong: list[bytes] = []

    def __call__(self, repo_cache: Path, timeout: int) -> "Maven":
        assert (repo_cache, timeout) == (self.cache, 30)
        return self

    def project(self, _group: str, artifact: str) -> "_Artifact":
        return _Artifact(self, artifact)


class _Artifact:
    def __init__(self, maven: Maven, name: str) -> None:
        self._maven, self._name = maven, name

    def at_version(self, _: str) -> "_Artifact":
        return self

    def artifact(self) -> "_Artifact":
        return self

    def resolve(self) -> None:
        self._maven.asked.append(self._name)
        if self._maven.is_away:
            raise OSError("no way to repo.example.org")
        path = self._maven.cache / f"org/example/{self._name}/1.0/{self._name}-1.0.jar"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._maven.wrong.pop() if self._maven.wrong else BYTES[self._name])


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maven:
    (tmp_path / "few.lock").write_text("# two jars\n" + LOCK)
    fake = Maven(tmp_path / "cache")
    replaced: dict[str, Callable[..., object] | float] = {
        "lock_folder": lambda: tmp_path,
        "cache_folder": lambda: fake.cache,
        "MavenContext": fake,
        "_PAUSE_S": 0.0,
    }
    for name, value in replaced.items():
        monkeypatch.setattr(jars, name, value)
    return fake


def test_missing_jars_are_fetched_with_progress_and_then_never_again(maven: Maven) -> None:
    said: list[str] = []
    paths = jars.class_path("few", said.append)
    assert [path.read_bytes() for path in paths] == list(BYTES.values())
    assert "fetching 2 jars" in said[0]
    assert str(maven.cache) in said[0]
    assert [line.split()[1] for line in said[1:]] == ["1/2", "2/2"]
    said.clear()
    assert jars.class_path("few", said.append) == paths
    assert (sorted(maven.asked), said) == (["kafka", "logger"], [])


def test_what_could_not_be_fetched_is_named_with_how_to_try_again(maven: Maven) -> None:
    maven.is_away = True
    with pytest.raises(Unavailable) as error:
        jars.class_path("few", lambda _: None)
    text = str(error.value)
    assert "org.example:kafka:1.0" in text
    assert "no way to repo.example.org" in text
    assert "HTTPS_PROXY" in text
    assert "run the same command again" in text


def test_a_later_try_fetches_only_what_is_still_missing(maven: Maven) -> None:
    maven.is_away = True
    with pytest.raises(Unavailable):
        jars.class_path("few", lambda _: None)
    maven.is_away, maven.asked = False, []
    kept = maven.cache / "org/example/kafka/1.0/kafka-1.0.jar"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(BYTES["kafka"])
    jars.class_path("few", lambda _: None)
    assert maven.asked == ["logger"]


def test_other_bytes_than_the_locked_ones_are_thrown_away(maven: Maven) -> None:
    maven.wrong = [b"a b0oker"]
    paths = jars.class_path("few", lambda _: None)
    assert [path.read_bytes() for path in paths] == list(BYTES.values())
    maven.wrong = [b"evil"] * 9
    paths[0].unlink()
    with pytest.raises(Unavailable, match="differ from the lock file"):
        jars.class_path("few", lambda _: None)
    assert not paths[0].exists()
