"""The plan of random faults is the seed's alone; what a run must have seen is not overlooked."""

import struct
from collections import Counter

from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from tests.faults.fencing import with_later_epoch
from tests.faults.seen import EVENTS, never_seen
from tests.faults.strikes import JVM, LIGHT, OURS, planned


def test_one_seed_is_one_plan_with_as_many_kills_as_were_asked_for() -> None:
    plans = [list(planned(200, seed)) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]
    assert [sum(strike.is_kill for strike in plan) for plan in plans] == [200] * 3


def test_everybody_is_struck_and_the_slow_ones_rarely() -> None:
    plan = list(planned(1000, 5))
    kills = Counter(strike.victim for strike in plan if strike.is_kill)
    assert set(kills) == {*OURS, *LIGHT, *JVM}
    assert sum(kills[name] for name in JVM) <= 60  # 40 on average
    assert {strike.how for strike in plan} == {"kill", "crash", "freeze", "visit", "flush", "fence"}
    assert all(strike.point.startswith(strike.victim.partition("-")[0] + "_")
               for strike in plan if strike.how == "crash")  # fmt: skip


def test_a_run_that_missed_an_event_says_which() -> None:
    seen = dict.fromkeys(EVENTS, 1)
    assert never_seen(seen) == []
    assert never_seen(seen | {"conflict rows": 0}) == ["conflict rows"]
    lost = [name for name in EVENTS if name.startswith("compare-and-sets lost")]
    assert never_seen(seen | {lost[0]: 0}) == []
    assert never_seen(seen | dict.fromkeys(lost, 0)) == ["compare-and-sets lost"]


def test_a_fencing_batch_is_the_same_records_from_a_later_producer() -> None:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=7, producer_epoch=3,
        base_sequence=12, batch_size=9999,
    )  # fmt: skip
    builder.append(0, 1000, b"key", b"value", [("batch_id", b"b")])
    body = with_later_epoch(bytes(builder.build()))
    batch = DefaultRecordBatch(bytearray(body))
    assert batch.validate_crc()
    assert struct.unpack_from(">qhi", body, 43) == (7, 4, 0)  # producer, epoch, first sequence
    assert [(record.key, record.value) for record in batch] == [(b"key", b"value")]
