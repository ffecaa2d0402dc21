"""Who may call which route. A route without an entry here is refused, and a test fails.

An entry names roles, and the scope that a program's key or an OAuth token needs; without a scope
it is closed to both. `own` means: the caller's own customer, as named by `{customer}` in the path;
`person` anybody who has an account; `client` an OAuth client, which the route itself authenticates.
Which programmes a caller sees is decided in `scoping.py`.
"""

from typing import Literal, NamedTuple, get_args

from fitstream.errors import NotFound, Rejected
from fitstream.gateway.principal import Principal

Who = Literal[
    "anyone", "client", "device", "admin", "analyst", "support", "customer", "program", "own",
    "person",
]  # fmt: skip
Scope = Literal[
    "profile", "customers:read", "customers:write", "data:read", "data:write", "devices:write",
    "models:read", "models:write", "operations:read", "operations:write",
]  # fmt: skip
SCOPES: tuple[Scope, ...] = get_args(Scope)


class Rule(NamedTuple):
    """Who may call a route, and with which scope where the credential has scopes."""

    who: frozenset[Who]
    scope: Scope | None = None


POLICY: dict[str, Rule] = {}
_STAFF: set[Who] = {"admin", "analyst", "support"}


def _allow(who: set[Who], *names: str, scope: Scope | None = None) -> None:
    programs: set[Who] = {"program"} if scope and who & _STAFF else set()
    POLICY.update(dict.fromkeys(names, Rule(frozenset(who | programs), scope)))


_allow({"anyone"}, "receipt_keys", "time", "healthz", "readyz", "metrics", "login", "static")
_allow({"anyone"}, "openapi", "docs")
_allow({"anyone"}, "admin:home", "admin:login", "admin:log_in")
_allow({"anyone"}, "oauth_metadata", "oauth_authorize")
_allow({"client"}, "oauth_token", "oauth_revoke", "oauth_introspect", "oauth_device")
_allow({"device"}, "post_samples", "rotate_own_key")
_allow(
    {"customer"}, "oauth_decide", "oauth_show_device", "oauth_decide_device", "grants", "grant",
    "withdraw_grant",
)  # fmt: skip
_allow({"person"}, "logout", "sessions", "session", "end_session", "end_other_sessions")
_allow({"person"}, "me", scope="profile")

# Accounts: nobody but their owner, by session
_allow(
    {"anyone"}, "registration", "register", "show_link", "verify", "ask_reset", "reset", "accept",
    "second_factor_login", "dev_mail", "dev_mail_one",
)  # fmt: skip
_allow(
    _STAFF, "admin:own", "admin:factor", "admin:factor_qr", "admin:begin_factor",
    "admin:confirm_factor", "admin:remove_factor", "admin:renew_codes", "admin:own_password",
    "admin:own_session", "admin:own_everywhere",
)  # fmt: skip
_allow({"anyone"}, "admin:log_in_code")
_allow({"admin", "support"}, "admin:invite")
_allow({"admin"}, "admin:import_list", "admin:take_list", "admin:export", "admin:registration")
_allow({"admin", "support"}, "admin:account", "admin:picture")
_allow({"person"}, "change_password", "change_email", "log_out_everywhere")
_allow(
    _STAFF, "second_factor", "begin_second_factor", "confirm_second_factor",
    "remove_second_factor", "renew_recovery_codes",
)  # fmt: skip
_allow({"admin", "own"}, "put_profile", "put_picture", "delete_picture")
_allow({"admin", "support", "own"}, "profile", "picture")
_allow({"admin", "support"}, "invite")
_allow({"admin"}, "import_customers", "export_customers", "patch_programme", "take_second_factor")

# Customers and their data
_allow(
    _STAFF | {"own"}, "get_customer", "list_devices", "get_device", scope="customers:read"
)  # fmt: skip
_allow(_STAFF, "programmes", "programme", "list_customers", scope="customers:read")
_allow({"admin"}, "create_programme", "create_customer", "patch_customer", scope="customers:write")
_allow({"admin"}, "put_account")
_allow(
    {"admin", "support", "own"}, "create_device", "patch_device", "delete_device",
    "create_device_key", scope="devices:write",
)  # fmt: skip
_allow({"anyone"}, "pair_start", "pair_poll", "pair_redeem")
_allow({"customer"}, "pair_offer", "pair_look", "pair_decide")
_allow(
    _STAFF | {"own"}, "samples", "days", "daily_summaries", "hours", "weeks", "week", "week_slots",
    "week_file", "forecast_latest", "forecast_explained", "forecasts", "past_forecast",
    "past_forecast_explained",
    scope="data:read",
)  # fmt: skip

# Uploads: of one customer its own, of many those who may see persons' data
_allow(
    {"admin", "support", "own"}, "customer_uploads", "customer_upload", "customer_upload_rows",
    "customer_upload_preview", "customer_mappings", scope="data:read",
)  # fmt: skip
_allow(
    {"admin", "own"}, "create_customer_upload", "delete_customer_upload", "customer_upload_check",
    "customer_upload_ingest", "customer_upload_undo", "customer_upload_cancel", scope="data:write",
)  # fmt: skip
_allow(
    {"admin", "support"}, "uploads", "upload", "upload_rows", "upload_preview", "mappings",
    "mapping", scope="data:read",
)  # fmt: skip
_allow(
    {"admin"}, "create_upload", "delete_upload", "upload_check", "upload_ingest", "upload_undo",
    "upload_cancel", "save_mapping", scope="data:write",
)  # fmt: skip

# Models and operations
_allow(_STAFF, "runs", "run", "models", "model", "model_card", scope="models:read")
_allow(_STAFF, "forecast_scores", scope="models:read")
_allow({"admin", "analyst"}, "create_run", "make_forecasts", scope="models:write")
_allow({"admin"}, "promote_model", "retire_model", "roll_back_model", scope="models:write")
_allow(_STAFF, "jobs", "job", "pipeline", scope="operations:read")
_allow({"admin", "support"}, "letters", "letter", "trace", scope="operations:read")
_allow(
    {"admin"}, "roll_week", "job_cancel", "job_retry", "letter_replay", "letter_discard",
    scope="operations:write",
)  # fmt: skip

# Who may what: people only, no program
_allow(
    {"admin"}, "create_staff", "staff", "staff_member", "patch_staff", "create_key", "keys",
    "key", "revoke_key", "create_client", "clients", "client", "patch_client", "new_client_secret",
    "audit",
)  # fmt: skip

# The predecessor's clients
_allow({"anyone"}, "legacy_login", "legacy_register", "legacy_verify", "legacy_reset")
_allow(
    {"customer"}, "legacy_logout", "legacy_user_info", "legacy_change_user_info", "legacy_status",
)  # fmt: skip
_allow({"customer", "device"}, "legacy_put_object")

# Administrators' pages, which a session's cookie opens: by the name of the page
_allow(
    _STAFF, "admin:overview", "admin:live", "admin:customers", "admin:customer", "admin:explore",
    "admin:weeks", "admin:week", "admin:file", "admin:forecast", "admin:devices", "admin:device",
    "admin:models", "admin:model", "admin:run", "admin:jobs", "admin:job", "admin:log_out",
    "admin:unknown",
)  # fmt: skip
_allow(
    {"admin", "support"}, "admin:letters", "admin:letter", "admin:add_device",
    "admin:remove_device", "admin:change_device", "admin:rotate_key",
)  # fmt: skip
_allow(
    {"admin", "support"}, "admin:uploads", "admin:customer_uploads", "admin:upload",
    "admin:upload_mapping", "admin:mapping",
)  # fmt: skip
_allow(
    {"admin"}, "admin:create_upload", "admin:create_customer_upload", "admin:map_upload",
    "admin:upload_act",
)  # fmt: skip
_allow(_STAFF, "admin:pipeline")
_allow({"admin", "analyst"}, "admin:train")
_allow({"admin"}, "admin:promote", "admin:retire", "admin:roll_back")
_allow(
    {"admin"}, "admin:register", "admin:create_customer", "admin:consents",
    "admin:keys", "admin:add_key", "admin:end_key", "admin:clients", "admin:add_client",
    "admin:client_standing", "admin:client_secret", "admin:audit",
    "admin:people", "admin:add_person", "admin:change_person", "admin:person_standing",
    "admin:person_factor",
    "admin:set_login", "admin:standing", "admin:roll", "admin:cancel", "admin:retry",
    "admin:letter_replay", "admin:letter_discard",
)  # fmt: skip


def check(name: str, principal: Principal, customer_id: str | None) -> None:
    """Lets the call pass, or raises Rejected(401/403) or NotFound for another's customer."""
    rule = POLICY.get(name)
    if rule is None:
        raise Rejected("forbidden", "this route is open to nobody", 403)
    if rule.who & {"anyone", "client"}:
        return
    if principal.role == "anonymous":
        raise Rejected("unauthorized", "send a key or token as `Authorization: Bearer …`", 401)
    if not _is_named(rule, principal):
        raise Rejected("forbidden", "this key or account may not call this route", 403)
    if principal.scopes is not None and rule.scope not in principal.scopes:
        text = f"this credential needs the scope {rule.scope}" if rule.scope else _NO_PROGRAMS
        raise Rejected("insufficient_scope", text, 403)
    is_own = customer_id is not None and customer_id == principal.customer_id
    if principal.role == "customer" and "own" in rule.who and not is_own:
        raise NotFound(f"customer {customer_id}")


_NO_PROGRAMS = "this route is open to people who are logged in, not to programs"


def _is_named(rule: Rule, principal: Principal) -> bool:
    if principal.role in rule.who:
        return True
    if "person" in rule.who and principal.account_id is not None:
        return True
    return "own" in rule.who and principal.role == "customer"


def authenticates_itself(name: str) -> bool:
    """Whether a route reads the credential in its own way."""
    return name in POLICY and "client" in POLICY[name].who


def may(name: str, principal: Principal) -> bool:
    """Whether a role may call a route at all: what a page need not offer."""
    rule = POLICY.get(name)
    return rule is not None and _is_named(rule, principal)


def allowed(prefix: str, principal: Principal) -> frozenset[str]:
    """Routes of a prefix that a role may call, without it: what its pages may offer."""
    return frozenset(
        name.removeprefix(prefix)
        for name, rule in POLICY.items()
        if name.startswith(prefix) and _may_call(rule, principal)
    )


def _may_call(rule: Rule, principal: Principal) -> bool:
    return bool(rule.who & {"anyone"}) or _is_named(rule, principal)
