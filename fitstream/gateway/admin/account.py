"""Account of a customer: profile, consents, standing, and the login for their own pages."""

import msgspec
from aiohttp import web

from fitstream.client.data import Customer
from fitstream.client.people import Profile
from fitstream.errors import Conflict, Rejected
from fitstream.gateway.admin import reads
from fitstream.gateway.admin.door import Viewer
from fitstream.gateway.api import customers as customer_views
from fitstream.gateway.api import invites
from fitstream.gateway.api import profile as profile_views
from fitstream.gateway.keys import REPO
from fitstream.gateway.recording import consents_changed, standing_changed
from fitstream.gateway.view.templates import html, see
from fitstream.gateway.view.words import capital, sentence_of
from fitstream.repo import customers, people

_SAID = {
    "consents": "The consents are stored.",
    "login": "The login is set. Sessions under an earlier password have ended.",
    "standing": "The standing is changed.",
    "invited": "An invitation is on its way. Its link works for some days.",
}
PURPOSES = ("training", "sharing")


class AccountPage(msgspec.Struct, frozen=True, kw_only=True):
    """The forms, and what the last one did."""

    customer: Customer
    tab: str
    profile: Profile
    has_login: bool
    said: str = ""
    error: str = ""
    email: str = ""


async def show_account(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Profile and forms."""
    customer = await reads.customer(request)
    said = _SAID.get(request.query.get("done", ""), "")
    return await _page(request, viewer, said=said, email=customer.email or "")


async def show_picture(request: web.Request, _: Viewer) -> web.StreamResponse:
    """The customer's picture."""
    return await profile_views.get_picture(request)


async def invite(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Mails the customer a link to choose a password."""
    try:
        await invites.invite(request)
    except Rejected as error:
        return await _page(request, viewer, 409, error=sentence_of(error))
    return _done(request, "invited")


async def set_consents(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Stores the consents as they were ticked."""
    posted = await request.post()
    given = {purpose: purpose in posted for purpose in PURPOSES}
    async with request.app[REPO].transaction() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        await consents_changed(db, request, customer, given)
        await customers.set_consents(db, customer.customer_no, given)
    return _done(request, "consents")


async def set_standing(request: web.Request, _: Viewer) -> web.StreamResponse:
    """Deactivates a customer, or lets them post again."""
    is_deactivated = (await request.post()).get("deactivated") == "1"
    async with request.app[REPO].transaction() as db:
        customer = await customers.get_customer(db, request.match_info["customer"])
        await standing_changed(db, request, customer, is_deactivated)
        await customers.set_deactivated(db, customer.customer_no, is_deactivated)
    return _done(request, "standing")


async def set_login(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Gives the customer a login or a new password, or shows the form again."""
    posted = await request.post()
    email, password = str(posted.get("email", "")).strip(), str(posted.get("password", ""))
    try:
        await _store_login(request, email, password)
    except (Rejected, Conflict) as error:
        text = sentence_of(error) if isinstance(error, Rejected) else capital(error.message)
        return await _page(request, viewer, 422, error=text, email=email)
    return _done(request, "login")


async def _page(
    request: web.Request, viewer: Viewer, status: int = 200, **more: str
) -> web.StreamResponse:
    """The page after a form too; a request that was read cannot be asked again."""
    async with request.app[REPO].connection() as db:
        found = await customers.get_customer(db, request.match_info["customer"])
        who = await people.get_candidate(db, found.customer_no)
        profile = await profile_views.profile_of(db, found)
    page = AccountPage(
        customer=msgspec.convert(customer_views.shown(found), Customer),
        tab="account",
        profile=profile,
        has_login=who.account_no is not None,
        **more,
    )
    return html(request, "admin/account.html", viewer.shell("customers"), page, status)


async def _store_login(request: web.Request, email: str, password: str) -> None:
    fields = {"email": email, "password": password}
    try:
        wanted = msgspec.convert(fields, customer_views.PutAccount)
    except msgspec.ValidationError as error:
        raise Rejected("invalid", "the e-mail address is not valid", 422) from error
    await customer_views.set_login(request, wanted)


def _done(request: web.Request, what: str) -> web.Response:
    return see(f"/admin/customers/{request.match_info['customer']}/account?done={what}")
