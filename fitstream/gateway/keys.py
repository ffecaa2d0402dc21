"""Where the application keeps its resources: one typed key each."""

from aiohttp import web

from fitstream.broker import Observer, Producer
from fitstream.gateway.credentials import KeyCache
from fitstream.gateway.digest import Digest
from fitstream.gateway.limits import InFlight, RateLimiter
from fitstream.gateway.login_guard import LoginGuard
from fitstream.receipts import Signer
from fitstream.repo.database import Repo
from fitstream.settings import Settings
from fitstream.store import Store

SETTINGS = web.AppKey("settings", Settings)
REPO = web.AppKey("repo", Repo)
PRODUCER = web.AppKey("producer", Producer)
STORE = web.AppKey("store", Store)
OBSERVER = web.AppKey("observer", Observer)
KEYS = web.AppKey("keys", KeyCache)
IN_FLIGHT = web.AppKey("in_flight", InFlight)
LOGINS = web.AppKey("logins", LoginGuard)
RATES = web.AppKey("rates", RateLimiter)
SIGNER = web.AppKey("signer", Signer)
DIGEST = web.AppKey("digest", Digest)
