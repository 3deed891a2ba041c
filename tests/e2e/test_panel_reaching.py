"""Reaching into an instance from the panel: a terminal and its files, in a real Chromium on a real fabric."""

import json
import re
import signal
import tarfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect

from omnitide.model.objects import Instance
from support.fabric_fixtures import deployed
from support.fabric_processes import Fabric, freeze, send, until
from support.panel_browser import WITHIN_MS, Visit, visit

AGENT = """
name = "inner"
command = ["sleep", "3600"]
resources = { cpu = 0.01, memory = "64MiB" }
stop = { grace = "1s" }
# What whoever runs the tests has their shells do first, waits for others of them.
environment = { HOME = "/var/empty" }
"""
HOSTILE = (
    r"printf '\033]0;owned\007\033]2;owned\007\033]8;;https://elsewhere.example/\007link\033]8;;\007"
    r"\033]52;c;b3duZWQ=\007\033[21t<img src=x onerror=window.hacked=1>\n'"
)


@pytest.fixture(scope="module")
def busy(shared: Fabric) -> Iterator[Fabric]:
    with deployed(shared, inner=AGENT):
        yield shared


@pytest.fixture(scope="module")
def instance(busy: Fabric) -> Instance:
    return busy.running("inner", 1)[0]


@pytest.fixture(scope="module")
def inside(browser: Browser, busy: Fabric) -> Generator[Visit]:
    with visit(browser, busy) as made:
        # A page on which a program runs asks before it is left.
        made.page.on("dialog", lambda dialog: dialog.accept() if dialog.type == "beforeunload" else dialog.dismiss())
        made.log_in()
        yield made
        assert made.console == []


def screen(page: Page) -> Locator:
    return page.locator(".xterm-rows")


def state(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.locator(".terminal-state")).to_have_text(text, timeout=WITHIN_MS)


def shell(visit: Visit, instance: Instance) -> Page:
    """A shell that runs, opened by its key from the instance's page."""
    page = visit.page
    visit.show(f"instances/{instance.id}")
    page.keyboard.press("t")
    state(page, "Running")
    return page


def enter(page: Page, line: str) -> None:
    page.keyboard.type(line)
    page.keyboard.press("Enter")


def inner(busy: Fabric, *command: str) -> str:
    return busy.cli("exec", "inner-1.1", "--", *command).stdout


def test_a_shell_opens_by_its_key_and_is_as_large_as_its_window(inside: Visit, instance: Instance) -> None:
    page = shell(inside, instance)
    enter(page, "echo $((6 * 7))-$TERM; stty size")
    expect(screen(page)).to_contain_text("42-xterm-256color")
    size = page.locator(".terminal-foot").inner_text().split(" ·")[0]
    columns, _, rows = size.partition(" × ")
    expect(screen(page)).to_contain_text(f"{rows} {columns}")
    page.set_viewport_size({"width": 900, "height": 600})
    expect(page.locator(".terminal-foot")).not_to_contain_text(size)
    smaller = page.locator(".terminal-foot").inner_text().split(" ·")[0].split(" × ")
    enter(page, "clear; stty size")
    expect(screen(page)).to_contain_text(f"{smaller[1]} {smaller[0]}")
    page.set_viewport_size({"width": 1280, "height": 800})
    enter(page, "exit 3")
    state(page, "Exited with code 3")
    expect(page.get_by_role("button", name="Start anew")).to_be_focused()


def test_what_is_typed_too_early_or_too_late_is_for_no_other_than_the_shell(inside: Visit, instance: Instance) -> None:
    """`r` restarts an instance on its own page: not here, whether the shell is not there yet or has ended."""
    page = inside.page
    inside.show(f"instances/{instance.id}")
    page.keyboard.type("techo r$((40 + 2))r")
    page.keyboard.press("Enter")
    state(page, "Running")
    expect(screen(page)).to_contain_text("r42r")
    enter(page, "exit")
    state(page, "Exited with code 0")
    expect(page.get_by_role("button", name="Start anew")).to_be_focused()
    enter(page, "rm -rf tmp")
    expect(page.locator("dialog")).to_have_count(0)
    state(page, "Exited with code 0")
    expect(page).to_have_url(re.compile("/terminal$"))
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog").get_by_role("combobox")).to_be_focused()
    page.keyboard.press("Escape")
    assert inside.fabric.client.get_instance(instance.id).generation == instance.generation


def test_the_palette_and_the_map_lead_there_too(inside: Visit, busy: Fabric) -> None:
    page = inside.page
    inside.show("map")
    page.get_by_label("Find a node, agent or instance").fill("inner-1.1")
    page.get_by_label("Find a node, agent or instance").press("Enter")
    card = page.get_by_role("complementary", name="Selection")
    actions = card.get_by_role("group", name="Actions for instance inner-1.1")
    for name in ("Terminal", "Files", "Output"):
        expect(actions.get_by_role("button", name=name, exact=True)).to_be_enabled()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog").get_by_role("combobox")).to_be_focused()
    page.keyboard.type("terminal inner")
    expect(page.locator("#palette-0")).to_contain_text("Terminal inner-1.1")
    page.keyboard.press("Enter")
    state(page, "Running")
    # Several lines that are pasted are not run as they come: the shell is told that it is a paste.
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.setData("text/plain", ["echo one", "echo two"].join(String.fromCharCode(10)));
            const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
            document.querySelector(".xterm-helper-textarea").dispatchEvent(event);
        }"""
    )
    expect(screen(page)).to_contain_text("echo two")
    expect(screen(page).locator("> div").filter(has_text=re.compile("^one"))).to_have_count(0)
    page.keyboard.press("Enter")
    expect(screen(page).locator("> div").filter(has_text=re.compile("^one"))).to_have_count(1)
    expect(screen(page).locator("> div").filter(has_text=re.compile("^two"))).to_have_count(1)
    enter(page, "exit")
    state(page, "Exited with code 0")


def test_the_keys_are_the_programs_but_one_that_leads_out(inside: Visit, instance: Instance) -> None:
    page = shell(inside, instance)
    enter(page, "cat")
    page.keyboard.press("?")
    page.keyboard.press("Control+k")
    page.keyboard.press("Tab")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Control+c")
    # The shell takes its terminal back from what was ended, and drops what is typed before its prompt.
    expect(screen(page)).to_contain_text(re.compile(r"\^C.*[#$]"))
    enter(page, "echo st'ill' here")
    expect(screen(page)).to_contain_text("still here")
    page.get_by_role("link", name=re.compile("^Nodes")).click()
    expect(page.get_by_role("button", name="Stay")).to_be_focused()
    page.keyboard.press("Enter")
    screen(page).click(force=True)
    page.keyboard.press("Control+Shift+l")
    expect(page.get_by_role("button", name="Hang up", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    state(page, "Hung up")


def test_what_a_program_writes_does_nothing_to_the_page(inside: Visit, instance: Instance) -> None:
    page = shell(inside, instance)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    opened = len(page.context.pages)
    enter(page, HOSTILE)
    row = screen(page).locator("> div").filter(has_text=re.compile("^link<img src=x"))
    expect(row).to_be_visible()
    # Where a link would be, xterm.js sees one a moment after the pointer has come.
    for x in (6, 8, 10):
        row.hover(position={"x": x, "y": 8}, force=True)
        page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    expect(page.locator(".xterm-cursor-pointer")).to_have_count(0)
    row.click(position={"x": 8, "y": 8}, force=True)
    row.click(position={"x": 8, "y": 8}, modifiers=["Control"], force=True)
    assert page.title() == "Terminal of inner-1.1 · Omnitide"
    assert page.evaluate("window.hacked") is None
    assert page.locator(".terminal-host img").count() == 0
    assert dialogs == []
    assert len(page.context.pages) == opened
    # Colours of any kind are shown, for which xterm.js makes styles that the policy has to let through.
    enter(page, r"printf '\033[38;2;1;2;3mdeep\033[0m\n'")
    expect(screen(page).locator("span", has_text=re.compile("^deep$"))).to_have_attribute("style", re.compile("color"))
    enter(page, "exit")
    state(page, "Exited with code 0")


def test_a_connection_that_breaks_runs_nothing_a_second_time(inside: Visit, busy: Fabric, instance: Instance) -> None:
    page = inside.page
    routes: list[WebSocketRoute] = []

    def through(socket: WebSocketRoute) -> None:
        routes.append(socket)
        socket.connect_to_server()

    page.route_web_socket(re.compile("/exec$"), through)
    inside.show(f"instances/{instance.id}/terminal")
    # An address that was opened starts nothing by itself.
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_focused()
    assert routes == []
    page.get_by_role("textbox", name="Command").fill("""sh -c 'echo ran >> runs; exec sleep 3000'""")
    page.keyboard.press("Enter")
    state(page, "Running")
    until(lambda: inner(busy, "cat", "runs") == "ran\n", "it runs")
    routes[0].close()
    state(page, "Hung up")
    expect(page.locator(".terminal-say")).to_contain_text("not started again by itself")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange')); window.dispatchEvent(new Event('online'))")
    inside.until_live()
    page.reload()
    state(page, "Nothing runs")
    assert inner(busy, "cat", "runs") == "ran\n"
    assert len(routes) == 1
    # As Nexus tells of a node proxy that has ended.
    page.get_by_role("textbox", name="Command").fill("sleep 3000")
    page.keyboard.press("Enter")
    state(page, "Running")
    routes[1].send(json.dumps({"problem": {"code": "unavailable", "detail": "the stream from the node broke"}}))
    state(page, "The connection broke")
    expect(page.locator(".terminal-say")).to_contain_text("It ran until its connection broke: the stream from the node")
    expect(page.get_by_role("button", name="Start anew")).to_be_focused()
    page.unroute_all()


def test_what_cannot_be_run_says_why(inside: Visit, busy: Fabric, instance: Instance) -> None:
    page = inside.page
    inside.show(f"instances/{instance.id}/terminal")
    page.get_by_role("textbox", name="Command").fill("no-such-program")
    page.keyboard.press("Enter")
    expect(page.locator(".terminal-say")).to_contain_text("no-such-program")
    page.get_by_role("textbox", name="Command").fill("echo 'open")
    page.keyboard.press("Enter")
    expect(page.locator(".terminal-say")).to_contain_text("is not closed")
    inside.show("instances/i-is-not-there/terminal")
    page.keyboard.press("Enter")
    expect(page.locator(".terminal-say")).to_contain_text("there is no instance", timeout=WITHIN_MS)
    # A browser tells of each WebSocket that was refused.
    assert not [told for told in inside.console if "Policy" in told]
    inside.console.clear()


def test_a_page_of_an_instance_is_found_by_its_name_too(inside: Visit, instance: Instance) -> None:
    for part, title in (("files", "Files of"), ("terminal", "Terminal of")):
        inside.show(f"instances/{instance.namespace}/{instance.name}/{part}?path=.")
        expect(inside.page).to_have_url(re.compile(rf"/instances/{re.escape(instance.id)}/{part}\?path=\.$"))
        expect(inside.page.get_by_role("heading", level=1)).to_have_text(f"{title} {instance.name}")
    inside.show(f"instances/{instance.namespace}/{instance.name}/nothing")
    expect(inside.page.get_by_role("heading", name="There is no such page")).to_be_visible()
    inside.show("instances/default/nobody-1.1/files")
    expect(inside.page.get_by_role("heading", name="Instance nobody-1.1 is not there")).to_be_visible()


def test_files_go_in_and_come_out_as_they_are(inside: Visit, busy: Fabric, instance: Instance, tmp_path: Path) -> None:
    page = inside.page
    inner(busy, "sh", "-c", "mkdir -p deep/er bare && echo within > deep/er/in.txt && echo old > note.bin")
    sent = tmp_path / "note.bin"
    sent.write_bytes(bytes(range(256)) * 3000)
    inside.show(f"instances/{instance.id}")
    page.keyboard.press("c")
    rows = page.locator(".files-row")
    expect(rows.filter(has_text="deep")).to_be_visible()
    page.get_by_label("Files to upload").set_input_files(sent)
    expect(page.locator(".files-send")).to_contain_text("takes the place of note.bin")
    expect(page.locator(".files-send code")).to_contain_text("omnitide cp ./note.bin inner-1.1:.")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator(".files-job")).to_contain_text("note.bin is in the instance's directory now", timeout=WITHIN_MS)
    expect(rows.filter(has_text="note.bin")).to_contain_text("750 KiB")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download note.bin").click()
    assert Path(download.value.path()).read_bytes() == sent.read_bytes()
    page.get_by_role("button", name="deep", exact=True).click()
    expect(rows.filter(has_text="er")).not_to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download er").click()
    assert download.value.suggested_filename == "er.tar"
    with tarfile.open(download.value.path()) as whole:
        found = whole.extractfile("er/in.txt")
        assert found
        assert found.read() == b"within\n"
    page.get_by_label("Path").fill("deep/er/in.txt")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Download in.txt")).to_be_visible()
    page.get_by_label("Path").fill("bare")
    page.keyboard.press("Enter")
    expect(page.locator(".files-list")).to_contain_text("This folder is empty")
    page.get_by_label("Path").fill("../..")
    page.keyboard.press("Enter")
    expect(page.locator(".files-list")).to_contain_text(re.compile("leads out"))
    page.get_by_label("Path").fill("nowhere")
    page.keyboard.press("Enter")
    expect(page.locator(".files-list")).to_contain_text("no such file")
    inside.console.clear()  # what was refused


def test_an_upload_shows_how_far_it_is_and_is_given_up(
    inside: Visit, busy: Fabric, instance: Instance, tmp_path: Path
) -> None:
    page = inside.page
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(200 << 20)
    inside.show(f"instances/{instance.id}/files")
    expect(page.locator(".files-row").first).to_be_visible()
    page.get_by_label("Files to upload").set_input_files(large)
    stopped = busy.node_processes(instance.node)
    freeze(*stopped)
    try:
        page.get_by_role("button", name="Upload", exact=True).click()
        expect(page.locator(".files-job")).to_contain_text("Uploading large.bin")
        expect(page.get_by_role("progressbar")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator(".files-job")).to_contain_text("given up")
    finally:
        send(stopped, signal.SIGCONT)
    busy.until_live(instance.node)
    inside.console.clear()


def test_axe_finds_nothing_and_nothing_runs_over_the_side(inside: Visit, instance: Instance) -> None:
    page = inside.page
    found: dict[str, object] = {}
    for name in (f"instances/{instance.id}/files", f"instances/{instance.id}/terminal"):
        inside.show(name)
        if name.endswith("terminal"):
            page.keyboard.press("Enter")
            state(page, "Running")
            enter(page, r"printf '\033[31mred\033[0m \033[90mgrey\033[0m\n'")
        for width in (360, 2560, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            if inside.runs_out_of_the_window():
                found[f"{name} {width}"] = "runs over the side"
        found.update(inside.flaws_in_both_themes(name))
    assert {name: flaws for name, flaws in found.items() if flaws} == {}
