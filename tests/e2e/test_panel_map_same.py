"""The same state gives the same picture: to whoever saw how it came about as to whoever opens the map now."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from omnitide.demo.machines import machines
from omnitide.fabric import commands as cm
from support.panel_browser import WITHIN_MS
from support.snapshots import compare, kept_as
from support.still_fabric import NOW_MS, SEED, Still, StillRuntime, still_fabric

MACHINES: Final = 12
MAP: Final = "[data-zoom]"
FAILED: Final = Path(__file__).parents[2] / ".pytest_cache" / "snapshots"
"""Both, and where they differ."""


@pytest.fixture(scope="module")
def still() -> Iterator[Still]:
    with still_fabric(MACHINES, 10, 70) as made:
        yield made


@contextmanager
def map_context(browser: Browser, width: int) -> Iterator[BrowserContext]:
    context = browser.new_context(
        ignore_https_errors=True,
        service_workers="block",
        viewport={"width": width, "height": 720},
        reduced_motion="reduce",
    )
    context.set_default_timeout(WITHIN_MS)
    context.clock.set_fixed_time(NOW_MS)
    yield context
    context.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with map_context(browser, 1024) as made:
        yield made


def log_in(context: BrowserContext, still: Still) -> None:
    page = context.new_page()
    page.goto(still.login_link())
    expect(page.locator(".link-state")).to_contain_text("Live", timeout=2 * WITHIN_MS)
    page.close()


def open_map(context: BrowserContext, still: Still) -> Page:
    page = context.new_page()
    page.goto(f"{still.url}/map")
    number = len(still.runtime.nodes)
    expect(page.locator("#map-summary")).to_contain_text(f"{number} nodes", timeout=2 * WITHIN_MS)
    return page


def go_near(page: Page, node: str) -> None:
    find = page.get_by_label("Find a node, agent or instance")
    find.fill(node)
    find.press("Enter")
    page.wait_for_function("at => document.querySelector(at).dataset.zoom > 2.6", arg=MAP)


def alike(one: Page, other: Page) -> Image.Image:
    """As which they come to rest."""
    until = time.monotonic() + WITHIN_MS / 1000
    while True:
        there, here = kept_as(one.screenshot()), kept_as(other.screenshot())
        different = compare(there, here)
        if not different.seen:
            return there
        if time.monotonic() > until:
            break
    FAILED.mkdir(parents=True, exist_ok=True)
    different.picture.save(FAILED / "map-same.png")
    raise AssertionError(f"{different.cells} cells look different: see {FAILED / 'map-same.png'}")


def busiest(runtime: StillRuntime) -> str:
    return max(runtime.nodes, key=lambda name: (len(runtime.nodes[name].running()), name))


def much_happens(runtime: StillRuntime) -> None:
    """Agents grow, shrink, go and are new, one machine leaves, one is called elsewhere, and one comes."""
    names = list(runtime.machines)
    replicas = {one.name: one.replicas for one in runtime.state.agents.values()}
    spaces = {one.name: one.namespace for one in runtime.state.agents.values()}
    first, second, third, *_ = sorted(replicas, key=lambda name: (-replicas[name], name))
    for name, wanted in ((first, replicas[first] - 3), (second, replicas[second] + 4)):
        runtime.apply(cm.ScaleAgent(namespace=spaces[name], name=name, replicas=wanted))
    runtime.apply(cm.DeleteAgent(namespace=spaces[third], name=third))
    runtime.settle()
    runtime.apply(cm.RemoveNode(node=f"n-{names[1]}", force=True))
    del runtime.nodes[names[1]]
    runtime.apply(cm.LabelNode(node=f"n-{names[6]}", labels={"zone": "elsewhere"}))
    runtime.add_machine(machines(MACHINES + 1, SEED)[-1]._replace(name="came-late"))
    runtime.deploy(runtime.workloads[first], replicas=replicas[first])
    runtime.settle()


def test_a_map_that_was_open_all_the_time_is_the_one_that_is_opened_now(context: BrowserContext, still: Still) -> None:
    log_in(context, still)
    before = open_map(context, still)
    drawn = kept_as(before.screenshot())
    still.call(lambda: much_happens(still.runtime))
    opened = open_map(context, still)
    assert compare(drawn, alike(before, opened)).seen, "and something has happened"
    # From so near that instances are named, on the node that has most of them.
    node = still.call(lambda: busiest(still.runtime))
    for page in (before, opened):
        go_near(page, node)
    alike(before, opened)


def test_it_has_the_colours_of_the_versions_that_there_are_now(context: BrowserContext, still: Still) -> None:
    log_in(context, still)
    before = open_map(context, still)
    before.get_by_text("Version", exact=True).click()
    legend = before.locator(".map-legend")
    expect(legend).to_contain_text("omnitide/0.1.0")
    # As most of the nodes are upgraded, one after the other, the colours of old and new change places.
    for node in list(still.runtime.nodes.values())[:-3]:
        facts = msgspec.structs.replace(node.facts, software="omnitide/0.2.0")
        upgraded = cm.ChangeNodeFacts(node=node.id, session=node.session, facts=facts)
        if node.session:
            still.call(partial(still.runtime.apply, upgraded, principal=node.principal))
    expect(legend).to_contain_text("omnitide/0.2.0")
    opened = open_map(context, still)
    opened.get_by_text("Version", exact=True).click()
    expect(opened.locator(".map-legend")).to_contain_text("omnitide/0.2.0")
    alike(before, opened)


def test_whoever_is_looked_at_stays_where_that_is_seen(context: BrowserContext, still: Still) -> None:
    log_in(context, still)
    page = open_map(context, still)
    districts: dict[str, list[str]] = {}
    for name, machine in still.runtime.machines.items():
        if name in still.runtime.nodes:
            districts.setdefault(machine.zone, []).append(name)
    first, *_, last = max(districts.values(), key=len)
    go_near(page, last)
    seen = page.locator(MAP).get_attribute("data-cursor-at") or ""
    assert seen
    still.call(lambda: still.runtime.apply(cm.RemoveNode(node=f"n-{first}", force=True)))
    del still.runtime.nodes[first]
    expect(page.locator("#map-summary")).to_contain_text(f"{len(still.runtime.nodes)} nodes")
    expect(page.locator(MAP)).to_have_attribute("data-cursor-at", seen)


@pytest.mark.parametrize("width", [1024, 360])
def test_a_camera_that_nobody_has_moved_shows_what_it_shows_to_whoever_opens_the_map(
    browser: Browser, still: Still, width: int
) -> None:
    with map_context(browser, width) as context:
        log_in(context, still)
        before = open_map(context, still)
        name = sorted(still.runtime.nodes)[width % 3]
        still.call(lambda: still.runtime.apply(cm.RemoveNode(node=f"n-{name}", force=True)))
        del still.runtime.nodes[name]
        expect(before.locator("#map-summary")).to_contain_text(f"{len(still.runtime.nodes)} nodes")
        alike(before, open_map(context, still))
