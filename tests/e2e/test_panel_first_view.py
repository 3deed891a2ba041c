"""What is seen of the map before it is drawn, and where it cannot be, in a real Chromium."""

from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Browser, Route, expect

from support.fabric_fixtures import deployed
from support.fabric_processes import Fabric
from support.panel_browser import Visit, chromium, visit

SPEC = """
name = "first"
replicas = 2
command = ["sleep", "3600"]
resources = { cpu = 0.01, memory = "8MiB" }
"""

NOTED = """() => {
    window.shifted = [];
    new PerformanceObserver((list) => {
        for (const { node } of list.getEntries().flatMap(({ sources }) => sources)) shifted.push(node?.className ?? '');
    }).observe({ type: 'layout-shift', buffered: true });
}"""
"""What moved."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(whole=True) as made:
        yield made


@pytest.fixture(scope="module")
def busy(shared: Fabric) -> Iterator[Fabric]:
    with deployed(shared, first=SPEC):
        yield shared


@pytest.fixture
def inside(browser: Browser, busy: Fabric) -> Generator[Visit]:
    with visit(browser, busy) as made:
        made.log_in()
        yield made


def test_the_map_says_nothing_of_the_fabric_before_it_is_drawn_and_then_moves_nothing(inside: Visit) -> None:
    page = inside.page
    page.set_viewport_size({"width": 412, "height": 823})
    page.emulate_media(reduced_motion="reduce")
    page.add_init_script(f"({NOTED})()")
    held: list[Route] = []
    page.route("**/assets/scene-*.js", lambda route: held.append(route))
    inside.open("map")
    # The fabric is known by then: the lists would say all of it.
    expect(page.get_by_role("region", name="State and search")).to_contain_text("revision")
    summary, foot = page.locator("#map-summary"), page.locator(".map-foot")
    for said in (summary, foot):
        expect(said).to_have_text("Drawing the map…")
    inside.until(lambda: held, "what draws it is asked for")
    held[0].continue_()
    expect(summary).to_contain_text("2 nodes in 1 district")
    expect(foot).to_contain_text("running")
    # What is counted has come, and what is moved is told by then.
    expect(page.locator("[data-frames]")).to_be_visible()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("shifted.filter((name) => name.startsWith('map-'))") == []


def test_a_map_that_cannot_be_drawn_says_so_and_says_nothing_of_the_fabric(inside: Visit) -> None:
    page = inside.page
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    inside.open("map")
    expect(page.get_by_role("alert")).to_contain_text("The map cannot be drawn here")
    expect(page.get_by_role("alert").get_by_role("button", name="Try again")).to_be_visible()
    expect(page.locator("#map-summary")).to_have_text("The map cannot be drawn here.")
    expect(page.locator(".map-foot")).to_have_text("As a list")
    assert {theme: flaws for theme, flaws in inside.flaws_in_both_themes().items() if flaws} == {}
