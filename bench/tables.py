"""The panel's lists at 100,000 rows in a real Chromium: what a filter, a sort, a change and scrolling cost.

    python -m bench.tables [--rows 100000] [--seconds 5]

Nexus and a few simulated nodes are real; the number of instances in the first message of the live view is made up, in
the page. Measured is the processor time of the page's main thread, script and drawing: the clock would count what else
the machine does.

Needs Debian's chromium and playwright.
"""

import argparse
import asyncio
import time

from bench._demo import demo
from bench._fabric import machine, percentile, show
from bench.panel import chromium
from playwright.async_api import CDPSession, Page
from tests.support.many_rows import PART, many_rows

from omnitide.demo.stage import Wish
from omnitide.sdk import AsyncClient

WITHIN_MS = 180_000
CHANGED = 100


async def thread_ms(session: CDPSession) -> float:
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return 1000 * next(one["value"] for one in metrics if one["name"] == "TaskDuration")


async def settled(page: Page) -> None:
    await page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def measure(page: Page, rows: int, seconds: float) -> None:
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = await thread_ms(session)
    await page.goto(f"{page.url.split('/', 3)[0]}//{page.url.split('/')[2]}/instances")
    await page.locator(".table-row").first.wait_for()
    show(f"the list of {rows} from its first message on", f"{await thread_ms(session) - before:.0f} ms of the thread")

    field = page.get_by_label("Filter instances")
    typed: list[float] = []
    for letter in "many-9901":
        before = await thread_ms(session)
        await field.press(letter)
        await settled(page)
        typed.append(await thread_ms(session) - before)
    show("a letter typed into the filter", f"p50 {percentile(typed, 0.5):.0f} ms, most {max(typed):.0f} ms")
    await field.fill("")
    await settled(page)

    for column in ("State", "Since", "Instance"):
        before = await thread_ms(session)
        await page.get_by_role("button", name=column, exact=True).click()
        await settled(page)
        show(f"sorted by {column}", f"{await thread_ms(session) - before:.0f} ms of the thread")

    await page.locator(".table-scroll").hover()
    before, frames, until = await thread_ms(session), 0, time.monotonic() + seconds
    while time.monotonic() < until:
        await page.mouse.wheel(0, 900)
        await settled(page)
        frames += 2
    show(
        "scrolling, a screen at a time", f"{(await thread_ms(session) - before) / frames:.1f} ms of the thread a frame"
    )
    drawn = await page.locator(".table-row").count()

    before, began, changes = await thread_ms(session), time.monotonic(), 0
    while time.monotonic() < began + seconds:
        await page.evaluate("([count, status]) => window.manyChange(count, status)", [CHANGED, "stopping"])
        changes += CHANGED
        await asyncio.sleep(0.1)
    took = time.monotonic() - began
    show(
        f"{changes / took:.0f} changes a second, with rows in order",
        f"{(await thread_ms(session) - before) / took / 10:.0f} % of the thread",
    )
    show("rows that are drawn", str(drawn))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    print(machine())
    rows = max(PART, options.rows // PART * PART)
    with demo(Wish(nodes=5, agents=3, instances=10, seed=1, speed=60.0)) as shown:
        async with AsyncClient(shown.target) as client, chromium() as browser:
            context = await browser.new_context(ignore_https_errors=True, viewport={"width": 1440, "height": 900})
            page = await context.new_page()
            page.set_default_timeout(WITHIN_MS)
            token = await client.create_token("login", ttl="10m")
            await page.goto(f"{shown.target.url}/?login={token.text}")
            await page.locator(".link-state").wait_for()
            await page.add_init_script(many_rows(rows))
            await measure(page, rows, options.seconds)


if __name__ == "__main__":
    asyncio.run(main())
