"""Sealing of archived records: a data key per customer, wrapped under the secret key.

Deleting a customer's wrapped key makes everything sealed with it unreadable for ever.
"""

import asyncio
import base64
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from secrets import token_bytes
from struct import Struct

import cramjam
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fitstream.errors import Conflict, NotFound, Rejected
from fitstream.settings import Settings, SettingsError
from fitstream.store import Store

_NONCE = Struct(">HHQ").pack
_KEYS_CACHED = 200_000  # some 30 MB
_ZSTD_LEVEL = 3
_AT_ONCE = 16


def master_keys(settings: Settings) -> list[bytes]:
    """The secret key, and the old one during a rotation, as 32 bytes each."""
    keys = [_master_key("FITSTREAM_SECRET_KEY", settings.secret_key)]
    if settings.secret_key_old:
        keys.append(_master_key("FITSTREAM_SECRET_KEY_OLD", settings.secret_key_old))
    return keys


def _master_key(name: str, text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise SettingsError(f"{name} must be base64") from error
    if len(key) != 32:
        raise SettingsError(f"{name} must be 32 bytes in base64")
    return key


def seal(key: bytes, place: tuple[int, int, int], value: bytes) -> bytes:
    """`value` compressed, then sealed; the same record at the same place gives the same bytes.

    `place` is (generation, partition, offset): nonce and additional data, so a record cannot be
    moved. A place is used for one record alone: within a generation offsets never come again, and
    `topics --adopt` gives a recreated topic a generation that neither Postgres nor the archive
    has seen; the archive halts where it finds another topic under a generation.
    """
    nonce = _NONCE(*place)
    packed = bytes(cramjam.zstd.compress(value, _ZSTD_LEVEL))
    return AESGCM(key).encrypt(nonce, packed, nonce)


def unseal(key: bytes, place: tuple[int, int, int], sealed: bytes) -> bytes:
    """Inverse of `seal`; raises Rejected(unsealable) when key, place or bytes do not fit."""
    nonce = _NONCE(*place)
    try:
        return bytes(cramjam.zstd.decompress(AESGCM(key).decrypt(nonce, sealed, nonce)))
    except InvalidTag as error:
        raise Rejected("unsealable", f"record {place} does not open with its key") from error


class DataKeys:
    """Customers' data keys, kept wrapped in S3 under `keys/` and made at first use.

    None is made for whom `is_erased` tells of.
    """

    def __init__(
        self,
        store: Store,
        masters: list[bytes],
        is_erased: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        self._store = store
        self._masters = masters
        self._is_erased = is_erased
        self._known: OrderedDict[str, bytes] = OrderedDict()

    async def key_for(self, customer_id: str) -> bytes:
        """The customer's key. Two makers at once agree: the first object stays.

        Raises NotFound for a customer who was erased, Rejected(unsealable).
        """
        if customer_id in self._known:
            self._known.move_to_end(customer_id)
            return self._known[customer_id]
        try:
            key = self._unwrap(customer_id, await self._store.get(_object(customer_id)))
        except NotFound:
            if self._is_erased is not None and await self._is_erased(customer_id):
                raise
            key = await self._make(customer_id)
        return self._keep(customer_id, key)

    async def keys_for(self, customer_ids: Iterable[str]) -> dict[str, bytes]:
        """The keys of many customers; those that are not known here are read a few at a time.

        Who was erased has none.
        """
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(customer_id: str) -> list[tuple[str, bytes]]:
            async with gate:
                with suppress(NotFound):
                    return [(customer_id, await self.key_for(customer_id))]
            return []

        wanted = set(customer_ids)
        found = await asyncio.gather(*(one(c) for c in wanted - self._known.keys()))
        known = {c: self._known[c] for c in wanted & self._known.keys()}
        return known | dict(pair for pairs in found for pair in pairs)

    async def prefetch(self, customer_ids: Iterable[str]) -> None:
        """Reads existing keys a few at a time; what is missing or broken is left to
        `existing_key`."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(customer_id: str) -> None:
            async with gate:
                with suppress(NotFound, Rejected):
                    await self.existing_key(customer_id)

        await asyncio.gather(*(one(c) for c in set(customer_ids) - self._known.keys()))

    async def is_there(self, customer_id: str) -> bool:
        """Whether the customer's key still exists, asked afresh: what is erased must stay so."""
        there = await self._store.exists(_object(customer_id))
        if not there:
            self._known.pop(customer_id, None)
        return there

    async def existing_key(self, customer_id: str) -> bytes:
        """The customer's key, none is made; raises NotFound, Rejected(unsealable)."""
        if customer_id in self._known:
            return self._known[customer_id]
        key = self._unwrap(customer_id, await self._store.get(_object(customer_id)))
        return self._keep(customer_id, key)

    async def rewrap(self, customer_id: str) -> bool:
        """Wraps a key under the newest secret key; False when it is already, or has gone.

        Raises Rejected(unsealable). The key stays the same, so readers may hold either.
        """
        try:
            wrapped = await self._store.get(_object(customer_id))
        except NotFound:
            return False
        key = self._unwrap(customer_id, wrapped)
        if _opens(self._masters[0], customer_id, wrapped):
            return False
        await self._store.replace(_object(customer_id), self._wrap(customer_id, key))
        return True

    def _wrap(self, customer_id: str, key: bytes) -> bytes:
        nonce = token_bytes(12)
        return nonce + AESGCM(self._masters[0]).encrypt(nonce, key, customer_id.encode())

    def _keep(self, customer_id: str, key: bytes) -> bytes:
        self._known[customer_id] = key
        if len(self._known) > _KEYS_CACHED:
            self._known.popitem(last=False)
        return key

    async def _make(self, customer_id: str) -> bytes:
        wrapped = self._wrap(customer_id, token_bytes(32))
        with suppress(Conflict):  # somebody else was first
            await self._store.put_new(_object(customer_id), wrapped)
        # Not every store lets only one of two win: what is there now is the key.
        return self._unwrap(customer_id, await self._store.get(_object(customer_id)))

    def _unwrap(self, customer_id: str, wrapped: bytes) -> bytes:
        for master in self._masters:
            if (key := _opens(master, customer_id, wrapped)) is not None:
                return key
        raise Rejected("unsealable", f"the data key of {customer_id} opens with no secret key")


def _opens(master: bytes, customer_id: str, wrapped: bytes) -> bytes | None:
    """The key, None under another secret key, or when it is no wrapped key at all."""
    try:
        return AESGCM(master).decrypt(wrapped[:12], wrapped[12:], customer_id.encode())
    except (InvalidTag, ValueError):
        return None


def _object(customer_id: str) -> str:
    return f"keys/{customer_id}"
