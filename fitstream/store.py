"""S3 objects: put once, get, list; the only importer of aioboto3.

Objects are immutable: every put carries `If-None-Match: *`, and a name that is taken must hold
the same bytes.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from hashlib import md5, sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import aioboto3
from aiohttp import ClientPayloadError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fitstream.errors import Conflict, NotFound, Rejected, Unavailable
from fitstream.logs import get
from fitstream.settings import Settings

log = get(__name__)
R = TypeVar("R")
Outcome = Literal["created", "same"]

_DEADLINE_S = 30.0
_FILE_DEADLINE_S = 300.0
_PIECE_BYTES = 1_048_576
_MISSING = ("404", "NoSuchKey", "NotFound", "NoSuchBucket")
_TAKEN = (
    "412", "PreconditionFailed", "ConditionalRequestConflict",
    "BucketAlreadyOwnedByYou", "BucketAlreadyExists",
)  # fmt: skip
_PROBES = "probes/"
_HOME_REGION = "us-east-1"  # the one that is not named when a bucket is made


class Stored(NamedTuple):
    """What a put made of an object: its key, size and SHA-256, and whether it was there."""

    key: str
    size: int
    sha256: str
    outcome: Outcome


class Listed(NamedTuple):
    """An object as a listing shows it."""

    key: str
    size: int
    modified: datetime


class Store:
    """One bucket, with deadlines; raises Unavailable, NotFound or Conflict."""

    def __init__(self, client: Any, bucket: str, checksum: str) -> None:
        self._client = client
        self._bucket = bucket
        self._checksum = checksum

    async def put_new(self, key: str, body: bytes, content_type: str = "") -> Stored:
        """Stores `body` under a name that is free, or holds the same bytes already.

        Raises Conflict(object_differs) when other bytes stand there: that is an alarm.
        """
        digest = sha256(body).hexdigest()
        options = {"ContentType": content_type or "application/octet-stream"}
        try:
            await self._call(
                self._client.put_object,
                Key=key,
                Body=body,
                IfNoneMatch="*",
                **options,
                **self._checksums(body),
            )
        except Conflict:
            there = await self._rival(key)
            if there != body:
                raise Conflict("object_differs", f"{key} holds other bytes") from None
            log.info("object_same", key=key)
            return Stored(key, len(body), digest, "same")
        return Stored(key, len(body), digest, "created")

    async def check_honours(self) -> None:
        """Raises Rejected(store_overwrites) where the store does not keep what stands under a name.

        Everything rests on that: with `If-None-Match` ignored, two makers of a customer's data key
        would leave one of them with records that nobody can open.
        """
        probe = f"{_PROBES}if-none-match"
        await self.put_new(probe, b"the first")
        with suppress(Conflict):
            await self.put_new(probe, b"another")
            text = "the S3 store ignores `If-None-Match: *` and overwrites objects"
            raise Rejected("store_overwrites", f"{text}; use one that honours it")

    async def replace(self, key: str, body: bytes) -> None:
        """Stores `body` over what is there: for wrapped keys alone, whose content stays the same.

        A key that was deleted meanwhile would come back: the caller holds its customer.
        """
        await self._call(
            self._client.put_object,
            Key=key,
            Body=body,
            ContentType="application/octet-stream",
            **self._checksums(body),
        )

    async def get(self, key: str) -> bytes:
        """The bytes of an object; raises NotFound."""

        async def read() -> bytes:
            answer = await self._client.get_object(Bucket=self._bucket, Key=key)
            async with answer["Body"] as body:
                found: bytes = await body.read()
            return found

        return await _guarded(read, key)

    async def put_file(self, key: str, path: Path, content_type: str = "") -> None:
        """Stores a file of any size under a name that nobody else uses. Raises Conflict."""
        checksum = await asyncio.to_thread(self._checksum_of, path)

        async def send() -> None:
            with path.open("rb") as body:  # noqa: ASYNC230 - the client reads it piece by piece
                await self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=body,
                    IfNoneMatch="*",
                    ContentType=content_type or "application/octet-stream",
                    **checksum,
                )

        await _guarded(send, key, _FILE_DEADLINE_S)

    async def get_file(self, key: str, path: Path) -> None:
        """Writes an object of any size to `path`; raises NotFound."""

        async def read() -> None:
            answer = await self._client.get_object(Bucket=self._bucket, Key=key)
            async with answer["Body"] as body:
                with path.open("wb") as file:  # noqa: ASYNC230 - pieces of a local file
                    async for piece in body.content.iter_chunked(_PIECE_BYTES):
                        file.write(piece)

        await _guarded(read, key, _FILE_DEADLINE_S)

    async def _rival(self, key: str) -> bytes:
        """What stands under a taken name; its writer may not have finished yet."""
        try:
            return await self.get(key)
        except NotFound as error:
            raise Unavailable("s3", f"{key} is being written by another") from error

    async def exists(self, key: str) -> bool:
        """Whether an object of that name is there."""
        try:
            await self._call(self._client.head_object, Key=key)
        except NotFound:
            return False
        return True

    async def list_keys(self, prefix: str = "", after: str = "") -> AsyncIterator[str]:
        """Names that begin with `prefix` and come behind `after`, in order."""
        async for found in self.list_objects(prefix, after):
            yield found.key

    async def list_folders(self, prefix: str) -> list[str]:
        """What stands between `prefix` and the next slash in the names of objects, each once."""
        token: dict[str, str] = {}
        found: list[str] = []
        while True:
            page = await self._call(
                self._client.list_objects_v2, Prefix=prefix, Delimiter="/", **token
            )
            names = (each["Prefix"] for each in page.get("CommonPrefixes", ()))
            found += [name.removeprefix(prefix).rstrip("/") for name in names]
            if not page.get("IsTruncated"):
                return found
            token = {"ContinuationToken": page["NextContinuationToken"]}

    async def list_objects(self, prefix: str = "", after: str = "") -> AsyncIterator[Listed]:
        """Objects whose names begin with `prefix` and come behind `after`, in their order."""
        token: dict[str, str] = {"StartAfter": after} if after else {}
        while True:
            page = await self._call(self._client.list_objects_v2, Prefix=prefix, **token)
            for found in page.get("Contents", ()):
                yield Listed(found["Key"], found["Size"], found["LastModified"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    async def delete(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""
        await self._call(self._client.delete_object, Key=key)

    async def make_bucket(self) -> None:
        """Creates the bucket unless it is there; of several makers at once one makes it."""
        try:
            await self.ping()
        except NotFound:
            region = self._client.meta.region_name
            place = {"CreateBucketConfiguration": {"LocationConstraint": region}}
            options = {} if region == _HOME_REGION else place
            with suppress(Conflict):
                await self._call(self._client.create_bucket, **options)
            await self.ping()

    async def ping(self) -> None:
        """Raises Unavailable unless the bucket answers, NotFound when there is none."""
        await self._call(self._client.head_bucket)

    async def _call(self, method: Callable[..., Awaitable[Any]], **arguments: Any) -> Any:
        what = arguments.get("Key", self._bucket)
        return await _guarded(lambda: method(Bucket=self._bucket, **arguments), what)

    def _checksum_of(self, path: Path) -> dict[str, str]:
        if self._checksum == "sha256":
            return {"ChecksumAlgorithm": "SHA256"}
        digest = md5(usedforsecurity=False)
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
        return {"ContentMD5": base64.b64encode(digest.digest()).decode()}

    def _checksums(self, body: bytes) -> dict[str, str]:
        if self._checksum == "sha256":
            return {"ChecksumAlgorithm": "SHA256"}
        digest = md5(body, usedforsecurity=False).digest()
        return {"ContentMD5": base64.b64encode(digest).decode()}


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """The bucket of `settings` through one long-lived client."""
    session = aioboto3.Session(
        aws_access_key_id=settings.s3_access_key or None,
        aws_secret_access_key=settings.s3_secret_key or None,
        region_name=settings.s3_region,
    )
    config = Config(
        connect_timeout=3,
        read_timeout=10,
        retries={"max_attempts": 3, "mode": "standard"},
        max_pool_connections=32,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"},
    )
    async with session.client(
        "s3", endpoint_url=settings.s3_endpoint or None, config=config
    ) as client:
        yield Store(client, settings.s3_bucket, settings.s3_checksum)


async def _guarded(
    call: Callable[[], Awaitable[R]], what: str, deadline_s: float = _DEADLINE_S
) -> R:
    """`call` within the deadline, its errors as our kinds."""
    try:
        async with asyncio.timeout(deadline_s):
            return await call()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            raise NotFound(f"object {what}") from error
        if code in _TAKEN:
            raise Conflict("object_exists", f"{what} exists") from error
        raise Unavailable("s3", f"{code or error}") from error
    except (BotoCoreError, ClientPayloadError, OSError, TimeoutError) as error:
        raise Unavailable("s3", f"{type(error).__name__}: {error}") from error
