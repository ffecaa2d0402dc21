"""Synthetic days of wearers: as bodies of posts, as raw HTTP requests, as records of the topic."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from benchmarks.people import Wearer
from fitstream import events, posts, samples
from fitstream.clock import DAY_SLOTS, slot_of, slot_start
from fitstream.events import SampleBatch

Row = dict[str, Any]
SampleTuple = tuple[int | None, ...]  # in the order of staging.COLUMNS


def midnight(days_ago: int) -> int:
    """First slot of a UTC day in the past."""
    return slot_of(datetime.now(UTC)) // DAY_SLOTS * DAY_SLOTS - days_ago * DAY_SLOTS


def slot_text(slot: int) -> str:
    """A slot as a device writes it."""
    return slot_start(slot).strftime("%Y-%m-%dT%H:%M:%SZ")


def slot_of_local(at: datetime) -> int:
    """The slot of a wall-clock time, taken for UTC."""
    return slot_of(at.replace(tzinfo=UTC))


def day_rows(seed: int, first_slot: int, count: int = DAY_SLOTS) -> list[Row]:
    """Rows with all twelve metrics, as a watch would send them."""
    rng = random.Random(seed)
    return [_row(rng, first_slot + i) for i in range(count)]


def _row(rng: random.Random, slot: int) -> Row:
    steps = rng.choice((0, 0, rng.randrange(20), rng.randrange(1500)))
    pulse = rng.randrange(500, 1400)
    light, moderate, vigorous = (rng.randrange(40) for _ in range(3))
    return {
        "slot": slot_text(slot),
        "tz_offset_min": 60,
        "steps": steps,
        "distance_m": round(steps * 0.7, 1),
        "calories_kcal": round(15 + steps * 0.04, 2),
        "heart_rate_bpm": pulse / 10,
        "heart_rate_min_bpm": (pulse - rng.randrange(100)) / 10,
        "heart_rate_max_bpm": (pulse + rng.randrange(200)) / 10,
        "light_min": light / 10,
        "moderate_min": moderate / 10,
        "vigorous_min": vigorous / 10,
        "sedentary_min": (150 - light - moderate - vigorous) / 10,
        "sleep_min": float(rng.randrange(2) * 15),
        "floors": rng.randrange(3),
    }


def spoil(rows: list[Row]) -> list[Row]:
    """Five rows of a post made wrong, each in a way of its own."""
    rows[7] |= {"steps": 6001}
    rows[21] |= {"slot": rows[21]["slot"].replace(":00Z", ":01Z")}
    rows[40] |= {"heart_rate_min_bpm": 259.0}
    rows[60] |= {"slot": slot_text(slot_of(datetime.now(UTC)) + 400)}
    rows[80] |= {"unheard_of": 1}
    return rows


def body(wearer: Wearer, rows: list[Row]) -> bytes:
    """The JSON body of a post."""
    return msgspec.json.encode(
        {
            "device_id": wearer.device_id,
            "sent_at": datetime.now(UTC).isoformat(),
            "app_version": "bench",
            "samples": rows,
        }
    )


def request(port: int, key: str, content: bytes) -> bytes:
    """A whole HTTP/1.1 request as bytes."""
    head = (
        f"POST /v1/samples HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def batch(wearer: Wearer, rows: list[Row]) -> SampleBatch:
    """The record that the gateway would publish for these rows."""
    now = datetime.now(UTC)
    decoded = posts.decode_json(body(wearer, rows), 2000)
    checked = samples.check(decoded, samples.window(now + timedelta(days=1), 400))
    return SampleBatch(
        batch_id=f"{wearer.number}-{rows[0]['slot']}",
        customer_id=wearer.customer_id,
        device_id=wearer.device_id,
        received_at=int(now.timestamp() * 1000),
        columns=checked.columns,
    )


def tuples(batch: SampleBatch, wearer: Wearer) -> list[SampleTuple]:
    """The rows of a batch as the ledger copies them."""
    received_s = batch.received_at // 1000
    return [
        (tie, 0, wearer.customer_no, slot, wearer.device_no, rev, received_s,
         v[1], v[2], tz, v[0], *v[3:])
        for slot, (v, tz, rev, tie) in events.rows(batch.columns)
    ]  # fmt: skip
