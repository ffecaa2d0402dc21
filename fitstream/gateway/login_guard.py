"""Slows down who guesses passwords: per address, and per address and account; never an account.

Only failures count. An account alone is never locked, because then anybody could lock out its
owner. Per process, like the other bounds of this gateway.
"""

from ipaddress import ip_address, ip_network

from aiohttp import web

from fitstream.gateway.limits import RateLimiter
from fitstream.settings import Settings

_PAIR_BURST, _PAIR_PER_S = 10, 1 / 6
_ADDRESS_BURST, _ADDRESS_PER_S = 60, 1.0


class LoginGuard:
    """Failures that an address still has."""

    def __init__(self) -> None:
        self._pairs = RateLimiter(_PAIR_PER_S, _PAIR_BURST)
        self._addresses = RateLimiter(_ADDRESS_PER_S, _ADDRESS_BURST)

    def check(self, address: str, email: str) -> None:
        """Raises TooMany when the address has failed too often."""
        self._addresses.peek(address)
        self._pairs.peek(_pair(address, email))

    def note_failure(self, address: str, email: str) -> None:
        """One wrong password more."""
        self._addresses.spend(address)
        self._pairs.spend(_pair(address, email))


def address_of(request: web.Request, settings: Settings) -> str:
    """Where a request came from: what a trusted proxy says in `Forwarded`, else the peer."""
    peer = request.remote or ""
    if not _is_trusted(peer, settings.trusted_proxies):
        return peer
    for part in reversed(request.forwarded):
        address = part.get("for", "").strip('"[]')
        if address and not _is_trusted(address, settings.trusted_proxies):
            return address
    return peer


def _pair(address: str, email: str) -> str:
    return f"{address} {email.strip().lower()}"


def _is_trusted(address: str, proxies: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in ip_network(proxy.strip()) for proxy in proxies.split(",") if proxy.strip())
