"""QR codes as one SVG path, which a template draws: no style, no script, no trusted markup."""

from itertools import groupby

import msgspec
import segno

_BORDER = 2


class QrCode(msgspec.Struct, frozen=True):
    """`path` draws the dark modules in a square of `size` units."""

    size: int
    path: str


def qr_of(text: str) -> QrCode:
    """The code of a text, readable though a part of it is covered."""
    rows = [bytes(row) for row in segno.make(text, error="m", micro=False).matrix]
    size = len(rows) + 2 * _BORDER
    return QrCode(size, "".join(_row(number, row) for number, row in enumerate(rows)))


def _row(number: int, row: bytes) -> str:
    """Runs of dark modules of one row."""
    drawn, x = [], _BORDER
    for is_dark, run in groupby(row):
        length = len(list(run))
        if is_dark:
            drawn.append(f"M{x} {number + _BORDER}h{length}v1h-{length}z")
        x += length
    return "".join(drawn)
