"""Chance without state: numbers that depend on nothing but what they are for."""

from hashlib import blake2b
from struct import Struct

_pack = Struct("<Bqqq").pack
_unpack = Struct("<16I").unpack


def draw(purpose: int, seed: int, number: int, index: int) -> tuple[float, ...]:
    """Sixteen numbers strictly between 0 and 1; the same for the same arguments, everywhere."""
    digest = blake2b(_pack(purpose, seed, number, index)).digest()
    return tuple([(n + 0.5) / 2**32 for n in _unpack(digest)])
