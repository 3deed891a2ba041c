"""A browser may take its WebGL context from the map at any time: it comes back with all that was on it, or says so."""

import json
import re
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from _pytest.mark import ParameterSet
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from omnitide.fabric import commands as cm
from support.panel_browser import WITHIN_MS
from support.snapshots import compare, kept_as
from support.still_fabric import NOW_MS, Still, still_fabric

MACHINES: Final = 12
MAP: Final = ".map-host"
FAILED: Final = Path(__file__).parents[2] / ".pytest_cache" / "snapshots"
"""Both, and where they differ."""

GRAPHICS = """({ card, step, times, restores }) => {
    // `contexts`: those of the map, each with a way to take it away. With `restores` one that was taken comes back as
    // soon as the page has asked for that, which it does by preventing what the browser does otherwise.
    Object.assign(window, { contexts: [], restores, refuses: false, left: times, given: 0 });
    const taken = new WeakMap();
    const give = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
        if (kind.startsWith('webgl') && refuses) return null;
        const gl = give.call(this, kind, ...rest);
        if (kind !== 'webgl2' || !gl || contexts.includes(gl)) return gl;
        contexts.push(gl);
        const extension = Object.getPrototypeOf(gl).getExtension.call(gl, 'WEBGL_lose_context');
        gl.take = () => { taken.set(gl, true); extension.loseContext(); };
        gl.restore = () => { taken.delete(gl); given += 1; extension.restoreContext(); };
        this.addEventListener('webglcontextlost', event => setTimeout(() => {
            gl.prevented = event.defaultPrevented;
            if (restores && taken.get(gl) && gl.prevented) gl.restore();
        }));
        if (step === 'getContext' && --left === 0) gl.take();
        return gl;
    };
    const gl = WebGL2RenderingContext.prototype;
    if (gl[step]) {
        const usual = gl[step];
        gl[step] = function (...args) {
            if (this.take && --left === 0) this.take();
            return usual.apply(this, args);
        };
    }
    if (card) {
        const told = gl.getParameter;
        gl.getParameter = function (name) {
            return name === this.RENDERER || name === 0x9246 ? 'A card' : told.call(this, name);
        };
    }
}"""
TAKE: Final = "contexts.at(-1).take()"


@pytest.fixture(scope="module")
def still() -> Iterator[Still]:
    with still_fabric(MACHINES, 10, 70) as made:
        yield made


@pytest.fixture(scope="module")
def context(browser: Browser, still: Still) -> Iterator[BrowserContext]:
    context = browser.new_context(
        ignore_https_errors=True,
        service_workers="block",
        viewport={"width": 1024, "height": 720},
        reduced_motion="reduce",
    )
    context.set_default_timeout(WITHIN_MS)
    context.clock.set_fixed_time(NOW_MS)
    page = context.new_page()
    page.goto(still.login_link())
    expect(page.locator(".link-state")).to_contain_text("Live", timeout=2 * WITHIN_MS)
    page.close()
    yield context
    context.close()


@pytest.fixture(scope="module")
def whole(context: BrowserContext, still: Still) -> Iterator[Page]:
    """The map whose context is never taken."""
    with opening(context, still) as page:
        until_drawn(page)
        yield page


@pytest.fixture(scope="module")
def near(context: BrowserContext, still: Still) -> Iterator[Page]:
    """The same, with a node selected and seen from near."""
    with opening(context, still) as page:
        until_drawn(page)
        go_near(page)
        yield page


@contextmanager
def opening(
    context: BrowserContext, still: Still, *, card: bool = False, step: str = "", times: int = 1, restores: bool = True
) -> Generator[Page]:
    """The map, from which the context is taken as it makes a step the so-manieth time.

    `card`: as if there were a graphics card, which shows its canvas itself; else its picture is fetched.
    """
    page = context.new_page()
    wrong: list[str] = []

    def told(message: ConsoleMessage) -> None:
        # PixiJS tells of a program that it cannot make as the context is lost.
        failed = message.type == "error" and not message.text.startswith("PixiJS Error: ")
        if failed or "does not belong to this context" in message.text:
            wrong.append(message.text)

    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", told)
    graphics = {"card": card, "step": step, "times": times, "restores": restores}
    page.add_init_script(f"({GRAPHICS})({json.dumps(graphics)})")
    page.goto(f"{still.url}/map", wait_until="commit")
    try:
        yield page
        assert wrong == []
    finally:
        page.close()


def until_drawn(page: Page) -> None:
    expect(page.locator("#map-summary")).to_contain_text(f"{MACHINES} nodes", timeout=2 * WITHIN_MS)
    page.wait_for_function("at => Number(document.querySelector(at).dataset.frames) > 0", arg=MAP)


def go_near(page: Page) -> None:
    find = page.get_by_label("Find a node, agent or instance")
    find.fill("rack-a-001")
    find.press("Enter")
    page.wait_for_function("at => document.querySelector(at).dataset.zoom > 2.6", arg=MAP)


def until_looks_like(page: Page, other: Page) -> None:
    """As which they come to rest: what is around the picture follows it."""
    until = time.monotonic() + WITHIN_MS / 1000
    while (different := compare(kept_as(other.screenshot()), kept_as(page.screenshot()))).seen:
        if time.monotonic() > until:
            FAILED.mkdir(parents=True, exist_ok=True)
            different.picture.save(FAILED / "map-context.png")
            pytest.fail(f"{different.cells} cells look different: see {FAILED / 'map-context.png'}")


def failure(page: Page) -> Locator:
    return page.get_by_role("alert")


@pytest.mark.parametrize("card", [False, True], ids=["in software", "by a card"])
def test_a_picture_whose_context_was_taken_and_given_back_goes_on(
    context: BrowserContext, still: Still, whole: Page, near: Page, *, card: bool
) -> None:
    with opening(context, still, card=card) as page:
        until_drawn(page)
        until_looks_like(page, whole)
        page.evaluate(TAKE)
        page.wait_for_function("() => given === 1 && !contexts.at(-1).isContextLost()")
        until_looks_like(page, whole)
        go_near(page)
        until_looks_like(page, near)


STEPS: Final = {
    "as it is made": ("getContext", 1),
    "as it is asked what it has": ("getExtension", 3),
    "as PixiJS begins": ("getContextAttributes", 1),
    "as a limit is asked for": ("getParameter", 4),
    "as a texture is made": ("createTexture", 1),
    "as the first strip is sent": ("texSubImage2D", 1),
    "as the second strip is sent": ("texSubImage2D", 2),
    "as room for the picture is made": ("createBuffer", 1),
    "as the program is compiled": ("compileShader", 1),
    "as the program is linked": ("linkProgram", 1),
    "as the first picture is drawn": ("drawElements", 1),
    "as the first picture is fetched": ("readPixels", 1),
    "as a later picture is drawn": ("drawElements", 9),
}

OFTEN: Final = ("as PixiJS begins", "as the first strip is sent")
"""One of each part of the opening: what holds for the others is looked at by `make soak`."""


def now_or_in_soak(name: str, *values: object, now: bool) -> ParameterSet:
    return pytest.param(*values, id=name, marks=[] if now else pytest.mark.soak)


@pytest.mark.parametrize(
    ("step", "times"), [now_or_in_soak(name, *values, now=name in OFTEN) for name, values in STEPS.items()]
)
def test_a_context_that_is_taken_amid_the_opening_is_waited_for(
    context: BrowserContext, still: Still, whole: Page, *, step: str, times: int
) -> None:
    """Within a task, which goes on with it, as when a graphics card is reset; whatever asks it is answered by null."""
    with opening(context, still, step=step, times=times) as page:
        page.wait_for_function("() => given === 1")
        until_drawn(page)
        until_looks_like(page, whole)
        expect(failure(page)).to_have_count(0)


@pytest.mark.parametrize(
    "step",
    [
        now_or_in_soak(one, one, now=one == "drawElements")
        for one in ("getContextAttributes", "linkProgram", "drawElements")
    ],
)
def test_by_a_card_as_well(context: BrowserContext, still: Still, whole: Page, *, step: str) -> None:
    with opening(context, still, card=True, step=step) as page:
        page.wait_for_function("() => given === 1")
        until_drawn(page)
        until_looks_like(page, whole)


@pytest.mark.parametrize(
    "step",
    [
        now_or_in_soak(one, one, now=one == "getContextAttributes")
        for one in ("getExtension", "getContextAttributes", "texSubImage2D")
    ],
)
def test_a_map_that_is_not_opened_as_its_context_never_comes_back_says_so(
    context: BrowserContext, still: Still, whole: Page, *, step: str
) -> None:
    with opening(context, still, step=step, restores=False) as page:
        expect(failure(page)).to_contain_text("The browser took WebGL away")
        expect(page.locator("#map-summary")).to_have_text("The map cannot be drawn here.")
        expect(failure(page).get_by_role("link")).to_have_text(["nodes", "agents", "instances"])
        failure(page).get_by_role("button", name="Try again").click()
        until_drawn(page)
        until_looks_like(page, whole)
        expect(failure(page)).to_have_count(0)


@pytest.mark.parametrize(
    "card",
    [now_or_in_soak(name, name == "by a card", now=name == "in software") for name in ("in software", "by a card")],
)
def test_a_map_whose_context_never_comes_back_says_so_and_is_drawn_when_somebody_asks(
    context: BrowserContext, still: Still, near: Page, *, card: bool
) -> None:
    with opening(context, still, card=card, restores=False) as page:
        until_drawn(page)
        go_near(page)
        page.evaluate(TAKE)
        expect(failure(page)).to_contain_text("The map can be drawn no more.")
        assert page.evaluate("contexts[0].prevented"), "it was asked for"
        for canvas in page.locator(".map-host canvas").all():
            expect(canvas).to_be_hidden()  # what was drawn is no more what is
        expect(page.locator(".map-foot")).to_contain_text("running")
        # The browser gives none for a while, and then one again.
        page.evaluate("refuses = true")
        failure(page).get_by_role("button", name="Try again").click()
        expect(failure(page)).to_contain_text("This browser gives no WebGL")
        page.evaluate("refuses = false")
        failure(page).get_by_role("button", name="Try again").press("Enter")
        expect(failure(page)).to_have_count(0)
        expect(page.locator(MAP)).to_be_focused()
        page.locator(MAP).blur()
        until_looks_like(page, near)


def test_what_changes_meanwhile_is_counted_at_once_and_drawn_once_the_context_is_back(
    context: BrowserContext, still: Still
) -> None:
    with opening(context, still, restores=False) as page:
        until_drawn(page)
        page.evaluate(TAKE)
        expect(failure(page)).to_be_visible()
        summary = page.locator("#map-summary")
        before = int(re.findall(r"(\d+) instances", summary.inner_text())[0])
        agent = still.call(lambda: next(iter(still.runtime.state.agents.values())))

        def scale(replicas: int) -> None:
            still.runtime.apply(cm.ScaleAgent(namespace=agent.namespace, name=agent.name, replicas=replicas))
            still.runtime.settle()

        still.call(lambda: scale(agent.replicas + 2))
        expect(summary).not_to_contain_text(f"{before} instances")
        page.evaluate("contexts[0].restore()")
        expect(failure(page)).to_have_count(0)
        with opening(context, still) as opened:
            until_drawn(opened)
            until_looks_like(page, opened)
        still.call(lambda: scale(agent.replicas))


def test_a_context_that_is_taken_again_and_again_is_asked_for_no_more(context: BrowserContext, still: Still) -> None:
    with opening(context, still) as page:
        until_drawn(page)
        for _ in range(5):
            page.wait_for_function(
                "() => !contexts.at(-1).isContextLost() && !document.querySelector('.map-host.blank')"
            )
            made = page.evaluate("contexts.length")
            page.evaluate(TAKE)
            page.wait_for_function("made => contexts.length > made || document.querySelector('[role=alert]')", arg=made)
        expect(failure(page)).to_contain_text("The browser took WebGL away")
        assert page.evaluate("contexts.length") == 5
        failure(page).get_by_role("button", name="Try again").click()
        expect(failure(page)).to_have_count(0)
        page.wait_for_function("() => contexts.length === 6 && !document.querySelector('.map-host.blank')")


def test_the_small_map_is_drawn_again_when_it_was_lost(context: BrowserContext, still: Still, whole: Page) -> None:
    """As a reset of the graphics card takes it too. Nothing changes, with which it would be drawn."""
    lost = """small => {
        small.getContext('2d').reset();
        small.dispatchEvent(new Event('contextrestored'));
    }"""
    with opening(context, still) as page:
        until_drawn(page)
        until_looks_like(page, whole)
        page.locator(".map-mini canvas").evaluate(lost)
        until_looks_like(page, whole)
