"""Query and path parameters by name, as the OpenAPI document describes them."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from fitstream.client.operations import JOB_KINDS, JOB_STATES
from fitstream.errors import Rejected
from fitstream.repo.paging import Sorts
from fitstream.repo.sorts import LISTS

Schema = dict[str, Any]
_SHOWN = 64  # letters of a name that nobody knows


class Parameter(NamedTuple):
    """`name` as the caller writes it; `QUERY` may know one name with several meanings."""

    name: str
    description: str
    schema: Schema
    is_required: bool = False
    code: str = "bad_filter"
    """Of the refusal of a value that is not one of the schema's."""


def _text(name: str, description: str, **schema: Any) -> Parameter:
    return Parameter(name, description, {"type": "string", **schema})


def _time(name: str, description: str) -> Parameter:
    return _text(name, description, format="date-time")


def _day(name: str, description: str) -> Parameter:
    return _text(name, description, format="date")


def _one_of(name: str, description: str, *values: str) -> Parameter:
    return _text(name, description, enum=list(values))


def _flag(name: str, description: str) -> Parameter:
    return _one_of(name, description, "0", "1")


def _sort(sorts: Sorts) -> Parameter:
    text = (
        f"In which order, `{sorts.default}` by default; `-` is falling. What lacks it comes last."
    )
    return _one_of("sort", text, *sorts.names())


QUERY: dict[str, Parameter] = {
    "after": _text("after", "The cursor `next` of the page before."),
    "limit": Parameter(
        "limit",
        "Entries per page.",
        {"type": "integer", "minimum": 1, "maximum": 500, "default": 50},
    ),
    "days_limit": Parameter(
        "limit",
        "Days per page.",
        {"type": "integer", "minimum": 1, "maximum": 400, "default": 400},
    ),
    "search": _text("search", "How a name, e-mail or external id begins; or a whole id."),
    "staff_search": _text("search", "How an e-mail begins; or a whole id."),
    "named_search": _text("search", "How a name begins; or a whole id."),
    **{f"{name}_sort": _sort(sorts) for name, sorts in LISTS.items()},
    "customer_filter": _one_of(
        "filter", "Only such customers.", "silent", "incomplete", "no_forecast"
    ),
    "from": _time("from", "First instant, with its zone."),
    "to": _time("to", "The instant before which it ends, with its zone."),
    "from_day": _day("from", "First local day."),
    "to_day": _day("to", "Last local day, included."),
    "day": _day("day", "A local day; today by default."),
    "device": _text("device", "Only this device."),
    "combined": _flag("combined", "1 gives one entry per slot over all devices."),
    "missing": _flag("missing", "1 adds the slots of this week that the ledger lacks."),
    "target": _one_of(
        "target",
        "What is forecast; `steps` by default.",
        "steps",
        "calories_kcal",
        "heart_rate_bpm",
    )._replace(code="bad_target"),
    "target_only": _one_of(
        "target", "Only of this target.", "steps", "calories_kcal", "heart_rate_bpm"
    )._replace(code="bad_target"),
    "horizon": _one_of(
        "horizon",
        "How far it looks: the next 96 slots (default), the next 672, or the rest of today.",
        "96",
        "672",
        "today",
    )._replace(code="bad_horizon"),
    "model_scope": _one_of(
        "scope", "Everybody's models, or single customers'.", "cohort", "customer"
    ),
    "model": _text("model", "Only of this model."),
    "days": Parameter(
        "days",
        "How many days back.",
        {"type": "integer", "minimum": 1, "maximum": 400, "default": 28},
    ),
    "job_kind": _one_of("kind", "Only of this kind.", *JOB_KINDS),
    "reason": _text("reason", "Only with this reason."),
    "job_state": _one_of("state", "Only of this state.", *JOB_STATES),
    "letter_state": _one_of(
        "state", "Only of this state.", "parked", "replayed", "discarded"
    ),
    "programme": _text("programme", "Only of this programme."),
    "upload_name": _text("name", "Name of the file.", maxLength=256),
    "upload_format": _one_of(
        "format", "What the file is; found out by default.",
        "csv", "ndjson", "parquet", "legacy_daily",
    ),
    "upload_priority": Parameter(
        "priority",
        "Where devices overlap the smaller one wins; by default the file wins over none.",
        {"type": "integer", "minimum": 0, "maximum": 1000, "default": 1000},
    ),
    "mapping": _text("mapping", "Name of a kept mapping."),
    "mapping_version": Parameter(
        "version", "Version of the mapping, the newest by default.",
        {"type": "integer", "minimum": 0, "maximum": 2147483647},
    ),
    "upload_state": _one_of(
        "state", "Only of this state.",
        "checking", "unmapped", "checked", "ingesting", "ingested", "undoing", "undone", "deleted",
        "failed", "cancelled",
    ),
    "upload_search": _text("search", "Part of the name of a file."),
    "upload_customer": _text("customer", "Only those with rows of this customer."),
    "outcome": _text(
        "outcome",
        "Only rows with one of these outcomes, with commas: new, adds, supersedes, same, loses, "
        "conflict, rejected.",
    ),
    "batch": _text("batch", "The id of a post, from its receipt."),
    "trace_customer": _text("customer", "Whose slot."),
    "trace_slot": _time("slot", "An instant in the slot, with its zone."),
    "dry_run": _flag("dry_run", "1 only says what would happen."),
    "invite": _flag("invite", "1 mails an invitation to every new customer with an address."),
    "action": _text("action", "Only entries of this action, like `staff.created`."),
    "audit_customer": _text("customer", "Only entries about this customer."),
    "user_code": _text("user_code", "What the device shows.", minLength=8, maxLength=16),
    "zone": _text("zone", "Home zone of rows that name none; UTC by default."),
    "device_id": _text("device_id", "CSV only: the device of the key."),
    "sent_at": _time("sent_at", "CSV only: the device's clock."),
    "complete_through": _time("complete_through", "CSV only: everything before has been sent."),
    "app_version": _text("app_version", "CSV only: version of the app."),
}  # fmt: skip

_PATH = {
    "customer": "Id of the customer.",
    "device": "Id of the device.",
    "week": "Name of the week, like `2026-W47`.",
    "version": "Number of the version.",
    "forecast": "Id of the forecast.",
    "run": "Id of the run, or of the job that prepares it.",
    "model": "Id of the model.",
    "job": "Id of the job.",
    "letter": "Number of the dead letter.",
    "programme": "Id of the programme.",
    "account": "Id of the account.",
    "session": "Id of the session.",
    "upload": "Id of the upload.",
    "mapping": "Name of the mapping.",
    "client": "Id of the OAuth client.",
    "key": "Public id of the key.",
    "grant": "Id of the grant.",
}


def check_names(query: Collection[str], names: Iterable[str]) -> None:
    """Raises Rejected(bad_filter) for a parameter that is none of `names`, or that comes twice."""
    if not query:
        return
    known = list(dict.fromkeys(QUERY[name].name for name in names))
    for name in sorted(set(query).difference(known)):
        taken = f"it takes {', '.join(known)}" if known else "it takes none"
        raise Rejected("bad_filter", f"this route has no parameter `{name[:_SHOWN]}`; {taken}")
    for name in known:
        if list(query).count(name) > 1:
            raise Rejected("bad_filter", f"`{name}` is given more than once")


def check(query: Mapping[str, str], names: Iterable[str]) -> None:
    """Raises Rejected where a parameter has a value that is none of those it can have.

    One that is there without a value counts as left out.
    """
    for parameter in (QUERY[name] for name in names):
        choices, given = parameter.schema.get("enum"), query.get(parameter.name)
        if choices and given and given not in choices:
            raise unknown(parameter.name, choices, parameter.code)


def unknown(name: str, choices: Iterable[str], code: str = "bad_filter") -> Rejected:
    """The refusal of a value, with those that are taken."""
    return Rejected(code, f"`{name}` is one of {', '.join(choices)}")


def in_path(name: str) -> Parameter:
    """The parameter `{name}` of a path."""
    schema: Schema = {"type": "string", "minLength": 1}
    return Parameter(name, _PATH.get(name, f"The {name.replace('_', ' ')}."), schema, True)
