"""In which orders lists can be read. A column is here when people ask for it and an index, or the
smallness of its list, answers it; see `paging.py` for how."""

from datetime import datetime

from fitstream.repo.paging import Column, Sorts

_CREATED_AT = Column("created_at", datetime, "created_at")
_NAME = Column("name", str, "name", is_text=True)

# Numbers are given out as rows are made: they are the order of `created_at`, and never the same.
CUSTOMERS = Sorts(
    "customer_no", int, "created_at",
    (
        Column("created_at", int, "customer_no"),
        Column("name", str, "name", may_lack=True, is_text=True, is_personal=True),
        Column("external_id", str, "external_id", may_lack=True, is_text=True, is_personal=True),
        Column("email", str, "email", may_lack=True, is_text=True, is_personal=True),
        Column("last_contact_at", datetime, "last_contact_at", may_lack=True),
    ),
)  # fmt: skip
STAFF = Sorts(
    "account_no", int, "created_at",
    (
        Column("created_at", int, "account_no"),
        Column("email", str, "email", is_text=True, is_personal=True),
        Column("role", str, "role"),
    ),
)  # fmt: skip
KEYS = Sorts(
    "id", str, "created_at",
    (_CREATED_AT, _NAME, Column("expires_at", datetime, "expires_at", may_lack=True)),
)  # fmt: skip
CLIENTS = Sorts("client_no", int, "created_at", (Column("created_at", int, "client_no"), _NAME))
DEVICES = Sorts(
    "id", str, "priority",
    (
        Column("priority", int, "priority"),
        Column("name", str, "name", is_text=True, is_personal=True),
        Column("kind", str, "kind"),
        _CREATED_AT,
        Column("last_contact_at", datetime, "last_contact_at", may_lack=True),
    ),
)  # fmt: skip
UPLOADS = Sorts("id", str, "-created_at", (_CREATED_AT, _NAME, Column("size", int, "size")))
JOBS = Sorts(
    "id", str, "-created_at",
    (
        _CREATED_AT,
        Column("done_at", datetime, "done_at", may_lack=True),
        Column("kind", str, "kind"),
    ),
)  # fmt: skip
RUNS = Sorts(
    "id", str, "-created_at",
    (
        _CREATED_AT,
        Column("done_at", datetime, "done_at", may_lack=True),
        Column("customers", int, "customers"),
    ),
)  # fmt: skip
MODELS = Sorts(
    "id", str, "-created_at",
    (_CREATED_AT, Column("kind", str, "kind"), Column("stage", str, "stage")),
)  # fmt: skip
LETTERS = Sorts(
    "id", int, "-parked_at",
    (
        Column("parked_at", int, "id"),
        Column("reason", str, "reason"),
        Column("settled_at", datetime, "settled_at", may_lack=True),
    ),
)  # fmt: skip
AUDIT = Sorts(
    "audit_no", int, "-at", (Column("at", int, "audit_no"), Column("action", str, "action"))
)
LISTS = {
    "customers": CUSTOMERS,
    "staff": STAFF,
    "keys": KEYS,
    "clients": CLIENTS,
    "devices": DEVICES,
    "uploads": UPLOADS,
    "jobs": JOBS,
    "runs": RUNS,
    "models": MODELS,
    "letters": LETTERS,
    "audit": AUDIT,
}
