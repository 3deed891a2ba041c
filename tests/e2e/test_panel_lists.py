"""The panel's lists at any length, and what their rows say; who gets in, by tokens; keys that come early."""

import re
from collections.abc import Generator, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Request, Route, expect

from omnitide.model.normalise import read
from omnitide.model.spec import AgentSpec
from support.fabric_fixtures import deployed
from support.fabric_processes import Fabric
from support.many_rows import many_rows
from support.panel_browser import Visit, chromium, visit

BUSY = """
name = "busy"
replicas = 2
command = ["sh", "-c", "while :; do i=3000; while [ $i -gt 0 ]; do i=$((i - 1)); done; sleep 0.2; done"]
resources = { cpu = 0.1, memory = "8MiB" }
stop = { grace = "1s" }
"""
"""They use less than they ask for, on a slow machine too. Where no control group holds them, a loop without a pause
would take the machine from every test that runs beside."""
MANY = 100_000
HOST = "nexus.example"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(f"--host-resolver-rules=MAP {HOST} 127.0.0.1") as made:
        yield made


@pytest.fixture(scope="module")
def busy(shared: Fabric) -> Iterator[Fabric]:
    with deployed(shared, busy=BUSY):
        yield shared


@pytest.fixture(scope="module")
def elsewhere(browser: Browser, busy: Fabric) -> Generator[Visit]:
    """By a name that other machines know too."""
    with visit(browser, busy, host=HOST) as made:
        made.log_in()
        yield made
        assert made.console == []


@pytest.fixture(scope="module")
def inside(browser: Browser, busy: Fabric) -> Generator[Visit]:
    with visit(browser, busy) as made:
        made.log_in()
        yield made
        assert [told for told in made.console if "status of 409" not in told] == []


def test_what_is_typed_while_the_palette_is_on_its_way_is_in_its_field(inside: Visit) -> None:
    page = inside.page
    held: list[Route] = []
    page.route("**/assets/Palette-*.js", lambda route: held.append(route))
    inside.show("agents")
    page.keyboard.press("Control+k")
    # Letters that a list would take for its own are among them.
    page.keyboard.type("jbusy-1x")
    page.keyboard.press("Backspace")
    page.keyboard.press("Home")
    inside.until(lambda: held, "the palette is asked for")
    expect(page.locator(".table-row.at")).to_have_count(0)
    for route in held:
        route.continue_()
    field = page.get_by_role("combobox")
    expect(field).to_be_focused()
    expect(field).to_have_value("jbusy-1")
    field.press("Control+a")
    page.keyboard.type("log out")
    expect(page.get_by_role("option", selected=True)).to_have_text("Log outhere")
    page.keyboard.press("Escape")
    page.unroute_all()


def test_escape_calls_off_a_dialog_that_is_still_on_its_way(inside: Visit) -> None:
    page = inside.page
    held: list[Route] = []
    page.route("**/assets/Keys-*.js", lambda route: held.append(route))
    inside.show("agents")
    page.keyboard.press("?")
    inside.until(lambda: held, "the list of keys is asked for")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_label("Filter agents")).to_be_focused()
    for route in held:
        route.continue_()
    page.unroute_all()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_token_is_made_shown_once_and_revoked_with_what_is_lost(inside: Visit, busy: Fabric) -> None:
    page = inside.page
    inside.show("settings")
    section = page.get_by_role("region", name="Tokens and sessions")
    form = section.get_by_role("form", name="Make a token")
    form.get_by_label("Note").fill("the ci's")
    form.get_by_label("Valid for").fill("7d")
    expect(form.locator(".on-the-command-line")).to_contain_text(
        "omnitide token create --api --ttl 7d --note 'the ci'\\''s'"
    )
    form.get_by_role("button", name="Make it").click()
    text = form.locator(".tokens-made code").inner_text()
    token = next(one for one in busy.client.tokens(purpose="api") if one.note == "the ci's")
    assert text.split("_")[1] == token.id
    form.get_by_role("button", name="I have it").click()
    expect(form.locator(".tokens-made")).to_have_count(0)
    section.get_by_role("button", name=f"Revoke api {token.id}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".losses")).to_contain_text("Every person and program that uses it is shut out at once")
    expect(dialog.locator(".copied")).to_contain_text(f"omnitide token revoke {token.id}")
    dialog.get_by_role("button", name="Revoke").click()
    expect(page.locator(".toast")).to_contain_text(f"{token.id} opens nothing any more")
    assert next(one for one in busy.client.tokens() if one.id == token.id).state == "revoked"
    expect(section.get_by_role("button", name=f"Revoke api {token.id}")).to_have_count(0)
    # The last one that is valid lets in whoever is in.
    (last,) = [one for one in busy.client.tokens(purpose="api") if one.state == "valid"]
    section.get_by_role("button", name=f"Revoke api {last.id}").click()
    expect(dialog.locator(".notice")).to_contain_text("Nexus would refuse this")
    expect(dialog.get_by_role("button", name="Revoke")).to_be_disabled()
    assert inside.flaws() == []
    page.keyboard.press("Escape")
    facts = page.get_by_role("region", name="Fabric", exact=True)
    expect(facts).to_contain_text(busy.client.get_fabric().log_id)
    expect(facts).to_contain_text("1 to ")


def test_looks_that_were_chosen_are_kept_and_can_be_had_by_the_palette(inside: Visit) -> None:
    page = inside.page
    inside.show("settings")
    page.get_by_text("Compact", exact=True).click()
    inside.show("agents")
    row = page.locator(".table-row").first
    expect(row).to_have_css("height", "30px")
    page.keyboard.press("Control+k")
    page.keyboard.type("rows of lists")
    page.keyboard.press("Enter")
    expect(row).to_have_css("height", "44px")


def test_headings_stand_above_their_columns_though_the_rows_scroll(inside: Visit) -> None:
    page = inside.page
    inside.show("instances")
    edges = """role => [...document.querySelectorAll(`.table [role=${role}]`)].slice(0, 8)
        .map(one => Math.round(one.getBoundingClientRect().right))"""
    expect(page.locator(".table-row")).to_have_count(2)
    # As wide as a scroll bar: this browser shows none of its own.
    page.locator(".table-scroll").evaluate("scroll => { scroll.style.borderRight = '15px solid' }")
    inside.until(
        lambda: (heads := page.evaluate(edges, "columnheader")) == page.evaluate(edges, "cell")[: len(heads)],
        "they are in line",
    )


def test_a_filter_by_a_field_that_there_is_not_says_so_and_a_label_is_found_by_its_value(
    inside: Visit, busy: Fabric
) -> None:
    page = inside.page
    inside.show("nodes?q=zone:lab")
    expect(page.locator(".empty")).to_contain_text(
        "There is no field zone here. Fields are driver, label and status; a label is written zone=lab."
    )
    spec = read({"command": ["sleep", "3600"], "labels": {"zone": "lab"}}, AgentSpec)
    busy.client.deploy_agent("labelled", spec)
    inside.show("agents?q=label:lab")
    rows = page.locator(".table-row")
    for text in ("label:lab", "label:zone", "zone=lab"):
        page.get_by_role("searchbox").fill(text)
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text("labelled")
    page.get_by_role("searchbox").fill("label:attic")
    expect(page.locator(".empty")).to_contain_text("Nothing matches")
    expect(page.locator(".empty")).not_to_contain_text("no field")
    busy.client.delete_agent("labelled")


def test_where_there_is_little_room_all_is_reached_by_a_finger(inside: Visit) -> None:
    page = inside.page
    inside.show("agents", width=390)
    # For a moment the frame that was there before the panel is beside it.
    bar = page.get_by_role("region", name="State and search")
    expect(bar).to_contain_text("Live")
    bar.get_by_role("button", name="Find or do").click()
    expect(page.get_by_role("combobox")).to_be_focused()
    page.keyboard.press("Escape")
    bar.get_by_role("button", name="Time travel").click()
    expect(bar).to_contain_text("The past")
    bar.get_by_role("button", name="Back to now").click()
    expect(bar).to_contain_text("Live")
    assert not inside.runs_out_of_the_window()


def test_a_part_that_is_lost_on_its_way_is_asked_for_again(browser: Browser, busy: Fabric) -> None:
    """As where the machine changes its network just then."""
    with visit(browser, busy) as made:
        made.log_in()
        page = made.page
        lost: list[str] = []

        def once(route: Route) -> None:
            if route.request.url in lost:
                route.continue_()
                return
            lost.append(route.request.url)
            route.abort("internetdisconnected")

        for part in ("Palette-*.js", "ActionDialog-*.js", "uPlot*"):
            page.route(f"**/assets/{part}", once)
        made.show("agents/default/busy")
        page.evaluate("window.stays = true")
        page.get_by_role("button", name="Restart").click()
        expect(page.get_by_role("dialog")).to_contain_text("busy")
        page.keyboard.press("Escape")
        page.keyboard.press("Control+k")
        expect(page.get_by_role("combobox")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator(".uplot .u-wrap").first).to_have_css("position", "relative")
        assert page.evaluate("window.stays"), "it is the same page"
        kinds = {url.split("/assets/")[1].split("-")[0] + url[url.rindex(".") :] for url in lost}
        assert {"Palette.js", "ActionDialog.js", "uPlot.css"} <= kinds
        assert all("ERR_INTERNET_DISCONNECTED" in told for told in made.console)


def test_columns_and_export_have_keys_of_their_own(inside: Visit) -> None:
    page = inside.page
    inside.show("agents")
    expect(page.locator(".table-row")).to_have_count(1)
    page.keyboard.press("Shift+C")
    page.keyboard.press("Space")
    expect(page.get_by_role("columnheader", name="State")).to_have_count(0)
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    expect(page.get_by_role("columnheader", name="State")).to_be_visible()
    page.keyboard.press("Shift+E")
    with page.expect_download():
        page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("On this page")
    expect(page.get_by_role("dialog")).to_contain_text("Shift+E")
    page.keyboard.press("Escape")


@pytest.mark.parametrize(
    ("kind", "begins"),
    [
        ("Linux", "echo omt_"),
        ("macOS", "OMNITIDE_JOIN_TOKEN=omt_"),
        ("Container", "OMNITIDE_JOIN_TOKEN=omt_"),
        ("Chromebook", "echo omt_"),
    ],
)
def test_each_kind_of_machine_has_its_one_line_and_its_code(elsewhere: Visit, kind: str, begins: str) -> None:
    page = elsewhere.page
    if kind == "Linux":
        elsewhere.show("join")
        page.get_by_label("Machines").fill("2")
        expect(page.locator(".on-the-command-line")).to_contain_text("omnitide token create --uses 2")
        page.get_by_role("button", name="Make a token").click()
    page.get_by_text(kind, exact=True).click()
    line = page.locator(".join-line code").inner_text()
    assert line.startswith(begins)
    assert f"{elsewhere.url}" in line
    # What everybody on that machine may read in its list of processes has no token in it.
    assert line.count("omt_") == 1
    first = page.locator(".join-first")
    first.locator("summary").click()
    expect(first).to_contain_text("pip install" if begins.startswith("echo") else "docker build")
    # Nor has the history of a shell, by the line that asks for it.
    asking = page.locator(".join-asking code").first.text_content() or ""
    assert f"{elsewhere.url}" in asking
    assert "omt_" not in asking
    assert page.locator(".join-code").evaluate("image => image.complete && image.naturalWidth") > 0
    expect(page.locator(".join-loopback")).to_have_count(0)
    assert elsewhere.flaws() == []


def test_rows_say_what_is_used_against_what_was_asked_for_and_only_those_in_sight_are_asked_about(
    inside: Visit, busy: Fabric
) -> None:
    """The last here, so that its samples have come: a node sends each 10 s."""
    page = inside.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/v1/metrics/use" in request.url else None)
    inside.show("instances?q=agent:busy")
    rows = page.locator(".table-row")
    expect(rows).to_have_count(2)
    for row in (rows.first, rows.last):
        expect(row.locator(".meter-text").first).to_have_text(re.compile(r"^[\d.]+ / 0\.1$"))
        expect(row.locator(".spark path").last).to_have_attribute("d", re.compile(r"^M.*L"))
    ids = {one.id for one in busy.client.instances(agent="busy")}
    assert {frozenset(parse_qs(urlsplit(one).query)["instance"]) for one in asked} == {frozenset(ids)}
    # A node's line goes back to before this page was opened: so many steps have not been told to it since.
    inside.show("nodes")
    expect(page.locator(".table-row").first.locator(".spark path").last).to_have_attribute("d", re.compile("(L.*){6}"))
    inside.show("agents")
    row = page.locator(".table-row").first
    expect(row.locator(".meter-text").first).to_have_text(re.compile(r"^[\d.]+ / 0\.2$"))
    expect(
        row.get_by_role("img", name=re.compile("CPU: .* of what was asked for, 2 instances together"))
    ).to_be_visible()
    # An agent's page has its instances as such rows, and the deployment as a mark.
    inside.show("agents/default/busy")
    expect(page.get_by_role("region", name="Instances").locator(".spark path").last).to_have_attribute(
        "d", re.compile(r"^M.*L")
    )


@pytest.fixture
def long_list(busy: Fabric) -> Iterator[None]:
    """More agents than a page has room for; none of them runs anything."""
    spec = read({"command": ["sleep", "3600"]}, AgentSpec)
    names = [f"row-{number:02}" for number in range(24)]
    for name in names:
        busy.client.deploy_agent(name, spec, replicas=0)
    yield
    for name in names:
        busy.client.delete_agent(name)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.usefixtures("long_list")
def test_a_click_on_the_lowest_row_is_one_on_that_row_and_not_on_the_actions_that_come_with_it(
    inside: Visit, width: int
) -> None:
    lowest = """() => {
        const foot = document.querySelector(".table-scroll").getBoundingClientRect().bottom;
        const rows = [...document.querySelectorAll(".table-row")];
        const seen = rows.filter(row => row.getBoundingClientRect().bottom <= foot);
        return Math.max(...seen.map(row => Number(row.ariaRowIndex)));
    }"""
    page = inside.page
    bar = page.locator(".chosen-bar")

    def press(within: str) -> str:
        """Slowly, as a person does: what a press changes has been drawn before the release. Tells which row it was."""
        inside.show("agents", width=width)
        expect(page.locator(".table-row").first).to_contain_text("busy")
        expect(page.get_by_role("table")).to_have_attribute("aria-rowcount", "26")
        expect(bar).to_have_count(0)
        row = page.locator(f'.table-row[aria-rowindex="{page.evaluate(lowest)}"]')
        box = row.locator(within).bounding_box() if within else row.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        name = row.locator(".cell-name").inner_text()
        page.mouse.up()
        return name

    name = press("")
    row = page.locator(".table-row.at")
    expect(row).to_contain_text(name)
    inside.until(
        lambda: (one := row.bounding_box()) and (over := bar.bounding_box()) and one["y"] + one["height"] <= over["y"],
        "the bar does not hide the row",
    )
    # The second click of a double one falls on the bar, where one that is meant for it is taken.
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)
    expect(page.get_by_role("dialog")).to_have_count(0)
    bar.get_by_role("button", name="Scale").click()
    expect(page.get_by_role("dialog")).to_have_count(1)
    page.keyboard.press("Escape")
    name = press(".star")
    starred = page.get_by_role("button", name=f"Favourite {name}", exact=True)
    expect(starred).to_have_attribute("aria-pressed", "true")
    expect(row).to_contain_text(name)
    starred.click()
    expect(starred).to_have_attribute("aria-pressed", "false")
    name = press(".cell-name")
    expect(page).to_have_url(f"{inside.url}/agents/default/{name}")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_list_of_a_hundred_thousand_draws_and_asks_about_what_is_in_sight_alone(inside: Visit) -> None:
    """Nexus is real; only the number of instances in its first message is made up."""
    asked: list[Request] = []
    with inside.page.context.new_page() as page:
        page.add_init_script(many_rows(MANY))
        page.on("request", lambda request: asked.append(request) if "/v1/metrics/use" in request.url else None)
        page.on("pageerror", lambda error: inside.console.append(str(error)))
        page.goto(f"{inside.url}/instances")
        heading = page.get_by_role("heading", level=1)
        expect(heading).to_contain_text("99\u202f900, and 100 that ended")
        table = page.get_by_role("table", name="Instances")
        expect(table).to_have_attribute("aria-rowcount", str(MANY + 1))
        rows = page.locator(".table-row")
        expect(rows.first).to_contain_text("many-0.1")
        page.keyboard.press("j")
        page.keyboard.press("j")
        expect(page.locator(".table-row.at")).to_contain_text("many-1.1")
        page.locator(".table-scroll").focus()
        page.keyboard.press("End")
        expect(page.locator(".table-row.at")).to_contain_text(f"many-{MANY - 1}.1")
        assert rows.count() < 60
        page.get_by_role("button", name=re.compile(r"^failed")).click()
        expect(heading).to_contain_text("100 of 100\u202f000")
        page.get_by_label("Filter instances").fill("many-99007")
        expect(rows).to_have_count(1)
        expect(page).to_have_url(re.compile("q=many-99007&state=failed|state=failed&q=many-99007"))
        expect(page.locator(".link-state")).to_contain_text("Live")
        inside.until(lambda: asked, "rows are asked about")
        assert max(len(parse_qs(urlsplit(one.url).query)["instance"]) for one in asked) <= 100
