"""What the overview shows changes while somebody reads it, and moves nothing of what is read."""

import time
from collections.abc import Generator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from support.fabric_fixtures import deployed
from support.fabric_processes import Fabric
from support.panel_browser import Visit, answer_otherwise, visit

SHIFTS = """window.shifts = [];
new PerformanceObserver((list) => {
  for (const { sources } of list.getEntries())
    for (const { node } of sources) {
      const element = node instanceof Element ? node : node?.parentElement;
      const read = element?.matches(".overview > *, .list li, .list a, .list button, .verdict *");
      if (read && !element.closest("[aria-labelledby=changes]")) shifts.push(element.outerHTML.slice(0, 200));
    }
}).observe({ type: "layout-shift", buffered: false });"""
"""What has moved of cards and concerns, but for the list of what changed, which waits for who is at it."""
READ_MS = 31_000
"""After so long without a sign of somebody nobody reads."""


@pytest.fixture
def inside(browser: Browser, shared: Fabric) -> Generator[Visit]:
    with deployed(shared), visit(browser, shared) as made:
        made.log_in()
        yield made
        # What the page asked last may be answered only when it is gone.
        made.page.unroute_all(behavior="ignoreErrors")


def concern(name: str, text: str = "ends again and again") -> dict[str, Any]:
    since_ms = time.time_ns() // 1_000_000 - 57_000
    return {"subject": f"agent {name}", "text": text, "hint": f"omnitide explain {name}", "since_ms": since_ms}


def told(page: Page) -> list[dict[str, Any]]:
    """What Nexus is to say wants an eye, for this page; it can be changed."""
    concerns: list[dict[str, Any]] = []

    page.route("**/v1/fabric", lambda route: answer_otherwise(route, lambda body: {**body, "concerns": concerns}))
    return concerns


def change(fabric: Fabric) -> None:
    """So that the page asks again."""
    fabric.client.cordon_node("beta")
    fabric.client.uncordon_node("beta")


@pytest.mark.parametrize("width", [412, 1280])
def test_what_comes_and_goes_moves_nothing_while_somebody_reads(inside: Visit, shared: Fabric, width: int) -> None:
    page = inside.page
    page.clock.install()
    concerns = told(page)
    concerns += [concern("left"), concern("stays")]
    inside.show("overview", width=width)
    needs = page.get_by_role("region", name="What needs you")
    lines = needs.get_by_role("listitem")
    expect(lines).to_have_count(2)
    expect(page.get_by_role("region", name="Capacity")).to_be_visible()
    below = page.get_by_role("region", name="Nodes", exact=True)
    before = below.bounding_box()
    page.evaluate(SHIFTS)

    concerns[:] = [concern("came"), concern("stays", "ends over and again")]
    change(shared)
    new = page.get_by_role("button", name="Show 1 new: agent came")
    expect(new).to_be_visible()
    expect(page.locator(".verdict")).to_contain_text("2 things want your eye")
    expect(lines.nth(0)).to_contain_text("agent left")
    expect(lines.nth(0)).to_contain_text("is over")
    expect(lines.nth(1)).to_contain_text("ends over and again")
    assert below.bounding_box() == before
    assert page.evaluate("shifts") == []
    assert {scheme: inside.flaws() for scheme in inside.themes()} == {"light": [], "dark": []}
    assert not inside.runs_out_of_the_window()

    new.click()
    expect(lines).to_have_count(2)
    expect(lines.nth(0)).to_contain_text("agent came")
    expect(lines.nth(1)).to_contain_text("agent stays")

    concerns.append(concern("late"))
    change(shared)
    expect(page.get_by_role("button", name="Show 1 new: agent late")).to_be_visible()
    expect(lines).to_have_count(2)
    page.clock.fast_forward(READ_MS)
    expect(lines).to_have_count(3)
    expect(page.get_by_role("button", name="Show 1 new")).to_have_count(0)


def test_what_comes_first_is_told_at_once_and_shown_when_it_is_asked_for(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    concerns = told(page)
    inside.show("overview")
    expect(page.locator(".verdict")).to_contain_text("All is well")
    concerns.append(concern("came"))
    change(shared)
    expect(page.locator(".verdict")).to_contain_text("1 thing wants your eye")
    needs = page.get_by_role("region", name="What needs you")
    expect(needs).to_have_count(0)
    page.get_by_role("button", name="Show 1 new: agent came").click()
    expect(needs.get_by_role("listitem")).to_contain_text("agent came")


def test_that_no_node_is_live_is_the_verdict_whatever_else_there_is(inside: Visit) -> None:
    page = inside.page
    dead = {"subject": "fabric", "text": "no node is live: nothing runs that is known of", "hint": "omnitide nodes"}
    told(page).extend([{**concern("x"), **dead}, concern("one"), concern("other")])
    inside.show("overview")
    verdict = page.locator(".verdict")
    expect(verdict).to_contain_text("No node is live")
    expect(verdict).to_contain_text("Nothing runs that is known of.")
    expect(verdict).to_have_class("card verdict wide tone-bad")
    lines = page.get_by_role("region", name="What needs you").get_by_role("listitem")
    expect(lines.nth(0).locator(".tone-bad")).to_be_visible()
    assert {scheme: inside.flaws() for scheme in inside.themes()} == {"light": [], "dark": []}
