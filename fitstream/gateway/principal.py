"""Who calls, for whom, and how far: what every credential becomes before the policy is asked."""

from typing import Literal, NamedTuple, get_args

from aiohttp import web

from fitstream.repo.audit import Actor

Staff = Literal["admin", "analyst", "support"]
Role = Literal["anonymous", "admin", "analyst", "support", "customer", "program", "device"]
STAFF: frozenset[str] = frozenset(get_args(Staff))


class Principal(NamedTuple):
    """Who calls and for whom; ids and numbers are None where they do not apply.

    `programmes` are the numbers of the programmes it may see, None for all; it means nothing for
    a customer or a device, who see their own data only. `scopes` are what a program or an OAuth
    token may do, None for whoever may do all that the role may.
    """

    role: Role
    key_id: str = ""
    account_id: str | None = None
    customer_id: str | None = None
    device_id: str | None = None
    email: str | None = None
    account_no: int | None = None
    customer_no: int | None = None
    device_no: int | None = None
    programmes: frozenset[int] | None = None
    scopes: frozenset[str] | None = None
    client_id: str = ""

    @property
    def is_staff(self) -> bool:
        """Whether it is an administrator, analyst or supporter, by session or by key."""
        return self.role in STAFF

    @property
    def actor(self) -> Actor:
        """Who the audit log says it was."""
        numbers = {"customer": self.customer_no, "device": self.device_no}
        number = numbers.get(self.role, self.account_no)
        return Actor(self.role, number, self.key_id or self.client_id)

    def within(self) -> list[int] | None:
        """`programmes` as queries take them: NULL for all."""
        return None if self.programmes is None else sorted(self.programmes)

    def sees(self, programme_no: int | None) -> bool:
        """Whether a programme is one of its own; what belongs to none is seen by who sees all."""
        return self.programmes is None or programme_no in self.programmes


def caller_of(principal: Principal) -> str:
    """The account with the client, the key or the device that calls; empty for a stranger."""
    names = (principal.client_id, principal.account_id or "", principal.key_id)
    return " ".join(filter(None, names))


ANONYMOUS = Principal("anonymous")
PRINCIPAL = web.RequestKey("principal", Principal)
