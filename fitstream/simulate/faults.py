"""What goes wrong between a wearer and a gateway: which rows a device sends, when, and how wrong.

Everything follows from (seed, number, slot), so that what a post held can be told afterwards
without keeping it. Must not know about time that passes or what was acknowledged.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple

from fitstream.clock import DAY_SLOTS, slot_start
from fitstream.merge import NOTHING, Row, make_row, unscaled
from fitstream.simulate.draws import draw
from fitstream.simulate.wearer import Wearer

DELAY_MAX = 40  # slots between the end of a slot and the last delivery of it
_LATE_MAX = 24
_GAP_SLOTS = 6
_FAULTS, _GAP, _DEVICE, _ORDER = range(16, 20)
_KEPT_IN_THIN = 4  # a thin row has the first metrics only


class Variant(IntEnum):
    """The versions of one slot's row that a device may send; one bit of memory each."""

    FULL = 0
    THIN = 1
    RIVAL = 2
    CORRECTED = 3
    REVISED = 4
    DELETED = 5


class Rates(NamedTuple):
    """How often each fault happens, per slot; `skewed` per device, `shuffled` per post."""

    gap: float = 0.0
    late: float = 0.0
    duplicate: float = 0.0
    thin: float = 0.0
    rival: float = 0.0
    corrected: float = 0.0
    deleted: float = 0.0
    bad: float = 0.0
    skewed: float = 0.0
    skew_max_s: float = 0.0
    shuffled: float = 0.0


LEVELS = {
    "none": Rates(),
    "some": Rates(0.004, 0.02, 0.02, 0.01, 0.001, 0.01, 0.001, 0.003, 0.05, 600.0, 0.1),
    "many": Rates(0.03, 0.10, 0.10, 0.05, 0.02, 0.08, 0.01, 0.04, 0.30, 4500.0, 0.5),
}

BAD_ROWS: dict[str, dict[str, Any]] = {
    "out_of_range": {"steps": 99_999},
    "heart_rate_order": {"heart_rate_bpm": 60, "heart_rate_min_bpm": 90},
    "minutes_exceed_slot": {"light_min": 9, "sedentary_min": 9},
    "wrong_type": {"steps": "many"},
    "unknown_field": {"stepz": 1},
    "slot_misaligned": {},
    "too_old": {},
    "missing_field": {},
}
_BAD = tuple(BAD_ROWS)


class Sending(NamedTuple):
    """One row of one post: due once slot `at` has ended. `variant` is None for a bad row.

    `kind` tells why it is sent; of a bad row it is the code that a gateway must refuse it with.
    """

    at: int
    slot: int
    variant: Variant | None
    kind: str


class Plan:
    """What one device sends, fault by fault."""

    def __init__(self, seed: int, number: int, level: str) -> None:
        self._seed = seed
        self._number = number
        self._rates = LEVELS[level]
        self._is_clean = level == "none"
        self.wearer = Wearer(seed, number)

    @property
    def skew_s(self) -> float:
        """Seconds that the device's clock is ahead; negative when it is behind."""
        if self._is_clean:
            return 0.0
        chance = draw(_DEVICE, self._seed, self._number, 0)
        skewed = chance[0] < self._rates.skewed
        return (chance[1] * 2 - 1) * self._rates.skew_max_s if skewed else 0.0

    def due(self, first: int, end: int, oldest: int) -> list[Sending]:
        """What is sent once the slots of [first, end) have ended, of no slot before `oldest`."""
        if self._is_clean:
            return [Sending(slot, slot, Variant.FULL, "full") for slot in range(first, end)]
        found = [
            sending
            for slot in range(max(first - DELAY_MAX, oldest), end)
            for sending in self._of(slot)
            if first <= sending.at < end
        ]
        chance = draw(_ORDER, self._seed, self._number, first)
        if chance[0] >= self._rates.shuffled:
            return found
        return sorted(found, key=lambda s: draw(_ORDER, self._seed, s.slot, s.at)[1])

    def row(self, slot: int, variant: Variant) -> Row:
        """The row that a variant of a slot is."""
        offset_min = self.wearer.offset_min(slot)
        match variant:
            case Variant.FULL:
                return make_row(self.wearer.values(slot), offset_min, 0, False)
            case Variant.THIN:
                values = self.wearer.values(slot)[:_KEPT_IN_THIN] + NOTHING[_KEPT_IN_THIN:]
                return make_row(values, offset_min, 0, False)
            case Variant.RIVAL:
                return make_row(self.wearer.values(slot, take=1), offset_min, 0, False)
            case Variant.CORRECTED:
                return make_row(self.wearer.values(slot, take=2), offset_min, 1, False)
            case Variant.REVISED:
                return make_row(self.wearer.values(slot, take=3), offset_min, 2, False)
            case Variant.DELETED:
                return make_row(NOTHING, offset_min, 3, True)

    def written(self, sending: Sending) -> dict[str, Any]:
        """The row as the device writes it."""
        if sending.variant is None:
            return _bad_row(sending.slot, sending.kind)
        row = self.row(sending.slot, sending.variant)
        fields: dict[str, Any] = {"slot": _text(sending.slot), "tz_offset_min": row.tz_offset_min}
        if row.rev:
            fields["rev"] = row.rev
        if row.deleted:
            fields["deleted"] = True
        return fields | unscaled(row.values)

    def _of(self, slot: int) -> Iterator[Sending]:
        """Every sending of one slot, now or up to DELAY_MAX slots later."""
        rates, chance = self._rates, draw(_FAULTS, self._seed, self._number, slot)
        if draw(_GAP, self._seed, self._number, slot // _GAP_SLOTS)[0] < rates.gap:
            return
        delay, kind = 0, "full"
        if chance[0] < rates.late:
            delay, kind = 1 + int(chance[1] * _LATE_MAX), "late"
        if chance[2] < rates.thin:
            yield Sending(slot, slot, Variant.THIN, "thin")
            delay, kind = max(delay, 1), "completed"
        yield Sending(slot + delay, slot, Variant.FULL, kind)
        if chance[3] < rates.duplicate:
            again = slot + delay + int(chance[4] * (DELAY_MAX - _LATE_MAX))
            yield Sending(again, slot, Variant.FULL, "duplicate")
        if chance[5] < rates.rival:
            yield Sending(slot + int(chance[6] * 4), slot, Variant.RIVAL, "rival")
        yield from self._corrections(slot, chance)
        if chance[12] < rates.bad:
            yield Sending(slot, slot, None, _BAD[int(chance[13] * len(_BAD))])

    def _corrections(self, slot: int, chance: tuple[float, ...]) -> Iterator[Sending]:
        """With higher revs; these may overtake what they correct."""
        if chance[7] < self._rates.corrected:
            at = slot + int(chance[8] * DELAY_MAX)
            yield Sending(at, slot, Variant.CORRECTED, "corrected")
            if chance[9] < 0.3:
                yield Sending(slot + int(chance[1] * DELAY_MAX), slot, Variant.REVISED, "revised")
        if chance[10] < self._rates.deleted:
            at = slot + int(chance[11] * DELAY_MAX)
            yield Sending(at, slot, Variant.DELETED, "deleted")


def _bad_row(slot: int, code: str) -> dict[str, Any]:
    """A row that every gateway refuses with `code`."""
    fields = dict(BAD_ROWS[code])
    match code:
        case "missing_field":
            return {"steps": 1}
        case "slot_misaligned":
            return fields | {"slot": _text(slot).replace(":00Z", ":07Z")}
        case "too_old":
            return fields | {"slot": _text(slot - 500 * DAY_SLOTS)}
    return fields | {"slot": _text(slot)}


def _text(slot: int) -> str:
    return f"{slot_start(slot):%Y-%m-%dT%H:%M:%SZ}"
