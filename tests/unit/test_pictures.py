"""Pictures are written anew: small, upright, without what hid in them; hostile ones are refused."""

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from fitstream.errors import Rejected
from fitstream.gateway.pictures import re_encode


def picture(
    kind: str, size: tuple[int, int] = (64, 32), mode: str = "RGB", **options: object
) -> bytes:
    out = BytesIO()
    Image.new(mode, size, "red").save(out, kind, **options)
    return out.getvalue()


def bomb(side: int) -> bytes:
    """A small PNG that claims, and holds, `side` × `side` pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 1) * side))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_each_kind_becomes_a_small_jpeg(kind: str) -> None:
    with Image.open(BytesIO(await re_encode(picture(kind, (1600, 900))))) as made:
        assert (made.format, made.size, made.mode) == ("JPEG", (512, 288), "RGB")


async def test_place_camera_and_turning_do_not_stay() -> None:
    exif = Image.Exif()
    exif[0x0110] = "a camera"
    exif[0x0112] = 6  # turned by a quarter
    exif.get_ifd(0x8825)[1] = "N"
    raw = await re_encode(picture("JPEG", (64, 32), exif=exif, comment=b"a secret"))
    with Image.open(BytesIO(raw)) as made:
        assert dict(made.getexif()) == {}
        assert made.size == (32, 64)
    assert b"a camera" not in raw
    assert b"a secret" not in raw


async def test_what_was_transparent_is_white() -> None:
    out = BytesIO()
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(out, "PNG")
    with Image.open(BytesIO(await re_encode(out.getvalue()))) as made:
        assert made.getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        picture("GIF"),
        picture("BMP"),
        picture("TIFF"),
        picture("JPEG")[:200],
        picture("PNG")[:60],
        bomb(8000),
        bomb(40_000),
    ],
    ids=[
        "nothing",
        "text",
        "svg",
        "gif",
        "bmp",
        "tiff",
        "half-jpeg",
        "half-png",
        "bomb",
        "large-bomb",
    ],
)
async def test_what_is_no_picture_or_too_large_is_refused(raw: bytes) -> None:
    with pytest.raises(Rejected) as error:
        await re_encode(raw)
    assert (error.value.code, error.value.status) == ("bad_picture", 422)
