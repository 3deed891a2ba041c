"""What goes wrong outside, in a real Chromium: clocks that are off by minutes, and a text of a megabyte in the editor.
Nothing on the screen lies, and what is the matter is said."""

import datetime as dt
import re
from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Browser, WebSocketRoute, expect

from omnitide.model.manifest import read
from omnitide.model.spec import AgentSpec
from support.fabric_fixtures import emptied
from support.fabric_processes import Fabric, until
from support.panel_browser import Visit, visit


@pytest.fixture(scope="module")
def busy(shared: Fabric) -> Iterator[Fabric]:
    spec = read({"command": ["sleep", "3600"], "resources": {"cpu": 0.01, "memory": "8MiB"}}, AgentSpec)
    shared.client.deploy_agent("clocked", spec, replicas=1)
    until(lambda: shared.client.get_agent("clocked").running == 1, "it runs")
    yield shared
    emptied(shared)


@pytest.fixture
def stranger(browser: Browser, busy: Fabric) -> Generator[Visit]:
    with visit(browser, busy) as made:
        yield made
        # The editor asks for the agent that its text names, which may be a new one.
        assert [told for told in made.console if "404" not in told or "/agents/" not in told] == []


@pytest.mark.parametrize("off_min", [30, -30])
def test_a_browser_whose_clock_is_wrong_shows_nexuss_ages(stranger: Visit, busy: Fabric, off_min: int) -> None:
    page = stranger.page
    page.clock.install(time=dt.datetime.now(dt.UTC) + dt.timedelta(minutes=off_min))
    stranger.log_in()
    stranger.show("instances")
    row = page.get_by_role("row").filter(has_text="clocked-1")
    expect(row).to_be_visible()
    minutes = [int(found) for found in re.findall(r"(\d+) min", row.inner_text())]
    assert all(one < 20 for one in minutes), row.inner_text()
    assert " h" not in row.inner_text()
    page.clock.run_for(3000)
    expect(page.locator(".link-state")).to_contain_text("Live")
    expect(page.locator(".banner")).to_have_count(0)


def test_a_node_whose_clock_is_wrong_says_so_on_its_page(stranger: Visit, busy: Fabric) -> None:
    page = stranger.page
    wrong = '"clock_ahead_ms":300000,"joined_ms":'

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda message: socket.send(str(message).replace('"joined_ms":', wrong)))

    page.route_web_socket(re.compile("/v1/view"), between)
    stranger.log_in()
    node = next(iter(busy.client.nodes()))
    stranger.show(f"nodes/{node.name}")
    facts = page.get_by_role("region", name="Facts")
    expect(facts).to_contain_text("5 min ahead of Nexus's, by which times are shown")


def test_a_text_of_a_megabyte_is_answered_in_a_sentence_and_the_page_goes_on(stranger: Visit, busy: Fabric) -> None:
    page = stranger.page
    stranger.log_in()
    stranger.show("agents/new")
    code = page.locator(".cm-content")
    code.focus()
    page.keyboard.press("Control+a")
    lines = "".join(f"  KEY_{number:05}: {'x' * 80}\n" for number in range(11_000))
    page.keyboard.insert_text(f"name: large\ncommand: [sleep, '1']\nenvironment:\n{lines}")
    told = page.get_by_role("status").filter(has_text="letters")
    expect(told).to_contain_text("Nexus takes files of 256 KiB at most. It is kept here, and not looked at")
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
