"""The end of a rotation: everything that lies sealed under the old secret key, under the new one.

Afterwards the old key opens nothing that is still needed and may be taken away. What waits for at
most a day (mails, answers kept for repeats, links) is not touched: it runs out by itself.
"""

import msgspec

from fitstream.boxes import close_box, open_box
from fitstream.errors import NotFound, Rejected
from fitstream.logs import get
from fitstream.repo import boxed, customers
from fitstream.repo.boxed import Box, Table
from fitstream.repo.database import Repo
from fitstream.sealing import DataKeys
from fitstream.store import Store

log = get(__name__)
_PREFIX = "keys/"
_PAGE = 500


class Rewrapped(msgspec.Struct, frozen=True):
    """How much was sealed anew; `left` is what opens with no key at hand, or is nobody's."""

    data_keys: int
    boxes: int
    left: list[str]


async def rewrap(repo: Repo, store: Store, masters: list[bytes]) -> Rewrapped:
    """Goes through all of it once. Safe to repeat and to break off: each is one write."""
    left: list[str] = []
    data_keys = DataKeys(store, masters)
    keys = 0
    async for name in store.list_keys(_PREFIX):
        try:
            keys += await _data_key(repo, data_keys, name.removeprefix(_PREFIX))
        except (NotFound, Rejected):
            left.append(name)
    boxes = 0
    for table in boxed.TABLES:
        boxes += await _boxes(repo, masters, table, left)
    log.info("secrets_rewrapped", data_keys=keys, boxes=boxes, left=len(left))
    return Rewrapped(keys, boxes, left)


async def _data_key(repo: Repo, keys: DataKeys, customer_id: str) -> bool:
    """One key, while its customer cannot be erased: writing it would bring a deleted key back.

    Raises NotFound for a key without a customer, whose erasure may be under way.
    """
    async with repo.transaction() as db:
        if not await customers.hold_customer(db, customer_id):
            raise NotFound(f"customer {customer_id}")
        return await keys.rewrap(customer_id)


async def _boxes(repo: Repo, masters: list[bytes], table: Table, left: list[str]) -> int:
    count, after = 0, ""
    while True:
        async with repo.transaction() as db:
            found = await boxed.lock_boxes(db, table, after, _PAGE)
            for box in found:
                sealed = _anew(masters, box, left)
                if sealed is not None:
                    await boxed.set_box(db, table, box.id, sealed)
                    count += 1
        if len(found) < _PAGE:
            return count
        after = found[-1].id


def _anew(masters: list[bytes], box: Box, left: list[str]) -> bytes | None:
    """The box under the new key, None when it is already, or opens with none."""
    try:
        open_box(masters[:1], box.purpose, box.value)
    except Rejected:
        pass
    else:
        return None
    try:
        return close_box(masters, box.purpose, open_box(masters, box.purpose, box.value))
    except Rejected:
        left.append(box.purpose)
        return None
