"""Time travel in a real Chromium: the panel shows a real fabric as it was, and nobody takes that for now."""

import json
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, Route, WebSocketRoute, expect

from support.fabric_fixtures import emptied
from support.fabric_processes import Fabric
from support.panel_browser import WITHIN_MS, Visit, visit

AGENT = """
name = "was"
replicas = 1
command = ["sleep", "3600"]
resources = { cpu = 0.01, memory = "8MiB" }
stop = { grace = "1s" }
"""


@dataclass(frozen=True)
class History:
    """Revisions of the fabric at which `was` had as many replicas that ran."""

    one: int
    three: int


@pytest.fixture(scope="module")
def history(shared: Fabric) -> Iterator[History]:
    path = shared.folder / "was.toml"
    path.write_text(AGENT)
    shared.cli("deploy", str(path))
    shared.running("was", 1)
    shared.client.scale_agent("was", 3)
    shared.running("was", 3)
    one = shared.events("agent.scaled", subject="agent/default/was")[-1].revision - 1
    three = shared.client.get_fabric().revision
    shared.client.scale_agent("was", 2)
    shared.running("was", 2)
    yield History(one, three)
    emptied(shared)


@pytest.fixture(scope="module")
def inside(browser: Browser, shared: Fabric, history: History) -> Generator[Visit]:
    assert history.one < history.three
    with visit(browser, shared) as made:
        made.log_in()
        yield made
        assert made.console == []


def is_past(page: Page, revision: int) -> None:
    """Marked as such all over, and of that revision."""
    shown = f"{revision:,}".replace(",", "\u202f")
    expect(page.locator(".past-at")).to_contain_text(f"Revision {shown} ·", timeout=WITHIN_MS)
    expect(page.locator(".shell.past")).to_have_count(1)
    expect(page).to_have_title(re.compile(f"^Past, revision {revision} · "))
    border = page.evaluate("getComputedStyle(document.querySelector('.shell'), '::after').borderTopWidth")
    assert border == "5px"


def is_now(page: Page) -> None:
    expect(page.locator(".past-bar")).to_have_count(0)
    expect(page.locator(".shell.past")).to_have_count(0)
    expect(page).not_to_have_title(re.compile("Past"))
    expect(page).not_to_have_url(re.compile("at="))


def test_a_list_shows_what_was_and_one_key_leads_there_and_back(
    inside: Visit, shared: Fabric, history: History
) -> None:
    page = inside.page
    inside.show("instances?q=agent:was status:running")
    rows = page.locator(".table-row")
    expect(rows).to_have_count(2)
    page.keyboard.press("Shift+T")
    slider = page.get_by_role("slider", name="Revision")
    expect(slider).to_be_visible()
    slider.fill(str(history.three))
    is_past(page, history.three)
    expect(rows).to_have_count(3)
    expect(page).to_have_url(re.compile(f"at={history.three}"))
    # What goes on meanwhile changes nothing of what was.
    shared.client.scale_agent("was", 4)
    shared.running("was", 4)
    expect(rows).to_have_count(3)
    slider.focus()
    slider.press("Home")
    expect(rows).to_have_count(0)
    page.keyboard.press("Shift+T")
    is_now(page)
    expect(rows).to_have_count(4)
    shared.client.scale_agent("was", 2)
    shared.running("was", 2)


def test_a_link_shows_the_same_past_and_every_page_stays_in_it(inside: Visit, history: History) -> None:
    page = inside.page
    inside.show(f"agents/default/was?at={history.one}")
    is_past(page, history.one)
    expect(page.locator(".figures")).to_contain_text("1 of 1")
    page.get_by_role("link", name=re.compile("^Instances")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Instances")
    expect(page).to_have_url(re.compile(f"/instances.*at={history.one}$"))
    is_past(page, history.one)
    page.reload()
    is_past(page, history.one)
    page.get_by_role("link", name=re.compile("^Map")).click()
    expect(page.locator("#map-summary")).to_contain_text("1 instance", timeout=WITHIN_MS)
    page.get_by_role("button", name="Back to now").last.click()
    is_now(page)
    expect(page.locator("#map-summary")).to_contain_text("2 instances", timeout=WITHIN_MS)


def test_nothing_is_done_from_the_past(inside: Visit, shared: Fabric, history: History) -> None:
    page = inside.page
    inside.show(f"agents/default/was?at={history.one}")
    is_past(page, history.one)
    scale = page.get_by_role("button", name="Scale")
    expect(scale).to_be_disabled()
    expect(scale).to_have_attribute("title", re.compile("this is the past"))
    page.keyboard.press("s")
    expect(page.locator(".toast")).to_contain_text("Nothing was done")
    page.locator(".toast").get_by_role("button", name="Dismiss").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    inside.show(f"agents?at={history.three}")
    is_past(page, history.three)
    # What is asked for is known of then too, of all that ran.
    expect(page.locator(".table-row").filter(has_text="was")).to_contain_text("– / 0.03")
    for name in ("Import", "New agent"):
        button = page.get_by_role("button", name=name)
        expect(button).to_be_disabled()
        expect(button).to_have_attribute("title", re.compile("this is the past"))
    instance = shared.running("was", 2)[0].id
    for name in ("terminal", "files"):
        inside.show(f"instances/{instance}/{name}?at={history.three}")
        is_past(page, history.three)
        for button in page.locator("main button:not(.icon-button)").all():
            expect(button).to_be_disabled()
    before = len(list(shared.client.tokens()))
    inside.show(f"join?at={history.three}")
    is_past(page, history.three)
    page.get_by_role("button", name="Make a token").click()
    expect(page.locator("body")).to_contain_text("this is the past")
    assert len(list(shared.client.tokens())) == before
    page.keyboard.press("Shift+T")
    is_now(page)


def test_steps_go_from_event_to_event(inside: Visit, history: History) -> None:
    page = inside.page
    # Of this agent: those of other files, on the same fabric, may have been scaled as well.
    scaled = page.locator(".event-row").filter(has_text="agent was").filter(has_text="scaled to 3")
    inside.show(f"events?at={history.one}")
    is_past(page, history.one)
    expect(page.locator(".event-row").first).to_be_visible()
    expect(page.locator(".event-top")).to_contain_text("Until the revision that is shown")
    expect(scaled).to_have_count(0)
    page.keyboard.press(".")
    expect(page.locator(".past-event")).to_contain_text("agent was scaled to 3", timeout=WITHIN_MS)
    expect(scaled).to_have_count(1)
    at = page.url
    page.keyboard.press(".")
    expect(page).not_to_have_url(at)
    expect(page.locator(".past-event")).not_to_contain_text("scaled to 3", timeout=WITHIN_MS)
    second = page.url
    page.keyboard.press(",")
    expect(page.locator(".past-event")).to_contain_text("agent was scaled to 3", timeout=WITHIN_MS)
    expect(page).to_have_url(re.compile(f"at={at.rpartition('at=')[2]}$"))
    # However quick the presses are, each is a step.
    inside.show(f"events?at={history.one}")
    is_past(page, history.one)
    press_quickly(inside, "..")
    expect(page).to_have_url(re.compile(f"at={second.rpartition('at=')[2]}$"))
    page.keyboard.press("Shift+T")
    is_now(page)
    page.get_by_label("Search events").fill("was scaled to 3")
    scaled.first.get_by_role("button", name="The fabric as of revision").click()
    expect(page.locator(".past-event")).to_contain_text("scaled to 3", timeout=WITHIN_MS)
    page.keyboard.press("Shift+T")
    is_now(page)


def press_quickly(inside: Visit, keys: str) -> None:
    """All of them before the first has its answer."""
    page = inside.page
    held: list[Route] = []
    page.route("**/v1/events?*", lambda route: held.append(route) if holding else route.continue_())
    holding = True
    page.keyboard.press(keys[0])
    inside.until(lambda: held, "the first is asked for")
    for key in keys[1:]:
        page.keyboard.press(key)
    holding = False
    for route in held:
        route.continue_()
    page.unroute("**/v1/events?*")


def test_quick_steps_lead_back_from_the_newest_event(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    newest = max(event.revision for event in shared.events())
    inside.show(f"events?at={newest}")
    is_past(page, newest)
    page.keyboard.press(".")
    expect(page.locator(".past-trouble")).to_contain_text("Nothing has happened since")
    seen = page.url
    for _ in range(2):
        page.keyboard.press(",")
        expect(page).not_to_have_url(seen)
        seen = page.url
    inside.show(f"events?at={newest}")
    is_past(page, newest)
    press_quickly(inside, "..,,")
    is_past(page, int(seen.rpartition("at=")[2]))
    expect(page.locator(".past-trouble")).to_have_count(0)
    page.keyboard.press("Shift+T")
    is_now(page)


BOOKKEEPING = ("reported.v1", "facts-changed.v1", "rollout-advanced.v1", "slots-retired.v1")
"""Events that are no step for a person."""

WATCH_THE_MAP = """() => {
    const ink = () => {
        const canvas = document.querySelector('.map-labels-canvas');
        const { width, height } = canvas;
        const probe = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
        probe.drawImage(canvas, 0, 0);
        return new Uint32Array(probe.getImageData(0, 0, width, height).data.buffer).some(pixel => pixel);
    };
    const seen = window.seenOfMap = { frames: 0, unnamed: 0, heights: [] };
    const look = () => {
        if (window.seenOfMap !== seen) return;
        if (!seen.frames && !ink()) return requestAnimationFrame(look);
        seen.frames += 1;
        if (!ink()) seen.unnamed += 1;
        const height = document.querySelector('.past-bar').getBoundingClientRect().height;
        if (!seen.heights.includes(height)) seen.heights.push(height);
        requestAnimationFrame(look);
    };
    look();
}"""
"""In each frame from the first names on: whether anything is named on the map, and how high the bar of the past is."""


def test_steps_leave_the_names_and_the_page_where_they_are_and_ask_once(inside: Visit, shared: Fabric) -> None:
    page = inside.page
    newest = max(event.revision for event in shared.events())
    inside.show(f"map?at={newest}")
    is_past(page, newest)
    expect(page.locator("#map-summary")).to_contain_text("instance", timeout=WITHIN_MS)
    expect(page.locator("[data-frames]")).to_have_count(1)
    expect(page.locator(".past-event")).not_to_have_text("")
    page.evaluate(WATCH_THE_MAP)
    inside.until(lambda: page.evaluate("window.seenOfMap.frames") > 0, "the first names are there")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/v1/events?" in request.url else None)
    steps = 12
    for _ in range(steps):
        page.keyboard.press(",")
    told = sorted({event.revision for event in shared.events() if not event.type.endswith(BOOKKEEPING)})
    is_past(page, [revision for revision in told if revision < newest][-steps])
    expect(page.locator(".past-event")).not_to_have_text("")
    seen = page.evaluate("window.seenOfMap")
    page.evaluate("window.seenOfMap = undefined")
    assert seen["frames"] > 1
    assert seen["unnamed"] == 0
    assert len(seen["heights"]) == 1
    # What happened where somebody stays is asked as well: but not for each step.
    assert len(asked) < steps
    page.keyboard.press("Shift+T")
    is_now(page)


def test_a_revision_that_cannot_be_shown_says_why(inside: Visit, history: History) -> None:
    page = inside.page
    inside.show("settings")
    inside.open("nodes?at=999999999")
    expect(page.locator(".past-trouble")).to_contain_text("never had revision 999999999", timeout=WITHIN_MS)
    expect(page.locator(".table-row")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such revision to show")
    kept = page.get_by_text("Kept are the revisions 1 to")
    expect(kept).to_be_visible()
    expect(page.locator(".nav-count")).to_have_count(0)
    expect(page.get_by_role("slider")).not_to_have_attribute("max", "999999999")
    page.get_by_role("button", name="The oldest that is kept").click()
    is_past(page, 1)
    # From one that is shown, by the address: what was shown is not of that one.
    page.evaluate("""() => {
        history.pushState(null, "", "?at=888888888");
        dispatchEvent(new PopStateEvent("popstate"));
    }""")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such revision to show", timeout=WITHIN_MS)
    expect(page.locator(".past-trouble")).to_contain_text("never had revision 888888888")
    expect(page.locator(".nav-count")).to_have_count(0)
    page.keyboard.press("Shift+T")
    is_now(page)
    for wrong in ("abc", "-4"):
        inside.open(f"map?at={wrong}")
        expect(page.get_by_text(f"“{wrong}” is no revision")).to_be_visible()
        expect(kept).to_be_visible()
        page.get_by_role("button", name="Back to now").click()
        is_now(page)
    expect(page.locator("#map-summary")).to_contain_text("2 instances", timeout=WITHIN_MS)

    cut = True

    def trimmed(socket: WebSocketRoute) -> None:
        if not cut or "at=" not in socket.url:
            socket.connect_to_server()
            return
        socket.close(code=4410, reason=json.dumps({"code": "trimmed", "first": history.three}))

    page.route_web_socket(re.compile("/v1/view"), trimmed)
    inside.open(f"nodes?at={history.one}")
    expect(page.locator(".past-trouble")).to_contain_text(f"the oldest that is kept is {history.three}")
    expect(page.get_by_role("slider")).to_have_attribute("min", str(history.three))
    cut = False
    page.keyboard.press("Shift+T")
    is_now(page)


GROUNDS = """() => {
    const page = document.querySelector('.page'), map = document.querySelector('.map-page');
    const context = new OffscreenCanvas(1, 1).getContext('2d');
    const probe = map.appendChild(document.createElement('i'));
    const found = ['ground', 'plate', 'roof'].map(name => {
        probe.style.color = `var(--map-${name})`;
        return ['none', getComputedStyle(page).filter].map(filter => {
            context.filter = filter;
            context.fillStyle = getComputedStyle(probe).color;
            context.fillRect(0, 0, 1, 1);
            return context.getImageData(0, 0, 1, 1).data.slice(0, 3).reduce((sum, one) => sum + one, 0) / 3;
        });
    });
    probe.remove();
    return found;
}"""
"""How bright they are, as they are chosen and as they are seen in the past."""


def test_the_map_of_the_past_is_no_paler_than_that_of_now(inside: Visit, history: History) -> None:
    inside.show(f"map?at={history.three}")
    is_past(inside.page, history.three)
    for theme in inside.themes():
        (ground, ground_then), (plate, plate_then), (roof, roof_then) = inside.page.evaluate(GROUNDS)
        assert plate_then - ground_then >= 0.8 * (plate - ground) > 0, theme
        assert roof_then - plate_then >= 0.8 * (roof - plate) > 0, theme
    inside.page.keyboard.press("Shift+T")
    is_now(inside.page)


def test_axe_finds_nothing_and_nothing_runs_over_the_side(inside: Visit, history: History) -> None:
    page = inside.page
    found: dict[str, object] = {}
    for name in ("agents", "agents/default/was"):
        inside.show(f"{name}?at={history.three}")
        is_past(page, history.three)
        for width in (360, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            if inside.runs_out_of_the_window():
                found[f"{name} {width}"] = "runs over the side"
        found.update(inside.flaws_in_both_themes(name))
    assert {name: flaws for name, flaws in found.items() if flaws} == {}
