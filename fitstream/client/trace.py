"""What GET /v1/trace answers: the way of a sample hop by hop, `unknown` where nothing is there."""

from datetime import datetime
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Hop(msgspec.Struct, Generic[T], frozen=True):
    """What a hop knows; without items `unknown` says why."""

    items: list[T] = []
    unknown: str | None = None


class TracedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A post as it stands in the topic; `found_in` is kafka or archive."""

    batch_id: str
    topic: str
    generation: int
    partition: int
    offset: int
    found_in: str
    customer_id: str
    device_id: str
    received_at: datetime
    samples: int
    content_sha: str


class TracedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row and what the ledger holds under its key.

    `state` is current, superseded, waiting, parked, erased or missing; rev, tie (a number as text),
    `received_at`, `generation` and `offset` are of the row that the ledger holds.
    """

    slot: datetime
    device_id: str
    state: str
    deleted: bool = False
    rev: int | None = None
    tie: str | None = None
    received_at: datetime | None = None
    generation: int | None = None
    offset: int | None = None
    conflict_at: datetime | None = None


class TracedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a week; `holds` counts the traced rows in it, None where that is not known."""

    version: int
    created_at: datetime
    reason: str
    holds: int | None
    objects: list[str]


class TracedDataset(msgspec.Struct, frozen=True):
    """A dataset that the week went into."""

    dataset_hash: str
    version: int


class TracedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A training run on such a dataset."""

    id: str
    state: str
    dataset_hash: str
    model_id: str | None
    created_at: datetime


class TracedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of such a run."""

    id: str
    kind: str
    stage: str
    dataset_hash: str
    object_key: str
    created_at: datetime


class TracedForecast(msgspec.Struct, frozen=True, kw_only=True):
    """The latest forecast of a target, resting on the week."""

    target: str
    version: int | None
    model_id: str
    issued_at: datetime
    object_key: str


class TracedWeek(msgspec.Struct, frozen=True, kw_only=True):
    """A week that the rows lie in, and what was made of it."""

    week: str
    start: datetime = msgspec.field(name="from")
    end: datetime = msgspec.field(name="to")
    state: str
    current_version: int | None
    versions: Hop[TracedVersion]
    datasets: Hop[TracedDataset]
    runs: Hop[TracedRun]
    models: Hop[TracedModel]
    forecasts: Hop[TracedForecast]


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The whole way; `rows` counts all rows, of which `ledger` lists the first."""

    records: Hop[TracedRecord]
    rows: dict[str, int]
    ledger: Hop[TracedRow]
    weeks: Hop[TracedWeek]
