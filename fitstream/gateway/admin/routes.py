"""The administrators' pages: which address shows what. One call adds all of them to the gateway."""

from aiohttp import web

from fitstream.gateway.admin import (
    account,
    audit,
    clients,
    customer,
    customers,
    dead_letters,
    device,
    devices,
    door,
    explore,
    forecast,
    jobs,
    keys,
    lists,
    model,
    models,
    overview,
    own,
    people,
    pipeline,
    upload_mapping,
    uploads,
    weeks,
)
from fitstream.gateway.admin.door import COOKIES, Handler, PageHandler, answered, form, page
from fitstream.gateway.admin.throughput import watch
from fitstream.gateway.keys import SETTINGS
from fitstream.gateway.view.cookies import make_cookies
from fitstream.gateway.view.templates import see, setup_templates

PREFIX = "admin:"

_PAGES: list[tuple[str, PageHandler, str]] = [
    ("", overview.show_overview, "overview"),
    ("/live", overview.show_live, "live"),
    ("/customers", customers.list_customers, "customers"),
    ("/customers/new", customers.show_register, "register"),
    ("/customers/import", lists.show_import, "import_list"),
    ("/customers/export", lists.export, "export"),
    ("/customers/{customer}", customer.show_customer, "customer"),
    ("/customers/{customer}/explore", explore.show_explore, "explore"),
    ("/customers/{customer}/weeks", weeks.list_weeks, "weeks"),
    ("/customers/{customer}/weeks/{week}", weeks.show_week, "week"),
    ("/customers/{customer}/weeks/{week}/versions/{version}/file", weeks.download, "file"),
    ("/customers/{customer}/forecast", forecast.show_forecast, "forecast"),
    ("/customers/{customer}/devices", devices.show_devices, "devices"),
    ("/customers/{customer}/devices/{device}", device.show_device, "device"),
    ("/customers/{customer}/account", account.show_account, "account"),
    ("/customers/{customer}/picture", account.show_picture, "picture"),
    ("/own", own.show_own, "own"),
    ("/own/second-factor", own.show_factor, "factor"),
    ("/own/second-factor/qr.svg", own.show_qr, "factor_qr"),
    ("/models", models.list_models, "models"),
    ("/models/runs/{run}", models.show_run, "run"),
    ("/models/{model}", model.show_model, "model"),
    ("/jobs", jobs.list_jobs, "jobs"),
    ("/jobs/{job}", jobs.show_job, "job"),
    ("/customers/{customer}/pipeline", pipeline.show_pipeline, "pipeline"),
    ("/customers/{customer}/uploads", uploads.list_uploads, "customer_uploads"),
    ("/uploads", uploads.list_uploads, "uploads"),
    ("/uploads/{upload}", uploads.show_upload, "upload"),
    ("/uploads/{upload}/mapping", upload_mapping.show_mapping, "upload_mapping"),
    ("/mappings/{mapping}", upload_mapping.show_kept, "mapping"),
    ("/dead-letters", dead_letters.list_letters, "letters"),
    ("/dead-letters/{letter}", dead_letters.show_letter, "letter"),
    ("/people", people.show_people, "people"),
    ("/keys", keys.show_keys, "keys"),
    ("/clients", clients.show_clients, "clients"),
    ("/audit", audit.show_audit, "audit"),
]
_FORMS: list[tuple[str, PageHandler, str]] = [
    ("/logout", door.log_out, "log_out"),
    ("/people", people.add_person, "add_person"),
    ("/people/{account}", people.change_person, "change_person"),
    ("/people/{account}/standing", people.set_standing, "person_standing"),
    ("/people/{account}/factor", people.remove_factor, "person_factor"),
    ("/keys", keys.add_key, "add_key"),
    ("/keys/{key}/end", keys.end_key, "end_key"),
    ("/clients", clients.add_client, "add_client"),
    ("/clients/{client}/standing", clients.set_standing, "client_standing"),
    ("/clients/{client}/secret", clients.renew_secret, "client_secret"),
    ("/customers/new", customers.register, "create_customer"),
    ("/customers/{customer}/weeks/{week}/roll", weeks.roll_week, "roll"),
    ("/customers/{customer}/devices", devices.add_device, "add_device"),
    ("/customers/{customer}/devices/{device}", device.change_device, "change_device"),
    ("/customers/{customer}/devices/{device}/key", device.rotate_key, "rotate_key"),
    ("/customers/{customer}/devices/{device}/remove", devices.remove_device, "remove_device"),
    ("/customers/{customer}/account/consents", account.set_consents, "consents"),
    ("/customers/{customer}/account/login", account.set_login, "set_login"),
    ("/customers/{customer}/account/standing", account.set_standing, "standing"),
    ("/customers/{customer}/account/invite", account.invite, "invite"),
    ("/customers/import", lists.take_list, "take_list"),
    ("/customers/registration", lists.set_registration, "registration"),
    ("/own/password", own.change_password, "own_password"),
    ("/own/second-factor", own.begin_factor, "begin_factor"),
    ("/own/second-factor/confirm", own.confirm_factor, "confirm_factor"),
    ("/own/second-factor/remove", own.remove_factor, "remove_factor"),
    ("/own/recovery-codes", own.renew_codes, "renew_codes"),
    ("/own/sessions/{session}/end", own.end_session, "own_session"),
    ("/own/everywhere", own.log_out_everywhere, "own_everywhere"),
    ("/uploads/{upload}/mapping", upload_mapping.map_upload, "map_upload"),
    ("/uploads/{upload}/{way}", uploads.act, "upload_act"),
    ("/models/train", models.train, "train"),
    ("/models/{model}/promote", model.promote, "promote"),
    ("/models/{model}/retire", model.retire, "retire"),
    ("/models/{model}/roll-back", model.roll_back, "roll_back"),
    ("/jobs/{job}/cancel", jobs.cancel_job, "cancel"),
    ("/jobs/{job}/retry", jobs.retry_job, "retry"),
    ("/dead-letters/{letter}/replay", dead_letters.replay, "letter_replay"),
    ("/dead-letters/{letter}/discard", dead_letters.discard, "letter_discard"),
]

# Their files are streamed, so they look at their token themselves, before the file.
_FILE_FORMS: list[tuple[str, PageHandler, str]] = [
    ("/uploads", uploads.receive, "create_upload"),
    ("/customers/{customer}/uploads", uploads.receive, "create_customer_upload"),
]


def add_pages(app: web.Application) -> None:
    """Adds pages, forms, assets, and what they need, to the gateway.

    Raises SettingsError when session cookies would travel in the clear.
    """
    app[COOKIES] = make_cookies(app[SETTINGS], "admin")
    setup_templates(app)
    app.cleanup_ctx.append(watch)
    _add(app, "GET", "/", _home, "home")
    _add(app, "GET", "/admin/login", answered(door.show_login), "login")
    _add(app, "POST", "/admin/login", answered(door.log_in), "log_in")
    _add(app, "POST", "/admin/login/code", answered(door.log_in_code), "log_in_code")
    for path, handler, name in _PAGES:
        _add(app, "GET", f"/admin{path}", page(handler), name)
    for path, handler, name in _FORMS:
        _add(app, "POST", f"/admin{path}", form(handler), name)
    for path, handler, name in _FILE_FORMS:
        _add(app, "POST", f"/admin{path}", page(handler), name)
    _add(app, "GET", "/admin/{rest:.*}", page(door.unknown), "unknown")


def _add(app: web.Application, method: str, path: str, handler: Handler, name: str) -> None:
    if method == "GET":
        app.router.add_get(path, handler, name=f"{PREFIX}{name}")  # and HEAD
    else:
        app.router.add_route(method, path, handler, name=f"{PREFIX}{name}")


async def _home(_: web.Request) -> web.StreamResponse:
    return see("/admin")
