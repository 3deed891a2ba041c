"""The panel in a real Chromium on a real fabric: logging in, looking, and Nexus being killed meanwhile."""

import json
import os
import re
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Route, WebSocketRoute, expect

from support.fabric_fixtures import deployed
from support.fabric_processes import Fabric, freeze, send, until
from support.panel_browser import PAGES, WITHIN_MS, Visit, answer_otherwise, chromium, login_link, visit

HELLO = """
name = "{name}"
replicas = 2
command = ["sleep", "3600"]
resources = {{ cpu = 0.01, memory = "8MiB" }}
"""
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\u202egnp.exe'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(whole=True) as made:
        yield made


@pytest.fixture(scope="module")
def busy(shared: Fabric) -> Iterator[Fabric]:
    """With something to show."""
    with deployed(shared, shown=HELLO.format(name="shown")):
        yield shared


@pytest.fixture(scope="module")
def inside(browser: Browser, busy: Fabric) -> Generator[Visit]:
    """Logged in once for all tests that do not log out."""
    with visit(browser, busy) as made:
        made.log_in()
        yield made


@pytest.fixture
def stranger(browser: Browser, busy: Fabric) -> Generator[Visit]:
    with visit(browser, busy) as made:
        yield made


def test_a_link_logs_in_once_and_leaves_no_trace(stranger: Visit, browser: Browser, busy: Fabric) -> None:
    link = busy.cli("panel").stdout.strip()
    code = link.partition("=")[2]
    page = stranger.page
    page.goto(link)
    stranger.until_live()
    assert page.url.startswith(f"{busy.url}/")
    assert "login" not in page.url
    cookies = page.context.cookies()
    assert len(cookies) == 1
    cookie: Any = cookies[0]
    assert cookie["name"].startswith("__Host-omnitide-")
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["path"]) == (True, True, "Strict", "/")
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("Object.values(localStorage).join()").find(cookie["value"]) == -1
    page.reload()
    stranger.until_live()
    assert code not in (busy.data() / "nexus.log").read_text()
    with visit(browser, busy) as second:
        second.page.goto(link)
        expect(second.page.locator(".notice")).to_contain_text("has been used")
        assert "login=" not in second.page.url
        assert second.page.context.cookies() == []
    assert stranger.console == []
    assert stranger.hosts == {busy.url.partition("//")[2]}


def test_links_that_are_wrong_or_too_old_say_so_and_a_token_still_opens(stranger: Visit, busy: Fabric) -> None:
    old = login_link(busy, "1s")
    stranger.open("?login=oml_wrong")
    expect(stranger.page.locator(".notice")).to_be_visible()
    until(lambda: list(busy.client.tokens(purpose="login"))[-1].state == "expired", "the link has expired")
    stranger.page.goto(old)
    expect(stranger.page.locator(".notice")).to_contain_text("has expired")
    stranger.page.get_by_label("API token").fill((busy.data() / "nexus" / "admin-token").read_text().strip())
    stranger.page.get_by_role("button", name="Log in").click()
    stranger.until_live()
    stranger.open("settings")
    stranger.page.get_by_role("button", name="Log out").click()
    expect(stranger.page.locator(".notice")).to_contain_text("logged out")
    assert stranger.page.context.cookies() == []
    stranger.open("nodes")
    expect(stranger.page.get_by_label("API token")).to_be_visible()


def test_the_lists_show_what_there_is_and_change_with_it(inside: Visit, busy: Fabric) -> None:
    page = inside.page
    inside.show("nodes")
    for node in busy.client.nodes():
        expect(page.get_by_role("row", name=re.compile(node.name))).to_contain_text("live")
    inside.show("instances?q=shown&sort=-name")
    rows = page.get_by_role("row").filter(has_text="running")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("shown-2.1")
    page.evaluate("window.mark = 1")
    busy.client.scale_agent("shown", 3)
    expect(rows).to_have_count(3)
    busy.client.cordon_node("beta")
    inside.page.get_by_role("link", name=re.compile("^Nodes")).click()
    expect(page.get_by_role("row", name=re.compile("beta"))).to_contain_text("cordoned")
    busy.client.uncordon_node("beta")
    expect(page.get_by_role("row", name=re.compile("beta"))).not_to_contain_text("cordoned")
    page.get_by_role("searchbox").fill("no such node")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    page.get_by_role("searchbox").fill("alpha")
    expect(page).to_have_url(re.compile(r"/nodes\?q=alpha$"))
    assert page.evaluate("window.mark") == 1, "the page was loaded anew"


def test_a_page_asks_once_who_is_logged_in_and_for_the_view_and_does_so_before_its_script_is_there(
    inside: Visit,
) -> None:
    page = inside.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/v1/session") else None)
    page.on("websocket", lambda socket: asked.append(socket.url))
    inside.show("nodes")
    inside.until_live()
    expect(page.get_by_role("row", name=re.compile("alpha"))).to_be_visible()
    assert sorted(urlsplit(url).path for url in asked) == ["/v1/session", "/v1/view"]
    early = "[omnitideEarly.socket, Object.keys(omnitideEarly.answers), omnitideEarly.messages.length]"
    assert page.evaluate(early) == [None, [], 0], "what was begun early is what is used"


def test_what_the_overview_shows_first_is_asked_for_once_and_before_its_script_is_there(inside: Visit) -> None:
    page = inside.page
    page.goto("about:blank")  # The page before asks for something now and then.
    held: list[Route] = []
    page.route("**/assets/index-*.js", lambda route: held.append(route))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/v1/" in request.url else None)
    page.goto(f"{inside.url}/overview", wait_until="commit")
    inside.until(lambda: len(asked) == 4 and held, "all is asked for")
    shown = sorted(urlsplit(url).path for url in asked)
    assert shown == ["/v1/events", "/v1/events", "/v1/fabric", "/v1/session"]
    held[0].continue_()
    expect(page.locator(".overview .big-meter").first).to_be_visible()
    expect(page.locator(".overview .verdict")).not_to_contain_text("Asking")
    assert page.evaluate("Object.keys(omnitideEarly.answers)") == []
    page.unroute("**/assets/index-*.js")


@pytest.mark.parametrize("known", [True, False])
def test_the_frame_is_there_before_the_script_for_who_has_logged_in(
    inside: Visit, stranger: Visit, known: bool
) -> None:
    made = inside if known else stranger
    held: list[Route] = []
    made.page.route("**/assets/index-*.js", lambda route: held.append(route))
    made.page.goto(f"{made.url}/nodes", wait_until="commit")
    made.until(lambda: held, "the panel's script is asked for")
    expect(made.page.locator(".boot")).to_be_visible(visible=known)
    before = {name: made.page.locator(f".boot {name}").all_inner_texts() for name in ("h1", ".nav-label")}
    places = """root => [...document.querySelectorAll(`${root} .nav a`)].map((one) => {
        const { x, y, width, height } = one.getBoundingClientRect();
        return [one.pathname, one.ariaCurrent, x, y, width, height];
    })"""
    named = made.page.evaluate(places, ".boot")
    held[0].continue_()
    if known:
        assert before["h1"] == ["Nodes"]
        made.until_live()
        assert made.page.locator("#app .nav-label").all_inner_texts() == before[".nav-label"]
        assert made.page.evaluate(places, "#app") == named
    else:
        expect(made.page.get_by_label("API token")).to_be_visible()
    expect(made.page.locator(".boot")).to_be_hidden()
    made.page.unroute("**/assets/index-*.js")


LIMITS = """window.limits = [];
AbortSignal.timeout = () => { const limit = new AbortController(); limits.push(limit); return limit.signal; };"""
"""Times run out when `limits` are aborted, and not by the clock."""


def test_a_script_that_comes_later_than_what_was_asked_for_early_is_allowed_still_shows_the_panel(
    browser: Browser, busy: Fabric
) -> None:
    with visit(browser, busy) as made:
        made.log_in()
        page = made.page
        held: list[Route] = []
        page.route("**/assets/index-*.js", lambda route: held.append(route))
        page.add_init_script(LIMITS)
        with page.expect_response("**/v1/session"):
            page.goto(f"{made.url}/nodes", wait_until="commit")
        made.until(lambda: held, "the panel's script is asked for")
        page.evaluate("limits.forEach((one) => one.abort(new DOMException('signal timed out', 'TimeoutError')))")
        held[0].continue_()
        made.until_live()
        expect(page.get_by_role("row", name=re.compile("alpha"))).to_be_visible()
        assert made.console == []


@pytest.mark.parametrize("known", [True, False])
def test_a_script_that_does_not_come_is_told_in_the_frame_and_the_page_can_be_loaded_again(
    browser: Browser, busy: Fabric, known: bool
) -> None:
    with visit(browser, busy) as made:
        if known:
            made.log_in()
        page = made.page
        page.route("**/assets/index-*.js", lambda route: route.abort())
        made.open("nodes")
        expect(page.get_by_role("alert")).to_contain_text("script did not come")
        expect(page.get_by_role("heading", level=1)).to_have_text("Nodes" if known else "Omnitide")
        for width in (360, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert {scheme: made.flaws() for scheme in made.themes()} == {"light": [], "dark": []}
            assert not made.runs_out_of_the_window()
        page.get_by_role("link", name="Agents").click()
        expect(page).to_have_url(f"{made.url}/agents")
        page.unroute("**/assets/index-*.js")
        page.get_by_role("button", name="Load again").click()
        if known:
            made.until_live()
            expect(page.get_by_role("heading", level=1)).to_contain_text("Agents")
        else:
            expect(page.get_by_label("API token")).to_be_visible()


@pytest.mark.parametrize("known", [True, False])
def test_a_script_that_is_never_answered_is_told_too_and_shows_the_panel_if_it_comes_after_all(
    browser: Browser, busy: Fabric, known: bool
) -> None:
    with visit(browser, busy) as made:
        if known:
            made.log_in()
        page = made.page
        page.clock.install()
        held: list[Route] = []
        page.route("**/assets/index-*.js", lambda route: held.append(route))
        page.goto(f"{made.url}/nodes", wait_until="commit")
        made.until(lambda: held and page.locator(".boot .page-body").count(), "the panel's script is asked for")
        page.clock.fast_forward(14_000)
        expect(page.get_by_role("alert")).to_have_count(0)
        page.clock.fast_forward(2_000)
        expect(page.get_by_role("alert")).to_contain_text("script has not come for 15 seconds")
        expect(page.get_by_role("button", name="Load again")).to_be_visible()
        held[0].continue_()
        if known:
            made.until_live()
            expect(page.get_by_role("heading", level=1)).to_contain_text("Nodes")
        else:
            expect(page.get_by_label("API token")).to_be_visible()
        expect(page.locator(".boot")).to_be_hidden()
        expect(page.get_by_role("alert")).to_have_count(0)
        # Nor does one that has come say later that it has not.
        page.clock.fast_forward(16_000)
        expect(page.get_by_role("alert")).to_have_count(0)


def test_the_script_of_a_page_that_is_never_answered_is_told_in_its_place(inside: Visit) -> None:
    page = inside.page
    inside.show("nodes")
    held: list[Route] = []
    page.route("**/assets/Join-*.js", lambda route: held.append(route))
    page.clock.install()
    page.goto(f"{inside.url}/join", wait_until="commit")
    inside.until(lambda: held, "the page's script is asked for")
    page.clock.fast_forward(16_000)
    expect(page.get_by_role("alert")).to_contain_text("script has not come for 15 seconds")
    expect(page.get_by_role("button", name="Load again")).to_be_visible()
    held[0].continue_()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Join")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.unroute("**/assets/Join-*.js")


CUT = """() => [...document.querySelectorAll("input[placeholder]")].flatMap((one) => {
  const style = getComputedStyle(one);
  const drawn = document.createElement("canvas").getContext("2d");
  drawn.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  const wanted = drawn.measureText(one.placeholder).width;
  // A field for searches has room kept for what empties it.
  const more = one.type === "search" ? 18 : 0;
  const room = one.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - more;
  return wanted > room ? [`${one.placeholder}: ${Math.round(wanted)} of ${Math.round(room)}`] : [];
})"""


@pytest.mark.parametrize("name", ["map", "nodes", "agents", "instances", "events"])
def test_the_hint_of_a_field_is_not_cut(inside: Visit, name: str) -> None:
    found = {}
    inside.show(name)
    for width in (768, 1024, 1280):
        inside.page.set_viewport_size({"width": width, "height": 800})
        expect(inside.page.locator("main input[placeholder]").first).to_be_visible()
        found[width] = inside.page.evaluate(CUT)
    assert found == {768: [], 1024: [], 1280: []}


JOINED = """() => [...document.querySelectorAll("body *")].filter((one) => {
  const { fontFamily, fontVariantLigatures } = getComputedStyle(one);
  return fontFamily.startsWith('"Inter') && fontVariantLigatures !== "no-contextual";
}).map((one) => one.outerHTML.slice(0, 120))"""
"""What is shown in a font that makes 7×6 of 7x6."""


@pytest.mark.parametrize("name", ["overview", "events", "settings"])
def test_an_id_is_shown_by_the_letters_that_are_to_be_typed(inside: Visit, name: str) -> None:
    inside.show(name)
    assert inside.page.evaluate(JOINED) == []
    width = """(features) => {
      const shown = document.createElement("span");
      shown.textContent = "t8w7t5x6g9pda4dh";
      shown.style.fontFeatureSettings = features;
      document.querySelector("h1").append(shown);
      const { width } = shown.getBoundingClientRect();
      shown.remove();
      return width;
    }"""
    assert inside.page.evaluate(width, "normal") == inside.page.evaluate(width, '"calt" 0')


def test_a_concern_stays_the_line_that_it_is_while_its_words_change(inside: Visit) -> None:
    """Somebody may be reading it, or about to press what is in it."""
    page = inside.page
    texts = iter(range(1, 1_000))

    def changed(body: dict[str, Any]) -> dict[str, Any]:
        concern = {"subject": "agent made-up", "text": f"told {next(texts)} times", "hint": "", "since_ms": 0}
        return {**body, "concerns": [concern]}

    page.route("**/v1/fabric", lambda route: answer_otherwise(route, changed))
    inside.show("settings")
    # What the overview asks again each 10 s while nothing changes, it asks each second, until another page is loaded.
    page.evaluate(
        """() => { const later = window.setTimeout;
        window.setTimeout = (does, ms, ...more) => later(does, ms === 10_000 ? 1000 : ms, ...more) }"""
    )
    page.get_by_role("link", name="Overview").click()
    line = page.locator(".list li", has_text="made-up")
    expect(line).to_contain_text("told")
    before = line.inner_text()
    line.evaluate("one => { one.dataset.marked = 'yes' }")
    # Asked again by itself.
    expect(line).not_to_have_text(before, timeout=WITHIN_MS)
    expect(line).to_have_attribute("data-marked", "yes")
    page.unroute("**/v1/fabric")


def test_axe_finds_nothing_in_either_theme_and_nothing_runs_over_the_side(inside: Visit, stranger: Visit) -> None:
    found: dict[str, object] = {}

    def looked_at(visit: Visit, name: str) -> None:
        found.update(visit.flaws_in_both_themes(name))

    for name in PAGES:
        inside.show(name, width=360)
        for width in (360, 2560, 1280):
            inside.page.set_viewport_size({"width": width, "height": 800})
            if inside.runs_out_of_the_window():
                found[f"{name} {width}"] = "runs over the side"
        looked_at(inside, name)
    inside.show("nodes", width=360)
    looked_at(inside, "nodes 360")
    stranger.open("?login=oml_wrong")
    expect(stranger.page.locator(".notice")).to_be_visible()
    looked_at(stranger, "login")
    assert {name: flaws for name, flaws in found.items() if flaws} == {}


def test_a_hostile_name_is_text_and_nothing_else(browser: Browser, busy: Fabric) -> None:
    """Nexus takes no such names; a page must not rest on that. What Nexus sends is changed on its way."""

    def poisoned(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def forward(message: str | bytes) -> None:
            frame = json.loads(message)
            for objects in frame.get("objects", {}).values():
                for one in objects.values():
                    if one and "name" in one:
                        one["name"] = HOSTILE
                    if one and "labels" in one:
                        one["labels"] = {HOSTILE: HOSTILE}
            socket.send(json.dumps(frame))

        server.on_message(forward)

    with visit(browser, busy) as made:
        made.page.route_web_socket(re.compile("/v1/view"), poisoned)
        made.log_in()
        for name in ("nodes", "agents", "instances"):
            made.show(name, width=2560)
            expect(made.page.locator(".cell-name").first).to_contain_text("<img src=x")
            expect(made.page.locator(".cell-name").first).to_contain_text("\\u202e")
        assert made.page.evaluate("window.hacked") is None
        assert made.page.locator("img[src=x]").count() == 0
        assert made.console == []


def test_a_page_that_was_cut_off_says_so_and_comes_back_by_itself(inside: Visit, busy: Fabric) -> None:
    inside.show("instances")
    inside.until_live()
    page = inside.page
    page.evaluate("window.mark = 2")
    nexus, supervisor = busy.nexus_pid(), busy.supervisor_pid()
    # It starts no other before all is seen.
    freeze(supervisor)
    os.kill(nexus, signal.SIGKILL)
    banner = page.locator(".banner")
    expect(banner).to_contain_text("Not connected to Nexus", timeout=WITHIN_MS)
    expect(banner).to_contain_text(re.compile(r"What you see is of \d\d:\d\d:\d\d"))
    expect(page.get_by_role("row").filter(has_text="shown-1.1")).to_be_visible()
    page.get_by_role("link", name="Agents").click()
    reason = re.compile("^there is no connection to Nexus")
    expect(page.get_by_role("button", name="New agent")).to_be_disabled()
    expect(page.get_by_role("button", name="New agent")).to_have_attribute("title", reason)
    send((supervisor,), signal.SIGCONT)
    busy.new_nexus(nexus)
    inside.until_live()
    expect(page.get_by_role("link", name="New agent")).to_be_visible()
    page.get_by_role("link", name="Instances").click()
    busy.client.scale_agent("shown", 1)
    expect(page.get_by_role("row").filter(has_text="shown-")).to_have_count(1, timeout=WITHIN_MS)
    assert page.evaluate("window.mark") == 2, "the page was loaded anew"
    inside.console.clear()  # a browser tells of each connection that could not be made


def test_a_page_that_is_opened_while_nexus_is_away_comes_when_it_is_back(stranger: Visit, busy: Fabric) -> None:
    """Its script is fetched when the page is opened first, and is not to be had; this browser has kept none."""
    stranger.log_in()
    page = stranger.page
    page.evaluate("window.mark = 3")
    nexus, supervisor = busy.nexus_pid(), busy.supervisor_pid()
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    freeze(supervisor)
    try:
        os.kill(nexus, signal.SIGKILL)
        expect(page.locator(".banner")).to_contain_text("Not connected to Nexus", timeout=WITHIN_MS)
        page.get_by_role("link", name="Settings").click()
        # It is asked for more than once, and what there is stays what it is meanwhile.
        stranger.until(lambda: len([url for url in failed if "/assets/Settings" in url]) > 1, "it is asked for again")
        expect(page.locator(".banner")).to_contain_text("Not connected to Nexus")
        expect(page.get_by_role("alert")).to_have_count(0)
    finally:
        send((supervisor,), signal.SIGCONT)
        busy.new_nexus(nexus)
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings", timeout=2 * WITHIN_MS)
    expect(page.get_by_label("Nothing moves on the map")).to_be_visible(timeout=2 * WITHIN_MS)
    stranger.until_live()
    assert page.evaluate("window.mark") == 3, "the page was loaded anew"


def test_what_is_begun_says_that_there_is_no_connection_and_can_be_done_when_it_is_back(
    inside: Visit, busy: Fabric
) -> None:
    page = inside.page
    inside.show("agents/default/shown")
    inside.until_live()
    restart = page.get_by_role("group", name="Actions for agent shown").get_by_role("button", name="Restart")
    restart.click()
    dialog = page.get_by_role("dialog")
    act = dialog.get_by_role("button", name="Restart", exact=True)
    expect(act).to_be_enabled()
    nexus, supervisor = busy.nexus_pid(), busy.supervisor_pid()
    freeze(supervisor)
    try:
        os.kill(nexus, signal.SIGKILL)
        expect(dialog).to_contain_text("There is no connection to Nexus", timeout=WITHIN_MS)
        expect(act).to_be_disabled()
        expect(restart).to_be_disabled()
    finally:
        send((supervisor,), signal.SIGCONT)
    busy.new_nexus(nexus)
    expect(act).to_be_enabled(timeout=WITHIN_MS)
    expect(dialog).not_to_contain_text("no connection")
    page.keyboard.press("Escape")
    expect(restart).to_be_enabled()
    inside.console.clear()


def test_a_nexus_that_stands_still_is_said_to_be_unheard_soon_and_is_live_when_it_goes_on(
    inside: Visit, busy: Fabric
) -> None:
    """Long before the connection is given up: what is on the screen is not called live meanwhile."""
    inside.show("instances")
    inside.until_live()
    page = inside.page
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    frozen = (busy.supervisor_pid(), busy.nexus_pid())
    freeze(*frozen)
    try:
        expect(page.locator(".link-state")).to_contain_text("Not heard", timeout=9_000)
        banner = page.locator(".banner")
        expect(banner).to_contain_text("Nothing heard from Nexus")
        expect(banner).to_contain_text(re.compile(r"What you see is of \d\d:\d\d:\d\d"))
        assert inside.flaws() == []
    finally:
        send(frozen, signal.SIGCONT)
    inside.until_live()
    assert [url for url in sockets if "/v1/view" in url] == [], "it was only late"


def test_a_session_that_was_revoked_ends_on_the_page_that_is_open(browser: Browser, busy: Fabric) -> None:
    with visit(browser, busy) as made:
        made.log_in()
        newest = max(busy.client.tokens(purpose="session"), key=lambda token: token.created_ms)
        busy.client.revoke_token(newest.id)
        expect(made.page.locator(".notice")).to_contain_text("session has ended", timeout=WITHIN_MS)


def test_the_keyboard_reaches_the_page_past_the_navigation(inside: Visit) -> None:
    inside.show("nodes")
    inside.page.keyboard.press("Tab")
    expect(inside.page.get_by_role("link", name="Skip to the page")).to_be_focused()
    inside.page.keyboard.press("Enter")
    expect(inside.page.locator("#main")).to_be_focused()


def test_the_index_names_no_other_host(busy: Fabric) -> None:
    built = Path(__file__).parents[2] / "src" / "omnitide" / "api" / "static"
    text = (built / "index.html").read_text()
    assert not re.search(r"https?://", text)
    for sheet in (built / "assets").glob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", sheet.read_text())
