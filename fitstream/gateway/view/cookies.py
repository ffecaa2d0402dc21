"""Session cookies and the guard of forms: names, flags and tokens of 5-security."""

from typing import NamedTuple

from aiohttp import web

from fitstream import csrf
from fitstream.gateway.posted import read_form
from fitstream.settings import Settings, SettingsError

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Cookies(NamedTuple):
    """Names of one kind of page's cookies, and what signs their forms."""

    session: str
    visitor: str
    is_secure: bool
    secret_keys: tuple[str, ...]
    form_s: float
    """How long a form may be on its way."""

    def form_token(self, seed: str) -> str:
        """The token of the forms of a session, or of a visitor before login."""
        return csrf.token(self.secret_keys[0], seed)

    def visitor_of(self, request: web.Request) -> str:
        """The signed cookie that guards the login form, a new one unless there is one."""
        known = request.cookies.get(self.visitor, "")
        is_ours = csrf.is_visitor(self.secret_keys, known)
        return known if is_ours else csrf.new_visitor(self.secret_keys[0])

    async def check_form(
        self, request: web.Request, is_login: bool = False, patience_s: float = 0.0
    ) -> dict[str, str]:
        """The form's fields. Raises Rejected(cross_site), Rejected(stale_form), and what
        `read_form` says."""
        csrf.check_origin(request.headers)
        posted = await read_form(request, patience_s or self.form_s)
        fields = {name: value for name, value in posted.items() if _is_text(value)}
        given = str(fields.pop(csrf.FIELD, ""))
        seed = request.cookies.get(self.visitor if is_login else self.session, "")
        is_ours = bool(seed) and (not is_login or csrf.is_visitor(self.secret_keys, seed))
        csrf.check_token(self.secret_keys, seed, given if is_ours else "")
        return {name: str(value) for name, value in fields.items()}

    def set_session(self, response: web.Response, token: str, max_age_s: float) -> None:
        """Keeps the session's token where no script can read it."""
        self._set(response, self.session, token, int(max_age_s))
        self._set(response, self.visitor, "", 0)

    def set_visitor(self, response: web.Response, value: str) -> None:
        """Keeps the signed cookie that guards the login form."""
        self._set(response, self.visitor, value, None)

    def end(self, response: web.Response) -> None:
        """Forgets the session."""
        self._set(response, self.session, "", 0)

    def _set(self, response: web.Response, name: str, value: str, max_age: int | None) -> None:
        response.set_cookie(
            name,
            value,
            max_age=max_age,
            path="/",
            secure=self.is_secure,
            httponly=True,
            samesite="Lax",
        )


def make_cookies(settings: Settings, name: str) -> Cookies:
    """Cookies `__Host-fs_<name>`; without prefix and Secure on loopback only.

    Raises SettingsError for another address without an https `public_url`.
    """
    is_secure = settings.public_url.startswith("https://")
    if not is_secure and settings.host not in LOOPBACK:
        raise SettingsError(
            f"FITSTREAM_PUBLIC_URL must be an https address when listening on {settings.host}: "
            "session cookies are not sent in the clear"
        )
    prefix = "__Host-" if is_secure else ""
    keys = tuple(key for key in (settings.secret_key, settings.secret_key_old) if key)
    session = f"{prefix}fs_{name}"
    return Cookies(session, f"{session}_visitor", is_secure, keys, settings.body_timeout_s)


def _is_text(value: object) -> bool:
    return isinstance(value, str)
