"""The panel's pages and everything that can be done from them, in a real Chromium on a real fabric."""

import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from support.fabric_fixtures import emptied
from support.fabric_processes import Fabric, until
from support.panel_browser import WITHIN_MS, Visit, visit

WEB = """
name = "web"
replicas = 2
command = ["sh", "-c", '''printf "\\033]0;owned\\007\\033[31mred\\033[0m <img src=x onerror=window.hacked=1>\\n"
exec sleep {seconds}''']
resources = {{ cpu = 0.01, memory = "8MiB" }}
stop = {{ grace = "1s" }}
"""


LOOP = """
name = "loop"
command = ["sh", "-c", "sleep 0.2; exit 1"]
resources = { cpu = 0.01, memory = "8MiB" }
restart = { backoff = "200ms", backoff_max = "200ms", attempts = 100000 }
"""

WHOLLY_SEEN = """(button) => {
  const { left, right, top, bottom } = button.getBoundingClientRect();
  const row = button.closest(".event-row").getBoundingClientRect();
  const y = (top + bottom) / 2;
  const there = [left + 6, (left + right) / 2, right - 6].map((x) => document.elementFromPoint(x, y));
  return top >= row.top && bottom <= row.bottom && there.every((one) => button.contains(one));
}"""
"""A button in a row of events: nothing clips or covers it."""

BELOW_THE_WORDS = """(button) => {
  const { top, bottom } = button.getBoundingClientRect();
  const words = document.createTreeWalker(button.closest(".event-words"), NodeFilter.SHOW_TEXT);
  const lines = [];
  while (words.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(words.currentNode);
    if (!button.contains(words.currentNode)) lines.push(...range.getClientRects());
  }
  const above = lines.filter((line) => line.width && line.bottom < (top + bottom) / 2 + 1);
  return [above.length > 0, Math.max(...above.map((line) => line.bottom)) - top];
}"""
"""Whether there are words above it, and how far the lowest letters of these reach into it."""


@pytest.fixture(scope="module")
def busy(shared: Fabric) -> Iterator[Fabric]:
    path = shared.folder / "web.toml"
    path.write_text(WEB.format(seconds="3600"))
    shared.cli("deploy", str(path), "--no-wait")
    path.write_text(WEB.format(seconds="3601"))
    shared.cli("deploy", str(path))
    yield shared
    emptied(shared)


@pytest.fixture(scope="module")
def inside(browser: Browser, busy: Fabric) -> Generator[Visit]:
    with visit(browser, busy) as made:
        made.log_in()
        yield made
        # What is asked about an instance that is replaced meanwhile is not there.
        assert [told for told in made.console if "404" not in told] == []


def run(page: Page, key: str, title: str) -> Locator:
    """Press an action's key, and give its dialog."""
    page.keyboard.press(key)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_contain_text(title)
    return dialog


def tab_to(page: Page, control: Locator) -> None:
    """By the keyboard alone, as far as it is."""
    for _ in range(12):
        page.keyboard.press("Tab")
        if control.evaluate("control => control === document.activeElement"):
            return
    raise AssertionError(f"the tab key does not lead to {control}")


def toast(page: Page, text: str) -> None:
    told = page.locator(".toast").filter(has_text=text)
    expect(told).to_be_visible()
    told.get_by_role("button", name="Dismiss").click()


def replicas(fabric: Fabric, name: str = "web") -> int:
    return fabric.client.get_agent(name).replicas


def test_the_keyboard_alone_scales_rolls_back_and_drains(inside: Visit, busy: Fabric) -> None:
    inside.show("overview")
    page = inside.page
    press = page.keyboard.press
    press("g")
    press("a")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Agents")
    press("/")
    page.keyboard.type("namespace:default web")
    press("Enter")
    expect(page.locator(".table-row.at")).to_contain_text("web")

    dialog = run(page, "s", "Scale web")
    page.keyboard.type("3")
    expect(dialog).to_contain_text("1 further replica will start")
    expect(dialog).to_contain_text("omnitide scale web 3")
    press("Enter")
    toast(page, "web is to have 3 replicas")
    expect(page.locator(".table-row.at")).to_contain_text("3 / 3", timeout=WITHIN_MS)

    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("web")
    dialog = run(page, "b", "Roll back web")
    expect(dialog.locator(".differences")).to_contain_text("sleep 3600")
    # It says which one it is, and Enter confirms it, as in a field that is typed in.
    chosen = dialog.get_by_label("To version")
    expect(chosen).to_be_focused()
    expect(chosen.locator("option:checked")).to_have_text(re.compile(r"^v1: the newest that works · "))
    expect(chosen.locator("option")).to_have_count(1)  # each version once
    press("Enter")
    toast(page, "web rolls back to the newest earlier version")
    expect(page.locator(".figures")).to_contain_text("v3", timeout=WITHIN_MS)
    until(lambda: busy.client.get_agent("web").rollout is None, "the rollout is through")
    ways = page.locator(".versions").get_by_role("button")
    expect(ways).to_have_text(["Roll back to v2"], timeout=WITHIN_MS)  # v1 has the spec of v3

    press("g")
    press("n")
    press("/")
    page.keyboard.type("beta")
    press("Enter")
    dialog = run(page, "d", "Drain beta")
    expect(dialog.locator(".foreseen")).to_contain_text("would move", timeout=WITHIN_MS)
    expect(dialog).to_contain_text("Nothing new is placed there.")
    expect(dialog.locator(".losses")).to_contain_text("in memory does not move")
    press("Tab")
    press("Enter")
    toast(page, "beta is being drained")
    expect(page.locator(".table-row.at")).to_contain_text("drained", timeout=WITHIN_MS)
    run(page, "u", "Uncordon beta")
    press("Enter")
    toast(page, "beta is open again")
    assert replicas(busy) == 3


def test_what_was_foreseen_for_one_number_is_not_shown_for_another(inside: Visit) -> None:
    page = inside.page
    inside.show("agents/default/web")
    page.get_by_role("button", name="Scale", exact=True).click()
    dialog, number = page.get_by_role("dialog"), page.get_by_role("dialog").get_by_role("spinbutton")
    number.fill("7")
    expect(dialog.locator(".foreseen")).to_contain_text("would start", timeout=WITHIN_MS)
    page.route("**/v1/foreseen", lambda _: None)  # the next answer does not come
    number.fill("9")
    expect(dialog.locator(".foreseen")).to_contain_text("Looking ahead")
    expect(dialog.locator(".foreseen")).not_to_contain_text("would start")
    page.unroute("**/v1/foreseen")
    for impossible in ("-3", "2.5", "100001"):
        number.fill(impossible)
        expect(dialog).to_contain_text("A whole number is asked for, from 0 to 100\u202f000.")
        expect(dialog.locator(".losses")).to_have_count(0)
        expect(dialog.locator(".on-the-command-line")).not_to_contain_text("omnitide")
        expect(dialog.get_by_role("button", name="Scale")).to_be_disabled()
    number.fill("")
    expect(dialog).to_contain_text("How many?")
    expect(dialog).not_to_contain_text("NaN")
    dialog.get_by_role("button", name="Cancel").click()


def test_every_other_action_does_what_it_says(inside: Visit, busy: Fabric) -> None:
    page = inside.page
    inside.show("agents/default/web")

    def act(button: str, told: str, within: Page | Locator = page) -> None:
        within.get_by_role("button", name=button, exact=True).first.click()
        page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()
        toast(page, told)

    act("Restart", "web restarts")
    pause = page.get_by_role("button", name="Pause rollout")
    expect(pause).to_be_enabled(timeout=WITHIN_MS)
    act("Pause rollout", "web holds its rollout")
    expect(page.get_by_role("heading", name=re.compile("Rollout of v4: paused"))).to_be_visible(timeout=WITHIN_MS)
    act("Resume rollout", "web goes on with its rollout")
    until(lambda: busy.client.get_agent("web").rollout is None, "the restart is through")

    page.get_by_role("link", name=re.compile(r"web-1\.\d+")).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("web-1.")
    here = busy.client.get_agent("web")
    assert here.running == 3
    page.get_by_role("button", name="Migrate").click()
    dialog = page.get_by_role("dialog")
    other = dialog.get_by_label("To node").locator("option").nth(1).inner_text()
    dialog.get_by_label("To node").select_option(other)
    expect(dialog).to_contain_text(f"Its next generation starts on {other}")
    dialog.get_by_role("button", name="Migrate").click()
    toast(page, f"moves to {other}")
    until(lambda: [one for one in busy.client.instances() if one.slot == 1 and one.node == other], "it has moved")

    inside.show("agents/default/web")
    act("Stop", "web is to stop")
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled(timeout=WITHIN_MS)
    act("Start", "web is to start")
    expect(page.locator(".figures")).to_contain_text("3 of 3", timeout=WITHIN_MS)
    inside.show("nodes/beta")
    act("Cordon", "beta is closed to new instances")
    expect(page.locator(".figures")).to_contain_text("cordoned")
    act("Uncordon", "beta is open again")


def test_what_nexus_refuses_is_told_before_it_is_done_and_after(inside: Visit, busy: Fabric) -> None:
    page = inside.page
    inside.show("nodes/alpha")
    page.get_by_role("button", name="Remove").click()
    notice = page.get_by_role("dialog").locator(".notice")
    expect(notice).to_contain_text("Nexus would refuse this")
    expect(page.get_by_role("dialog").get_by_role("button", name="Remove")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    inside.show("agents/default/web")
    page.get_by_role("button", name="Scale").click()
    page.route("**/scale", lambda route: route.abort())
    page.get_by_role("dialog").get_by_role("button", name="Scale").click()
    toast(page, "Nexus cannot be reached")
    page.unroute("**/scale")
    inside.console.clear()


def test_the_palette_finds_pages_objects_and_actions(inside: Visit, busy: Fabric) -> None:
    page = inside.page
    inside.show("overview")
    link = page.get_by_role("link", name="Overview")
    link.focus()
    expect(link).to_have_attribute("aria-current", "page")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox")).to_be_focused()
    page.keyboard.type("web-2")
    option = page.get_by_role("option", selected=True)
    expect(option).to_contain_text("web-2.")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("web-2.")
    expect(page.locator("main")).to_be_focused()
    current = page.get_by_role("navigation", name="Pages").locator("[aria-current]")
    expect(current).to_have_attribute("aria-current", "true")
    expect(current).to_contain_text("Instances")
    page.keyboard.press("Control+k")
    page.keyboard.type("scale web")
    expect(option).to_contain_text("Scale web")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("omnitide scale web")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Go to")
    page.set_viewport_size({"width": 1280, "height": 400})
    # A page hears of it in its own time.
    inside.until(lambda: page.evaluate("innerHeight") == 400, "the window is that low")
    assert page.get_by_role("dialog").evaluate("dialog => [dialog.scrollTop, dialog.scrollHeight > innerHeight]") == [
        0,
        True,
    ]
    expect(page.get_by_role("button", name="Close")).to_be_in_viewport()
    assert inside.flaws() == []
    # A key in the same breath as Escape is meant for the page below, whose dialog says only later that it has closed.
    for key, what in (("?", "Go to"), ("?", "Go to"), ("Control+k", "Nothing is called that.")):
        page.evaluate(
            """key => {
                const open = document.querySelector("dialog[open]");
                open.close();
                const [name, ctrlKey] = key.startsWith("Control+") ? [key.slice(8), true] : [key, false];
                document.body.dispatchEvent(new KeyboardEvent("keydown", { key: name, ctrlKey, bubbles: true }));
            }""",
            key,
        )
        if key != "?":
            page.get_by_role("combobox").fill("no such name anywhere")
        expect(page.get_by_role("dialog")).to_contain_text(what)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_label("Keys of one letter").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.evaluate("localStorage.removeItem('omnitide.single-keys')")


def test_output_is_followed_in_order_and_does_nothing_but_stand_there(inside: Visit, busy: Fabric) -> None:
    page = inside.page
    inside.show("logs/default/web")
    lines = page.locator(".log-line")
    expect(lines.filter(has_text="<img src=x")).not_to_have_count(0)
    expect(page.locator(".log-line .ansi-red").first).to_have_text("red")
    assert {who.rpartition(".")[0] for who in page.locator(".log-line .who").all_inner_texts()} == {
        one.name.rpartition(".")[0] for one in busy.client.instances(agent="web")
    }
    page.get_by_label("Search the output").fill("nowhere")
    expect(page.get_by_text("No line has that in it")).to_be_visible()
    page.get_by_label("Search the output").fill("onerror")
    expect(page.locator(".log-line mark").first).to_have_text("onerror")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert "owned" not in Path(download.value.path()).read_text()
    assert page.evaluate("window.hacked") is None
    assert page.title().startswith("Output of web")


def test_output_goes_on_over_the_attempts_of_an_instance(inside: Visit, busy: Fabric) -> None:
    path = busy.folder / "falls.toml"
    path.write_text(
        'name = "falls"\ncommand = ["sh", "-c", "echo begun; sleep 0.5; exit 3"]\n'
        'resources = { cpu = 0.01, memory = "8MiB" }\n'
        'restart = { attempts = 100, backoff = "100ms", backoff_max = "200ms" }\n'
    )
    busy.cli("deploy", str(path), "--no-wait")
    instance = until(
        lambda: next((one for one in busy.client.instances() if one.workload == "falls"), None), "it is there"
    )
    inside.show(f"instances/{instance.id}/logs")
    expect(inside.page.locator(".log-line").filter(has_text="begun").nth(2)).to_be_visible(timeout=WITHIN_MS)
    # In the fabric's own words, which stay the same from one attempt to the next.
    inside.show("instances?q=agent:falls")
    row = inside.page.locator(".table-row").first
    for condition in ("running", "waiting", "running"):
        expect(row).to_contain_text(re.compile(f"failing · {condition}, ended \\d+ times in a row"))
    inside.show("agents?q=falls")
    expect(row).to_contain_text("failing · 1 replica ends again and again")
    inside.show("overview")
    needs = inside.page.get_by_role("region", name="What needs you")
    expect(needs.get_by_role("button", name="Copy omnitide explain falls")).to_be_visible()
    needs.get_by_role("link", name="agent default/falls").click()
    expect(inside.page.get_by_role("heading", level=1)).to_have_text("falls")
    busy.client.delete_agent("falls")


def test_the_last_death_shows_what_was_said_then_its_end_in_sight_and_the_cause_once(
    inside: Visit, busy: Fabric
) -> None:
    """And not what the attempt writes that lives by now."""
    path, been = busy.folder / "died.toml", busy.folder / "been"
    said = f"if [ -e {been} ]; then echo lives now; exec sleep 3600; fi; touch {been}; seq -f 'line %g' 60; exit 3"
    path.write_text(
        f'name = "died"\ncommand = ["sh", "-c", "{said}"]\nresources = {{ cpu = 0.01, memory = "8MiB" }}\n'
        'restart = { attempts = 100, backoff = "100ms" }\nstop = { grace = "1s" }\n'
    )
    busy.cli("deploy", str(path), "--no-wait")
    instance = until(
        lambda: next((one for one in busy.running("died", 1) if one.attempt == 2), None), "it runs once more"
    )
    for page in (f"instances/{instance.id}", "agents/default/died", f"nodes/{instance.node}"):
        inside.show(page)
        card = inside.page.get_by_role("region", name="Last death")
        output = card.get_by_role("region", name="Last output")
        expect(output).to_contain_text("line 60")
        expect(output).not_to_contain_text("lives now")
        expect(output).not_to_contain_text("line 10\n")
        expect(card.locator(".death p")).to_have_text(re.compile(r"^\S.*exit code 3$"))
        inside.until(
            lambda output=output: output.evaluate(
                "box => box.scrollTop > 0 && box.scrollTop + box.clientHeight >= box.scrollHeight - 2"
            ),
            f"the newest line is in sight: {page}",
        )
    busy.client.delete_agent("died")


def test_a_replica_that_failed_for_good_is_said_to_have_failed(inside: Visit, busy: Fabric) -> None:
    """On the overview, on its agent's page and by `status`, in the same word."""
    path = busy.folder / "fails.toml"
    path.write_text(
        'name = "fails"\ncommand = ["sh", "-c", "exit 4"]\nresources = { cpu = 0.01, memory = "8MiB" }\n'
        'restart = { policy = "never" }\n'
    )
    busy.cli("deploy", str(path), "--no-wait")
    until(lambda: busy.client.get_agent("fails").counts.failed == 1, "it has failed")
    inside.show("overview")
    tally = inside.page.get_by_role("region", name="Instances")
    expect(tally.get_by_role("listitem").filter(has_text="failed")).to_have_text(re.compile(r"^\s*1 failed$"))
    expect(tally.locator(".figure")).to_contain_text("1 failed")
    inside.show("agents/default/fails")
    table = inside.page.get_by_role("region", name="Instances")
    expect(table.locator(".block-head")).to_have_text("Instances0, 1 failed")
    assert re.search(r"^instances .*\b1 failed\b", busy.cli("status").stdout, re.MULTILINE)
    busy.client.delete_agent("fails")


def aside(page: Page) -> None:
    """The pointer is where no list is."""
    page.mouse.move(2, 2)


def test_a_crash_loop_does_not_hide_what_else_happens(inside: Visit, busy: Fabric) -> None:
    page = inside.page
    path = busy.folder / "loop.toml"
    path.write_text(LOOP)
    busy.cli("deploy", str(path), "--no-wait")
    ended = "instance.exited"
    until(lambda: len(busy.events(ended, subject="agent/default/loop")) >= 4, "it has ended some times")
    busy.client.label_node("beta", {"rack": "seven"})
    until(lambda: len(busy.events(ended, subject="agent/default/loop")) >= 12, "and more since")

    inside.show("overview")
    changes = page.get_by_role("region", name="What changed").get_by_role("listitem")
    folded = changes.filter(has_text="exited: exit code 1").filter(has_text="loop-1.1")
    expect(folded).to_have_count(1)
    expect(folded).to_contain_text(re.compile(r"\d+ times in \d+ s"))
    expect(changes.filter(has_text="labelled rack=seven")).to_have_count(1)
    folded.get_by_role("link", name=re.compile("times in")).click()
    rows = page.locator(".event-row")
    expect(rows.filter(has_text="exited: exit code 1").nth(3)).to_be_visible()
    # What is live changes places: it would be another line's button by the time that it is pressed.
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".event-top")).to_contain_text("Paused")
    page.get_by_label("Repeats").uncheck()
    line = rows.filter(has_text="exited: exit code 1")
    expect(line).to_have_count(1)
    more = line.get_by_role("button", name=re.compile("times in"))
    more.click()
    expect(more).to_have_attribute("aria-expanded", "true")
    expect(page.locator(".event-row.within").nth(3)).to_contain_text("exited: exit code 1")
    more.click()
    expect(page.locator(".event-row.within")).to_have_count(0)
    # On a phone too how often is all to be seen. First it is looked what is there: to press it scrolls it into view.
    inside.show("events?subject=agent/default/loop", width=360)
    expect(line).to_have_count(1)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".event-top")).to_contain_text("Paused")
    assert more.evaluate(WHOLLY_SEEN)
    there, into = more.evaluate(BELOW_THE_WORDS)
    assert there
    assert into <= 0
    more.click()
    expect(more).to_have_attribute("aria-expanded", "true")
    # What somebody has opened stays where it is, wherever the pointer goes.
    aside(page)
    page.get_by_role("button", name=re.compile("Show .* new ones?|Go on")).click()
    expect(page.locator(".event-top")).to_contain_text("Held while you read")
    more.click()
    aside(page)
    expect(page.locator(".event-top")).to_have_text("Live")

    inside.show("agents/default/loop")
    events = page.get_by_role("region", name="Events").get_by_role("listitem")
    expect(events.filter(has_text="exited: exit code 1")).to_have_count(1)
    expect(events.filter(has_text="created, 1 replica")).to_have_count(1)
    busy.cli("rm", "loop")


def test_events_come_live_wait_while_paused_and_go_back(inside: Visit, busy: Fabric) -> None:
    page = inside.page
    # Of one kind: when a version is known to work is told in its own time.
    inside.show("events?kind=agent.scaled")
    rows = page.locator(".event-row")
    expect(page.locator(".event-top")).to_contain_text("Live", timeout=WITHIN_MS)
    middles = """(tools) => [...tools.children].map((one) => {
      const { top, bottom } = one.getBoundingClientRect();
      return Math.round((top + bottom) / 2);
    })"""
    assert len(set(page.locator(".page-tools").evaluate(middles))) == 1, "the tools stand in one row"
    busy.client.scale_agent("web", 2)
    expect(rows.first).to_contain_text("scaled to 2")
    page.get_by_role("button", name="Pause").click()
    busy.client.scale_agent("web", 3)
    expect(page.get_by_role("button", name=re.compile("Show 1 new one"))).to_be_visible()
    expect(rows.first).to_contain_text("scaled to 2")
    page.get_by_role("button", name=re.compile("Show 1 new one")).click()
    expect(rows.first).to_contain_text("scaled to 3")
    inside.show("events?kind=agent")
    page.get_by_label("Search events").fill("created web")
    expect(rows).to_have_count(1)
    page.get_by_role("link", name="agent web").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("web")


def test_what_comes_while_somebody_reads_the_events_waits_and_moves_nothing(inside: Visit, busy: Fabric) -> None:
    page = inside.page
    aside(page)
    busy.client.scale_agent("web", 2)
    inside.show("events?kind=agent.scaled")
    rows, top, events = page.locator(".event-row"), page.locator(".event-top"), page.get_by_role("log", name="Events")
    expect(top).to_have_text("Live")
    expect(rows.first).to_contain_text("scaled to 2")

    # The pointer over it.
    rows.first.hover()
    expect(top).to_contain_text("Held while you read")
    place = events.bounding_box()
    busy.client.scale_agent("web", 3)
    new = top.get_by_role("button", name="Show 1 new")
    expect(new).to_be_visible()
    expect(rows.first).to_contain_text("scaled to 2")
    assert events.bounding_box() == place, "what says so moves nothing either"
    new.hover()
    expect(new).to_be_visible()
    new.click()
    expect(rows.first).to_contain_text("scaled to 3")
    busy.client.scale_agent("web", 2)
    expect(new).to_be_visible()
    aside(page)
    expect(rows.first).to_contain_text("scaled to 2")
    expect(top).to_have_text("Live")

    # The keyboard in it.
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Tab")
    expect(events).to_be_focused()
    expect(top).to_contain_text("Held while you read")
    busy.client.scale_agent("web", 3)
    expect(new).to_be_visible()
    expect(rows.first).to_contain_text("scaled to 2")
    page.keyboard.press("Shift+Tab")
    expect(new).to_be_focused()
    page.keyboard.press("Enter")
    expect(rows.first).to_contain_text("scaled to 3")
    expect(events).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(top).to_have_text("Live")

    # And what changed, on the overview.
    inside.show("overview")
    changed = page.get_by_role("region", name="What changed")
    scaled = changed.get_by_role("listitem").filter(has_text="scaled to").first
    expect(scaled).to_contain_text("scaled to 3")
    scaled.hover()
    busy.client.scale_agent("web", 2)
    expect(changed.get_by_role("button", name=re.compile(r"Show \d+ new"))).to_be_visible()
    expect(scaled).to_contain_text("scaled to 3")
    aside(page)
    expect(scaled).to_contain_text("scaled to 2")
    expect(changed.get_by_role("button", name=re.compile(r"Show \d+ new"))).to_have_count(0)
    busy.client.scale_agent("web", 3)
    busy.running("web", 3)


CUT = """row => [row, ...row.querySelectorAll("*")].some(
    one => one.scrollWidth > one.clientWidth && getComputedStyle(one).overflowX !== "visible")"""
"""Whether the end of anything in it is not seen."""


def test_on_a_phone_a_long_event_is_read_to_its_end(inside: Visit, busy: Fabric) -> None:
    page = inside.page
    aside(page)
    long = {f"label-{number}": "-".join(["wide"] * 12) for number in range(3)}
    busy.client.label_node("beta", long)
    inside.show("events?kind=node.labelled", width=360)
    row = page.locator(".event-row").filter(has_text="label-2").first
    expect(row).to_contain_text("label-2=" + long["label-2"])
    assert not row.evaluate(CUT)
    inside.until(lambda: row.evaluate("row => row.getBoundingClientRect().height") > 100, "it has the lines it takes")
    inside.until(
        lambda: page.evaluate(
            """() => {
            const boxes = [...document.querySelectorAll(".event-row")].map(row => row.getBoundingClientRect());
            boxes.sort((a, b) => a.top - b.top);
            return boxes.every((box, at) => !at || box.top >= boxes[at - 1].bottom - 0.5);
        }"""
        ),
        "no line lies on another",
    )
    assert not inside.runs_out_of_the_window()
    page.set_viewport_size({"width": 1280, "height": 800})
    busy.client.label_node("beta", {}, remove=tuple(long))


def test_on_a_phone_what_can_be_done_scrolls_away_with_what_is_read(inside: Visit) -> None:
    page = inside.page
    inside.show("agents/default/web", width=360)
    actions = page.locator(".detail-head .action-bar")
    expect(actions).to_be_in_viewport(ratio=1)
    page.get_by_role("heading", name="Versions").scroll_into_view_if_needed()
    expect(actions).not_to_be_in_viewport()
    assert not inside.runs_out_of_the_window()
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(actions).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize(
    ("where", "label", "rows", "key", "slow"),
    [
        ("events?kind=agent", "Search events", ".event-row", "j", "Join"),
        ("instances", "Filter instances", ".table-row", "j", "Join"),
    ],
)
def test_what_is_typed_holds_though_the_address_is_still_on_its_way(
    inside: Visit, busy: Fabric, where: str, label: str, rows: str, key: str, slow: str
) -> None:
    """The router sets an address in its own time, and later than all else where a page is slow to come."""
    page = inside.page
    held: list[Route] = []
    page.route(f"**/assets/{slow}-*.js", lambda route: held.append(route))
    inside.show(where)
    shown = page.locator(rows)
    expect(shown).not_to_have_count(0)
    with page.expect_request(f"**/assets/{slow}-*.js"):
        page.keyboard.press("g")
        page.keyboard.press(key)
    page.get_by_label(label).fill("no such thing")
    expect(shown).to_have_count(0)
    busy.client.scale_agent("web", 2)
    busy.client.scale_agent("web", 3)
    expect(shown).to_have_count(0)
    while held:
        held.pop().continue_()
    expect(page.get_by_role("heading", level=1)).to_contain_text(slow)
    page.unroute_all()
    busy.running("web", 3)


def test_a_list_is_chosen_exported_and_remembered(inside: Visit, busy: Fabric) -> None:
    page = inside.page
    inside.show("instances?q=agent:web -status:stopped&sort=-name")
    expect(page.locator(".table-row")).to_have_count(3)
    with page.expect_download() as download:
        page.locator("summary[aria-label=Export]").click()
        page.get_by_role("button", name=re.compile("CSV of 3 instances")).click()
    header, *rest = Path(download.value.path()).read_text().splitlines()
    assert {"id", "name", "status", "node"} <= set(header.split(","))
    assert len(rest) == 3
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile(r"Favourite web-1\.")).click()
    expect(page.locator(".table-row").first).to_contain_text("web-1.")
    page.locator("summary[aria-label=Columns]").click()
    page.get_by_label("Node", exact=True).uncheck()
    expect(page.get_by_role("columnheader", name="Node")).to_have_count(0)
    page.reload()
    expect(page.locator(".table-row").first).to_contain_text("web-1.")
    expect(page.get_by_role("columnheader", name="Node")).to_have_count(0)
    page.evaluate("localStorage.removeItem('omnitide.hidden-columns.instance')")


def test_what_can_be_done_is_found_by_its_verb_alone_and_done_to_what_is_named_next(
    inside: Visit, busy: Fabric
) -> None:
    """By the keyboard, from a page on which nothing is chosen."""
    page = inside.page
    inside.show("overview")
    page.keyboard.press("Control+k")
    option = page.get_by_role("option", selected=True)
    for typed, title, kind in (
        ("drain", "Drain…", "a node"),
        ("terminal", "Terminal…", "an instance"),
        ("scale", "Scale…", "an agent"),
        ("output", "Output…", "an agent"),
    ):
        page.get_by_role("combobox").fill(typed)
        expect(option).to_contain_text(title)
        expect(option).to_contain_text(kind)
    page.get_by_role("combobox").fill("restart")
    expect(page.get_by_role("option").filter(has_text="Restart…")).to_have_text(
        [re.compile("agent"), re.compile("instance")]
    )
    page.get_by_role("combobox").fill("drain")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("which node?")
    expect(page.get_by_role("combobox")).to_be_focused()
    expect(page.get_by_role("option")).to_have_text([re.compile("^Drain alpha"), re.compile("^Drain beta")])
    assert inside.flaws() == []
    page.keyboard.type("nowhere")
    expect(dialog).to_contain_text("Drain is for nothing that is called that.")
    page.get_by_role("combobox").fill("")
    page.keyboard.press("Backspace")
    expect(page.get_by_role("combobox")).to_have_attribute("aria-label", "Go to, or do")
    page.keyboard.type("resume")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("Resume rollout is for nothing now: nothing is being rolled out.")
    page.keyboard.press("Backspace")
    page.keyboard.type("drain")
    page.keyboard.press("Enter")
    page.keyboard.type("bet")
    expect(option).to_contain_text("Drain beta")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("omnitide drain beta")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("drain bet")
    expect(option).to_contain_text("Drain beta")
    page.keyboard.press("Escape")


def test_a_machine_joins_by_the_line_that_is_shown_and_is_removed(inside: Visit, busy: Fabric) -> None:
    page = inside.page
    inside.show("nodes")
    page.get_by_role("navigation").get_by_role("link", name="Join a machine").click()
    page.get_by_label("Label on each").fill("zone=attic")
    page.get_by_role("button", name="Make a token").click()
    line = page.locator(".join-line code").inner_text()
    # It was opened at loopback: no other machine comes by that, and none is offered a code that it could not use.
    expect(page.locator(".join-loopback")).to_contain_text("No other machine can join by 127.0.0.1")
    expect(page.locator(".join-loopback code")).to_have_text("omnitide up --listen 0.0.0.0 --public-name NAME")
    expect(page.get_by_role("img", name="QR code")).to_have_count(0)
    echo, _, command = line.partition(" | omnitide ")
    assert echo.startswith("echo omt_")
    words = command.split()
    assert words == ["join", busy.url, "--token", "-"]
    expect(page.get_by_text("for 1 machine.")).to_be_visible()
    busy.cli(*words, "--no-start", "--name", "gamma", name="gamma", stdin=echo.removeprefix("echo ") + "\n")
    expect(page.get_by_role("link", name="gamma")).to_be_visible(timeout=WITHIN_MS)
    expect(page.get_by_text("It has been used: for a further machine make another.")).to_be_visible()
    page.get_by_role("link", name="gamma").click()
    expect(page.get_by_text("zone=attic")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    toast(page, "gamma is out of the fabric")
    until(lambda: "gamma" not in {one.name for one in busy.client.nodes()}, "it is removed")


def test_axe_finds_nothing_and_nothing_runs_over_the_side(inside: Visit, busy: Fabric) -> None:
    instance = next(one for one in busy.client.instances() if one.status == "running").id
    pages = ("agents/default/web", f"instances/{instance}", "nodes/alpha", "events", "logs/default/web", "join")
    found: dict[str, object] = {}
    for name in pages:
        inside.show(name)
        for width in (360, 2560, 1280):
            inside.page.set_viewport_size({"width": width, "height": 800})
            if inside.runs_out_of_the_window():
                found[f"{name} {width}"] = "runs over the side"
        found.update(inside.flaws_in_both_themes(name))
    inside.show("agents/default/web")
    dialog = run(inside.page, "x", "Stop web")
    expect(dialog.locator(".losses")).to_be_visible()
    found.update(inside.flaws_in_both_themes("dialog"))
    assert {name: flaws for name, flaws in found.items() if flaws} == {}


def test_what_is_gone_says_so(inside: Visit, busy: Fabric) -> None:
    for path in ("agents/default/nobody", "instances/nothing", "nodes/nowhere"):
        inside.show(path)
        expect(inside.page.get_by_role("heading", level=1)).to_contain_text("is not there")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("nodes/%E0%A4%A", "Node %E0%A4%A is not there"),
        ("agents/default/%", "Agent % is not there"),
        ("instances/%zz#%", "Instance %zz is not there"),
        ("nodes/%3Cimg%20src=x%20onerror=window.hacked=1%3E", "Node <img src=x onerror=window.hacked=1> is not there"),
    ],
)
def test_an_address_that_is_broken_or_hostile_is_read_as_text(inside: Visit, path: str, told: str) -> None:
    inside.show(path)
    expect(inside.page.get_by_role("heading", level=1)).to_have_text(told)
    assert inside.page.evaluate("window.hacked") is None
    inside.page.get_by_role("link", name=re.compile("^Agents")).click()
    expect(inside.page.get_by_role("heading", level=1)).to_contain_text("Agents")


def test_a_page_with_a_fault_says_so_and_all_others_go_on(inside: Visit) -> None:
    page = inside.page
    broken = "export const NodeDetail = () => { throw new Error('made to fail <b>') }"
    page.route("**/assets/NodeDetail-*.js", lambda route: route.fulfill(body=broken, content_type="text/javascript"))
    inside.show("nodes/alpha")
    expect(page.get_by_role("heading", level=1)).to_have_text("This page cannot be shown")
    expect(page.get_by_role("alert")).to_contain_text("made to fail <b>")
    expect(page.get_by_role("link", name="Overview").first).to_be_visible()
    assert inside.flaws() == []
    page.unroute_all()
    page.get_by_role("link", name=re.compile("^Agents")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Agents")
    assert inside.console
    inside.console.clear()
