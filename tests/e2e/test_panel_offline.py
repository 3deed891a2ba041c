"""The panel's frame when Nexus is not there, in a real Chromium: what the service worker keeps, and what never."""

import os
import re
import shutil
import signal
import socket
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from omnitide.api.panel import Panel
from support.fabric_processes import Fabric, freeze, send, until
from support.panel_browser import INDEX, WITHIN_MS, chromium, visit

KEPT = """async () => {
    const found = {};
    for (const name of await caches.keys())
        found[name] = (await (await caches.open(name)).keys()).map((one) => new URL(one.url).pathname);
    return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # A context that puts up with a certificate takes no workers from there; a browser that does so takes them.
    with chromium("--ignore-certificate-errors", whole=True) as made:
        yield made


def controlled(page: Page) -> None:
    """The worker has been installed and is in charge of the page."""
    until(lambda: page.evaluate("navigator.serviceWorker.controller !== null"), "the worker is in charge")


def kept(page: Page) -> dict[str, list[str]]:
    return page.evaluate(KEPT)


def test_the_frame_is_there_without_nexus_and_says_when_it_was_seen(browser: Browser, shared: Fabric) -> None:
    with visit(browser, shared, worker=True) as made:
        page = made.page
        made.log_in()
        controlled(page)
        page.goto(f"{shared.url}/agents")
        made.until_live()
        (files,) = kept(page).values()
        assert "/" in files
        # What Nexus said, and the code of the link, are in no cache.
        assert not [one for one in files if one.startswith(("/v1", "/health"))]
        assert page.evaluate("caches.match('/?login=x').then((one) => one === undefined)")
        answer = page.request.get(f"{shared.url}/manifest.webmanifest")
        assert answer.headers["content-type"] == "application/manifest+json"
        assert {icon["sizes"] for icon in answer.json()["icons"]} >= {"192x192", "512x512"}
        for icon in answer.json()["icons"]:
            assert page.request.get(shared.url + icon["src"]).ok

        supervisor, nexus = shared.supervisor_pid(), shared.nexus_pid()
        freeze(supervisor)
        try:
            os.kill(nexus, signal.SIGKILL)
            page.goto(f"{shared.url}/nodes")
            expect(page.get_by_role("heading", name="Omnitide")).to_be_visible(timeout=WITHIN_MS)
            expect(page.locator(".notice")).to_contain_text("Nexus cannot be reached")
            expect(page.locator("main")).to_contain_text(re.compile(r"Last seen 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"))
            expect(page.get_by_role("table")).to_have_count(0)
            found = {theme: made.flaws() for theme in made.themes()}
            assert found == {"light": [], "dark": []}
        finally:
            send([supervisor], signal.SIGCONT)
        shared.new_nexus(nexus)
        # By itself, on the page that was asked for.
        made.until_live()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Nodes")
        assert not [told for told in made.console if "Policy" in told]


@pytest.fixture
def served(tmp_path: Path) -> Generator[tuple[str, Path]]:
    """The panel's files as Nexus serves them, from a folder that a test may change; below /v1 nothing answers."""
    folder = tmp_path / "static"
    shutil.copytree(INDEX.parent, folder)
    panel = Panel(folder)

    async def respond(request: Request) -> Response:
        return panel.respond(request) or Response("{}", 404)

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        app = Starlette(routes=[Route("/{path:path}", respond)])
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", folder
        finally:
            server.should_exit = True
            thread.join()


def test_a_newer_panel_takes_over_and_nothing_of_the_older_stays(browser: Browser, served: tuple[str, Path]) -> None:
    url, folder = served
    context = browser.new_context(service_workers="allow")
    context.set_default_timeout(WITHIN_MS)
    try:
        page = context.new_page()
        page.goto(url)
        expect(page.get_by_label("API token")).to_be_visible()
        controlled(page)
        (before,) = kept(page)

        # An upgrade: other files, another index, another worker.
        worker, index = folder / "sw.js", folder / INDEX.name
        entry = next((folder / "assets").glob("index-*.js"))
        entry.rename(entry.with_name("index-upgraded.js"))
        for path in (worker, index):
            for packed in folder.glob(f"{path.name}.*"):
                packed.unlink()
            text = path.read_text().replace(entry.name, "index-upgraded.js")
            path.write_text(re.sub(r'VERSION = "\w+"', 'VERSION = "0000000000000000"', text))

        # The page that is open goes on, and is told.
        page.get_by_label("API token").fill("typed")
        page.evaluate("navigator.serviceWorker.getRegistration().then((one) => one.update())")
        until(lambda: list(kept(page)) == ["omnitide-shell-0000000000000000"], "the new one has taken over")
        assert page.get_by_label("API token").input_value() == "typed"
        page.goto(f"{url}/nodes")
        expect(page.get_by_label("API token")).to_be_visible()
        assert page.evaluate("document.querySelector('script[type=module]').src").endswith("index-upgraded.js")
        (after,) = kept(page)
        assert after != before
    finally:
        context.close()


def test_a_file_that_cannot_be_kept_is_given_all_the_same(browser: Browser, served: tuple[str, Path]) -> None:
    url, folder = served
    context = browser.new_context(service_workers="allow")
    context.set_default_timeout(WITHIN_MS)
    try:
        page = context.new_page()
        page.goto(url)
        controlled(page)
        context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", {"origin": url, "quotaSize": 1})
        (files,) = kept(page).values()
        path = next(f"/assets/{one.name}" for one in (folder / "assets").glob("*.js") if one.name not in str(files))
        assert page.evaluate("path => fetch(path).then((answer) => answer.status)", path) == 200
        (after,) = kept(page).values()
        assert path not in after
    finally:
        context.close()
