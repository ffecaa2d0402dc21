"""Async Python client of the public API; pages, simulator and import use it and nothing else."""

from fitstream.client.api import Client, open_client
from fitstream.client.http import Api, open_api

__all__ = ["Api", "Client", "open_api", "open_client"]
