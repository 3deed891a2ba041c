"""What goes wrong after Apply, or cannot come of an action, told where it was asked for: in a real Chromium."""

import re
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from omnitide.model.normalise import read
from omnitide.model.spec import AgentSpec
from support.fabric_fixtures import deployed
from support.fabric_processes import Fabric, until
from support.panel_browser import WITHIN_MS, Visit, visit

SHOTS = Path(__file__).parents[2] / ".pytest_cache" / "failing"
"""What a person looks at; no test reads it."""
SMALL = {"cpu": 0.01, "memory": "8MiB"}


@pytest.fixture(scope="module")
def inside(browser: Browser, shared: Fabric) -> Generator[Visit]:
    with deployed(shared), visit(browser, shared) as made:
        made.log_in()
        yield made
        assert made.console == []


def deploy(fabric: Fabric, name: str, replicas: int, **more: object) -> None:
    """Something that sleeps; and it runs."""
    spec = read({"command": ["sleep", "3600"], "resources": SMALL, "stop": {"grace": "1s"}, **more}, AgentSpec)
    fabric.client.deploy_agent(name, spec, replicas=replicas)
    until(lambda: fabric.client.get_agent(name).running == replicas, f"{name} runs")


def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def test_a_rollout_that_fails_after_apply_says_so_with_the_last_line(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    deploy(shared, "shop", 3, restart={"backoff": "1s", "attempts": 50})
    inside.show("agents/default/shop/edit")
    code = page.locator(".cm-content")
    expect(code).to_contain_text("3600")
    text = "\n".join(line.strip("\n\u200b") for line in page.locator(".cm-line").all_inner_texts())
    code.focus()
    page.keyboard.press("Control+a")
    broken = re.sub(
        r"command:\n(\s*- .*\n)+", "command: [sh, -c, 'echo ready; echo no such table orders; exit 3']\n", text
    )
    assert broken != text
    page.keyboard.insert_text(broken)
    apply = page.get_by_role("button", name="Apply")
    expect(apply).to_be_enabled(timeout=WITHIN_MS)
    apply.click()
    progress = page.locator("section").filter(
        has=page.get_by_role("heading", name="Under way, and failing", exact=True)
    )
    expect(progress).to_contain_text(re.compile(r"\d replicas? of v2 fails?"), timeout=WITHIN_MS)
    expect(progress).to_contain_text(re.compile(r"shop-\d\.2 .*exit code 3"))
    expect(progress).to_contain_text("Its last line no such table orders")
    expect(progress.locator(".progress .tone-bad")).to_have_count(1)
    shot(page, "applied")
    expect(progress.get_by_role("link", name="the page of the agent")).to_have_attribute("href", "/agents/default/shop")
    assert inside.flaws_in_both_themes() == {"light": [], "dark": []}
    # Whoever goes back before the fabric has given it up, and then forth again, is told of it.
    shared.client.roll_back_agent("shop", version=1)
    until(lambda: shared.client.get_agent("shop").rollout is None, "it is back")
    inside.show("agents/default/shop")
    page.get_by_role("group", name="Actions for agent shop").get_by_role("button", name="Roll back").click()
    dialog = page.get_by_role("dialog", name="Roll back shop")
    dialog.get_by_label("To version").select_option("2")
    told = re.compile(r"^v2 did not work: shop-\d\.2 had ended again and again: exit code 3$")
    expect(dialog.get_by_role("status").filter(has_text=told)).to_be_visible()
    shot(page, "back to what failed")
    page.keyboard.press("Escape")
    # Its page asks about it as long as it is there.
    inside.show("overview")
    shared.client.delete_agent("shop")


def test_a_drain_by_which_nothing_can_move_begins_with_that(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    deploy(shared, "bound", 2, constraints=[{"label": "node", "values": ["alpha"]}])
    inside.show("nodes/alpha")
    page.get_by_role("button", name="Drain").click()
    dialog = page.get_by_role("dialog")
    told = dialog.locator(".foreseen")
    expect(told).to_contain_text("2 replicas would fit on no other node and stay", timeout=WITHIN_MS)
    rule = dialog.get_by_text("Nothing new is placed there. Of its 2 instances of agents,")
    first, then = told.bounding_box(), rule.bounding_box()
    assert first
    assert then
    assert first["y"] < then["y"]
    expect(dialog).not_to_contain_text("are to move")
    page.keyboard.press("Escape")
    inside.show("overview")
    shared.client.delete_agent("bound")


def test_a_text_of_an_agent_that_is_new_asks_for_none_that_is_not_there(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    inside.show("agents/new")
    change = page.locator("section").filter(has=page.get_by_role("heading", name="What would change"))
    expect(change).to_contain_text("default/hello", timeout=WITHIN_MS)
    expect(page.get_by_role("button", name="Apply")).to_be_enabled()
    assert inside.console == []
