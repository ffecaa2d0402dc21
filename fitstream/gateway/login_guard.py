"""Slows down who guesses passwords: per address, and per address and account; never an account.

Only failures count. An account alone is never locked, because then anybody could lock out its
owner. Per process, like the other bounds of this gateway.
"""

from fitstream.gateway.limits import RateLimiter

_PAIR_BURST, _PAIR_PER_S = 10, 1 / 6
_ADDRESS_BURST, _ADDRESS_PER_S = 60, 1.0


class LoginGuard:
    """Failures that an address still has."""

    def __init__(self) -> None:
        self._pairs = RateLimiter(_PAIR_PER_S, _PAIR_BURST)
        self._addresses = RateLimiter(_ADDRESS_PER_S, _ADDRESS_BURST)

    def take(self, address: str, email: str) -> None:
        """One try, taken before the password is looked at: many at once get no further.

        Raises TooMany when the address has failed too often.
        """
        self._addresses.peek(address)
        self._pairs.take(_pair(address, email))
        self._addresses.take(address)

    def give_back(self, address: str, email: str) -> None:
        """A try that was right counts for nothing."""
        self._addresses.give_back(address)
        self._pairs.give_back(_pair(address, email))


def _pair(address: str, email: str) -> str:
    return f"{address} {email.strip().lower()}"
