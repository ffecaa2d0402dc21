"""What the API answers about jobs, runs, models and the pipeline, as types."""

from datetime import datetime
from typing import Any, Literal

import msgspec

JOB_STATES = ("queued", "running", "waiting", "succeeded", "failed", "cancelled")
JOB_KINDS = (
    "cohort_prepare", "train_cohort", "train_candidate", "customer_prepare", "train_customer",
    "forecast", "forecast_today", "score_forecasts", "roll_week", "week_finished", "upkeep",
    "collect_orphans", "set_up_customers", "mail", "upload_check", "upload_ingest", "upload_undo",
)  # fmt: skip


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must be done, is done or was done."""

    id: str
    kind: str
    queue: str
    state: str
    parent_id: str | None = None
    payload: dict[str, Any] = {}
    progress: dict[str, Any] = {}
    result: dict[str, Any] = {}
    attempts: int = 0
    error: str | None = None
    cancel_requested: bool = False
    created_at: datetime
    started_at: datetime | None = None
    done_at: datetime | None = None


class JobAsked(msgspec.Struct, frozen=True):
    """Id of the job that stands for what was asked."""

    job: str


class RunAsked(msgspec.Struct, frozen=True):
    """Id of a training run that was asked for."""

    id: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate of a run on one rung of its search: a job of its own."""

    job: str
    state: str
    target: str
    name: str
    rung: int
    epoch: int
    epochs: int | None = None
    loss: float | None = None
    left_s: float | None = None
    stop_wql: float | None = None
    curve: list[float] = []
    seconds: float | None = None
    error: str | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A training run; `metrics` holds the leaderboard. `candidates` only where one is read."""

    id: str
    scope: str
    state: str
    progress: dict[str, Any] = {}
    customers: int = 0
    weeks: int = 0
    dataset_hash: str = ""
    recipe_hash: str = ""
    metrics: dict[str, Any] = {}
    verdict: Any = None
    model_id: str | None = None
    error: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    done_at: datetime | None = None
    customer_id: str | None = None
    base_model_id: str | None = None
    candidates: list[Candidate] = []


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the registry.

    `customer_id` names whose it is, None everybody's; then it rests on `base_model_id`. Of the
    `seen_from` people whose data it has seen, `withdrawn` consent no more: `flagged_at` says since
    when it wants to be trained anew.
    """

    id: str
    kind: str
    stage: str
    run: str = ""
    dataset_hash: str = ""
    metrics: dict[str, Any] = {}
    object_key: str = ""
    sha256: str = ""
    created_at: datetime
    customer_id: str | None = None
    base_model_id: str | None = None
    flagged_at: datetime | None = None
    seen_from: int = 0
    withdrawn: int = 0


class ModelCard(msgspec.Struct, frozen=True):
    """A model, and what its run wrote down about it.

    The card is empty when its object is `missing` in the archive, or `unreadable`.
    """

    model: Model
    card: dict[str, Any]
    card_state: Literal["kept", "missing", "unreadable"] = "kept"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be applied; `value` (base64) and `decoded` only where one is read."""

    id: str
    state: str
    reason: str
    detail: str
    topic: str
    generation: int
    partition: int
    offset: int
    key: str | None = None
    size: int
    parked_at: datetime
    settled_at: datetime | None = None
    settled_by: str | None = None
    value: str = ""
    decoded: dict[str, Any] | None = None


class ReasonCount(msgspec.Struct, frozen=True):
    """How many records were parked for a reason."""

    reason: str
    count: int


class DeadLetters(msgspec.Struct, frozen=True):
    """A page of dead letters, and how many of its state there are by reason."""

    items: list[DeadLetter]
    next: str | None
    reasons: list[ReasonCount]


class People(msgspec.Struct, frozen=True):
    """Customers by how lately they were heard of."""

    total: int
    seen_1h: int
    seen_24h: int


class Kafka(msgspec.Struct, frozen=True):
    """Records in the topic, and how far its readers are behind."""

    records: int
    lag: int
    groups: dict[str, dict[str, int]]


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """What went through the ledger."""

    records: int
    samples: int
    inserted: int
    updated: int
    unchanged: int
    rows: int
    newest_at: datetime | None = None


class Weeks(msgspec.Struct, frozen=True):
    """Weeks by state."""

    open: int
    closing: int
    rolled: int
    late: int
    versions: int


class Champion(msgspec.Struct, frozen=True):
    """The model in use."""

    id: str
    kind: str
    created_at: datetime


class Models(msgspec.Struct, frozen=True):
    """How many models there are, and which is in use."""

    total: int
    champion: Champion | None = None


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """Counts, lag and freshness of every hop.

    `counted_at` is how old what grows with the customers is: people, devices, rows, weeks, jobs and
    forecasts. All else is of `at`.
    """

    at: datetime
    counted_at: datetime
    customers: People
    devices: dict[str, int]
    kafka: Kafka | None
    ledger: Ledger
    weeks: Weeks
    jobs: dict[str, int]
    dead_letters: int
    models: Models
    training_runs: int
    forecasts: int
    forecast_customers: int
