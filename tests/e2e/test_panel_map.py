"""The map in a real Chromium, drawn by WebGL, on a real fabric: what is seen is there, and what is done is done."""

import re
import signal
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from omnitide.cli.top.figures import size
from support.fabric_fixtures import deployed
from support.fabric_processes import Fabric, freeze, send, until
from support.panel_browser import WITHIN_MS, Visit, answer_otherwise, visit

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

ELSEWHERE = """
name = "elsewhere"
command = ["sleep", "3600"]
resources = { cpu = 0.01, memory = "8MiB" }
[[constraints]]
label = "kept-for"
operator = "in"
values = ["elsewhere"]
"""


BOXED = """
name = "boxed"
command = ["/bin/sleep", "3600"]
isolation = "sandbox"
resources = { cpu = 0.01, memory = "8MiB" }
stop = { grace = "1s" }
"""


HEAVY = """
name = "heavy"
command = ["sh", "-c", "held=$(head -c 33554432 /dev/zero | tr '\\\\0' a); sleep 3600"]
resources = { cpu = 0.5, memory = "8MiB" }
stop = { grace = "1s" }
"""


@pytest.fixture(scope="module")
def busy(shared: Fabric) -> Iterator[Fabric]:
    with deployed(shared, unit=AGENT):
        yield shared


@pytest.fixture(scope="module")
def inside(browser: Browser, busy: Fabric) -> Generator[Visit]:
    with visit(browser, busy) as made:
        made.page.set_viewport_size({"width": 1280, "height": 800})
        made.page.emulate_media(reduced_motion="reduce")
        made.log_in()
        yield made
        # What is asked about an instance or its agent may come too late for it.
        assert [told for told in made.console if "404" not in told or "/v1/" not in told] == []


def the_map(page: Page) -> Locator:
    return page.get_by_role("application", name="Map of the fabric")


def drawn(visit: Visit) -> Locator:
    visit.open("map")
    visit.until_live()
    at = the_map(visit.page)
    expect(at).to_have_attribute("data-frames", re.compile(r"\d+"), timeout=WITHIN_MS)
    return at


SAYS_MUCH = """card => {
    const text = card.querySelector('.state > .ellipsis');
    const name = card.querySelector('h2 a');
    const before = [text.textContent, name.textContent];
    name.textContent = 'a-name-that-is-as-long-as-names-are-'.repeat(2);
    text.textContent = 'away · was running, node alpha is away, back within 30 s; '.repeat(20);
    const box = card.getBoundingClientRect();
    const charts = card.querySelector('.map-charts').getBoundingClientRect();
    const within = box.height <= 432 && charts.right <= box.right && charts.bottom <= box.bottom;
    [text.textContent, name.textContent] = before;
    return { within, width: box.width };
}"""


STOOD_STILL = """async () => {
    const { dataset } = document.querySelector('.map-host');
    const frame = () => new Promise(done => requestAnimationFrame(done));
    for (let seen = '', still = 0; still < 8;) {
        await frame();
        const now = `${dataset.cursorAt} ${dataset.zoom}`;
        still = now === seen ? still + 1 : 0;
        seen = now;
    }
}"""
"""Where the cursor is, is told with the picture, which comes some frames after the key."""


def go_to(page: Page, node: str) -> tuple[float, float]:
    """By keys, as somebody without a pointer does; then where that is on the page."""
    at = the_map(page)
    at.focus()
    page.keyboard.press("Home")
    page.keyboard.press("]")
    if at.get_attribute("data-cursor") != node:
        page.keyboard.press("ArrowRight")
    expect(at).to_have_attribute("data-cursor", node)
    page.evaluate(STOOD_STILL)
    place = at.get_attribute("data-cursor-at")
    box = at.bounding_box()
    assert place
    assert box
    x, y = place.split(",")
    return box["x"] + float(x), box["y"] + float(y)


def find(page: Page, name: str) -> None:
    page.get_by_label("Find a node, agent or instance").fill(name)
    page.get_by_label("Find a node, agent or instance").press("Enter")


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


def test_where_a_graphics_card_is_emulated_the_page_does_not_wait_for_its_picture(inside: Visit) -> None:
    """As here: what is shown is a plain canvas, and what the card draws is fetched when it is done."""
    warned: list[str] = []
    inside.page.on("console", lambda message: warned.append(message.text) if message.type == "warning" else None)
    at = drawn(inside)
    frames = int(at.get_attribute("data-frames") or 0)
    inside.page.get_by_role("button", name="Nearer").click()
    expect(at).not_to_have_attribute("data-frames", str(frames))
    plain = "[...document.querySelectorAll('.map-host > canvas')].map(one => one.getContext('2d') !== null)"
    assert inside.page.evaluate(plain) == [True, True], "the picture, and the names above it"
    assert [text for text in warned if "READ-usage" in text] == [], "it is read in the quick way"


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


def test_an_agent_is_found_by_its_name_and_a_replica_by_its_own(inside: Visit, busy: Fabric) -> None:
    drawn(inside)
    page = inside.page
    running = busy.running("unit", 2)
    find(page, "unit")
    expect(card(page)).to_contain_text(f"{len(running)} instances")
    find(page, running[0].name)
    expect(card(page).get_by_role("heading", name=running[0].name)).to_be_visible()
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
    # From however far: each reason with how many nodes it keeps away, and a press lights those alone.
    why = card(page).get_by_role("region", name="Why nodes refuse it")
    reason = why.get_by_role("button", name="2 nodes · closed: needs open, has cordoned")
    expect(why.get_by_role("button")).to_have_count(1)
    reason.press("Enter")
    expect(reason).to_have_attribute("aria-pressed", "true")
    assert inside.flaws() == []
    reason.press("Enter")
    expect(reason).to_have_attribute("aria-pressed", "false")
    x, y = go_to(page, "beta")
    page.mouse.move(x, y)
    expect(page.locator(".map-tip")).to_contain_text(re.compile("schedul|cordon"))
    # The same by colour, of all that waits: the rule that holds it up, and the nodes that refuse it by that.
    ask(page, "Failing rule")
    # The small map has its colours as soon as the legend does: Nexus answers after the question is chosen.
    alike = page.wait_for_function(SMALL_MAP_LIKE_LEGEND, arg="nodes that are closed to what is new").json_value()
    assert alike == "alike"
    expect(legend(page).get_by_role("listitem").filter(has_text=re.compile(r"^closed\s*1$"))).to_be_visible()
    expect(legend(page)).to_contain_text(re.compile(r"nodes that are closed to what is new\s*2"))
    ask(page, "Health")
    for node in ("alpha", "beta"):
        busy.client.uncordon_node(node)
    expect(page.locator("#map-summary")).not_to_contain_text("without a node")
    busy.client.delete_agent("nowhere")
    expect(page.locator("#map-summary")).to_contain_text("2 instances,")


REFUSES_HERE = """() => {
    const host = document.querySelector('.map-host'), style = getComputedStyle(host);
    const [x, y] = host.dataset.cursorAt.split(',').map(Number);
    const part = new OffscreenCanvas(1, 1).getContext('2d');
    const colour = name => {
        part.fillStyle = style.getPropertyValue(name).trim().replace(/^light-dark\\((.*),.*$/, '$1');
        part.fillRect(0, 0, 1, 1);
        return part.getImageData(0, 0, 1, 1).data;
    };
    const [plain, bad] = [colour('--map-roof'), colour('--map-bad')];
    const lit = [0, 1, 2].map(at => plain[at] + 0.22 * (bad[at] - plain[at]));
    const canvas = host.querySelector('canvas');
    // Its lowest row may be the first: see fetched.ts.
    const top = new DOMMatrix(getComputedStyle(canvas).transform).d < 0 ? canvas.height - y - 16 : y;
    const seen = canvas.getContext('2d').getImageData(x - 24, top, 48, 16).data;
    let found = 0;
    for (let at = 0; at < seen.length; at += 4) {
        if (lit.every((one, which) => Math.abs(seen[at + which] - one) < 6)) found += 1;
    }
    return found;
}"""
"""Pixels of the roof at the cursor that have the colour of who refuses."""


def lit_nodes(visit: Visit) -> set[str]:
    """Those whose roofs are in the colour of who refuses what is selected."""
    found = set[str]()
    for node in ("alpha", "beta"):
        go_to(visit.page, node)
        if visit.page.evaluate(REFUSES_HERE) > 100:
            found.add(node)
    return found


ASKED_OFTEN = """() => {
    const later = window.setTimeout;
    window.setTimeout = (does, ms, ...more) => later(does, ms === 5000 ? 300 : ms, ...more);
}"""
"""What the card asks Nexus again each 5 s, it asks three times a second, until the page is left."""


def test_a_reason_that_is_pressed_lights_its_nodes_alone_as_long_as_they_have_it(inside: Visit, busy: Fabric) -> None:
    """By the pixels of the roofs: the card and the map are told by different ways."""
    page, client = inside.page, busy.client
    client.cordon_node("beta")
    client.label_node("beta", {"kept-for": "elsewhere"})
    (busy.folder / "elsewhere.toml").write_text(ELSEWHERE)
    busy.cli("deploy", str(busy.folder / "elsewhere.toml"), "--no-wait")
    drawn(inside)
    page.evaluate(ASKED_OFTEN)
    assert lit_nodes(inside) == set()
    find(page, "elsewhere-1.1")
    why = card(page).get_by_role("region", name="Why nodes refuse it")
    reasons, pressed = why.get_by_role("button"), why.locator("[aria-pressed=true]")
    closed = why.get_by_role("button", name=re.compile("closed"))
    expect(reasons).to_have_text([re.compile("^1 node · closed"), re.compile("^1 node · .*kept-for")])

    def until_lit(*nodes: str) -> None:
        inside.until(lambda: lit_nodes(inside) == set(nodes), f"lit are {nodes}")

    def press_closed() -> None:
        closed.click()
        page.mouse.move(1, 1)  # what is pointed at would be lit alone as well

    until_lit("alpha", "beta")
    press_closed()
    expect(pressed).to_have_text(re.compile("closed"))
    until_lit("beta")
    # The same that is found again is what it was; another has no mark, and nor has this one after it.
    find(page, "elsewhere-1.1")
    expect(pressed).to_have_text(re.compile("closed"))
    until_lit("beta")
    find(page, busy.running("unit", 2)[0].name)
    expect(why).to_have_count(0)
    until_lit()
    find(page, "elsewhere-1.1")
    expect(pressed).to_have_count(0)
    until_lit("alpha", "beta")
    # A node that comes to have the reason is lit with the others, and where none has it any more all are.
    press_closed()
    until_lit("beta")
    client.cordon_node("alpha")
    expect(closed).to_have_text(re.compile("^2 nodes"))
    until_lit("alpha", "beta")
    client.uncordon_node("alpha")
    expect(closed).to_have_text(re.compile("^1 node "))
    until_lit("beta")
    client.label_node("beta", remove=["kept-for"])
    client.uncordon_node("beta")
    expect(closed).to_have_count(0)
    expect(pressed).to_have_count(0)
    until_lit("alpha", "beta")
    # It is no longer pressed when it is there again.
    client.cordon_node("beta")
    expect(closed).to_have_count(1)
    expect(pressed).to_have_count(0)
    until_lit("alpha", "beta")
    press_closed()
    until_lit("beta")
    # Placed, nobody refuses it; and what has gone is not selected any more.
    client.label_node("beta", {"kept-for": "elsewhere"})
    client.uncordon_node("beta")
    busy.running("elsewhere", 1)
    expect(why).to_have_count(0)
    until_lit()
    client.delete_agent("elsewhere")
    client.label_node("beta", remove=["kept-for"])
    expect(page.locator("#map-summary")).to_contain_text("2 instances,")


def test_nobody_is_lit_when_what_they_refuse_has_gone(inside: Visit, busy: Fabric) -> None:
    (busy.folder / "elsewhere.toml").write_text(ELSEWHERE)
    busy.cli("deploy", str(busy.folder / "elsewhere.toml"), "--no-wait")
    drawn(inside)
    page = inside.page
    find(page, "elsewhere-1.1")
    inside.until(lambda: lit_nodes(inside) == {"alpha", "beta"}, "both refuse it")
    busy.client.delete_agent("elsewhere")
    expect(card(page)).to_have_count(0)
    inside.until(lambda: lit_nodes(inside) == set(), "none is lit")


def test_what_has_ended_is_counted_apart_wherever_one_looks(inside: Visit, busy: Fabric) -> None:
    """A job that failed: the map has it no more, and everywhere else it is behind those that there are."""
    busy.running("unit", 2)
    busy.cli("run", "--name", "once", "--", "sh", "-c", "exit 7", code=7)
    drawn(inside)
    page = inside.page
    expect(page.locator("#map-summary")).to_contain_text("by zone, 2 instances, none dark, none failing")
    expect(legend(page).get_by_role("listitem")).to_have_text([re.compile(r"^running\s*2$")])
    (ended,) = (one for one in busy.client.instances(ended=True) if one.workload == "once")
    left = next(one.instances for one in busy.client.nodes() if one.name == ended.node)
    go_to(page, ended.node)
    page.keyboard.press("Enter")
    counted = card(page).locator(".map-tally li")
    expect(counted).to_have_text([re.compile(rf"^\s*{left} running$")] if left else [])
    page.keyboard.press("Escape")
    inside.open("overview")
    expect(page.get_by_role("link", name=re.compile(r"^Instances\s*2"))).to_be_visible()
    shown = page.get_by_role("region", name="Instances")
    expect(shown.locator(".figure")).to_have_text(re.compile(r"^\s*2\s*instances, and 1 that ended$"))
    expect(shown.get_by_role("listitem")).to_have_text([re.compile(r"^2 running$"), re.compile(r"^1 ended$")])
    inside.open("instances")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"^Instances\s*2, and 1 that ended$"))
    told = busy.cli("top", "--once").stdout
    assert re.search(r"^2 instances +● 2 running +○ 1 ended$", told, re.MULTILINE), told
    busy.client.delete_job("once")


def test_what_uses_more_than_is_reserved_for_it_says_so(inside: Visit, busy: Fabric) -> None:
    (busy.folder / "heavy.toml").write_text(HEAVY)
    busy.cli("deploy", str(busy.folder / "heavy.toml"))
    drawn(inside)
    page = inside.page
    find(page, "heavy-1.1")
    expect(card(page).get_by_role("heading", name="Agent heavy", exact=True)).to_be_visible()
    page.keyboard.press("Escape")

    def is_known() -> bool:
        # A question about the newest seconds has nodes send each second, not each ten.
        busy.client.query_metrics("omnitide_node_load1", start_ms=-15_000, step_ms=1000)
        used = busy.client.query_metrics('omnitide_instance_memory_working_set_bytes{agent="heavy"}').items
        return any(value is not None for one in used for value in one.values)

    until(is_known, "it is known what heavy uses")
    narrow = page.viewport_size
    assert narrow
    # Where there is room for what is used of memory.
    page.set_viewport_size({**narrow, "width": 1760})
    for path in ("agents?q=heavy", "instances?q=heavy"):
        inside.open(path)
        memory = page.get_by_role("img", name=re.compile(r"^Memory: [\d.]+ MiB used, 8 MiB reserved$"))
        expect(memory).to_be_visible(timeout=WITHIN_MS)
        tone = "one => getComputedStyle(one.querySelector('.meter-text')).color"
        assert memory.evaluate(tone) != page.get_by_role("img", name=re.compile("^CPU: ")).evaluate(tone)
    page.set_viewport_size(narrow)
    busy.client.delete_agent("heavy")


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
    # Each key that is written on a button does what the button does; one that both have is the instance's.
    said = card(page).locator(".kbd").all_inner_texts()
    assert len(said) == len(set(said)), said
    for order, of in (("Restart", name), ("Scale", "unit"), ("Stop", "unit"), ("Remove", "unit")):
        button = card(page).get_by_role("button", name=re.compile(f"^{order}")).first
        key = button.locator(".kbd").inner_text()
        page.keyboard.press(key if "+" in key else key.lower())
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("heading").first).to_contain_text(order)
        expect(dialog.get_by_role("heading").first).to_contain_text(of)
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    page.keyboard.press("Escape")
    go_to(page, "beta")
    page.keyboard.press("Enter")
    expect(card(page).get_by_role("button", name=re.compile("^Drain"))).to_be_enabled()


def test_only_what_is_called_so_is_found(inside: Visit) -> None:
    drawn(inside)
    page = inside.page
    field = page.get_by_label("Find a node, agent or instance")
    offered = page.locator("#map-hits option")
    field.fill("zzzz")  # as long as `unit`
    expect(page.get_by_role("status").get_by_text("Nothing is called that")).to_be_visible()
    expect(offered).to_have_count(0)
    field.press("Enter")
    expect(card(page)).to_have_count(0)
    field.fill("bet")
    expect(offered).to_have_count(1)
    expect(page.get_by_text("Nothing is called that")).to_have_count(0)
    field.press("Enter")
    expect(card(page).get_by_role("heading", name="beta")).to_be_visible()


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


LISTED = {
    "←": "ArrowLeft", "↑": "ArrowUp", "↓": "ArrowDown", "→": "ArrowRight", "PgDn": "PageDown", "PgUp": "PageUp",
    "Esc": "Escape", "Space": " ",
}  # fmt: skip
"""As keys are written in the list of them; others as they are."""
TAKEN = """() => {
    const map = document.querySelector('.map-host'), taken = new Set();
    const signs = Array.from({ length: 95 }, (_, at) => String.fromCharCode(32 + at));
    const named = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'PageUp', 'PageDown', 'Home', 'End', 'Enter',
        'Escape', 'Tab', 'Backspace', 'Delete', 'Insert', 'F2', 'F5', 'F10', 'ContextMenu'];
    const takes = (at, init) => {
        const event = new KeyboardEvent('keydown', { cancelable: true, ...init });
        at.dispatchEvent(event);
        return event.defaultPrevented;
    };
    for (const key of [...signs, ...named])
        for (const shiftKey of [false, true])
            if (takes(map, { key, shiftKey })) taken.add((shiftKey ? 'Shift ' : '') + key);
    map.dispatchEvent(new KeyboardEvent('keyup', { key: ' ' }));
    for (let digit = 0; digit <= 9; digit += 1)
        for (const ctrlKey of [false, true])
            if (takes(window, { key: '', code: `Digit${digit}`, ctrlKey })) taken.add((ctrlKey ? 'Ctrl ' : '') + digit);
    return [...taken];
}"""


def test_the_list_of_keys_has_each_that_the_map_takes_and_no_other(inside: Visit) -> None:
    at = drawn(inside)
    page = inside.page
    taken = set(page.evaluate(TAKEN))
    at.focus()
    page.keyboard.press("?")
    group = page.get_by_role("dialog").locator("section").filter(has=page.get_by_role("heading", name="On the map"))
    expect(group).to_be_visible()
    lines = group.locator("dt").all_inner_texts()
    page.keyboard.press("Escape")
    listed: set[str] = set()
    for line in lines:
        words = re.sub(r"^(Shift|Ctrl)\+", r"\1 ", line).split()
        held = f"{words[0]} " if len(words) > 1 and words[0] in ("Shift", "Ctrl") else ""
        if "…" in words:
            listed |= {f"{held}{digit}" for digit in range(1, 10)}
        else:
            listed |= {held + LISTED.get(one, one) for one in words[bool(held) :] if one != "/"}
    pointer = {"Drag", "Shift click", "Double", "Right", "click", "Wheel", "Middle", "button"}
    either_way = {one for one in taken if one.startswith("Shift ") and one not in listed and one[6:] in listed}
    assert taken - either_way == listed - pointer


NAMED = """() => {
    const texts = window.named = [];
    const { fillText, clearRect } = CanvasRenderingContext2D.prototype;
    const names = (context) => context.canvas.classList.contains('map-labels-canvas');
    CanvasRenderingContext2D.prototype.clearRect = function (...box) {
        if (names(this)) texts.length = 0;
        return clearRect.apply(this, box);
    };
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        if (names(this)) texts.push([text, x, y]);
        return fillText.call(this, text, x, y);
    };
}"""


def test_who_is_looked_at_is_named_at_the_nearest_zoom_too(inside: Visit, busy: Fabric) -> None:
    drawn(inside)
    page = inside.page
    busy.running("unit", 2)
    name = busy.instances("unit", status="running")[0].name
    page.evaluate(NAMED)
    find(page, name)
    at = the_map(page)
    at.focus()
    for _ in range(12):
        page.keyboard.press("+")
    expect(at).to_have_attribute("data-zoom", "14.000")
    node = busy.instances("unit", status="running")[0].node
    until(lambda: {name, node} <= {text for text, *_ in page.evaluate("window.named")}, "both are named")
    box = at.bounding_box()
    over = card(page).bounding_box()
    assert box
    assert over
    for text, x, y in page.evaluate("window.named"):
        if text in (name, node):
            assert 0 < x < over["x"] - box["x"], f"{text} is beside the card"
            assert 0 < y < box["height"], f"{text} is within the map"
    page.keyboard.press("Escape")
    # So near, what it uses is seen without a click.
    looked = page.get_by_role("complementary", name="What is looked at")
    expect(looked.get_by_role("heading", name=name)).to_be_visible()
    expect(looked.locator(".uplot canvas")).to_have_count(2, timeout=WITHIN_MS)
    expect(looked.locator(".uplot").first).to_be_visible()
    # However much there is to say of its state, the card stays where it is reckoned to be.
    assert looked.evaluate(SAYS_MUCH) == {"within": True, "width": 300}
    page.keyboard.press("Home")
    expect(looked).to_have_count(0)


def test_what_is_told_of_an_action_covers_neither_the_small_map_nor_the_card(inside: Visit) -> None:
    drawn(inside)
    page = inside.page
    find(page, "beta")
    the_map(page).focus()
    for key, title in (("c", "Cordon beta"), ("u", "Uncordon beta")):
        page.keyboard.press(key)
        expect(page.get_by_role("dialog").get_by_role("heading")).to_contain_text(title)
        page.keyboard.press("Enter")
        told = page.locator(".toast").last
        expect(told).to_be_visible()
        boxes = [told.bounding_box(), page.locator(".map-mini").bounding_box(), card(page).bounding_box()]
        over, mini, beside = (box for box in boxes if box)
        assert over["y"] + over["height"] <= mini["y"], "it is above the small map"
        assert over["x"] + over["width"] <= beside["x"], "it is beside the card"
        told.get_by_role("button", name="Dismiss").click()
        expect(page.locator(".toast")).to_have_count(0)
        the_map(page).focus()
    page.keyboard.press("Escape")


def test_the_card_of_a_node_says_what_of_its_memory_is_used_and_reserved(inside: Visit, busy: Fabric) -> None:
    drawn(inside)
    page = inside.page
    go_to(page, "beta")
    page.keyboard.press("Enter")
    told = card(page).locator("dt", has_text="Memory").locator("xpath=following-sibling::dd[1]")
    node = next(one for one in busy.client.nodes() if one.name == "beta")
    expect(told).to_have_text(re.compile(rf"^[\d.]+ [MG]iB of {re.escape(size(node.memory_bytes))}$"))
    meter = told.get_by_role("img", name=re.compile(r"^Memory: (<1|\d+) % used, (<1|\d+) % reserved$"))
    shares = re.findall(r"(<1|\d+) %", meter.get_attribute("aria-label") or "")
    reserved = 100 * node.reserved_memory_bytes / node.memory_bytes
    assert reserved > 0, "an instance is there"
    assert shares[1] == ("<1" if reserved < 1 else str(round(reserved)))
    ends = """one => { const { left, width } = one.querySelector('.meter-track').getBoundingClientRect();
        return ['.meter-fill', '.meter-tick'].map(part => one.querySelector(part).getBoundingClientRect())
            .map((box, at) => 100 * ((at ? box.left : box.right) - left) / width) }"""
    used, tick = meter.evaluate(ends)
    assert used == pytest.approx(float(shares[0].lstrip("<")), abs=2)
    assert tick == pytest.approx(reserved, abs=2)
    tracks = card(page).locator(".map-facts .meter-track")
    cpu, memory = tracks.evaluate_all("all => all.map(one => one.getBoundingClientRect().width)")
    assert cpu == pytest.approx(memory, abs=0.5), "shares are compared by their lengths"
    # As its page has it, which counts the same samples.
    before = amount(told.inner_text())
    page.keyboard.press("Escape")
    inside.open("nodes/beta")
    figure = page.locator("dl div", has_text="Memory used").locator("dd")
    expect(figure).to_contain_text("iB of")
    assert amount(figure.inner_text()) == pytest.approx(before, rel=0.25)


def amount(told: str) -> float:
    """Of `3.1 GiB of 8 GiB` the first, in GiB."""
    number, unit, _ = told.split(maxsplit=2)
    return float(number) * {"MiB": 1 / 1024, "GiB": 1.0}[unit]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_card_does_not_cover_what_it_is_of(inside: Visit, width: int) -> None:
    page = inside.page
    page.set_viewport_size({"width": width, "height": 800})
    at = drawn(inside)
    go_to(page, "beta")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowLeft")  # towards the right, where the card comes
    for _ in range(3):
        page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Enter")
    expect(card(page)).to_be_visible()
    box = at.bounding_box()
    assert box

    def free() -> bool:
        x, y = (float(one) for one in (at.get_attribute("data-cursor-at") or "0,0").split(","))
        over = card(page).bounding_box()
        assert over
        right = over["x"] - box["x"] if width > 860 else box["width"]
        bottom = over["y"] - box["y"] if width <= 860 else box["height"]
        return 0 < x < right and 0 < y < bottom

    until(free, "the node is where the card is not")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1280, "height": 800})


def test_the_card_tells_the_drivers_that_there_are_and_cores_as_pages_do(inside: Visit, busy: Fabric) -> None:
    drawn(inside)
    page = inside.page
    go_to(page, "beta")
    page.keyboard.press("Enter")
    node = next(one for one in busy.client.nodes() if one.name == "beta")
    told = card(page).locator("dt", has_text="Drivers").locator("xpath=following-sibling::dd[1]").inner_text()
    there = {one.name for one in node.drivers if not one.absent}
    assert {one.partition(" (")[0] for one in re.sub(r"\([^)]*\)", "", told).split(", ")} == there
    page.keyboard.press("Escape")


def test_nothing_moves_where_the_system_asks_for_that(inside: Visit, busy: Fabric) -> None:
    at = drawn(inside)
    page = inside.page
    summary = page.locator("#map-summary")
    expect(summary).to_contain_text("2 instances,")
    busy.client.scale_agent("unit", 3)
    expect(summary).to_contain_text("3 instances,")
    assert at.get_attribute("data-moved") is None
    page.emulate_media(reduced_motion="no-preference")
    busy.client.scale_agent("unit", 4)
    expect(at).to_have_attribute("data-moved", re.compile(r"[1-9]"))
    page.emulate_media(reduced_motion="reduce")
    busy.client.scale_agent("unit", 2)
    expect(summary).to_contain_text("2 instances,")


def test_nothing_moves_where_that_is_switched_off_in_the_settings(browser: Browser, busy: Fabric) -> None:
    with visit(browser, busy) as made:
        made.page.emulate_media(reduced_motion="no-preference")
        made.log_in()
        made.open("settings")
        made.page.get_by_label("Nothing moves on the map").check()
        at = drawn(made)
        summary = made.page.locator("#map-summary")
        expect(summary).to_contain_text("2 instances,")
        expect(at).to_have_attribute("data-still", "")
        busy.client.scale_agent("unit", 3)
        expect(summary).to_contain_text("3 instances,")
        assert at.get_attribute("data-moved") is None
        # It is that switch that keeps it still, and no other thing.
        made.open("settings")
        made.page.get_by_label("Nothing moves on the map").uncheck()
        drawn(made)
        expect(summary).to_contain_text("3 instances,")
        busy.client.scale_agent("unit", 2)
        busy.client.scale_agent("unit", 4)
        expect(at).to_have_attribute("data-moved", re.compile(r"[1-9]"))
        busy.client.scale_agent("unit", 2)
        expect(summary).to_contain_text("2 instances,")


def test_on_a_phone_half_of_the_screen_is_the_maps_whatever_is_selected(inside: Visit) -> None:
    page = inside.page
    page.set_viewport_size({"width": 360, "height": 760})
    inside.open("map")
    page.evaluate(NAMED)
    at = the_map(page)
    expect(at).to_have_attribute("data-frames", re.compile(r"\d+"), timeout=WITHIN_MS)
    expect(page.get_by_role("link", name="As a list")).to_be_visible()
    at.focus()
    page.keyboard.press("Home")
    page.keyboard.press("]")
    page.keyboard.press("Enter")
    expect(card(page)).to_be_visible()

    def shown() -> float:
        box, over = at.bounding_box(), card(page).bounding_box()
        assert box
        assert over
        return over["y"] - box["y"]

    assert shown() >= 380, "half of it"
    wider = card(page).get_by_role("button", name="More of it")
    expect(wider).to_have_attribute("aria-expanded", "false")
    wider.click()
    inside.until(lambda: shown() < 300, "the sheet has gone up")
    assert inside.flaws() == []
    card(page).get_by_role("button", name="Less of it").click()
    inside.until(lambda: shown() >= 380, "and down")
    card(page).get_by_role("button", name="Clear the selection").click()
    expect(card(page)).to_have_count(0)
    page.set_viewport_size({"width": 1280, "height": 800})


def test_on_a_phone_the_few_nodes_there_are_fill_the_screen(inside: Visit) -> None:
    page = inside.page
    page.set_viewport_size({"width": 360, "height": 760})
    at = drawn(inside)

    def near() -> bool:
        return float(at.get_attribute("data-zoom") or 0) > 0.95

    # With their names, and what they use below them: CAPTIONS_FROM of labels.ts.
    inside.until(near, "the two nodes are near")
    page.get_by_role("button", name="Farther").click()
    inside.until(lambda: not near(), "farther")
    page.get_by_role("button", name="All of it").click()
    inside.until(near, "and near again")
    page.set_viewport_size({"width": 1280, "height": 800})


def test_on_a_phone_the_state_is_one_line_and_no_revision_is_cut(inside: Visit) -> None:
    page = inside.page
    page.route("**/v1/fabric", as_a_demo)
    drawn(inside)
    bar = page.get_by_role("region", name="State and search")
    for width in (320, 360, 412, 620, 800):
        page.set_viewport_size({"width": width, "height": 760})
        expect(bar.get_by_text("Demo")).to_be_visible()
        live, line = bar.locator(".state-text"), bar.locator(".state")
        assert live.evaluate("one => [one.scrollWidth <= one.clientWidth, one.getClientRects().length]") == [True, 1], (
            f"all of the word at {width}"
        )
        assert line.evaluate(
            """one => { const box = one.getBoundingClientRect(), revision = one.lastElementChild;
            const { top, right } = revision.getBoundingClientRect(), all = revision.scrollWidth <= revision.clientWidth;
            return top >= box.bottom - 1 || (all && right <= box.right + 1) }"""
        ), f"the whole revision or none at {width}"
        assert not inside.runs_out_of_the_window()
    page.unroute("**/v1/fabric")
    page.set_viewport_size({"width": 1280, "height": 800})


def test_the_keys_that_lead_to_all_others_are_seen_at_any_width(inside: Visit) -> None:
    drawn(inside)
    page = inside.page
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.locator("button:visible").filter(has_text="Find or do").click()
        expect(page.get_by_role("combobox", name="Go to, or do")).to_be_focused()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Keys", exact=True).locator("visible=true").click()
        expect(page.get_by_role("dialog").get_by_role("heading", name="Keys")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.set_viewport_size({"width": 1280, "height": 800})


def test_a_real_fabric_is_not_marked_as_a_demo_and_a_demo_is_on_every_page(inside: Visit) -> None:
    page = inside.page
    drawn(inside)
    expect(page.locator(".demo-mark")).to_have_count(0)
    # Only the one word that tells them apart is another: what Nexus says of itself.
    page.route("**/v1/fabric", as_a_demo)
    page.route("**/v1/fabric", lambda route: route.fulfill(status=503), times=1)
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 780})
        for name in ("map", "overview", "nodes", "instances", "settings"):
            inside.open(name)
            mark = page.locator(".demo-mark:visible")
            expect(mark).to_contain_text("Demo")
            over = mark.evaluate(
                """one => { const { left, top, width, height } = one.getBoundingClientRect();
                const hit = document.elementFromPoint(left + width / 2, top + height / 2);
                const fields = [...document.querySelectorAll('input, select')].map(one => one.getBoundingClientRect());
                return [hit === one || one.contains(hit), fields.some(field => field.width && field.left < left + width
                    && left < field.right && field.top < top + height && top < field.bottom)] }"""
            )
            assert over == [True, False], f"seen, and over no field, on {name} at {width}"
    page.unroute("**/v1/fabric")
    page.set_viewport_size({"width": 1280, "height": 800})
    inside.console[:] = [told for told in inside.console if "503" not in told]


def test_before_anything_is_known_nothing_is_said_of_it(browser: Browser, busy: Fabric) -> None:
    with visit(browser, busy) as made:
        made.log_in()
        made.page.add_init_script(f"({NAMED})()")
        made.page.route_web_socket(re.compile("/v1/view"), lambda _: None)  # nothing comes
        made.open("map")
        waiting = "Waiting for the first view of the fabric…"
        expect(made.page.locator("#map-summary")).to_have_text(waiting)
        expect(made.page.locator(".map-foot")).to_contain_text(waiting)
        expect(legend(made.page)).to_have_count(0)
        expect(the_map(made.page)).to_have_attribute("data-zoom", "1.600")  # as near as Nexus alone is shown
        made.until(lambda: made.page.evaluate("window.named.length"), "the names are drawn")
        assert "nothing pending" not in {text for text, *_ in made.page.evaluate("window.named")}


def test_the_keys_of_the_map_work_wherever_on_its_page_one_is(inside: Visit) -> None:
    """Whoever opens the page has the focus nowhere: the arrows are meant for what is seen all the same."""
    at = drawn(inside)
    page = inside.page
    page.evaluate("document.activeElement.blur()")
    assert page.evaluate("document.activeElement === document.body")
    page.keyboard.press("]")
    expect(at).to_have_attribute("data-cursor", re.compile("alpha|beta"))
    page.keyboard.press("Enter")
    expect(card(page).get_by_role("heading", level=2)).to_have_text(at.get_attribute("data-cursor") or "")
    page.keyboard.press("Escape")
    expect(card(page)).to_have_count(0)
    before = float(at.get_attribute("data-zoom") or 0)
    nearer = page.get_by_role("button", name="Nearer")
    nearer.focus()
    page.keyboard.press("+")
    inside.until(lambda: float(at.get_attribute("data-zoom") or 0) > before, "it is nearer, by a key beside a button")
    # By way of the menu, whose link keeps Enter until the arrows have led away from it.
    page.get_by_role("link", name="Overview").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.get_by_role("link", name="Map", exact=True).press("Enter")
    expect(at).to_have_attribute("data-frames", re.compile(r"\d"))
    page.keyboard.press("ArrowRight")
    expect(at).to_have_attribute("data-cursor", re.compile("alpha|beta"))
    page.keyboard.press("Enter")
    expect(card(page).get_by_role("heading", level=2)).to_have_text(at.get_attribute("data-cursor") or "")
    page.keyboard.press("Escape")
    expect(card(page)).to_have_count(0)
    # What has the focus keeps the keys that it takes itself.
    reached = at.get_attribute("data-cursor")
    page.get_by_label("Find a node, agent or instance").press("ArrowRight")
    page.get_by_role("radiogroup", name="Colour by").get_by_label("Health").press("ArrowRight")
    expect(page.get_by_label("Failing rule")).to_be_checked()
    nearer.press("Enter")
    expect(card(page)).to_have_count(0)
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_role("heading", name="Keys").click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    assert at.get_attribute("data-cursor") == reached
    ask(page, "Health")


def test_a_key_of_one_letter_is_the_maps_alone_where_that_is_switched_off(inside: Visit) -> None:
    """WCAG 2.1.4: who speaks to their computer has no letter, digit or sign do anything but where the focus is."""
    page = inside.page
    inside.open("settings")
    page.get_by_label("Keys of one letter").uncheck()
    at = drawn(inside)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("]")
    page.keyboard.press("1")
    page.keyboard.press("Control+1")  # which is none
    expect(page.locator("[aria-live]").filter(has_text="Group 1")).to_contain_text("empty now")
    assert at.get_attribute("data-cursor") is None
    at.focus()
    page.keyboard.press("]")
    expect(at).to_have_attribute("data-cursor", re.compile("alpha|beta"))
    inside.open("settings")
    page.get_by_label("Keys of one letter").check()


def as_a_demo(route: Route) -> None:
    answer_otherwise(route, lambda body: {**body, "demo": True})


def test_a_gap_in_a_chart_is_drawn_as_a_gap(inside: Visit, busy: Fabric) -> None:
    """Nobody knows what was in between: a line across would say so."""
    page = inside.page
    page.route("**/v1/metrics/query?*", with_a_gap)
    node = next(iter(busy.client.nodes())).name
    inside.open(f"nodes/{node}")
    canvas = page.locator(".chart canvas").first
    expect(canvas).to_be_visible()
    until(lambda: sum(page.evaluate(DRAWN_COLUMNS)) > 20, "lines are drawn")
    columns = page.evaluate(DRAWN_COLUMNS)
    first, last = columns.index(True), len(columns) - 1 - columns[::-1].index(True)
    longest = max(len(run) for run in "".join("x" if one else " " for one in columns[first : last + 1]).split("x"))
    assert longest > (last - first) / 5, "a third of the time is not known"
    page.unroute("**/v1/metrics/query?*")


def with_a_gap(route: Route) -> None:
    """As it was answered, but with numbers all over the time and none in the middle of it."""

    def changed(body: dict[str, Any]) -> dict[str, Any]:
        for item in body.get("items", []):
            many = len(item["values"])
            item["values"] = [None if many / 3 < at < 2 * many / 3 else 1.0 for at in range(many)]
        return body

    answer_otherwise(route, changed)


def test_a_value_alone_between_gaps_is_a_point_and_nothing_known_is_no_axis(inside: Visit, busy: Fabric) -> None:
    page = inside.page
    node = next(iter(busy.client.nodes())).name
    known = True

    def changed(body: dict[str, Any]) -> dict[str, Any]:
        if not known:
            body["items"] = []
        for item in body["items"]:
            many = len(item["values"])
            item["values"] = [1.0 if at == many // 2 else None for at in range(many)]
        return body

    page.route("**/v1/metrics/query?*", lambda route: answer_otherwise(route, changed))
    inside.open(f"nodes/{node}")
    expect(page.locator(".chart canvas").first).to_be_visible()
    inside.until(lambda: sum(page.evaluate(DRAWN_COLUMNS)) >= 4, "as wide as a point, not as a line")
    assert sum(page.evaluate(DRAWN_COLUMNS)) < 20
    known = False
    # Without a load of the page anew: the charts of another time.
    page.get_by_role("radiogroup", name="Over").get_by_text("2 h").click()
    expect(page.get_by_text("Nothing was sampled in this time.").first).to_be_visible()
    expect(page.locator(".chart canvas")).to_have_count(0)
    # One that has been answered already may be under way: to wait for it fails at times.
    page.unroute_all(behavior="ignoreErrors")


DRAWN_COLUMNS = """() => {
    const canvas = document.querySelector('.chart canvas');
    const { width, height } = canvas;
    const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
    const probe = document.createElement('span');
    probe.style.color = 'var(--accent)';
    document.body.append(probe);
    const [red, green, blue] = getComputedStyle(probe).color.match(/[0-9]+/g).map(Number);
    probe.remove();
    return Array.from({ length: width }, (_, x) => {
        for (let y = 0; y < height; y += 1) {
            const at = 4 * (y * width + x);
            const far = Math.abs(pixels[at] - red) + Math.abs(pixels[at + 1] - green) + Math.abs(pixels[at + 2] - blue);
            if (pixels[at + 3] > 200 && far < 24) return true;
        }
        return false;
    });
}"""


SMALL_MAP_LIKE_LEGEND = """text => {
    const sign = [...document.querySelectorAll(".map-legend li")].find(one => one.textContent.includes(text));
    if (!sign) return "";
    const [red, green, blue] = getComputedStyle(sign.querySelector("svg")).fill.match(/[\\d.]+/g).map(Number);
    const canvas = document.querySelector(".map-mini canvas");
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    for (let at = 0; at < pixels.length; at += 4) {
        const far = Math.abs(pixels[at] - red) + Math.abs(pixels[at + 1] - green) + Math.abs(pixels[at + 2] - blue);
        if (far < 6) return "alike";
    }
    return "other";
}"""


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


def test_who_sees_all_of_it_does_so_in_a_window_of_another_size_too(inside: Visit) -> None:
    at = drawn(inside)
    page = inside.page
    go_to(page, "beta")
    page.keyboard.press("Home")

    def zoom() -> float:
        return float(at.get_attribute("data-zoom") or 1)

    page.evaluate(STOOD_STILL)
    wide = zoom()
    page.set_viewport_size({"width": 400, "height": 800})
    inside.until(lambda: zoom() < 0.9 * wide, "all of it is seen in a narrow window")
    page.set_viewport_size({"width": 1280, "height": 800})
    inside.until(lambda: zoom() == wide, "and as near as before in a wide one")
    page.keyboard.press("Home")
    whole = at.get_attribute("data-zoom")
    # Whoever looks at a part of it goes on doing that.
    page.keyboard.press("+")
    expect(at).not_to_have_attribute("data-zoom", whole or "")
    nearer = at.get_attribute("data-zoom")
    page.set_viewport_size({"width": 1000, "height": 800})
    inside.until(lambda: (at.bounding_box() or {"width": 0})["width"] < 900, "the window is another")
    assert at.get_attribute("data-zoom") == nearer
    page.set_viewport_size({"width": 1280, "height": 800})


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
    freeze(*stopped)
    try:
        expect(summary).to_contain_text("1 dark", timeout=WITHIN_MS)
        go_to(page, "beta")
        expect(page.locator("[aria-live]").filter(has_text="beta")).to_contain_text(re.compile("unreachable|lost"))
    finally:
        send(stopped, signal.SIGCONT)
    expect(summary).to_contain_text("none dark", timeout=WITHIN_MS)
