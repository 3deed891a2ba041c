"""The panel in a real Chromium, over a fabric of simulated nodes: how soon a change is seen, what the map costs.

    python -m bench.panel [--nodes 1000] [--agents 50] [--instances 20000] [--changes 100] [--seconds 60] [--minutes 0]

1. Change to pixel. Beside the simulated nodes one real node joins, with the real proxy and keeper, and runs one
   process. It is killed, again and again, while a browser shows the page of that instance. Measured: from the kill to
   the end of the frame that shows another state. In between are the kernel, the keeper, the node's session, the commit
   with its fsync, the view, TLS, the page's store and its drawing.
2. The map, with all nodes and instances, still for a quarter of the seconds, zoomed and moved for another; then both
   with the work of the graphics card left out, where that is emulated by the processor: all script from the end of one
   frame to the end of the next, that which takes in messages with it.
3. With --minutes: the page's memory each minute, after a collection of garbage: heap, elements and what it has on the
   graphics card.

Needs Debian's chromium and playwright. There is no graphics card here: the renderer is named beside the figures.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

from bench._demo import demo
from bench._fabric import MARK, Fabric, cpu_seconds, machine, percentile, resident_mib, show, workspace
from bench._panel_map import COUNTED, map_frames, memory
from bench._targets import Targets, add_report_only
from playwright.async_api import Browser, Page, async_playwright

from omnitide.demo.stage import Wish
from omnitide.model.spec import AgentSpec, Constraint, Resources, Restart
from omnitide.sdk import AsyncClient

AGENT = "bench-pixel"
NODE = "bench-real-node"
FLAGS = ["--disable-dev-shm-usage", "--enable-unsafe-swiftshader"]
WITHIN_MS = 120_000
BETWEEN_S = 0.4
TARGET_P50_MS, TARGET_P99_MS = 50.0, 250.0

WATCH = """() => {
  // Its attempts too: where Nexus is behind, one message may hold the end and the next start.
  const attempts = () => [...document.querySelectorAll('main .figures dt')]
    .find(one => one.textContent === 'Attempts')?.nextElementSibling?.textContent;
  const text = () => `${document.querySelector('main .state .ellipsis')?.textContent} ${attempts()}`;
  let before = text();
  window.benchSeen = [];
  new MutationObserver(() => {
    const now = text();
    if (now === before) return;
    before = now;
    requestAnimationFrame(() => {
      // A message is handled after the frame has been drawn.
      const channel = new MessageChannel();
      channel.port1.onmessage = () => window.benchSeen.push([Date.now(), now]);
      channel.port2.postMessage(0);
    });
  }).observe(document.querySelector('main'), { subtree: true, childList: true, characterData: true });
}"""


@contextlib.asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("needs Debian's chromium")
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=flags)
        try:
            yield browser
        finally:
            await browser.close()


async def log_in(browser: Browser, client: AsyncClient, url: str) -> Page:
    context = await browser.new_context(ignore_https_errors=True, viewport={"width": 1440, "height": 900})
    await context.add_init_script(COUNTED)
    page = await context.new_page()
    page.set_default_timeout(WITHIN_MS)
    token = await client.create_token("login", ttl="10m")
    await page.goto(f"{url}/?login={token.text}")
    await page.wait_for_selector(".link-state")
    return page


# -- change to pixel ---------------------------------------------------------------------------------------------------


async def change_to_pixel(
    page: Page, client: AsyncClient, url: str, root: Path, changes: int, targets: Targets
) -> None:
    spec = AgentSpec(
        command=("/bin/sleep", "1000000"),
        environment={MARK: str(root)},
        resources=Resources(cpu=1, memory=1 << 20),
        restart=Restart(attempts=1_000_000, backoff=100, backoff_max=100),
        constraints=(Constraint(label="node", values=(NODE,)),),
    )
    await client.deploy_agent(AGENT, spec, replicas=1)
    instance = await running(client)
    await page.goto(f"{url}/instances/{instance.id}")
    await page.get_by_role("heading", level=1).wait_for()
    await page.wait_for_function("document.querySelector('main .state')?.textContent.includes('unning')")
    await page.evaluate(WATCH)
    delays: list[float] = []
    for _ in range(changes):
        instance = await running(client)
        # Nothing of the change before is on its way any more.
        await asyncio.sleep(BETWEEN_S)
        seen = await page.evaluate("window.benchSeen.length")
        at = time.time()
        os.kill(int(instance.handle), signal.SIGKILL)
        first = await first_after(page, seen)
        delays.append(first[0] - at * 1000)
    p50, p99 = percentile(delays, 0.5), percentile(delays, 0.99)
    show(f"from a kill to the pixel, {changes} times", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    targets.below("from a kill to the pixel, p50", p50, TARGET_P50_MS, "ms")
    targets.below("from a kill to the pixel, p99", p99, TARGET_P99_MS, "ms")


async def first_after(page: Page, seen: int) -> tuple[float, str]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = await page.evaluate("count => window.benchSeen[count]", seen)
        if found:
            return found
        await asyncio.sleep(0.02)
    raise RuntimeError(f"nothing was seen of it: {await page.locator('main').inner_text()}")


async def running(client: AsyncClient):
    deadline = time.monotonic() + 60
    while True:
        found = [one async for one in client.instances(agent=AGENT) if one.status == "running" and one.handle]
        if found:
            return found[0]
        if time.monotonic() > deadline:
            raise RuntimeError(f"{AGENT} does not run")
        await asyncio.sleep(0.02)


async def run(options: argparse.Namespace) -> int:
    print(machine())
    targets = Targets()
    wish = Wish(options.nodes, options.agents, options.instances, seed=1, speed=options.speed)
    with workspace() as root, demo(wish) as shown:
        url = shown.target.url
        fabric = Fabric(root)
        fabric.adopt(shown.target)
        async with fabric.client() as client, chromium() as browser:
            await fabric.add_node(client, NODE)
            page = await log_in(browser, client, url)
            before, since = cpu_seconds(shown.pid), time.monotonic()
            if options.changes:
                await change_to_pixel(page, client, url, root, options.changes, targets)
            share = (cpu_seconds(shown.pid) - before) / max(0.001, time.monotonic() - since)
            show("Nexus meanwhile", f"{share:.0%} of a core, {resident_mib(shown.pid):.0f} MiB resident")
            if options.seconds:
                await map_frames(browser, page, url, options.seconds, targets)
            if options.minutes:
                await memory(page, url, options.minutes, targets)
        fabric.end()
    return targets.end(options.report_only)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--instances", type=int, default=20_000)
    parser.add_argument("--speed", type=float, default=6.0, help="of the simulated day: 6 plays it in 4 hours")
    parser.add_argument("--changes", type=int, default=100, help="kills of the real node's process; 0: leave it out")
    parser.add_argument("--seconds", type=float, default=60.0, help="of moving about on the map; 0: leave it out")
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="of looking at the browser's memory; 0: leave it out"
    )
    add_report_only(parser)
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
