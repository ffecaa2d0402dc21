"""Async Python client of the public API; pages, simulator and import use it and nothing else."""

from fitstream.client.api import Client, open_client
from fitstream.client.http import Api, open_api
from fitstream.client.paging import each, every

__all__ = ["Api", "Client", "each", "every", "open_api", "open_client"]
