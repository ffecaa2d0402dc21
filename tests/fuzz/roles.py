"""A caller of every role against the running system, and things that their paths may name."""

from typing import NamedTuple
from uuid import uuid4

from fitstream.client import Client
from fitstream.gateway.policy import SCOPES
from tests.real import Wearer, at, last_monday, new_wearer, wait_for_rows

PASSWORD = "a long and quiet walk"
ROLES = ("anonymous", "device", "customer", "program", "support", "analyst", "admin")


class Cast(NamedTuple):
    """Credentials by role, and a value for the names of paths."""

    tokens: dict[str, str]
    named: dict[str, dict[str, str]]


async def make_cast(admin: Client, admin_key: str) -> Cast:
    """New accounts of every role, and customers with a device, rows and a week.

    The customer who calls is another than the one whom staff and programs change, so that nobody
    ends their session; and the administrator is one of its own.
    """
    wearer, other = await _wearer(admin), await _wearer(admin)
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
    own, others = await _names(admin, wearer), await _names(admin, other)
    return Cast(tokens, {role: own if role == "customer" else others for role in ROLES})


async def _wearer(admin: Client) -> Wearer:
    wearer = await new_wearer(admin)
    await wearer.post([{"slot": at(last_monday(), i), "steps": i} for i in range(4)])
    await wait_for_rows(wearer, 4)
    return wearer


async def _names(admin: Client, wearer: Wearer) -> dict[str, str]:
    week = (await admin.weeks(wearer.customer.id)).items[0].week
    return {"customer": wearer.customer.id, "device": wearer.device.id, "week": week}
