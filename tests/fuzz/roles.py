"""A caller of every role against the running system, and things that their paths may name."""

from typing import NamedTuple
from uuid import uuid4

from fitstream.client import Client
from fitstream.gateway.policy import SCOPES
from tests.real import at, last_monday, new_wearer, wait_for_rows

PASSWORD = "a long and quiet walk"
ROLES = ("anonymous", "device", "customer", "program", "support", "analyst", "admin")


class Cast(NamedTuple):
    """Credentials by role, and a value for the names of paths."""

    tokens: dict[str, str]
    named: dict[str, str]


async def make_cast(admin: Client, admin_key: str) -> Cast:
    """New accounts of every role, and a customer with a device, rows and a week.

    The administrator is one of its own too: what a random call does to it must not end the run.
    """
    wearer = await new_wearer(admin, email=f"{uuid4().hex[:12]}@example.org")
    await wearer.post([{"slot": at(last_monday(), i), "steps": i} for i in range(4)])
    await wait_for_rows(wearer, 4)
    login = f"{uuid4().hex[:12]}@example.org"
    await admin.set_login(wearer.customer.id, login, PASSWORD)
    tokens = {
        "anonymous": "",
        "device": wearer.device.key,
        "customer": (await admin.as_who("").login(login, PASSWORD)).token,
        "program": (await admin.create_key("fuzz", SCOPES)).key,
    }
    for role in ("support", "analyst", "admin"):
        email = f"{role}-{uuid4().hex[:8]}@example.org"
        await admin.create_staff(email, role, password=PASSWORD)
        tokens[role] = (await admin.as_who("").login(email, PASSWORD)).token
    week = (await admin.weeks(wearer.customer.id)).items[0].week
    named = {"customer": wearer.customer.id, "device": wearer.device.id, "week": week}
    return Cast(tokens, named)
