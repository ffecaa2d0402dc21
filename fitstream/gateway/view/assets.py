"""The stylesheets and scripts of the pages, read once at start-up and sent compressed."""

import gzip
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from fitstream.errors import NotFound

FOLDER = Path(__file__).parent.parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOREVER = "public, max-age=31536000, immutable"
_BRIEFLY = "public, max-age=300"


class Asset(NamedTuple):
    """One file: its bytes, plain and compressed, its type and the mark of its content."""

    body: bytes
    packed: bytes
    content_type: str
    mark: str


Assets = dict[str, Asset]
ASSETS = web.AppKey("assets", dict[str, Asset])


def read_assets() -> Assets:
    """Every file that a page may ask for, by its path below `static/`."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in _TYPES:
            body = path.read_bytes()
            mark = sha256(body).hexdigest()[:12]
            packed = gzip.compress(body, mtime=0)
            asset = Asset(body, packed, _TYPES[path.suffix], mark)
            found[path.relative_to(FOLDER).as_posix()] = asset
    return found


def add_assets(app: web.Application) -> None:
    """Serves `/static/…` from memory, once per application; a marked address never changes."""
    if ASSETS not in app:
        app[ASSETS] = read_assets()
        app.router.add_get("/static/{path:.+}", send_asset, name="static")


def asset_url(assets: Assets, path: str) -> str:
    """Address of an asset with the mark of its content; an unknown path is a bug: KeyError."""
    return f"/static/{path}?{assets[path].mark}"


async def send_asset(request: web.Request) -> web.Response:
    """One asset. Raises NotFound for a path that is none."""
    asset = request.app[ASSETS].get(request.match_info["path"])
    if asset is None:
        raise NotFound("this file")
    is_marked = request.query_string == asset.mark
    headers = {
        "Cache-Control": _FOREVER if is_marked else _BRIEFLY,
        "ETag": f'"{asset.mark}"',
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    body = asset.body
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        body = asset.packed
        headers["Content-Encoding"] = "gzip"
    return web.Response(
        body=body, content_type=asset.content_type, charset="utf-8", headers=headers
    )
