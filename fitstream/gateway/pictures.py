"""Pictures of people: decoded with bounds, and written anew, so that nothing hidden stays in them.

Never on the loop; at most two at once, because a decoded picture is large.
"""

import asyncio
import struct
from io import BytesIO

from PIL import ExifTags, Image, UnidentifiedImageError

from fitstream.errors import Rejected

BYTES_MAX = 5 * 1024 * 1024
PIXELS_MAX = 25_000_000
CONTENT_TYPE = "image/jpeg"
_FORMATS = ("JPEG", "PNG", "WEBP")
_SIDE = 512
_QUALITY = 85
# What Pillow raises for bytes that are not what they say; the last three for EXIF's.
_DAMAGED: tuple[type[Exception], ...] = (
    OSError, ValueError, SyntaxError, MemoryError, OverflowError, struct.error, TypeError, KeyError,
)  # fmt: skip
# How a camera that was held otherwise says so (EXIF 2.3, 4.6.4). Not `ImageOps.exif_transpose`:
# that writes all of the EXIF again, and fails for a picture with any tag that is mistyped.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_at_once = asyncio.Semaphore(2)


async def re_encode(raw: bytes) -> bytes:
    """A JPEG of at most 512 by 512 pixels without any metadata.

    Raises Rejected(bad_picture) for what is no JPEG, PNG or WebP, or is too large when unpacked.
    """
    async with _at_once:
        return await asyncio.to_thread(_re_encoded, raw)


def _re_encoded(raw: bytes) -> bytes:
    try:
        with Image.open(BytesIO(raw), formats=_FORMATS) as image:
            if image.width * image.height > PIXELS_MAX:
                raise _bad(f"it has more than {PIXELS_MAX // 1_000_000} million pixels")
            image.draft("RGB", (2 * _SIDE, 2 * _SIDE))
            return _plain_jpeg(_upright(image))
    except UnidentifiedImageError:
        raise _bad("it is no JPEG, PNG or WebP") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _bad("it is too large when unpacked") from None
    except _DAMAGED:
        raise _bad("it is damaged") from None


def _upright(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def _plain_jpeg(image: Image.Image) -> bytes:
    """The pixels alone, on white where they were transparent."""
    shown = image.convert("RGBA")
    shown.thumbnail((_SIDE, _SIDE))
    canvas = Image.new("RGB", shown.size, "white")
    canvas.paste(shown, mask=shown.getchannel("A"))
    out = BytesIO()
    canvas.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()


def _bad(why: str) -> Rejected:
    return Rejected("bad_picture", f"this picture cannot be taken: {why}", 422)
