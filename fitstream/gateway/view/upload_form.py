"""The form that takes a file: its text fields are read, its file is left to be streamed.

The token comes before the file, so a foreign form is refused before any byte of the file is kept.
"""

import asyncio

from aiohttp import BodyPartReader, web

from fitstream import csrf
from fitstream.errors import Rejected
from fitstream.gateway.encodings import encoding_of
from fitstream.gateway.posted import UNREADABLE
from fitstream.gateway.view.cookies import Cookies

_FIELDS_MAX = 20
_FIELD_BYTES = 4096
_FILE = "file"


async def read_form(
    request: web.Request, cookies: Cookies, patience_s: float
) -> tuple[dict[str, str], BodyPartReader]:
    """Text fields, and the part that holds the file; the fields arrive within `patience_s`.

    Raises Rejected(cross_site, stale_form, empty, invalid, slow_body).
    """
    csrf.check_origin(request.headers)
    encoding_of(request)
    if not request.content_type.startswith("multipart/"):
        raise Rejected("invalid", "choose a file", 422)
    try:
        async with asyncio.timeout(patience_s):
            fields, part = await _parts(request)
    except TimeoutError:
        raise Rejected("slow_body", "the form did not arrive in time", 408) from None
    except UNREADABLE as error:
        raise Rejected("invalid", "the form cannot be read", 400) from error
    seed = request.cookies.get(cookies.session, "")
    csrf.check_token(cookies.secret_keys, seed, fields.pop(csrf.FIELD, ""))
    if part is None or not part.filename:
        raise Rejected("empty", "choose a file", 422)
    return fields, part


async def _parts(request: web.Request) -> tuple[dict[str, str], BodyPartReader | None]:
    fields: dict[str, str] = {}
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader) or len(fields) >= _FIELDS_MAX:
            raise Rejected("invalid", "the form is not one of ours", 400)
        if part.name == _FILE:
            return fields, part
        text = await part.read_chunk(_FIELD_BYTES)
        if not part.at_eof() and await part.read_chunk(1):
            raise Rejected("invalid", "a field is longer than allowed", 422)
        fields[str(part.name)] = text.decode()
    return fields, None
