"""Where the pages' application keeps its resources: one typed key each."""

from aiohttp import web

from fitstream.client import Client
from fitstream.gateway.view.cookies import Cookies
from fitstream.settings import Settings

SETTINGS = web.AppKey("settings", Settings)
API = web.AppKey("api", Client)
COOKIES = web.AppKey("cookies", Cookies)
