"""Every template compiles, every page has a title, nothing is styled or scripted inline."""

import re
from pathlib import Path

import aiohttp_jinja2
import jinja2
import pytest
from aiohttp import web

from fitstream.gateway.view.templates import setup_templates, templates_dir

ROOT = templates_dir()
NAMES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.html"))
PARTS = {
    "base.html",
    "parts.html",
    "mapping_parts.html",
    "forecast_parts.html",
    "admin/access_parts.html",
    "admin/run_parts.html",
    "upload_parts.html",
    "pages/device_tabs.html",
    "pages/self_tabs.html",
}
FRAMES = {"admin/frame.html", "admin/customer_frame.html", "pages/frame.html", "pages/public.html"}
LIVE = {"admin/overview_live.html"}
PAGES = [name for name in NAMES if name not in PARTS | FRAMES | LIVE]


@pytest.fixture(scope="module")
def env() -> jinja2.Environment:
    app = web.Application()
    setup_templates(app)
    return aiohttp_jinja2.get_env(app)


def source(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("name", NAMES)
def test_every_template_compiles(name: str, env: jinja2.Environment) -> None:
    env.get_template(name)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_has_a_title(name: str, env: jinja2.Environment) -> None:
    own = source(name)
    inherited = "admin/customer_frame.html" in own
    assert inherited or re.search(r"{% block title %}.+{% endblock %}", own)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_inline_that_the_policy_forbids(name: str) -> None:
    text = source(name)
    assert not re.search(r"\sstyle=|\son\w+=|<style|javascript:|\|\s*safe\b", text)
    for tag in re.findall(r"<script[^>]*>", text):
        assert "src=" in tag or 'type="application/json"' in tag


@pytest.mark.parametrize("name", NAMES)
def test_every_form_that_changes_something_carries_its_token(name: str) -> None:
    for form in re.findall(r'<form[^>]*method="post".*?</form>', source(name), re.DOTALL):
        assert "parts.csrf()" in form


@pytest.mark.parametrize("name", NAMES)
def test_every_chart_data_is_escaped_for_a_script_element(name: str) -> None:
    for body in re.findall(r'type="application/json"[^>]*>(.*?)</script>', source(name)):
        assert body.endswith("|tojson }}")


def test_text_from_people_is_escaped(env: jinja2.Environment) -> None:
    page = env.from_string("{{ name }}").render(name="<script>alert(1)</script>")
    assert "<script" not in page


def test_a_name_that_no_context_has_is_an_error(env: jinja2.Environment) -> None:
    with pytest.raises(jinja2.UndefinedError):
        env.from_string("{{ nowhere }}").render()


def test_assets_have_the_mark_of_their_content(env: jinja2.Environment) -> None:
    assert re.fullmatch(
        r"/static/tokens\.css\?[0-9a-f]{12}",
        env.from_string("{{ asset('tokens.css') }}").render(),
    )


def test_stylesheets_name_colours_only_as_tokens() -> None:
    static = Path(__file__).parents[2] / "fitstream/gateway/static"
    tokens = (static / "tokens.css").read_text().partition("\n}\n")[2]
    for text in (tokens, (static / "parts.css").read_text()):
        assert not re.search(r"#[0-9a-fA-F]{3,6}\b", text)
