"""Who is who on the map, at every zoom: on sixty machines with names longer than a building is wide."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from omnitide.demo.machines import machines
from support import still_fabric as stills
from support.panel_browser import WITHIN_MS
from support.still_fabric import NOW_MS, Still, still_fabric

NUMBER: Final = 60

WHOLE, MIDDLE, NEAR, FIRST_NAMED = 0.7, 0.52, 2.6, 3.0
"""Zooms: farther than this all is seen; MIDDLE_FROM and NEAR_FROM of camera.ts, and a little nearer."""

WRITTEN: Final = """() => {
    const lines = window.written = [], order = window.order = [];
    const { fillText, clearRect, roundRect, fill } = CanvasRenderingContext2D.prototype;
    const names = (context) => context.canvas.classList.contains('map-labels-canvas');
    let last;
    CanvasRenderingContext2D.prototype.clearRect = function (...box) {
        if (names(this)) lines.length = order.length = 0;
        return clearRect.apply(this, box);
    };
    CanvasRenderingContext2D.prototype.roundRect = function (x, y, width, height, radius) {
        last = [x, y, x + width, y + height];
        return roundRect.call(this, x, y, width, height, radius);
    };
    CanvasRenderingContext2D.prototype.fill = function (...how) {
        if (names(this) && last) order.push(['', ...last]);
        last = undefined;
        return fill.apply(this, how);
    };
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        if (names(this)) {
            const px = parseFloat(/([\\d.]+)px/.exec(this.font)[1]);
            const { width } = this.measureText(text);
            const left = x - { left: 0, center: width / 2, right: width }[this.textAlign];
            lines.push([text, x, y, px, this.fillStyle]);
            order.push([text, left, y - 0.38 * px, left + width, y + 0.38 * px]);
        }
        return fillText.call(this, text, x, y);
    };
}"""
"""Each line of a name that is on the map now, with where it is, how large and in which colour; and in order, with the
grounds (without a text) that were put below some of them, the boxes of their ink."""


STOOD_STILL: Final = """async () => {
    const { dataset } = document.querySelector('[data-zoom]');
    for (let seen = '', still = 0; still < 8;) {
        await new Promise(done => requestAnimationFrame(done));
        still = dataset.zoom === seen ? still + 1 : 0;
        seen = dataset.zoom;
    }
}"""


@pytest.fixture(scope="module")
def still() -> Iterator[Still]:
    def with_long_names(number: int, seed: int) -> tuple[object, ...]:
        """As people have them: where it stands, what it is, which of them."""
        return tuple(one._replace(name=f"{one.zone}-{one.name}") for one in machines(number, seed))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stills, "machines", with_long_names)
        with still_fabric(NUMBER, 18, 180) as made:
            yield made


@pytest.fixture
def page(browser: Browser, still: Still) -> Iterator[Page]:
    context = browser.new_context(
        ignore_https_errors=True,
        service_workers="block",
        viewport={"width": 1440, "height": 900},
        reduced_motion="reduce",
    )
    context.set_default_timeout(WITHIN_MS)
    context.clock.set_fixed_time(NOW_MS)
    made = context.new_page()
    made.add_init_script(f"({WRITTEN})()")
    made.goto(still.login_link())
    expect(made.locator(".link-state")).to_contain_text("Live", timeout=2 * WITHIN_MS)
    made.goto(f"{still.url}/map")
    expect(made.locator("#map-summary")).to_contain_text(f"{NUMBER} nodes", timeout=2 * WITHIN_MS)
    made.wait_for_function("() => window.written.some(one => one[0] === 'hall-a')")
    made.wait_for_function(f"() => document.querySelector('[data-zoom]').dataset.zoom < {WHOLE}")
    yield made
    context.close()


def the_map(page: Page) -> Locator:
    return page.locator("[data-zoom]")


def zoom(page: Page) -> float:
    return float(the_map(page).get_attribute("data-zoom") or 0)


def told(page: Page) -> str:
    """All that is written, line after line; the lines of one name follow one another."""
    for _, _, _, px, _ in page.evaluate("window.written"):
        assert px >= 10.5, "large enough to be read"
    return "".join(text for text, *_ in page.evaluate("window.written"))


def until_told(page: Page, names: set[str], why: str) -> None:
    there = """names => {
        const all = window.written.map(one => one[0]).join('');
        return names.every(name => all.includes(name));
    }"""
    try:
        page.wait_for_function(there, arg=sorted(names))
    finally:
        lacking = {name for name in names if name not in told(page)}
        assert not lacking, why


def test_every_machine_is_named_whole_as_soon_as_machines_are(page: Page, still: Still) -> None:
    names = set(still.runtime.machines)
    assert max(len(name) for name in names) > 18
    # The whole is seen, and its buildings are narrower than their names.
    until_told(page, names, "each of the nodes is named whole")
    zones = {machine.zone for machine in still.runtime.machines.values()}
    assert zones <= {text for text, *_ in page.evaluate("window.written")}, "and each district"
    assert not covered(page)
    # What is beyond a roof begins on the ground above it, where there is that: few names hide what stands on theirs.
    order = page.evaluate("window.order")
    grounds = [box for text, *box in order if not text]
    texts = [one for one in order if one[0]]
    two = [one for one, other in pairwise(texts) if one[0] + other[0] in names]
    begin = [(left, top) for _, left, top, *_ in two]
    hide = [one for one in begin if any(x0 <= one[0] < x1 and y0 <= one[1] < y1 for x0, y0, x1, y1 in grounds)]
    assert len(begin) > max(4, 4 * len(hide))
    # Nearer they have more room, and then as much as before.
    before = written(page)
    page.get_by_role("button", name="Nearer").click()
    page.wait_for_function(f"() => document.querySelector('[data-zoom]').dataset.zoom > {WHOLE}")
    page.wait_for_function("before => JSON.stringify(window.written) !== before", arg=before)
    assert not covered(page)
    page.get_by_role("button", name="All of it").click()
    page.wait_for_function("before => JSON.stringify(window.written) === before", arg=before)


def written(page: Page) -> str:
    return page.evaluate("() => JSON.stringify(window.written)")


def covered(page: Page) -> list[tuple[str, str]]:
    """Texts on which another lies, or the ground of another that was written after them."""
    order = [(text, box) for text, *box in page.evaluate("window.order")]
    found: list[tuple[str, str]] = []
    for at, (text, (left, top, right, bottom)) in enumerate(order):
        for other, (x0, y0, x1, y1) in order[at + 1 :]:
            across, down = min(right, x1) - max(left, x0), min(bottom, y1) - max(top, y0)
            if text and across > 2 and down > 2:
                found.append((text, other))
    return found


def test_a_dark_machine_is_named_as_readably_by_day_as_by_night(page: Page, still: Still) -> None:
    """Its roof is dark in both, and the ground that its name begins on is not."""
    name = still.runtime.state.nodes[next(one.id for one in still.runtime.nodes.values() if not one.session)].name
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        until_told(page, {name}, "it is named")
        lines = page.evaluate("window.written")
        colours = {colour for text, *_, colour in lines if text.startswith("office-north-")}
        assert colours == colours_of_lines(lines, name)


def colours_of_lines(written: list[list[str]], name: str) -> set[str]:
    """The colours of the lines of one name."""
    for at in range(len(written)):
        for end in range(at + 2, at + 4):
            if "".join(text for text, *_ in written[at:end]) == name:
                return {colour for *_, colour in written[at:end]}
    raise AssertionError(f"{name} is not told in lines")


def test_from_afar_each_district_is_named_and_who_is_in_trouble(page: Page, still: Still) -> None:
    before = zoom(page)
    while zoom(page) >= 0.35:
        page.get_by_role("button", name="Farther").click()
        expect(the_map(page)).not_to_have_attribute("data-zoom", f"{before:.3f}")
        before = zoom(page)
    dark = still.runtime.state.nodes[next(one.id for one in still.runtime.nodes.values() if not one.session)].name
    until_told(
        page, {machine.zone for machine in still.runtime.machines.values()} | {dark}, "districts, and the dark one"
    )


def test_every_instance_is_named_whole_as_soon_as_instances_are(page: Page, still: Still) -> None:
    state = still.runtime.state
    homes = [{one.name for one in state.instances.values() if one.node == node} for node in state.nodes]
    # In two rows, which is the most that are named from there on: of more, each has less room.
    here = max((names for names in homes if len(names) <= 8), key=len)
    assert len(here) > 4
    node = state.nodes[next(one.node for one in state.instances.values() if one.name in here)].name
    page.get_by_label("Find a node, agent or instance").fill(node)
    page.get_by_label("Find a node, agent or instance").press("Enter")
    page.keyboard.press("Escape")
    the_map(page).focus()
    while zoom(page) < NEAR:
        before = zoom(page)
        page.keyboard.press("+")
        expect(the_map(page)).not_to_have_attribute("data-zoom", f"{before:.3f}")
    over = the_map(page).bounding_box()
    assert over
    page.mouse.move(over["x"] + over["width"] / 2, over["y"] + over["height"] / 2)
    while zoom(page) > FIRST_NAMED:
        before = zoom(page)
        page.mouse.wheel(0, 30)
        expect(the_map(page)).not_to_have_attribute("data-zoom", f"{before:.3f}")
    assert zoom(page) > NEAR, "instances have just got their names"
    until_told(page, here | {node}, "the node and each instance on it")
    assert not covered(page)


@pytest.mark.parametrize("width", [360, 1440])
def test_from_as_far_as_one_can_go_each_district_is_named(page: Page, still: Still, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 780})
    page.get_by_role("button", name="All of it").click()
    page.evaluate(STOOD_STILL)
    whole = zoom(page)
    for _ in range(4):
        page.get_by_role("button", name="Farther").click()
    page.evaluate(STOOD_STILL)
    assert zoom(page) == pytest.approx(whole / 2, abs=0.002), "from there all is small, and nothing more is seen"
    assert zoom(page) < MIDDLE, "nodes have no names of their own from there"
    until_told(page, {machine.zone for machine in still.runtime.machines.values()}, "each district")
    assert not covered(page)


@pytest.mark.parametrize("width", [360])
def test_on_a_phone_each_machine_that_is_seen_is_named_whole(page: Page, still: Still, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 780})
    page.get_by_role("button", name="All of it").click()
    expect(the_map(page)).not_to_have_attribute("data-zoom", re.compile(r"^0\.[6-9]"))
    texts = [text for text, *_ in page.evaluate("window.written")]
    assert texts
    assert not [text for text in texts if "…" in text and "unreachable" not in text]
    assert not covered(page)
