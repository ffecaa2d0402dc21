"""Large answers of text, packed as gzip for whoever takes that."""

import asyncio

import cramjam
from aiohttp import web

from fitstream.gateway.etags import packed

_LEAST_BYTES = 1024
_THREAD_BYTES = 65_536
_LEVEL = 6
_TYPES = ("application/json", "application/problem+json", "application/jwk-set+json")


async def pack(request: web.Request, response: web.Response) -> web.Response:
    """The same answer, packed where that is worth it; large ones off the event loop."""
    body = response.body
    if not isinstance(body, bytes) or "Content-Encoding" in response.headers:
        return response
    if response.content_type not in _TYPES and not response.content_type.startswith("text/"):
        return response
    _add_vary(response)
    if len(body) < _LEAST_BYTES or not takes_gzip(request.headers.get("Accept-Encoding", "")):
        return response
    if len(body) >= _THREAD_BYTES:
        response.body = await asyncio.to_thread(_gzip, body)
    else:
        response.body = _gzip(body)
    response.headers["Content-Encoding"] = "gzip"
    if "ETag" in response.headers:
        response.headers["ETag"] = packed(response.headers["ETag"])
    return response


def takes_gzip(header: str) -> bool:
    """Whether `Accept-Encoding` takes gzip: named, or by `*`, and not with q=0."""
    wanted: dict[str, bool] = {}
    for one in header.split(","):
        name, *parameters = (part.strip().lower() for part in one.split(";"))
        wanted[name] = all(not _is_never(parameter) for parameter in parameters)
    return wanted.get("gzip", wanted.get("x-gzip", wanted.get("*", False)))


def _is_never(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip().rstrip("0") in ("", "0.", ".")


def _add_vary(response: web.Response) -> None:
    known = response.headers.get("Vary")
    response.headers["Vary"] = f"{known}, Accept-Encoding" if known else "Accept-Encoding"


def _gzip(body: bytes) -> bytes:
    return bytes(cramjam.gzip.compress(body, _LEVEL))
