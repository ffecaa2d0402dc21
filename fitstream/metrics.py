"""Every metric of every process, named once; a name that is not here does not type-check."""

from functools import cache
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

registry = CollectorRegistry()

CounterName = Literal[
    "posts",
    "samples_accepted",
    "samples_rejected",
    "http_responses",
    "ledger_samples",
    "ledger_inserted",
    "ledger_updated",
    "ledger_erased",
    "dead_letters",
    "archive_records",
    "archive_objects",
    "archive_erased",
    "weeks_closed",
    "weeks_rolled",
    "jobs_sent",
    "jobs_done",
    "leases_taken_over",
]

_COUNTERS: dict[str, Counter] = {
    "posts": Counter("fitstream_posts", "Posts of samples", ["status"], registry=registry),
    "samples_accepted": Counter(
        "fitstream_samples_accepted", "Samples acknowledged", registry=registry
    ),
    "samples_rejected": Counter(
        "fitstream_samples_rejected", "Samples refused, by code", ["code"], registry=registry
    ),
    "http_responses": Counter(
        "fitstream_http_responses", "Answers by route and status", ["route", "status"],
        registry=registry,
    ),
    "ledger_samples": Counter("fitstream_ledger_samples", "Samples read", registry=registry),
    "ledger_inserted": Counter("fitstream_ledger_inserted", "Rows added", registry=registry),
    "ledger_updated": Counter("fitstream_ledger_updated", "Rows replaced", registry=registry),
    "ledger_erased": Counter(
        "fitstream_ledger_erased", "Records of the erased, dropped", registry=registry
    ),
    "dead_letters": Counter(
        "fitstream_dead_letters", "Records parked, by reason", ["reason"], registry=registry
    ),
    "archive_records": Counter("fitstream_archive_records", "Records archived", registry=registry),
    "archive_objects": Counter("fitstream_archive_objects", "Objects put", registry=registry),
    "archive_erased": Counter(
        "fitstream_archive_erased", "Records of the erased, left empty", registry=registry
    ),
    "weeks_closed": Counter("fitstream_weeks_closed", "Weeks closed", registry=registry),
    "weeks_rolled": Counter(
        "fitstream_weeks_rolled", "Weeks rolled, by outcome", ["outcome"], registry=registry
    ),
    "jobs_sent": Counter("fitstream_jobs_sent", "Jobs told to arq", ["kind"], registry=registry),
    "jobs_done": Counter(
        "fitstream_jobs_done", "Jobs ended, by state", ["kind", "state"], registry=registry
    ),
    "leases_taken_over": Counter(
        "fitstream_leases_taken_over", "Leases that had run out", ["of"], registry=registry
    ),
}  # fmt: skip

_latency = Histogram(
    "fitstream_request_seconds",
    "Time to answer, by route",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=registry,
)
_freshness = Histogram(
    "fitstream_freshness_seconds",
    "Receipt at the gateway until the row is in the ledger",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600),
    registry=registry,
)
_lag = Gauge("fitstream_lag_records", "Records a group has not read", ["group"], registry=registry)
_in_flight = Gauge(
    "fitstream_in_flight_bytes", "Bodies waiting for Kafka's acknowledgement", registry=registry
)


@cache
def _counter(name: CounterName, *labels: tuple[str, str]) -> Counter:
    """The counter of these labels: the library's own look-up costs more than the addition."""
    counter = _COUNTERS[name]
    return counter.labels(**dict(labels)) if labels else counter


@cache
def _latency_of(route: str) -> Histogram:
    return _latency.labels(route=route)


def count(name: CounterName, by: float = 1, **labels: str) -> None:
    """Adds to a counter."""
    _counter(name, *labels.items()).inc(by)


def observe_latency(route: str, seconds: float) -> None:
    """Time that a request took."""
    _latency_of(route).observe(seconds)


def observe_freshness(seconds: float) -> None:
    """Age of the newest sample of a chunk when it was committed."""
    _freshness.observe(max(seconds, 0.0))


def set_lag(group: str, records: int) -> None:
    """Records that a group has not read yet."""
    _lag.labels(group=group).set(records)


def set_in_flight(size: int) -> None:
    """Bytes that wait for Kafka."""
    _in_flight.set(size)


def exposition() -> bytes:
    """All metrics in the text format of Prometheus."""
    return generate_latest(registry)
