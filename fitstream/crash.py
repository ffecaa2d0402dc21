"""Named points at which a process can be told to die, so that tests can prove what happens then.

FITSTREAM_CRASH_AT=<point>:<n> ends the process at the n-th pass of the point, without clean-up.
"""

import os

from fitstream.settings import SettingsError

_armed: dict[str, int] = {}
EXIT_CODE = 86

POINTS = (
    "gateway_before_send",
    "gateway_after_ack",
    "ledger_after_park",
    "ledger_before_write",
    "ledger_before_commit",
    "ledger_after_commit",
    "archive_after_park",
    "archive_before_put",
    "archive_after_put",
    "roller_after_claim",
    "roller_after_data",
    "roller_after_manifest",
    "roller_before_commit",
    "roller_after_commit",
    "dispatcher_after_enqueue",
    "upload_after_send",
    "worker_after_claim",
    "worker_before_commit",
    "worker_after_commit",
)


def arm(setting: str) -> None:
    """Arms `<point>:<n>`, or nothing. Raises SettingsError for an unknown point."""
    if not setting:
        return
    point, _, times = setting.partition(":")
    if point not in POINTS or not times.isdecimal() or int(times) < 1:
        raise SettingsError(f"FITSTREAM_CRASH_AT={setting}: write <point>:<n> with one of {POINTS}")
    _armed[point] = int(times)


def crash_point(point: str) -> None:
    """Passes a point; the armed one ends the process when its count is used up."""
    if point not in _armed:
        return
    _armed[point] -= 1
    if _armed[point] == 0:
        os._exit(EXIT_CODE)
