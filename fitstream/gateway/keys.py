"""Where the application keeps its resources: one typed key each."""

from typing import Any

from aiohttp import web

from fitstream.broker import Observer, Producer
from fitstream.gateway.api_rates import ApiRates
from fitstream.gateway.credentials import KeyCache
from fitstream.gateway.digest import Digest
from fitstream.gateway.limits import InFlight, RateLimiter
from fitstream.gateway.login_guard import LoginGuard
from fitstream.gateway.openapi import Documented
from fitstream.gateway.recent import Recent
from fitstream.gateway.retry_later import RetryLater
from fitstream.gateway.routes import Route
from fitstream.outbox import Outbox
from fitstream.receipts import Signer
from fitstream.repo.database import Repo
from fitstream.repo.tally import Tally
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
MASTERS = web.AppKey("masters", list[bytes])
OUTBOX = web.AppKey("outbox", Outbox)
API_RATES = web.AppKey("api_rates", ApiRates)
RATES = web.AppKey("rates", RateLimiter)
RETRY_LATER = web.AppKey("retry_later", RetryLater)
SIGNER = web.AppKey("signer", Signer)
OVERVIEWS = web.AppKey("overviews", Recent[dict[str, Any]])
TALLIES = web.AppKey("tallies", Recent[Tally])
DOCUMENT = web.AppKey("document", Documented)
ROUTE_TABLE = web.AppKey("route_table", dict[str, Route])
DIGEST = web.AppKey("digest", Digest)
