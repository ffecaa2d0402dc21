"""Every setting of every process: one frozen struct, read once from FITSTREAM_* variables.

Nothing else reads the environment. Durations end in `_s`, sizes in `_bytes`.
"""

import math
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PREFIX = "FITSTREAM_"
SECRET_FIELDS = (
    "postgres", "redis", "s3_secret_key", "secret_key", "secret_key_old", "smtp_password",
)  # fmt: skip

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=1, le=65_535)]


class SettingsError(Exception):
    """A variable is missing, ill-typed or unknown; the message names it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings with their defaults; `docs/operations.md` describes each."""

    # Addresses
    kafka: str
    postgres: str
    redis: str
    s3_endpoint: str = ""
    s3_region: str = "us-east-1"
    s3_bucket: str = "fitstream"
    s3_access_key: str = ""
    s3_secret_key: str = ""
    s3_checksum: str = "md5"
    gateway_url: str = "http://127.0.0.1:8080"
    public_url: str = ""
    pages_url: str = ""

    # Secrets: base64 of 32 random bytes; the old one is still read, never written
    secret_key: str
    secret_key_old: str = ""

    # Listening
    host: str = "127.0.0.1"
    port: Port = 8080
    pages_port: Port = 8081
    metrics_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    trusted_proxies: str = ""

    # Logs and tests
    log_level: str = "info"
    log_format: str = "json"
    crash_at: str = ""
    clock_offset_s: float = 0.0

    # Gateway
    body_max_bytes: Count = 1_048_576
    inflated_max_bytes: Count = 4_194_304
    rows_max: Count = 2000
    body_timeout_s: Positive = 10.0
    ack_timeout_s: Positive = 8.0
    in_flight_max_bytes: Count = 67_108_864
    backfill_days: Annotated[int, Meta(ge=1, le=400)] = 400  # the ledger keeps 14 months
    post_interval_s: Count = 900
    keys_poll_s: Positive = 2.0
    keys_offline_s: Positive = 900.0
    ingest_rate_per_s: Positive = 50.0
    ingest_burst: Count = 500
    api_rate_per_s: Positive = 200.0
    api_burst: Count = 5000
    shutdown_s: Positive = 10.0

    # Kafka
    topic: str = "samples.v1"
    dead_topic: str = "samples.dead.v1"
    topic_partitions: Count = 24
    topic_replication: Count = 1
    topic_retention_days: Count = 14
    batch_max_records: Count = 500
    batch_max_bytes: Count = 4_194_304
    batch_max_age_s: Positive = 0.2
    stuck_after_s: Positive = 60.0
    rejects_max: Annotated[int, Meta(ge=0)] = 50
    unavailable_max_s: Positive = 120.0
    group_member: str = ""

    # Archive
    archive_max_records: Count = 5000
    archive_max_bytes: Count = 16_777_216
    archive_max_age_s: Positive = 60.0

    # Postgres
    pool_size: Count = 8
    acquire_timeout_s: Positive = 2.0
    statement_timeout_s: Positive = 15.0

    # Weeks
    grace_hours: Positive = 6.0
    device_silent_hours: Positive = 48.0
    late_quiet_s: Positive = 900.0
    late_max_s: Positive = 3600.0
    roll_lease_s: Positive = 300.0
    roll_poll_s: Positive = 1.0
    roll_concurrency: Count = 4

    # Jobs and training
    dispatch_poll_s: Positive = 1.0
    job_resend_s: Positive = 60.0
    job_lease_s: Positive = 60.0
    job_keep_days: Count = 90
    job_attempts_max: Count = 5
    cohort_quiet_s: Positive = 1800.0
    cohort_max_s: Positive = 21_600.0
    train_budget_s: Positive = 60.0
    train_timeout_s: Positive = 3600.0
    train_share_from_s: Positive = 15.0
    train_memory_bytes: Count = 4_294_967_296
    train_customers_max: Count = 1000
    dataset_keep_days: Count = 90
    train_device: Literal["auto", "cpu", "cuda"] = "auto"
    customer_runs_at_once: Annotated[int, Meta(ge=0)] = 0
    forecast_timeout_s: Positive = 600.0
    today_refresh_s: Positive = 900.0
    train_threads: Count = 1
    nightly_hour_utc: Annotated[int, Meta(ge=0, le=23)] = 0
    night_forecast_after_s: Annotated[float, Meta(ge=0, le=43_200)] = 1200.0
    worker_queues: str = "train,forecast,light,uploads,mail"

    # Uploads
    upload_max_bytes: Count = 104_857_600
    upload_inflated_max_bytes: Count = 1_073_741_824
    upload_rows_max: Count = 1_000_000
    upload_memory_bytes: Count = 2_147_483_648
    upload_timeout_s: Positive = 3600.0
    uploads_at_once: Count = 4

    # Sessions
    admin_idle_s: Positive = 1800.0
    admin_absolute_s: Positive = 43_200.0
    customer_idle_s: Positive = 2_592_000.0
    audit_seal_s: Positive = 60.0
    audit_keep_days: Annotated[int, Meta(ge=0)] = 0
    oauth_access_s: Positive = 900.0
    oauth_refresh_idle_s: Positive = 2_592_000.0
    oauth_refresh_absolute_s: Positive = 7_776_000.0
    second_factor_required: bool = False
    auth_rate_per_s: Positive = 1.0
    auth_burst: Count = 60

    # Mail
    smtp_host: str = ""
    smtp_port: Port = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password: str = ""
    smtp_timeout_s: Positive = 20.0
    mail_from: str = "fitstream@localhost"
    mail_folder: str = ""
    mail_deadline_s: Positive = 3600.0
    link_lifetime_s: Positive = 600.0
    invite_lifetime_s: Positive = 604_800.0

    def __repr__(self) -> str:
        return f"Settings({shown(self)})"


def load(environ: Mapping[str, str]) -> Settings:
    """Settings from `environ`; raises SettingsError naming the variable that is wrong."""
    values = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX)
    }
    known = set(Settings.__struct_fields__)
    unknown = sorted(set(values) - known)
    if unknown:
        raise SettingsError(
            f"{PREFIX}{unknown[0].upper()} is not a setting; docs/operations.md lists them all"
        )
    _check_networks(values.get("trusted_proxies", ""))
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_named(str(error))) from error
    for name, value in msgspec.structs.asdict(settings).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise SettingsError(f"{PREFIX}{name.upper()}: Expected a finite number")
    return settings


def _check_networks(text: str) -> None:
    try:
        for part in text.split(","):
            ip_network(part.strip() or "127.0.0.1")
    except ValueError as error:
        name = f"{PREFIX}TRUSTED_PROXIES"
        raise SettingsError(f"{name}: write addresses or networks with commas: {error}") from error


def pages_url(settings: Settings) -> str:
    """Where people reach the customers' pages; never what a request claims."""
    known = settings.pages_url or settings.public_url
    return (known or f"http://127.0.0.1:{settings.pages_port}").rstrip("/")


def shown(settings: Settings) -> dict[str, object]:
    """The settings for a log line, secrets as `***`."""
    values = msgspec.structs.asdict(settings)
    return {
        name: "***" if name in SECRET_FIELDS and value else value for name, value in values.items()
    }


def _named(message: str) -> str:
    """msgspec's sentence with the path `$.ack_timeout_s` turned into the variable's name."""
    for name in Settings.__struct_fields__:
        for mark in (f"`$.{name}`", f"`{name}`"):
            if mark in message and "missing required field" in message:
                return f"{PREFIX}{name.upper()} is not set; docs/operations.md says what it is"
            if mark in message:
                return f"{PREFIX}{name.upper()}: {message.replace(mark, 'it')}"
    return message
