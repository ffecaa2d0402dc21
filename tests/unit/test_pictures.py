"""Pictures are written anew: small, upright, without what hid in them; hostile ones are refused."""

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image, ImageOps

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


def mistyped(orientation: int, tag: int, kind: int, count: int, value: int) -> bytes:
    """EXIF whose second tag is of a type or length that is not its own."""
    tags = struct.pack("<HHII", 0x0112, 3, 1, orientation) + struct.pack(
        "<HHII", tag, kind, count, value
    )
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + tags + struct.pack("<I", 0)


@pytest.mark.parametrize("kind", range(14))
@pytest.mark.parametrize("tag", [0x0131, 0x011A, 0x8769, 0x8825, 0x013B])
async def test_a_turned_picture_with_a_mistyped_tag_is_taken(tag: int, kind: int) -> None:
    exif = mistyped(6, tag, kind, 2, 7)
    raw = await re_encode(picture("JPEG", (64, 32), exif=exif))
    with Image.open(BytesIO(raw)) as made:
        assert made.size == (32, 64)


@pytest.mark.parametrize("orientation", range(10))
async def test_a_picture_stands_as_its_camera_says(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = BytesIO()
    drawn = Image.new("RGB", (64, 32), "white")
    drawn.paste("red", (0, 0, 32, 16))
    drawn.save(out, "PNG", exif=exif)
    with (
        Image.open(BytesIO(out.getvalue())) as one,
        Image.open(BytesIO(await re_encode(out.getvalue()))) as made,
    ):
        right = ImageOps.exif_transpose(one)
        assert made.size == right.size
        for at in ((4, 4), (made.width - 5, made.height - 5)):
            is_red = [image.convert("RGB").getpixel(at)[1] < 128 for image in (made, right)]
            assert is_red[0] == is_red[1]


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
