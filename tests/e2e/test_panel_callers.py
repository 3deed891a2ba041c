"""Who did what, in the panel: in words, with what ends it, and as text whatever a token's note holds."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from support.fabric_fixtures import emptied
from support.fabric_processes import Fabric
from support.panel_browser import visit

WHO = """
name = "who"
command = ["sleep", "3600"]
resources = { cpu = 0.01, memory = "8MiB" }
stop = { grace = "1s" }
"""
HOSTILE = "<img src=x onerror=window.hacked=1>"


@pytest.fixture
def fabric(shared: Fabric) -> Iterator[Fabric]:
    yield shared
    emptied(shared)


def test_what_is_done_in_a_browser_and_by_a_program_is_told_by_whom(browser: Browser, fabric: Fabric) -> None:
    path = fabric.folder / "who.toml"
    path.write_text(WHO)
    fabric.cli("deploy", str(path))
    token = fabric.folder / "program-token"
    token.write_text(fabric.cli("token", "create", "--api", "--note", HOSTILE, "-q").stdout.strip())
    fabric.cli("--token-file", str(token), "scale", "who", "2")
    with visit(browser, fabric) as inside:
        inside.log_in()
        page = inside.page
        inside.show("agents/default/who")
        page.get_by_role("button", name="Restart").first.click()
        page.get_by_role("dialog").get_by_role("button", name="Restart").click()
        versions = page.locator(".versions li")
        expect(versions).to_have_count(2)
        by = re.compile(r"by administrator in Chrom\w+.* \(session \w{16}\)")
        expect(versions.first).to_contain_text(by)
        expect(versions.last).to_contain_text(re.compile(r"by administrator \(token \w{16}\)"))
        inside.show("events?subject=agent/default/who&kind=agent")
        rows = page.locator(".event-row")
        identifier = token.read_text().split("_")[1]
        expect(rows.filter(has_text="scaled to 2")).to_contain_text(f"scaled to 2, by {HOSTILE} (token {identifier})")
        expect(rows.filter(has_text="being restarted")).to_contain_text(by)
        inside.show("agents/default/who", width=360)
        expect(versions.first).to_contain_text(by)
        assert not inside.runs_out_of_the_window()
        wide = versions.first.evaluate("(one) => one.scrollWidth > one.clientWidth")
        assert not wide, "it is wrapped where there is no room beside"
        # It ends by what is told of it.
        fabric.cli("token", "revoke", identifier)
        assert page.evaluate("window.hacked") is None
        assert inside.console == []
