"""Customers with one device and key each, written straight into the tables: 10^5 in seconds."""

from hashlib import sha256
from typing import NamedTuple

from fitstream.clock import FIRST_WEEK
from fitstream.ids import hashed
from fitstream.repo.database import Db, Repo


class Wearer(NamedTuple):
    """A seeded customer with the device that posts for them."""

    number: int
    customer_no: int
    device_no: int

    @property
    def customer_id(self) -> str:
        """Public id."""
        return f"cus_bench{self.number:07d}"

    @property
    def device_id(self) -> str:
        """Public id."""
        return f"dev_bench{self.number:07d}"

    @property
    def key(self) -> str:
        """The text of the device's key."""
        return f"fs_{_key_id(self.number)}_{_secret(self.number)}"


async def seed(repo: Repo, count: int, *, first: int = 0, with_keys: bool = True) -> list[Wearer]:
    """`count` new customers, numbered from `first`."""
    numbers = range(first, first + count)
    async with repo.transaction() as db:
        await db.execute("SET LOCAL statement_timeout = 0")
        await db.copy_records_to_table(
            "customer",
            records=[_customer(n) for n in numbers],
            columns=["id", "programme_no", "external_id", "name", "zone"],
            timeout=300,
        )
        lowest = _customer(first)[0]
        await db.execute(_ZONES, lowest, FIRST_WEEK, timeout=300)
        await db.execute(_DEVICES, lowest, timeout=300)
        wearers = [Wearer(*row) for row in await db.fetch(_NUMBERS, lowest, timeout=300)]
        if with_keys:
            await _keys(db, wearers)
    return wearers


_ZONES = """INSERT INTO customer_zone (customer_no, from_week, zone)
    SELECT customer_no, $2, zone FROM customer WHERE id >= $1"""
_DEVICES = """INSERT INTO device (id, customer_no, kind, name, priority)
    SELECT replace(id, 'cus', 'dev'), customer_no, 'watch', 'bench', 10
    FROM customer WHERE id >= $1"""
_NUMBERS = """SELECT substr(c.external_id, 7)::int, c.customer_no, d.device_no
    FROM customer c JOIN device d USING (customer_no) WHERE c.id >= $1 ORDER BY 1"""


async def _keys(db: Db, wearers: list[Wearer]) -> None:
    changed = await db.fetchval("UPDATE change_counter SET value = value + 1 RETURNING value")
    await db.copy_records_to_table(
        "api_key",
        records=[
            (_key_id(w.number), hashed(_secret(w.number)), "device", w.device_no, changed)
            for w in wearers
        ],
        columns=["id", "secret_sha", "kind", "device_no", "changed"],
        timeout=300,
    )


def _customer(number: int) -> tuple[str, int, str, str, str]:
    return (f"cus_bench{number:07d}", 1, f"bench-{number:07d}", f"Wearer {number}", "UTC")


def _key_id(number: int) -> str:
    return f"bench{number:011d}"


def _secret(number: int) -> str:
    return sha256(f"bench {number}".encode()).hexdigest()
