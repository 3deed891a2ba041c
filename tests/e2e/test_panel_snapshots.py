"""Every page of the panel looks as it did when its picture was made, at three widths, in a real Chromium.

The fabric is one that stands still (support.still_fabric), under a fixed clock, zone and address. After a change that
was meant `make snapshots` makes the pictures anew, for whoever looks at them before they are committed.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from support.panel_browser import WITHIN_MS, chromium
from support.snapshots import compare, keep, kept_as
from support.still_fabric import NOW_MS, Still, still_fabric

ROOT = Path(__file__).parents[2]
PICTURES = Path(__file__).parent / "snapshots"
FAILED = ROOT / ".pytest_cache" / "snapshots"
"""What a page looked like that differs, beside its picture and with the difference marked."""
WIDTHS = {360: 780, 1024: 768, 1920: 1080}
"""With the height of the window: a phone, a small laptop, a large screen."""
HOST = "nexus.example"
"""So that no port is in any picture."""
SETTLED_S = 15.0
MOST_BYTES = 1_500_000
"""Of all pictures."""
MOST_SCRIPT = 300_000


@dataclass(frozen=True)
class Shown:
    """A page, and what has to be on it before it is looked at."""

    path: str
    there: str = "h1"
    """A selector."""
    then: Callable[[Page], None] | None = None
    """Done on it first."""
    dark: bool = False
    """Also in the dark theme, at the middle width."""
    widths: tuple[int, ...] = tuple(WIDTHS)
    anew: bool = False
    """Opened at each width: it does not look the same when a window becomes narrow as in one that is."""


def palette(page: Page) -> None:
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox")).to_be_focused()
    page.keyboard.type("storefront")
    expect(page.get_by_role("option").first).to_be_visible()


def keys(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def drain(page: Page) -> None:
    page.keyboard.press("d")
    expect(page.get_by_role("dialog").locator(".foreseen")).to_be_visible()


def select_on_map(page: Page) -> None:
    find = page.get_by_label("Find a node, agent or instance")
    find.fill("checkout-api-1.1")
    find.press("Enter")
    expect(page.get_by_role("complementary", name="Selection")).to_be_visible()


MAP = "[data-frames]"
TWO = (360, 1024)
"""What lies over a page is on a large screen as on a small one."""
PAGES = {
    "map": Shown("map", MAP, dark=True, anew=True),
    "map-selected": Shown("map", MAP, select_on_map, widths=TWO),
    "overview": Shown("overview", ".verdict.tone-wait", dark=True),
    "nodes": Shown("nodes", ".table-row"),
    "agents": Shown("agents", ".table-row"),
    "instances": Shown("instances?q=-status:running", ".table-row"),
    "events": Shown("events", ".event-row"),
    "settings": Shown("settings"),
    "join": Shown("join"),
    "node": Shown("nodes/{node}", ".u-over"),
    "node-drain": Shown("nodes/{node}", ".u-over", drain, widths=TWO),
    "agent": Shown("agents/shop/session-cache", ".u-over", dark=True),
    "instance": Shown("instances/{instance}", ".u-over", anew=True),
    "logs-of-instance": Shown("instances/{instance}/logs", ".log-line", anew=True),
    "logs-chosen": Shown("logs?of=agent:shop/storefront,agent:shop/checkout-api", ".log-line", anew=True),
    "instance-by-name": Shown("instances/shop/session-cache-1.1", ".u-over", widths=(1024,)),
    "logs": Shown("logs/shop/storefront", ".log-line", dark=True, anew=True),
    "terminal": Shown("instances/{instance}/terminal", ".terminal-foot"),
    "files": Shown("instances/{instance}/files"),
    "files-by-name": Shown("instances/shop/session-cache-1.1/files", widths=(1024,)),
    "editor": Shown("agents/shop/storefront/edit", ".copied code", dark=True),
    "new-agent": Shown("agents/new", ".copied code"),
    "import": Shown("import"),
    "palette": Shown("agents", ".table-row", palette, widths=TWO),
    "keys": Shown("agents", ".table-row", keys, widths=TWO),
    "past": Shown("overview?at=120", ".past-at"),
    "not-found": Shown("no/such/page"),
}


@pytest.fixture(scope="module")
def still() -> Iterator[Still]:
    with still_fabric() as made:
        yield made


@pytest.fixture(scope="module")
def browser(still: Still) -> Iterator[Browser]:
    with chromium(f"--host-resolver-rules=MAP {HOST}:443 {still.url.partition('//')[2]}", whole=True) as made:
        yield made


def context_of(browser: Browser, *, still: bool = True) -> BrowserContext:
    """`still`: under a clock that stands, which also tells no times of what was fetched."""
    context = browser.new_context(
        ignore_https_errors=True,
        service_workers="block",
        timezone_id="UTC",
        locale="en-GB",
        reduced_motion="reduce",
        color_scheme="light",
    )
    context.set_default_timeout(WITHIN_MS)
    if still:
        context.clock.set_fixed_time(NOW_MS)
    return context


class Visitor:
    """A page, and whether all that it has asked was answered at some time since it was opened: some ask each second."""

    def __init__(self, context: BrowserContext) -> None:
        self.page = context.new_page()
        self._asked = 0
        self._quiet = False
        self.page.on("request", lambda _: self._count(1))
        for over in ("requestfinished", "requestfailed"):
            self.page.on(over, lambda _: self._count(-1))  # type: ignore[call-overload]

    def _count(self, more: int) -> None:
        self._asked += more
        self._quiet = self._quiet or self._asked <= 0

    def open(self, path: str) -> None:
        self._asked, self._quiet = 0, False
        self.page.goto(f"https://{HOST}/{path}", wait_until="domcontentloaded")

    def looks(self) -> bytes:
        """A screenshot of what has come to rest."""
        before, until = b"", time.monotonic() + SETTLED_S
        while time.monotonic() < until:
            now = self.page.screenshot(animations="disabled")
            if now == before and self._quiet:
                return now
            before = now
        raise AssertionError("the page does not come to rest")


@pytest.fixture(scope="module")
def inside(browser: Browser, still: Still) -> Iterator[Visitor]:
    context = context_of(browser)
    made = Visitor(context)
    made.open(still.login_link().partition("/?")[2].join(("?", "")))
    expect(made.page.locator(".link-state")).to_contain_text("Live")
    yield made
    context.close()


def looks_as_before(made: Visitor, name: str, renew: bool) -> None:
    path = PICTURES / f"{name}.png"
    if renew:
        # What is drawn seldom comes a second after the rest: the minimap.
        made.page.wait_for_timeout(1_500)
        keep(kept_as(made.looks()), path)
        return
    assert path.exists(), f"{path.name} was never made: make snapshots"
    before, until = Image.open(path), time.monotonic() + SETTLED_S
    while True:
        different = compare(before, kept_as(made.page.screenshot(animations="disabled")))
        if not different.seen:
            return
        if time.monotonic() > until:
            break
    FAILED.mkdir(parents=True, exist_ok=True)
    different.picture.save(FAILED / path.name)
    raise AssertionError(
        f"{different.cells} cells of {name} look different: see {FAILED / path.name}; if it was meant: make snapshots"
    )


@pytest.mark.parametrize("name", PAGES)
def test_a_page_looks_as_it_did(inside: Visitor, still: Still, renew_snapshots: bool, name: str) -> None:
    shown, page = PAGES[name], inside.page
    one = still.runtime.running("session-cache")[0]
    node = still.runtime.node_of(one).name
    page.set_viewport_size({"width": 1024, "height": WIDTHS[1024]})
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    inside.open(shown.path.format(node=node, instance=one.id))
    expect(page.locator(".link-state")).to_contain_text("revision", use_inner_text=False)
    expect(page.locator(shown.there).first).to_be_attached()
    if shown.then is not None:
        shown.then(page)
    for width in shown.widths:
        page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        if shown.anew:
            inside.open(shown.path.format(node=node, instance=one.id))
            expect(page.locator(shown.there).first).to_be_attached()
        looks_as_before(inside, f"{name}-{width}", renew_snapshots)
    if shown.dark:
        page.set_viewport_size({"width": 1024, "height": WIDTHS[1024]})
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        looks_as_before(inside, f"{name}-1024-dark", renew_snapshots)


def test_the_login_page_looks_as_it_did(browser: Browser, renew_snapshots: bool) -> None:
    context = context_of(browser)
    made = Visitor(context)
    made.open("?login=oml_wrong")
    expect(made.page.locator(".notice")).to_be_visible()
    for width, height in WIDTHS.items():
        made.page.set_viewport_size({"width": width, "height": height})
        looks_as_before(made, f"login-{width}", renew_snapshots)
    context.close()


def test_a_layout_that_breaks_is_seen_and_edges_of_letters_are_not(inside: Visitor) -> None:
    """The measure itself: what the smallest of faults amounts to, and what the engine's way of drawing letters."""
    page = inside.page
    page.set_viewport_size({"width": 1024, "height": WIDTHS[1024]})
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    inside.open("nodes")
    expect(page.locator(".table-row").first).to_be_visible()
    before = kept_as(inside.looks())

    def cells(rule: str) -> bool:
        page.evaluate(
            """rule => {
                const sheet = new CSSStyleSheet();
                sheet.replaceSync(rule);
                document.adoptedStyleSheets = [sheet];
            }""",
            rule,
        )
        return compare(before, kept_as(inside.looks())).seen

    assert not cells("")
    assert not cells("* { -webkit-font-smoothing: antialiased; text-rendering: geometricPrecision !important }")
    for broken in (
        ".page-head h1 { font-size: 1.6rem !important }",
        ".link-state { display: none !important }",
        "[role=row] { padding-left: 26px !important }",
    ):
        assert cells(broken), f"{broken} is not seen"


def test_a_map_on_which_nothing_happens_asks_for_no_frame(inside: Visitor) -> None:
    """Each of them takes the browser's main thread, and a laptop's battery."""
    page = inside.page
    inside.open("map")
    expect(page.locator(MAP)).to_be_attached()
    inside.looks()
    asked = page.evaluate(
        """async () => {
            let asked = 0;
            const ask = window.requestAnimationFrame;
            window.requestAnimationFrame = (take) => { asked += 1; return ask.call(window, take); };
            await new Promise((done) => setTimeout(done, 500));
            window.requestAnimationFrame = ask;
            return asked;
        }"""
    )
    assert asked < 5


def test_the_first_view_needs_little_script(browser: Browser, still: Still) -> None:
    """The map with all that it brings, as it was sent, to a browser that has kept nothing."""
    context = context_of(browser, still=False)
    made = Visitor(context)
    made.open(still.login_link().partition("/?")[2].join(("?", "")))
    expect(made.page.locator(MAP)).to_be_attached()
    sent = made.page.evaluate(
        """() => performance.getEntriesByType("resource")
            .filter((one) => one.name.endsWith(".js")).map((one) => one.encodedBodySize)"""
    )
    context.close()
    assert len(sent) > 4
    assert all(sent)
    assert sum(sent) < MOST_SCRIPT


def test_no_page_is_left_out() -> None:
    routes = re.findall(r'<Route path="/([^"]+)"', (ROOT / "web" / "src" / "app.tsx").read_text())
    assert len(routes) > 15
    paths = [shown.path.partition("?")[0] for shown in PAGES.values()]
    ways = {route: re.compile(re.sub(r":\w+", "[^/]+", route).replace("*", "no/.*")) for route in routes}
    assert [route for route, way in ways.items() if not any(map(way.fullmatch, paths))] == []


def test_the_pictures_are_those_of_the_pages_and_small() -> None:
    expected = {f"{name}-{width}.png" for name, shown in PAGES.items() for width in shown.widths}
    expected |= {f"login-{width}.png" for width in WIDTHS}
    expected |= {f"{name}-1024-dark.png" for name, shown in PAGES.items() if shown.dark}
    found = {path.name: path.stat().st_size for path in PICTURES.iterdir()}
    assert set(found) == expected
    assert sum(found.values()) < MOST_BYTES
