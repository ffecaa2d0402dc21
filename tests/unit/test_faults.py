"""Each fault is what its name says, and nothing goes wrong that was not asked for."""

from datetime import UTC, datetime

import msgspec
import pytest

from fitstream import posts, samples
from fitstream.clock import slot_of
from fitstream.merge import merged
from fitstream.simulate.faults import BAD_ROWS, DELAY_MAX, LEVELS, Plan, Variant

NOW = datetime(2026, 11, 16, 10, 7, tzinfo=UTC)
PRESENT = slot_of(NOW)


def test_every_kind_of_fault_happens_and_none_without_being_asked_for() -> None:
    kinds: dict[str, set[str]] = {}
    for level in LEVELS:
        sent = [
            s
            for n in range(30)
            for s in Plan(1, n, level).due(PRESENT - 200, PRESENT, PRESENT - 200)
        ]
        kinds[level] = {s.kind for s in sent}
    named = {"full", "late", "thin", "completed", "duplicate", "rival", "corrected", "revised"}
    assert kinds["none"] == {"full"}
    assert kinds["many"] == named | {"deleted"} | set(BAD_ROWS)
    assert kinds["some"] <= kinds["many"]


def test_gaps_are_never_sent_and_late_rows_come_after_their_neighbours() -> None:
    first = PRESENT - 400
    sent = Plan(1, 4, "many").due(first, PRESENT + DELAY_MAX, first)
    slots = {s.slot for s in sent if s.slot < PRESENT}
    assert 0 < 400 - len(slots) < 80
    assert all(s.at > s.slot for s in sent if s.kind in ("late", "completed"))
    assert all(s.at <= s.slot + DELAY_MAX for s in sent)


def test_posts_piece_by_piece_send_the_same_as_one_post() -> None:
    plan, first = Plan(9, 1, "many"), PRESENT - 300
    whole = plan.due(first, PRESENT, first)
    pieces = [s for at in range(first, PRESENT) for s in plan.due(at, at + 1, first)]
    assert sorted(whole, key=repr) == sorted(pieces, key=repr)


def test_some_posts_are_out_of_order() -> None:
    sent = [Plan(1, n, "many").due(PRESENT - 40, PRESENT, PRESENT - 40) for n in range(30)]
    shuffled = [p for p in sent if [s.slot for s in p] != sorted(s.slot for s in p)]
    assert 5 < len(shuffled) < 30


def test_corrections_win_over_what_they_correct_and_completions_over_thin_rows() -> None:
    plan, slot = Plan(1, 2, "many"), PRESENT
    rows = {variant: plan.row(slot, variant) for variant in Variant}
    order = [Variant.THIN, Variant.FULL, Variant.CORRECTED, Variant.REVISED, Variant.DELETED]
    for better, worse in zip(order[1:], order, strict=False):
        assert merged([rows[better], rows[worse]]) == rows[better] != rows[worse]
    assert rows[Variant.RIVAL] != rows[Variant.FULL]


@pytest.mark.parametrize("code", BAD_ROWS)
def test_a_bad_row_is_refused_with_its_code_and_alone(code: str) -> None:
    plan = Plan(1, 1, "many")
    sent = [s for s in plan.due(PRESENT - 4000, PRESENT, PRESENT - 4000) if s.kind == code][:1]
    rows = [plan.written(s) for s in sent] + [{"slot": "2026-11-16T00:00:00Z", "steps": 1}]
    body = msgspec.json.encode({"device_id": "d", "sent_at": NOW, "samples": rows})
    checked = samples.check(posts.decode_json(body, 2000), samples.window(NOW, 400))
    assert [(v.index, v.code) for v in checked.rejected] == [(0, code)]
    assert checked.accepted == 1
