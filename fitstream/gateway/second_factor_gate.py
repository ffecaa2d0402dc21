"""Where second factors are required: staff without one may set it up, and nothing else."""

from aiohttp import web

from fitstream.errors import Rejected
from fitstream.gateway.keys import REPO, SETTINGS
from fitstream.gateway.principal import Principal
from fitstream.repo import factors

MISSING = "second_factor_missing"
OPEN = frozenset(
    {
        "second_factor", "begin_second_factor", "confirm_second_factor", "me", "logout",
        "change_password", "log_out_everywhere", "admin:own", "admin:factor", "admin:factor_qr",
        "admin:begin_factor", "admin:confirm_factor", "admin:log_out", "admin:own_password",
    }
)  # fmt: skip


async def check(request: web.Request, name: str, principal: Principal) -> None:
    """Raises Rejected(second_factor_missing). Keys have none: they are random, and no person."""
    is_person = principal.is_staff and not principal.key_id and principal.account_no is not None
    if not is_person or name in OPEN or not request.app[SETTINGS].second_factor_required:
        return
    async with request.app[REPO].connection() as db:
        found = await factors.find(db, principal.account_no or 0)
    if found is None or found.confirmed_at is None:
        raise Rejected(MISSING, "set up the second factor of your account first", 403)
