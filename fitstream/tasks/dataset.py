"""What a training run reads, pinned: week files as a few larger ones, with a manifest of versions.

The name of a dataset is the hash of which weeks lie in it, in which version, with which content.
"""

import asyncio
import io
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from fitstream.errors import Conflict, FitstreamError, NotFound, Rejected
from fitstream.repo.models import PinnedWeek
from fitstream.store import Store
from fitstream.tasks.context import JobContext
from fitstream.trainer import data
from fitstream.trainer.data import Series
from fitstream.weekfile import is_sound

HISTORY_WEEKS = 26
MANIFEST = "manifest.json"
_PART_WEEKS = 500
_AT_ONCE = 16
_TELL_EVERY = 50
COLUMNS = ["customer_id", "slot", "local", "steps", "calories_kcal", "heart_rate_bpm"]


class Part(msgspec.Struct, frozen=True):
    """One file of a dataset."""

    key: str
    sha256: str


class Week(msgspec.Struct, frozen=True):
    """A version of a week that lies in a dataset."""

    customer_id: str
    week: str
    version: int


class Manifest(msgspec.Struct, frozen=True):
    """What a dataset is made of."""

    dataset_hash: str
    parts: list[Part]
    weeks: list[Week]


def hash_of(weeks: Sequence[PinnedWeek]) -> str:
    """Dataset hash: which weeks, in which version, with which content."""
    pinned = [(w.customer_id, w.week, w.version, w.content_sha) for w in weeks]
    return sha256(msgspec.json.encode(sorted(pinned))).hexdigest()


def folder(programme_no: int, dataset_hash: str) -> str:
    """Where a dataset lies in S3."""
    return f"datasets/{programme_no}/{dataset_hash}"


async def write_dataset(
    context: JobContext, dataset_hash: str, weeks: Sequence[PinnedWeek]
) -> None:
    """Writes files and manifest; a repeat changes nothing. Raises Unavailable."""
    home = folder(context.programme_no, dataset_hash)
    parts = []
    for number, first in enumerate(range(0, len(weeks), _PART_WEEKS)):
        chosen = weeks[first : first + _PART_WEEKS]
        tell = partial(_tell, context, first, len(weeks))
        tables = await read_weeks(context.store, chosen, tell)
        key = f"{home}/part-{number:02d}.parquet"
        parts.append(Part(key, await _put(context.store, key, _joined(tables))))
    manifest = Manifest(
        dataset_hash, parts, [Week(w.customer_id, w.week, w.version) for w in weeks]
    )
    await _put(context.store, f"{home}/{MANIFEST}", msgspec.json.encode(manifest))


async def read_dataset(store: Store, programme_no: int, dataset_hash: str) -> dict[str, Series]:
    """Series of the customers in a dataset, exactly as they were pinned.

    Raises Rejected(dataset_differs) when a file is not what the manifest says, NotFound when one is
    missing, Rejected(dataset_gone) when the whole is not kept any more.
    """
    manifest = await read_manifest(store, programme_no, dataset_hash)
    bodies = []
    for part in manifest.parts:
        body = await store.get(part.key)
        if sha256(body).hexdigest() != part.sha256:
            raise Rejected("dataset_differs", f"{part.key} is not what the manifest says")
        bodies.append(body)
    return await asyncio.to_thread(data.load, bodies)


async def read_manifest(store: Store, programme_no: int, dataset_hash: str) -> Manifest:
    """What lies in a dataset. Raises Rejected(dataset_gone) where it is not there any more,
    Rejected(dataset_differs) where it is damaged."""
    key = f"{folder(programme_no, dataset_hash)}/{MANIFEST}"
    try:
        return msgspec.json.decode(await store.get(key), type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        text = (
            f"{key} is damaged: bring it back from a backup, or start a run on the weeks of today"
        )
        raise Rejected("dataset_differs", text) from error
    except NotFound:
        text = (
            "the data of this run are gone: they were not used for long, or somebody in them has "
            "withdrawn; start a run on the weeks of today instead"
        )
        raise Rejected("dataset_gone", text) from None


async def read_weeks(
    store: Store, weeks: Sequence[PinnedWeek], tell: Callable[[int], None]
) -> list[Any]:
    """The files of weeks as tables in their order, a few fetched at once; `tell` hears how many
    are there. Raises Unavailable, NotFound, and Rejected for a file that is not what its version
    says; leaves no fetch behind then."""
    tables: list[Any] = [None] * len(weeks)
    waiting = list(enumerate(weeks))[::-1]
    done = 0

    async def fetch() -> None:
        nonlocal done
        while waiting:
            at, week = waiting.pop()
            tables[at] = await _read_week(store, week)
            done += 1
            if done % _TELL_EVERY == 0 or done == len(weeks):
                tell(done)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(fetch())
    except* FitstreamError as errors:
        raise errors.exceptions[0] from None
    return tables


def _tell(context: JobContext, before: int, of: int, done: int) -> None:
    context.tell(phase="dataset", weeks=before + done, of=of)


async def _put(store: Store, key: str, body: bytes) -> str:
    """Stores an object of the dataset; one written by another version of pyarrow may stay."""
    try:
        return (await store.put_new(key, body)).sha256
    except Conflict:
        return sha256(await store.get(key)).hexdigest()


async def _read_week(store: Store, week: PinnedWeek) -> Any:
    file = next(file for file in week.files if file["kind"] == "week")
    body = await store.get(file["key"])
    if not is_sound(file, body):
        text = f"{file['key']} is damaged; `fitstream verify --repair` has its week rolled again"
        raise Rejected("week_differs", text)
    table = await asyncio.to_thread(pq.read_table, io.BytesIO(body), columns=COLUMNS)
    return table.set_column(0, "customer_id", table.column("customer_id").cast(pa.string()))


def _joined(tables: list[Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.concat_tables(tables), sink, compression="zstd")
    return sink.getvalue()
