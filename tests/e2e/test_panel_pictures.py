"""The pictures that README shows: taken in a real Chromium of the demo's machines and agents, standing still.

`make snapshots` takes them, for whoever looks at them before they are committed: the map, the overview and `top` of a
thousand machines, an agent and a plan of a few.
"""

import asyncio
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from omnitide.cli.top.app import Top
from omnitide.sdk import AsyncClient, Target
from support.panel_browser import WITHIN_MS, chromium
from support.snapshots import keep
from support.still_fabric import NOW_MS, Still, still_fabric

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
MACHINES, AGENTS, INSTANCES = 1000, 50, 3000
UP_MS = 240_000
SIZE = {"width": 1440, "height": 900}
PICTURES = ("map.png", "overview.png", "agent.png", "plan.png", "top.svg")
MOST_BYTES = 900_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(whole=True) as made:
        yield made


@pytest.fixture(scope="module")
def large() -> Iterator[Still]:
    with still_fabric(MACHINES, AGENTS, INSTANCES) as made:
        yield made


@pytest.fixture(scope="module")
def still() -> Iterator[Still]:
    with still_fabric() as made:
        yield made


def opened(browser: Browser, link: str, *, dark: bool = False) -> tuple[BrowserContext, Page]:
    context = browser.new_context(
        ignore_https_errors=True,
        service_workers="block",
        viewport=SIZE,  # type: ignore[arg-type]
        timezone_id="UTC",
        locale="en-GB",
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(2 * WITHIN_MS)
    context.clock.set_fixed_time(NOW_MS)
    page = context.new_page()
    page.goto(link)
    expect(page.locator(".link-state")).to_contain_text("Live", timeout=2 * WITHIN_MS)
    return context, page


def taken(page: Page, name: str) -> None:
    """A thousand machines take a browser without a graphics card their time."""
    shot = page.screenshot(animations="disabled", timeout=UP_MS)
    keep(Image.open(io.BytesIO(shot)).convert("RGB"), IMAGES / name)


@pytest.mark.pictures
@pytest.mark.timeout(600)
def test_the_map_and_the_overview_of_a_thousand_machines(browser: Browser, large: Still) -> None:
    context, page = opened(browser, large.login_link(), dark=True)
    page.goto(f"{large.url}/map")
    expect(page.locator("[data-frames]")).to_be_visible(timeout=UP_MS)
    expect(page.locator("#map-summary")).to_contain_text(re.compile(r"\d nodes in \d+ districts"), timeout=UP_MS)
    page.wait_for_timeout(4000)
    taken(page, "map.png")
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto(f"{large.url}/overview")
    expect(page.locator(".verdict-words strong")).not_to_contain_text("Asking")
    expect(page.locator(".overview")).to_contain_text(re.compile(r"cores \(\d+ %\) used"), timeout=UP_MS)
    taken(page, "overview.png")
    context.close()


@pytest.mark.pictures
@pytest.mark.timeout(600)
def test_top_of_a_thousand_machines(large: Still) -> None:
    # In a thread of its own: Playwright has the loop of this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, top_is_taken(large.target)).result()


async def top_is_taken(target: Target) -> None:
    async with AsyncClient(target) as client:
        top = Top(client, colours="dark")
        async with asyncio.timeout(UP_MS / 1000), top.run_test(size=(110, 32)) as pilot:
            while "instances" not in top.export_screenshot():
                await pilot.pause(0.5)
            await pilot.pause(3.0)
            IMAGES.mkdir(parents=True, exist_ok=True)
            (IMAGES / "top.svg").write_text(without_addresses(top.export_screenshot(title="omnitide top")))


def without_addresses(svg: str) -> str:
    """Rich has the fonts of its pictures fetched from elsewhere: whoever looks at one asks nobody else for it."""
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


@pytest.mark.pictures
def test_an_agent_and_a_plan(browser: Browser, still: Still) -> None:
    context, page = opened(browser, still.login_link())
    page.goto(f"{still.url}/agents/shop/session-cache")
    expect(page.locator(".u-over").first).to_be_visible()
    page.wait_for_timeout(3000)
    taken(page, "agent.png")
    page.goto(f"{still.url}/agents/shop/storefront/edit")
    code = page.locator(".cm-content")
    expect(code).to_contain_text("registry.example/shop/storefront:")
    text = "\n".join(line.strip("\n\u200b") for line in page.locator(".cm-line").all_inner_texts())
    version = re.findall(r"storefront:(\d+)\.(\d+)\.(\d+)", text)[0]
    code.focus()
    page.keyboard.press("Control+a")
    text = text.replace(".".join(version), f"{version[0]}.{int(version[1]) + 1}.0").replace("cpu: 0.3", "cpu: 0.5")
    page.keyboard.insert_text(text)
    expect(page.get_by_role("region", name="Where replicas would go")).to_be_visible()
    page.wait_for_timeout(3000)
    taken(page, "plan.png")
    context.close()


def test_what_readme_shows_was_made_here() -> None:
    shown = re.findall(r"!\[[^\]]+\]\((docs/images/[^)]+)\)", (ROOT / "README.md").read_text())
    assert 3 <= len(shown) <= 4
    there = {path.name: path.stat().st_size for path in IMAGES.iterdir()}
    assert set(there) == set(PICTURES)
    assert {Path(one).name for one in shown} <= set(PICTURES)
    assert sum(there.values()) < MOST_BYTES
    assert not re.search(r"url\((?!#)|href=", (IMAGES / "top.svg").read_text()), "a picture that asks for something"
