"""The body of one virtual wearer: every metric of any slot, from (seed, number, slot) alone.

Keeps no state, so that a device that was away for a week, or another process, finds the same
values. Must not know about posts, faults or time that passes.
"""

import math
from datetime import datetime
from statistics import NormalDist
from typing import NamedTuple
from zoneinfo import ZoneInfo

from fitstream.clock import SLOT_S
from fitstream.merge import METRICS, NOTHING, Values
from fitstream.simulate.draws import draw

ZONES = (
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "Europe/Lisbon",
    "America/New_York",
    "America/Los_Angeles",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Sydney",
)
TENTHS = 150  # of the 15 minutes of a slot
_PERSON, _DAY, _BLOCK, _SLOT = range(4)
_BLOCK_SLOTS = 4
_NORMAL = NormalDist()
_MET = (1.0, 2.6, 4.6, 9.0)  # at rest, light, moderate, vigorous
_EFFORT = (0.0, 0.20, 0.42, 0.80)  # share of the heart-rate reserve, likewise
_CADENCE = (0.0, 42.0, 104.0, 150.0)  # steps a minute, likewise


class Traits(NamedTuple):
    """What makes one wearer differ from the next; hours are local, shares 0 to 1."""

    zone: str
    weight_kg: float
    resting_bpm: float
    reserve_bpm: float
    vigour: float
    wake_h: float
    sleep_h: float
    weekend_shift_h: float
    workout_h: float
    workout_share: float
    stride_m: float
    bare_at_night: bool


class _Day(NamedTuple):
    """One local day: when it begins and ends, and what is in it."""

    wake_h: float
    bed_h: float  # above 24 when it lies after midnight
    vigour: float
    is_free: bool
    workout: tuple[float, float]
    bare: tuple[float, float]  # the device is being charged


class Moves(NamedTuple):
    """Tenths of minutes of a slot: at rest awake, light, moderate, vigorous, asleep."""

    sedentary: int
    light: int
    moderate: int
    vigorous: int
    sleep: int

    def weigh(self, weights: tuple[float, ...]) -> float:
        """Minutes, each kind by its weight; sleep counts as rest."""
        resting = (self.sedentary + self.sleep) * weights[0]
        return (resting + sum(self[i] * weights[i] for i in (1, 2, 3))) / 10


class Wearer:
    """One person, cheap to make anew for every post."""

    def __init__(self, seed: int, number: int) -> None:
        self._seed = seed
        self._number = number
        self.traits = self._traits()
        self._zone = ZoneInfo(self.traits.zone)
        self._days: dict[int, _Day] = {}
        self._blocks: dict[int, float] = {}

    def offset_min(self, slot: int) -> int:
        """Minutes east of UTC in the wearer's zone at that slot."""
        offset = datetime.fromtimestamp(slot * SLOT_S, self._zone).utcoffset()
        return int(offset.total_seconds() // 60) if offset else 0

    def values(self, slot: int, take: int = 0) -> Values:
        """Scaled metrics of a slot; NOTHING where the device was not worn.

        Another `take` is the same slot measured a little differently, as corrections are.
        """
        local = datetime.fromtimestamp(slot * SLOT_S, self._zone)
        hour, ordinal = local.hour + local.minute / 60, local.toordinal()
        day = self._day(ordinal)
        asleep = self._asleep(hour, ordinal)
        if _within(hour, day.bare) or (self.traits.bare_at_night and asleep > TENTHS // 2):
            return NOTHING
        chance = self._draw(_SLOT, slot * 8 + take)
        moves = self._moves(hour, day, asleep, (*chance[:4], self._drift(slot)))
        return self._measured(moves, hour, chance[4:], self._drift(slot))

    def _traits(self) -> Traits:
        chance = self._draw(_PERSON, 0)
        fitness = _normal(chance[0])
        return Traits(
            zone=ZONES[int(chance[1] * len(ZONES))],
            weight_kg=_clamp(72 + 13 * _normal(chance[2]) - 2 * fitness, 42, 130),
            resting_bpm=_clamp(63 - 5 * fitness + 4 * _normal(chance[3]), 42, 88),
            reserve_bpm=_clamp(122 + 6 * fitness + 8 * _normal(chance[4]), 90, 150),
            vigour=math.exp(0.25 * fitness + 0.3 * _normal(chance[5])),
            wake_h=_clamp(6.9 + 0.8 * _normal(chance[6]), 4.5, 10),
            sleep_h=_clamp(7.5 + 0.6 * _normal(chance[7]), 5.5, 9.5),
            weekend_shift_h=2.2 * chance[8],
            workout_h=(6.5, 12.2, 17.8, 19.0)[int(chance[9] * 4)] + chance[10],
            workout_share=_clamp(0.3 + 0.2 * fitness, 0.02, 0.85),
            stride_m=_clamp(0.72 + 0.06 * _normal(chance[11]), 0.55, 0.95),
            bare_at_night=chance[12] < 0.15,
        )

    def _day(self, ordinal: int) -> _Day:
        """The plan of a local day, with the same ordinals as `date.toordinal`."""
        if ordinal in self._days:
            return self._days[ordinal]
        traits, chance = self.traits, self._draw(_DAY, ordinal)
        is_free = (ordinal - 1) % 7 >= 5
        tomorrow_is_free = ordinal % 7 >= 5
        wake_h = traits.wake_h + is_free * traits.weekend_shift_h + 0.4 * _normal(chance[0])
        next_wake_h = traits.wake_h + tomorrow_is_free * traits.weekend_shift_h
        bed_h = 24 + next_wake_h - traits.sleep_h - 0.3 + 0.5 * _normal(chance[1])
        has_workout = chance[2] < traits.workout_share * (1.3 if is_free else 1.0)
        workout_h = 10.0 + 4 * chance[3] if is_free else traits.workout_h
        workout = (workout_h, workout_h + 0.5 + 0.9 * chance[4]) if has_workout else (0.0, 0.0)
        charge_h = _clamp(bed_h - 1.5 * chance[5] - 1.0, 18, 22.5)
        bare = (charge_h, charge_h + 0.5 + chance[6]) if chance[7] < 0.4 else (0.0, 0.0)
        vigour = traits.vigour * math.exp(0.25 * _normal(chance[8])) * (0.85 if is_free else 1.0)
        self._days[ordinal] = _Day(wake_h, bed_h, vigour, is_free, workout, bare)
        return self._days[ordinal]

    def _asleep(self, hour: float, ordinal: int) -> int:
        """Tenths of minutes of the slot between last night's bed time and today's wake time."""
        day, eve = self._day(ordinal), self._day(ordinal - 1)
        morning = _overlap(hour, eve.bed_h - 24, day.wake_h)
        return min(TENTHS, int(10 * 60 * (morning + _overlap(hour, day.bed_h, 48.0))))

    def _moves(self, hour: float, day: _Day, asleep: int, chance: tuple[float, ...]) -> Moves:
        """How the awake part of the slot divides; exponential, so that most slots are quiet."""
        awake = TENTHS - asleep
        if _within(hour, day.workout) and not asleep:
            active = awake * (0.75 + 0.25 * chance[0])
            vigorous = int(active * (0.2 + 0.6 * chance[1]))
            moderate = int((active - vigorous) * (0.5 + 0.4 * chance[2]))
        else:
            push = day.vigour * _rhythm(hour, day) * math.exp(0.5 * chance[4])
            active = awake * _clamp(-math.log(chance[0]) * push - 0.03, 0.0, 0.95)
            vigorous = 0
            moderate = int(active * chance[1] ** 2 * 0.7)
        light = int(active) - vigorous - moderate
        sleep = int(asleep * (1.0 - 0.12 * chance[3] ** 2))
        return Moves(TENTHS - int(active) - sleep, light, moderate, vigorous, sleep)

    def _measured(
        self, moves: Moves, hour: float, chance: tuple[float, ...], drift: float
    ) -> Values:
        traits = self.traits
        steps = int(moves.weigh(_CADENCE) * (0.85 + 0.3 * chance[0]))
        stride_m = traits.stride_m * (0.92 + 0.3 * moves.vigorous / TENTHS + 0.08 * chance[1])
        kcal = traits.weight_kg / 60 * moves.weigh(_MET) * (0.97 + 0.06 * chance[2])
        effort = moves.weigh(_EFFORT) / 15
        daily = 2.5 * math.sin((hour - 9) * math.pi / 12) - 4.0 * moves.sleep / TENTHS
        bpm = traits.resting_bpm + 7 + daily + 3 * drift + traits.reserve_bpm * effort
        bpm += 1.5 * _normal(chance[3])
        below = 2 + 5 * chance[4] + 20 * effort * chance[5]
        above = 3 + 9 * chance[6] + 35 * effort * chance[7] + (9 if moves.light > 10 else 0)
        floors = int(chance[8] ** 3 * steps / 180)
        return _scaled(
            (steps, steps * stride_m, kcal, bpm, bpm - below, bpm + above),
            (moves.light, moves.moderate, moves.vigorous, moves.sedentary, moves.sleep, floors),
        )

    def _drift(self, slot: int) -> float:
        """Smooth noise around 0 with a correlation of about an hour: moods and errands."""
        block, rest = divmod(slot, _BLOCK_SLOTS)
        for index in (block, block + 1):
            if index not in self._blocks:
                self._blocks[index] = _normal(self._draw(_BLOCK, index)[0])
        share = rest / _BLOCK_SLOTS
        return self._blocks[block] * (1 - share) + self._blocks[block + 1] * share

    def _draw(self, kind: int, index: int) -> tuple[float, ...]:
        return draw(kind, self._seed, self._number, index)


def _rhythm(hour: float, day: _Day) -> float:
    """Expected share of a waking slot spent moving, by hour: commutes, lunch, an idle evening."""
    share = 0.16 if day.is_free else 0.10
    for at, width, height in _FREE_PEAKS if day.is_free else _WORK_PEAKS:
        share += height * math.exp(-(((hour - at) / width) ** 2))
    return share


_WORK_PEAKS = ((7.8, 0.7, 0.25), (12.5, 0.6, 0.18), (17.6, 0.9, 0.28))
_FREE_PEAKS = ((11.0, 1.8, 0.14), (15.5, 2.0, 0.12))


def _scaled(measured: tuple[float, ...], counted: tuple[int, ...]) -> Values:
    """Whole scaled values within the contract's ranges; `counted` are whole already."""
    scaled = [
        round(_clamp(value, metric.low, metric.high) * metric.scale)
        for value, metric in zip(measured, METRICS, strict=False)
    ]
    return (*scaled, *counted)


def _within(hour: float, span: tuple[float, float]) -> bool:
    return span[0] <= hour < span[1]


def _overlap(hour: float, start_h: float, end_h: float) -> float:
    """Hours that the slot beginning at `hour` shares with a span."""
    return max(0.0, min(hour + 0.25, end_h) - max(hour, start_h))


def _normal(uniform: float) -> float:
    return _clamp(_NORMAL.inv_cdf(uniform), -3.0, 3.0)


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
