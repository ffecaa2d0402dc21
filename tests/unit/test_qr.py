"""A QR code's path draws the very modules of the code, and a border of light ones."""

import re

import segno

from fitstream.gateway.view.qr import qr_of

TEXT = "fitstream:pair?gateway=http%3A%2F%2F127.0.0.1&code=BCDF-GHJK-LMNP"


def test_the_path_draws_the_modules_of_the_code() -> None:
    drawn = qr_of(TEXT)
    dark = set()
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", drawn.path):
        dark |= {(int(x) + step, int(y)) for step in range(int(length))}
    matrix = segno.make(TEXT, error="m", micro=False).matrix
    wanted = {(x + 2, y + 2) for y, row in enumerate(matrix) for x, bit in enumerate(row) if bit}
    assert dark == wanted
    assert drawn.size == len(matrix) + 4
