"""A store in memory: the same promises as `fitstream.store.Store`, and it can be told to fail."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256

from fitstream.errors import Conflict, NotFound, Unavailable
from fitstream.store import Listed, Store, Stored


class FakeStore(Store):
    """Objects in a dict; `failing` makes every call raise Unavailable."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.failing = False

    async def put_new(self, key: str, body: bytes, content_type: str = "") -> Stored:
        self._check()
        there = self.objects.setdefault(key, body)
        if there != body:
            raise Conflict("object_differs", f"{key} holds other bytes")
        outcome = "same" if there is not body else "created"
        return Stored(key, len(body), sha256(body).hexdigest(), outcome)  # type: ignore[arg-type]

    async def replace(self, key: str, body: bytes) -> None:
        self._check()
        self.objects[key] = body

    async def get(self, key: str) -> bytes:
        self._check()
        if key not in self.objects:
            raise NotFound(f"object {key}")
        return self.objects[key]

    async def exists(self, key: str) -> bool:
        self._check()
        return key in self.objects

    async def list_folders(self, prefix: str) -> list[str]:
        self._check()
        inside = [key.removeprefix(prefix) for key in self.objects if key.startswith(prefix)]
        return sorted({name.partition("/")[0] for name in inside if "/" in name})

    async def list_objects(self, prefix: str = "", after: str = "") -> AsyncIterator[Listed]:
        self._check()
        for key in sorted(self.objects):
            if key.startswith(prefix) and key > after:
                yield Listed(key, len(self.objects[key]), datetime.now(UTC))

    async def delete(self, key: str) -> None:
        self._check()
        self.objects.pop(key, None)

    async def make_bucket(self) -> None:
        self._check()

    async def ping(self) -> None:
        self._check()

    def _check(self) -> None:
        if self.failing:
            raise Unavailable("s3", "told to fail")
