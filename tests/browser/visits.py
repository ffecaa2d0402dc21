"""Looking at a page as a person and as an auditor: console, policy, accessibility, width."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Response

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
# The cells of a grid are one picture with one label; thousands of them only cost time.
AUDIT = "axe.run({exclude: [['.cells rect'], ['.cells path']]})"
GRAVE = {"serious", "critical"}
PASSWORD = "walking-slowly-1"


class Look(NamedTuple):
    """Width of the window and colour scheme."""

    width: int
    scheme: str


DESKTOP = Look(1280, "light")
LOOKS = [
    pytest.param(DESKTOP, id="desktop-light"),
    pytest.param(Look(390, "dark"), id="phone-dark", marks=pytest.mark.slow),
    pytest.param(Look(390, "light"), id="phone-light", marks=pytest.mark.slow),
    pytest.param(Look(1280, "dark"), id="desktop-dark", marks=pytest.mark.slow),
]


@dataclass
class Visit:
    """A window, and what its console complained of since the last page."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    has_script: bool = True

    async def open(self, path: str) -> Response:
        """Goes there; what was complained of before is forgotten."""
        self.complaints.clear()
        response = await self.page.goto(self.base + path)
        assert response is not None
        return response

    async def log_in(self, path: str, email: str, password: str) -> None:
        """Fills in the form of login."""
        await self.open(path)
        await self.page.fill("#email", email)
        await self.page.fill("#password", password)
        await self.page.click("main form button")
        await self.page.wait_for_load_state()

    async def heading(self) -> str:
        """Text of the page's only first-level heading."""
        headings = await self.page.locator("h1").all_inner_texts()
        assert len(headings) == 1, headings
        return headings[0]

    async def check_sound(self) -> None:
        """No complaint, no sideways scrolling, nothing that keeps anybody out."""
        page = self.page
        await page.wait_for_load_state("load")
        assert self.complaints == []
        spare = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(spare) <= 0, "the page is wider than the window"
        if not self.has_script:
            return  # axe waits for timers, which do not run without JavaScript
        await page.evaluate(AXE)
        found: dict[str, Any] = await page.evaluate(AUDIT)
        grave = [
            (rule["id"], [node["html"] for node in rule["nodes"]])
            for rule in found["violations"]
            if rule["impact"] in GRAVE
        ]
        assert grave == []


@asynccontextmanager
async def visiting(
    browser: Browser, base: str, look: Look = DESKTOP, script: bool = True
) -> AsyncIterator[Visit]:
    """A window of its own, with or without JavaScript."""
    context: BrowserContext = await browser.new_context(
        viewport={"width": look.width, "height": 900},
        color_scheme=look.scheme,  # type: ignore[arg-type]  # "light" or "dark"
        java_script_enabled=script,
        accept_downloads=True,
    )
    try:
        page = await context.new_page()
        visit = Visit(page, base, has_script=script)
        page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                visit.complaints.append(message.text) if message.type == "error" else None
            ),
        )
        yield visit
    finally:
        await context.close()
