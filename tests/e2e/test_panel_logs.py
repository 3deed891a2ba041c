"""Output in the panel: of several in one order, searched on the nodes, by time, downloaded, and what is missing."""

import json
import os
import re
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from support.fabric_fixtures import deployed
from support.fabric_processes import Fabric, freeze, until
from support.panel_browser import WITHIN_MS, Visit, visit

TELLER = """
name = "{name}"
replicas = {replicas}
command = ["sh", "-c", "echo GET /{name} 200; echo POST /{name} 500 >&2; while sleep 1; do echo tick of {name}; done"]
resources = {{ cpu = 0.01, memory = "8MiB" }}
stop = {{ grace = "1s" }}
"""


@pytest.fixture(scope="module")
def telling(shared: Fabric) -> Iterator[Fabric]:
    """front and back, on both nodes; all have written."""
    front, back = (TELLER.format(name=name, replicas=replicas) for name, replicas in (("front", 2), ("back", 1)))
    with deployed(shared, front=front, back=back):
        asked = ("logs", "front", "back", "--grep", "POST")
        until(lambda: shared.cli(*asked).stdout.count("POST") == 3, "all have written")
        yield shared


@pytest.fixture(scope="module")
def inside(browser: Browser, telling: Fabric) -> Generator[Visit]:
    with visit(browser, telling) as made:
        made.log_in()
        yield made
        # What was asked with half an expression is refused, and Chromium says so.
        assert [told for told in made.console if "422" not in told and "400" not in told] == []


def texts(page: Page) -> list[str]:
    return page.locator(".log-line .what").all_inner_texts()


def test_what_is_selected_by_a_box_is_one_stream_in_order_that_goes_on(inside: Visit) -> None:
    page = inside.page
    inside.show("map")
    the_map = page.get_by_role("application", name="Map of the fabric")
    expect(the_map).to_have_attribute("data-frames", re.compile(r"\d+"), timeout=WITHIN_MS)
    the_map.focus()
    page.keyboard.press("Home")
    box = the_map.bounding_box()
    assert box
    page.mouse.move(box["x"] + 70, box["y"] + 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 30, box["y"] + box["height"] - 70, steps=4)
    page.mouse.up()
    card = page.get_by_role("complementary", name="Selection")
    expect(card).to_contain_text(re.compile(r"\d+ (nodes|instances)"))
    theirs = card.get_by_role("button", name=re.compile(r"Select their \d+ instances"))
    if theirs.count():
        theirs.click()
    card.get_by_role("button", name="Output").first.click()
    expect(page).to_have_url(re.compile(r"/logs\?of=(instance|node)%3A"))
    for name in ("front", "back"):
        expect(page.locator(".log-line").filter(has_text=f"tick of {name}")).not_to_have_count(0, timeout=WITHIN_MS)
    last = texts(page)[-1], page.locator(".log-line time").last.inner_text()
    until(lambda: (texts(page)[-1], page.locator(".log-line time").last.inner_text()) != last, "it goes on")
    times = page.locator(".log-line time").all_inner_texts()
    assert times == sorted(times)


def test_an_end_that_goes_on_is_followed_until_somebody_goes_back(inside: Visit) -> None:
    page = inside.page
    inside.show("logs?of=agent:front")
    told = page.locator(".log-tools [role=status]")
    expect(told).to_contain_text("following", timeout=WITHIN_MS)
    # The end has gone on by the time that the browser tells of having scrolled to it.
    page.evaluate(
        """() => {
            const box = document.querySelector(".log-scroll");
            const more = Object.assign(document.createElement("div"), { className: "probe" });
            more.style.height = "3000px";
            box.append(more);
            box.dispatchEvent(new Event("scroll"));
        }"""
    )
    expect(told).to_contain_text("following")
    box = page.locator(".log-scroll")
    until(lambda: box.evaluate("box => box.scrollTop > 1000"), "the end is in sight with the next line")
    expect(told).to_contain_text("following")
    box.hover()
    page.mouse.wheel(0, -600)
    expect(told).to_contain_text("held")
    page.get_by_role("button", name="Go to the end and follow").click()
    expect(told).to_contain_text("following")


def test_a_search_is_done_by_the_nodes_and_stands_in_the_address(inside: Visit) -> None:
    page = inside.page
    inside.show("logs?of=agent:front,agent:back")
    search = page.get_by_label("Search the output")
    search.fill("post /")
    expect(page.locator(".log-line")).to_have_count(3)
    expect(page.locator(".log-line mark").first).to_have_text("POST /")
    name = page.locator(".log-line .who").first
    assert name.evaluate("name => name.scrollWidth <= name.clientWidth"), "a name is cut"
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.locator(".log-line.wrapped")).to_have_count(3)
    assert page.locator(".log-line .what").evaluate_all("all => all.every(one => one.scrollWidth <= one.clientWidth)")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_label("Match case").check()
    expect(page.get_by_text("No line has that in it.")).to_be_visible()
    page.get_by_label("Regular expression").check()
    search.fill("^(GET|POST) /back")
    expect(page.locator(".log-line")).to_have_count(2)
    command = page.locator(".log-command code").inner_text()
    assert command == "omnitide logs front back --follow --grep '^(GET|POST) /back' --regex"
    page.reload()
    expect(search).to_have_value("^(GET|POST) /back")
    expect(page.locator(".log-line")).to_have_count(2)
    expect(page.locator(".log-line mark").first).to_have_text(re.compile("^(GET|POST) /back$"))
    search.fill("(")
    expect(page.locator(".log .empty")).to_contain_text("no regular expression: missing )")
    assert inside.flaws() == []


def test_that_nothing_is_chosen_or_written_is_said_only_when_it_is_so(inside: Visit) -> None:
    page = inside.page
    inside.show("logs")
    expect(page.get_by_role("heading", level=1)).to_have_text("Output")
    expect(page.get_by_text("Nothing is chosen")).to_be_visible()
    page.route("**/v1/logs?*", lambda _: None)  # the nodes have not answered yet
    inside.show("logs?of=agent:front")
    expect(page.locator(".log .empty")).to_have_text("Asking the nodes…")
    page.unroute_all()


def test_a_range_of_time_is_shown_and_downloaded_whole(inside: Visit, telling: Fabric) -> None:
    page = inside.page
    inside.show("logs?of=agent:front")
    page.get_by_label("Until").fill("0s")
    page.get_by_label("Until").press("Enter")
    expect(page.locator(".log-tools [role=status]")).to_contain_text("all of that time", timeout=WITHIN_MS)
    with page.expect_download() as text:
        page.get_by_role("button", name="Download all of it").click()
    lines = Path(text.value.path()).read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z front-[12]\.1 (stdout|stderr) .*", lines[0])
    assert [line.partition(" ")[0] for line in lines] == sorted(line.partition(" ")[0] for line in lines)
    page.get_by_label("Download as JSON lines").check()
    with page.expect_download() as objects:
        page.get_by_role("button", name="Download all of it").click()
    first = json.loads(Path(objects.value.path()).read_text().splitlines()[0])
    assert (first["name"].partition("-")[0], first["stream"]) in (("front", "stdout"), ("front", "stderr"))
    page.get_by_label("From").fill("soon")
    page.get_by_label("From").press("Enter")
    expect(page.get_by_text("no time: not used")).to_be_visible()
    inside.show("logs?of=agent:front&since=1h", width=360)
    expect(page.locator(".log-line").first).to_be_visible()
    assert not inside.runs_out_of_the_window()
    assert inside.flaws() == []


def test_a_node_that_does_not_answer_is_named_with_what_is_missing_until_it_is_back(
    inside: Visit, telling: Fabric
) -> None:
    page = inside.page
    here = {one.name: one for one in telling.client.instances(node="beta") if one.workload in ("front", "back")}
    name = next(iter(here))
    inside.show(f"logs?of=instance:{name}")
    expect(page.locator(".log-line").filter(has_text="tick")).not_to_have_count(0, timeout=WITHIN_MS)
    os.kill(telling.proxy_pid("beta"), signal.SIGKILL)
    missing = page.get_by_label("Missing lines")
    expect(missing).to_contain_text(f"lines of {name} are missing", timeout=WITHIN_MS)
    expect(missing).to_have_count(0, timeout=WITHIN_MS)
    lines = page.locator(".log-line").filter(has_text="tick")
    expect(lines).not_to_have_count(0, timeout=WITHIN_MS)
    # Each with its time.
    seen = set(lines.all_inner_texts())
    until(lambda: set(lines.all_inner_texts()) - seen, "it goes on")


SAID = """() => { window.said = new Set();
new MutationObserver(() => {
  const when = document.querySelector(".log-missing") ? "answered" : "asked";
  for (const one of document.querySelectorAll(".log .empty, .log-tools [role=status]"))
    said.add(`${when}: ${one.innerText.trim()}`);
}).observe(document.body, { subtree: true, childList: true, characterData: true }); }"""


def test_that_nothing_is_found_is_said_when_all_have_been_asked_and_not_before(inside: Visit, telling: Fabric) -> None:
    """A node that takes its time has said nothing yet, which is not that it has nothing."""
    page = inside.page
    inside.show("logs?of=agent:front,agent:back")
    expect(page.locator(".log-line")).not_to_have_count(0, timeout=WITHIN_MS)
    page.evaluate(SAID)
    proxy = telling.proxy_pid("alpha")
    freeze(proxy)
    try:
        page.get_by_label("Search the output").fill("nowhere in it")
        expect(page.get_by_label("Missing lines")).to_contain_text("alpha", timeout=WITHIN_MS)
    finally:
        os.kill(proxy, signal.SIGCONT)
    said = page.evaluate("[...said]")
    assert "asked: Asking the nodes…" in said
    assert not [one for one in said if one.startswith(("asked: No line", "asked: 0 lines"))], said
    # What is said about lines is none.
    expect(page.locator(".log-tools [role=status]")).to_have_text("0 lines · following")
