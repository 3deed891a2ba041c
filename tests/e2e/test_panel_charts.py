"""What a chart says of what is marked on it, in a real Chromium on a real fabric."""

import re
from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Browser, expect

from support.fabric_fixtures import deployed
from support.fabric_processes import Fabric
from support.panel_browser import Visit, chromium, visit

NAMES = ("catalog", "payments", "storefront", "warehouse")
SPEC = """
name = "{name}"
replicas = 2
command = ["sleep", "3600"]
resources = {{ cpu = 0.01, memory = "8MiB" }}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def busy(shared: Fabric) -> Iterator[Fabric]:
    with deployed(shared, **{name: SPEC.format(name=name) for name in NAMES}):
        yield shared


@pytest.fixture
def inside(browser: Browser, busy: Fabric) -> Generator[Visit]:
    with visit(browser, busy) as made:
        made.log_in()
        yield made


def test_what_is_marked_together_is_counted_and_each_of_it_is_told_by_pointer_and_keyboard(inside: Visit) -> None:
    page = inside.page
    page.set_viewport_size({"width": 412, "height": 823})
    inside.open("nodes/alpha")
    chart = page.locator(".chart", has_text="CPU").first
    marks = chart.get_by_role("group", name="Marks of CPU").get_by_role("button")
    # What ran there before may have marks of its own.
    together = marks.and_(chart.get_by_role("button", name=re.compile(r"^\d+ starts$"))).last
    expect(together).to_be_visible()
    told = chart.get_by_role("tooltip")
    expect(told).to_have_count(0)
    together.hover()
    for name in NAMES:
        expect(told).to_contain_text(re.compile(rf"{name} v1 starts \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d"))
    assert not inside.runs_out_of_the_window()
    assert inside.flaws_in_both_themes() == {"light": [], "dark": []}
    page.mouse.move(0, 0)
    expect(told).to_have_count(0)
    # All marks of a chart are one stop on the way through the page.
    page.locator("[name=span]:checked").focus()
    page.keyboard.press("Tab")
    expect(told).to_contain_text("storefront v1 starts")
    expect(together).to_have_accessible_description(re.compile("storefront v1 starts"))
    page.keyboard.press("Escape")
    expect(told).to_have_count(0)
    page.keyboard.press("Tab")
    expect(told).to_have_count(0)
    expect(together).not_to_be_focused()
