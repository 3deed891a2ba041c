"""The map in a real Chromium, drawn by WebGL, on a real fabric: what is seen is there, and what is done is done."""

import re
import signal
from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from support.fabric_processes import Fabric, send, until
from support.panel_browser import WITHIN_MS, Visit, chromium, login_link, visit

AGENT = """
name = "unit"
replicas = 2
command = ["sleep", "3600"]
resources = { cpu = 0.01, memory = "8MiB" }
stop = { grace = "1s" }
"""
NOWHERE = """
name = "nowhere"
command = ["sleep", "3600"]
resources = { cpu = 0.01, memory = "8MiB" }
"""


BOXED = """
name = "boxed"
command = ["/bin/sleep", "3600"]
isolation = "sandbox"
resources = { cpu = 0.01, memory = "8MiB" }
stop = { grace = "1s" }
"""


@pytest.fixture(scope="module")
def busy(shared: Fabric) -> Iterator[Fabric]:
    path = shared.folder / "unit.toml"
    path.write_text(AGENT)
    shared.cli("deploy", str(path))
    yield shared
    for agent in list(shared.client.agents()):
        shared.client.delete_agent(agent.name)
    until(lambda: not list(shared.client.agents()), "no agent is left")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def inside(browser: Browser, busy: Fabric) -> Generator[Visit]:
    with visit(browser, busy) as made:
        made.page.set_viewport_size({"width": 1280, "height": 800})
        made.page.emulate_media(reduced_motion="reduce")
        made.page.goto(login_link(busy))
        made.until_live()
        yield made
        # What is asked about an instance may come too late for it.
        assert [told for told in made.console if "404" not in told or "/v1/instances/" not in told] == []


def the_map(page: Page) -> Locator:
    return page.get_by_role("application", name="Map of the fabric")


def drawn(visit: Visit) -> Locator:
    visit.open("map")
    visit.until_live()
    at = the_map(visit.page)
    expect(at).to_have_attribute("data-frames", re.compile(r"\d+"), timeout=WITHIN_MS)
    return at


def go_to(page: Page, node: str) -> tuple[float, float]:
    """By keys, as somebody without a pointer does; then where that is on the page."""
    at = the_map(page)
    at.focus()
    page.keyboard.press("Home")
    page.keyboard.press("]")
    if at.get_attribute("data-cursor") != node:
        page.keyboard.press("ArrowRight")
    expect(at).to_have_attribute("data-cursor", node)
    place = at.get_attribute("data-cursor-at")
    box = at.bounding_box()
    assert place
    assert box
    x, y = place.split(",")
    return box["x"] + float(x), box["y"] + float(y)


def find(page: Page, name: str) -> None:
    page.get_by_label("Find a node or instance").fill(name)
    page.get_by_label("Find a node or instance").press("Enter")


def ask(page: Page, question: str) -> None:
    page.get_by_role("radiogroup", name="Colour by").get_by_text(question, exact=True).click()


def legend(page: Page) -> Locator:
    return page.get_by_role("list", name="What the colours mean")


def card(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Selection")


def test_the_map_is_the_first_page_and_is_drawn(inside: Visit, busy: Fabric) -> None:
    inside.open("")
    inside.until_live()
    expect(inside.page).to_have_url(f"{busy.url}/map")
    at = the_map(inside.page)
    expect(at).to_have_attribute("data-frames", re.compile(r"\d+"), timeout=WITHIN_MS)
    expect(inside.page.locator("#map-summary")).to_contain_text("2 nodes in 1 district")
    expect(inside.page.locator("#map-summary")).to_contain_text("2 instances")
    expect(inside.page.get_by_role("link", name="As a list")).to_be_visible()
    shown = inside.page.locator(".map-host").screenshot()
    assert len(shown) > 8_000, "an empty canvas is a small picture"


def test_keys_and_clicks_reach_the_same_node(inside: Visit) -> None:
    drawn(inside)
    page = inside.page
    x, y = go_to(page, "beta")
    expect(page.locator("[aria-live]").filter(has_text="beta")).to_contain_text("live")
    page.keyboard.press("Enter")
    expect(card(page).get_by_role("heading", name="beta")).to_be_visible()
    page.keyboard.press("Escape")
    expect(card(page)).to_have_count(0)
    page.mouse.click(x, y)
    expect(card(page).get_by_role("heading", name="beta")).to_be_visible()
    x, y = go_to(page, "alpha")
    page.mouse.click(x, y, button="right")
    orders = page.get_by_role("menu", name="Orders")
    expect(orders.get_by_role("menuitem", name=re.compile("Cordon"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(orders).to_have_count(0)


def test_a_box_selects_and_what_it_holds_is_restarted(inside: Visit, busy: Fabric) -> None:
    at = drawn(inside)
    page = inside.page
    go_to(page, "beta")
    page.keyboard.press("Home")
    box = at.bounding_box()
    assert box
    page.mouse.move(box["x"] + 70, box["y"] + 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 30, box["y"] + box["height"] - 70, steps=4)
    page.mouse.up()
    expect(card(page)).to_contain_text(re.compile(r"2 (nodes|instances)"))
    their = card(page).get_by_role("button", name=re.compile("Select their 2 instances"))
    if their.count():
        their.click()
    expect(card(page).get_by_role("heading", name="2 instances")).to_be_visible()
    page.keyboard.press("Shift+1")
    before = {one.id for one in busy.instances("unit", status="running")}
    card(page).get_by_role("button", name="Restart").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("What it has in memory is gone")
    expect(dialog).to_contain_text("omnitide restart unit-1.1")
    dialog.get_by_role("button", name="Restart").click()
    until(
        lambda: len([one for one in busy.instances("unit", status="running") if one.id not in before]) == 2,
        "both run anew",
    )
    page.keyboard.press("Escape")


def test_a_pending_agent_lights_up_who_refuses_it(inside: Visit, busy: Fabric) -> None:
    path = busy.folder / "nowhere.toml"
    path.write_text(NOWHERE)
    for node in ("alpha", "beta"):
        busy.client.cordon_node(node)
    busy.cli("deploy", str(path), "--no-wait")
    drawn(inside)
    page = inside.page
    expect(page.locator("#map-summary")).to_contain_text("1 instance without a node")
    find(page, "nowhere-1.1")
    expect(card(page).locator(".map-why")).to_contain_text(re.compile("cordoned"))
    x, y = go_to(page, "beta")
    page.mouse.move(x, y)
    expect(page.locator(".map-tip")).to_contain_text(re.compile("schedul|cordon"))
    # The same by colour, of all that waits: the rule that holds it up, and the nodes that refuse it by that.
    ask(page, "Failing rule")
    expect(legend(page).get_by_role("listitem").filter(has_text=re.compile(r"^closed\s*1$"))).to_be_visible()
    expect(legend(page)).to_contain_text(re.compile(r"closed: nodes\s*2"))
    ask(page, "Health")
    for node in ("alpha", "beta"):
        busy.client.uncordon_node(node)
    expect(page.locator("#map-summary")).not_to_contain_text("without a node")
    busy.client.delete_agent("nowhere")
    expect(page.locator("#map-summary")).to_contain_text("2 instances,")


def test_an_instance_in_a_sandbox_has_a_shape_of_its_own(inside: Visit, busy: Fabric) -> None:
    path = busy.folder / "boxed.toml"
    path.write_text(BOXED)
    busy.cli("deploy", str(path), "--no-wait")
    drawn(inside)
    page = inside.page
    ask(page, "Driver")
    kinds = legend(page).get_by_role("listitem")
    expect(kinds.filter(has_text=re.compile(r"^sandbox\s*1$"))).to_be_visible()
    expect(kinds.filter(has_text=re.compile(r"^process\s*2$"))).to_be_visible()
    signs = [kinds.filter(has_text=kind).locator("path").get_attribute("d") for kind in ("sandbox", "process")]
    assert signs[0] != signs[1]
    find(page, "boxed-1.1")
    expect(card(page)).to_contain_text("process in a sandbox")
    ask(page, "Health")
    busy.client.delete_agent("boxed")
    expect(page.locator("#map-summary")).to_contain_text("2 instances,")


def test_what_is_selected_can_be_told_all_that_it_can_do(inside: Visit, busy: Fabric) -> None:
    drawn(inside)
    page = inside.page
    busy.running("unit", 2)
    name = busy.instances("unit", status="running")[0].name
    find(page, name)
    for order in ("Restart", "Migrate", "Terminal", "Output", "Scale", "Stop"):
        expect(card(page).get_by_role("button", name=re.compile(f"^{order}")).first).to_be_enabled()
    page.keyboard.press("Escape")
    go_to(page, "beta")
    page.keyboard.press("Enter")
    expect(card(page).get_by_role("button", name=re.compile("^Drain"))).to_be_enabled()


def test_groups_are_saved_recalled_and_added_to_and_their_output_is_one(inside: Visit, busy: Fabric) -> None:
    drawn(inside)
    page = inside.page
    go_to(page, "beta")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+2")
    page.keyboard.press("Escape")
    expect(card(page)).to_have_count(0)
    page.keyboard.press("2")
    expect(card(page).get_by_role("heading", name="beta")).to_be_visible()
    page.keyboard.press("Escape")
    x, y = go_to(page, "alpha")
    page.keyboard.press("2")
    page.keyboard.down("Shift")
    page.mouse.click(x, y)
    page.keyboard.up("Shift")
    expect(card(page).get_by_role("heading", name="2 nodes")).to_be_visible()
    card(page).get_by_role("button", name=re.compile("Select their 2 instances")).click()
    card(page).get_by_role("button", name=re.compile("^Output")).first.click()
    expect(page).to_have_url(re.compile(r"/logs\?of=instance"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Output")


def test_the_small_map_shows_what_is_seen_and_goes_where_it_is_pressed(inside: Visit) -> None:
    at = drawn(inside)
    page = inside.page
    go_to(page, "beta")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    seen = page.locator(".map-mini-view")
    whole = page.locator(".map-mini canvas").bounding_box()
    assert whole
    until(lambda: (seen.bounding_box() or whole)["width"] < whole["width"] / 2, "less than all is seen")
    before = at.get_attribute("data-cursor-at")
    page.mouse.click(whole["x"] + whole["width"] - 4, whole["y"] + whole["height"] - 4)
    expect(at).not_to_have_attribute("data-cursor-at", before or "")


def test_axe_finds_nothing_in_what_is_selected_and_it_fits_a_phone(inside: Visit) -> None:
    drawn(inside)
    page = inside.page
    go_to(page, "beta")
    page.keyboard.press("Enter")
    expect(card(page)).to_be_visible()
    page.set_viewport_size({"width": 360, "height": 760})
    assert inside.flaws() == []
    assert not inside.runs_out_of_the_window()
    page.set_viewport_size({"width": 1280, "height": 800})


def test_a_node_that_is_cut_off_goes_dark_and_comes_back(inside: Visit, busy: Fabric) -> None:
    drawn(inside)
    page = inside.page
    summary = page.locator("#map-summary")
    expect(summary).to_contain_text("none dark")
    stopped = busy.node_processes("beta")
    send(stopped, signal.SIGSTOP)
    try:
        expect(summary).to_contain_text("1 dark", timeout=WITHIN_MS)
        go_to(page, "beta")
        expect(page.locator("[aria-live]").filter(has_text="beta")).to_contain_text(re.compile("unreachable|lost"))
    finally:
        send(stopped, signal.SIGCONT)
    expect(summary).to_contain_text("none dark", timeout=WITHIN_MS)
