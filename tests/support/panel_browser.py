"""A real Chromium, Debian's own, and the panel in it, with all that went wrong noted."""

import contextlib
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    Route,
    expect,
    sync_playwright,
)

from support.fabric_processes import Fabric, until

ROOT = Path(__file__).parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
INDEX = ROOT / "src" / "omnitide" / "api" / "static" / "index.html"
PAGES = ("map", "overview", "nodes", "agents", "instances", "settings", "no/such/page")
WITHIN_MS = 30_000
expect.set_options(timeout=WITHIN_MS)
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")

BY_COLOUR: dict[str, object] = {
    "runOnly": {"type": "tag", "values": ["cat.color"]},
    "rules": {"color-contrast-enhanced": {"enabled": False}},  # AAA
}


def answer_otherwise(route: Route, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """What Nexus answers, changed. Whoever asked may have gone on to another page meanwhile, and takes no answer."""
    with contextlib.suppress(Error):
        answer = route.fetch()
        route.fulfill(response=answer, json=change(answer.json()))


def needs(there: bool, what: str) -> None:
    if not there:
        pytest.skip(what) if not os.environ.get("CI") else pytest.fail(what)


@contextlib.contextmanager
def chromium(*more: str, whole: bool = False) -> Generator[Browser]:
    """`more`: of its flags. `whole`: the program that people have, with its profiles and its way of drawing letters.

    Otherwise it is the same engine without a window around it, where Debian's package of it is installed: half the
    processor time for each page.
    """
    path = (not whole and shutil.which("chromium-headless-shell")) or shutil.which("chromium")
    needs(path is not None, "needs Debian's chromium")
    needs(INDEX.exists() and AXE.exists(), "needs the panel: make web")
    # As root Chromium has no sandbox of its own, and CI is root; /dev/shm may be small in a container.
    # Without a graphics card WebGL is drawn by SwiftShader, which has to be asked for.
    flags = [
        "--disable-dev-shm-usage",
        "--enable-unsafe-swiftshader",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        *more,
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """One browser profile that looks at one fabric."""

    page: Page
    fabric: Fabric
    url: str
    console: list[str] = field(default_factory=list)
    """Errors, each with the address that it is about, and what the policy kept from running."""
    hosts: set[str] = field(default_factory=set)
    """All that anything was asked of."""

    def open(self, path: str) -> None:
        self.page.goto(f"{self.url}/{path}", wait_until="domcontentloaded")

    def until(self, condition: Callable[[], object], what: str) -> None:
        """As `fabric_processes.until`, for what the page's events bring: they are told only while Playwright works."""
        until(lambda: self.page.wait_for_timeout(0) or condition(), what)

    def log_in(self) -> None:
        """By a link of its own; then the page shows what is."""
        self.page.goto(login_link(self.fabric).replace(self.fabric.url, self.url, 1))
        self.until_live()

    def until_live(self) -> None:
        expect(self.page.locator(".link-state")).to_contain_text("Live", timeout=WITHIN_MS)
        expect(self.page.locator(".banner")).to_have_count(0)

    def show(self, name: str, *, width: int = 1280) -> None:
        """A page, with data, as the fabric has it."""
        self.page.set_viewport_size({"width": width, "height": 800})
        self.page.emulate_media(reduced_motion="reduce")
        self.open(name)
        expect(self.page.get_by_role("heading", level=1)).to_be_visible(timeout=WITHIN_MS)
        # Its name is there before its script is.
        expect(self.page.locator(".page-head[aria-busy]")).to_have_count(0, timeout=WITHIN_MS)
        # Narrow pages have no room for it.
        expect(self.page.locator(".link-state")).to_contain_text("revision", timeout=WITHIN_MS, use_inner_text=False)

    def themes(self) -> Iterator[str]:
        """In each of them, one after the other."""
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            yield scheme

    def flaws(self) -> list[str]:
        """What axe finds."""
        return self._ask_axe({"runOnly": {"type": "tag", "values": list(RULES)}})

    def flaws_in_both_themes(self, name: str = "") -> dict[str, list[str]]:
        """By name and theme. They differ in colours alone: in the second, by the rules that these decide."""
        return {
            f"{name} {theme}".lstrip(): self.flaws() if theme == "light" else self._ask_axe(BY_COLOUR)
            for theme in self.themes()
        }

    def _ask_axe(self, options: dict[str, object]) -> list[str]:
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE.read_text())
        options = {**options, "resultTypes": ["violations"]}
        found = self.page.evaluate("async (options) => (await axe.run(document, options)).violations", options)
        return [
            f"{one['id']}: {node['target']} {node.get('failureSummary', '')}" for one in found for node in one["nodes"]
        ]

    def runs_out_of_the_window(self) -> bool:
        return bool(
            self.page.evaluate(
                """() => { const { scrollWidth, scrollHeight } = document.documentElement;
                return scrollWidth > innerWidth || scrollHeight > innerHeight }"""
            )
        )


@contextlib.contextmanager
def visit(browser: Browser, fabric: Fabric, *, worker: bool = False, host: str = "") -> Generator[Visit]:
    """A profile of its own, with nothing kept. The fabric's CA is its own, which browsers have to be told to trust.

    `worker`: with the panel's service worker, which most tests have no business with: they look at what Nexus answers.
    `host`: by which Nexus is reached, instead of its address; the browser has to know it.
    """
    context: BrowserContext = browser.new_context(
        ignore_https_errors=True, service_workers="allow" if worker else "block"
    )
    context.set_default_timeout(WITHIN_MS)
    address = urlsplit(fabric.url)
    made = Visit(context.new_page(), fabric, f"https://{host}:{address.port}" if host else fabric.url)

    def asked(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob", "about"):
            made.hosts.add(parts.netloc)

    def told(message: ConsoleMessage) -> None:
        if message.type == "error":
            made.console.append(f"{message.text} {message.location['url']}".rstrip())

    made.page.on("console", told)
    made.page.on("pageerror", lambda error: made.console.append(str(error)))
    made.page.on("request", asked)
    made.page.on("websocket", lambda socket: made.hosts.add(urlsplit(socket.url).netloc))
    try:
        yield made
        assert made.hosts <= {urlsplit(made.url).netloc}, "something was asked of another host"
    finally:
        context.close()


def login_link(fabric: Fabric, ttl: str = "10m") -> str:
    """As `omnitide panel` prints it."""
    return f"{fabric.url}/?login={fabric.client.create_token('login', ttl=ttl).text}"
