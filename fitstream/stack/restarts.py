"""When a program that has ended is started again, and when that makes no sense any more.

Pure: told how each of its lives ended, it says how long to wait and what to tell. Who ends by its
own doing again and again is given up. Who works and is killed from outside is not at fault: it is
started again for ever, later each time, with an alarm.
"""

from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM
from typing import NamedTuple

from fitstream.process import EXIT_HALTED, EXIT_SETTINGS, EXIT_UNAVAILABLE

CRASHES_MAX = 5
KILLS_TOLD = 5  # so many quick deaths from outside in a row are an alarm, again and again
CALM_AFTER_S = 20.0  # who lived this long has not ended at once
BACK_OFF_MAX_S = 30.0
_BACK_OFF_S = 0.2
_FROM_OUTSIDE = (SIGKILL, SIGTERM, SIGINT, SIGHUP)  # all other signals are a program's own crash


class Life(NamedTuple):
    """One run of a program: its exit code (a signal as a negative one), its length, and whether it
    ever was ready."""

    code: int
    seconds: float
    was_ready: bool

    @property
    def is_waiting(self) -> bool:
        """Ended because a service is away, or a person is needed: no crash."""
        return self.code in (EXIT_UNAVAILABLE, EXIT_HALTED)

    @property
    def was_killed(self) -> bool:
        """Worked until somebody else, or the kernel, ended it."""
        return self.was_ready and -self.code in _FROM_OUTSIDE


class Restarts:
    """Counts one program's ends; a life of CALM_AFTER_S makes all that was before forgotten."""

    def __init__(self) -> None:
        self.crashes = 0
        self.kills = 0
        self._delay_s = _BACK_OFF_S

    def ended(self, life: Life) -> float:
        """Notes an end; the seconds to wait before the next start."""
        if life.seconds > CALM_AFTER_S:
            self.crashes, self.kills, self._delay_s = 0, 0, _BACK_OFF_S
        if life.was_killed:
            self.kills += 1
        elif not life.is_waiting:
            self.crashes += 1
        delay_s = self._delay_s
        self._delay_s = min(delay_s * 2, BACK_OFF_MAX_S)
        return delay_s

    def is_hopeless(self, life: Life) -> bool:
        """Whether the next start would only end like `life`, the last one."""
        return self.crashes >= CRASHES_MAX or life.code == EXIT_SETTINGS

    @property
    def is_alarming(self) -> bool:
        """Whether it keeps being killed from outside, as where memory is too small."""
        return self.kills > 0 and self.kills % KILLS_TOLD == 0
