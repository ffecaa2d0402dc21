"""Names and format of the archive's objects: who writes and who reads them share this.

Pure; what is inside a record is sealed, see sealing.py.
"""

import re

import msgspec

_NAME = re.compile(r"/(\d{19})-(\d{19})\.msgpack$")


class ArchivedRecord(msgspec.Struct, frozen=True, array_like=True):
    """One record of an object: offset and customer in the clear, all else sealed.

    Of a customer who was erased before it was archived only the place is kept: `sealed` is empty.
    """

    offset: int
    customer_id: str
    sealed: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[ArchivedRecord])


def archive_prefix(topic: str, generation: int, partition: int) -> str:
    """What the names of all objects of a partition begin with."""
    return f"raw/{topic}/{generation}/{partition}/"


def archive_key(topic: str, generation: int, partition: int, offsets: tuple[int, int]) -> str:
    """Object name of an archived batch: both ends in it, so a re-cut batch gets another name."""
    first, last = offsets
    return f"{archive_prefix(topic, generation, partition)}{first:019d}-{last:019d}.msgpack"


def archive_span(key: str) -> tuple[int, int] | None:
    """First and last offset that an object's name speaks of, None for another kind of name."""
    found = _NAME.search(key)
    return None if found is None else (int(found[1]), int(found[2]))


def encode_archive(records: list[ArchivedRecord]) -> bytes:
    """The bytes of an object."""
    return _encoder.encode(records)


def decode_archive(body: bytes) -> list[ArchivedRecord]:
    """The records of an archived object, still sealed."""
    return _decoder.decode(body)
