"""GET /.well-known/fitstream-keys: the public keys that signed receipts are verified with."""

from hashlib import sha256

from aiohttp import web

from fitstream.client import data
from fitstream.gateway.keys import SIGNER
from fitstream.gateway.routes import Route


async def receipt_keys(request: web.Request) -> web.Response:
    """A JWK set, the key in use first; public and cacheable."""
    content = request.app[SIGNER].jwk_set()
    etag = f'"{sha256(content).hexdigest()[:32]}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "public, max-age=300",
        "X-Content-Type-Options": "nosniff",
    }
    if etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    return web.Response(body=content, content_type="application/jwk-set+json", headers=headers)


ROUTES = (
    Route(
        "GET", "/.well-known/fitstream-keys", receipt_keys, "receipt_keys",
        gives=data.JwkSet, writes="application/jwk-set+json",
        tag="samples", summary="Read the public keys of signed receipts",
    ),
)  # fmt: skip
