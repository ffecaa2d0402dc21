"""Who may call which route. A route without an entry here is refused, and a test fails.

`own` means: the caller's own customer, as named by `{customer}` in the path.
"""

from typing import Literal

from fitstream.errors import NotFound, Rejected
from fitstream.gateway.principal import Principal

Who = Literal["anyone", "device", "admin", "own", "person"]

POLICY: dict[str, frozenset[Who]] = {}


def _allow(who: set[Who], *names: str) -> None:
    POLICY.update(dict.fromkeys(names, frozenset(who)))


_allow({"anyone"}, "receipt_keys", "time", "healthz", "readyz", "metrics", "login", "static")
_allow({"device"}, "post_samples")
_allow({"person"}, "logout", "me")
_allow(
    {"admin", "own"},
    "get_customer", "list_devices", "samples", "days", "hours", "weeks", "week", "week_slots",
    "week_file", "forecast_latest",
)  # fmt: skip
_allow(
    {"admin"},
    "programmes", "create_customer", "list_customers", "patch_customer", "put_account",
    "create_device", "patch_device", "delete_device", "create_device_key", "roll_week",
    "create_run", "runs", "run", "models", "model", "jobs", "job", "job_cancel", "job_retry",
    "letters", "letter", "letter_replay", "letter_discard",
    "pipeline", "trace",
)  # fmt: skip


def check(name: str, principal: Principal, customer_id: str | None) -> None:
    """Lets the call pass, or raises Rejected(401/403) or NotFound for another's customer."""
    allowed = POLICY.get(name)
    if allowed is None:
        raise Rejected("forbidden", "this route is open to nobody", 403)
    if "anyone" in allowed or principal.role in allowed:
        return
    if principal.role == "anonymous":
        raise Rejected("unauthorized", "send a key or token as `Authorization: Bearer …`", 401)
    if "person" in allowed and principal.account_id is not None:
        return
    if "own" in allowed and principal.role == "customer":
        if customer_id is not None and customer_id == principal.customer_id:
            return
        raise NotFound(f"customer {customer_id}")
    raise Rejected("forbidden", "this key or account may not call this route", 403)
