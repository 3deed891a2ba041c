"""The panel in a real Chromium, over a fabric of simulated nodes: how soon a change is seen, what the map costs.

    python -m bench.panel [--nodes 1000] [--agents 50] [--instances 20000] [--changes 100] [--seconds 30] [--minutes 0]

1. Change to pixel. Beside the simulated nodes one real node joins, with the real proxy and keeper, and runs one
   process. It is killed, again and again, while a browser shows the page of that instance. Measured: from the kill to
   the end of the frame that shows another state. In between are the kernel, the keeper, the node's session, the commit
   with its fsync, the view, TLS, the page's store and its drawing.
2. The map, with all nodes and instances, zoomed and moved for some seconds: time of script in each frame.
3. With --minutes: memory of the browser's scripts over that time, after a collection of garbage each.

Needs Debian's chromium and playwright. There is no graphics card here: the renderer is named beside the figures.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

from bench._fabric import MARK, Fabric, cpu_seconds, machine, percentile, resident_mib, show, workspace
from playwright.async_api import Browser, CDPSession, Page, async_playwright

from omnitide.demo.stage import Ports, Stage, Wish
from omnitide.model.spec import AgentSpec, Constraint, Resources, Restart
from omnitide.sdk import AsyncClient, Target

AGENT = "bench-pixel"
NODE = "bench-real-node"
FLAGS = ["--disable-dev-shm-usage", "--enable-unsafe-swiftshader"]
WITHIN_MS = 120_000
BETWEEN_S = 0.4
TARGET_P50_MS, TARGET_P99_MS, TARGET_FRAME_MS = 50.0, 250.0, 8.0

WATCH = """() => {
  const text = () => document.querySelector('main .state .ellipsis')?.textContent ?? '';
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

RENDERER = """() => {
  const gl = document.createElement('canvas').getContext('webgl2');
  const told = gl?.getExtension('WEBGL_debug_renderer_info');
  return told ? gl.getParameter(told.UNMASKED_RENDERER_WEBGL) : 'none';
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
    page = await context.new_page()
    page.set_default_timeout(WITHIN_MS)
    token = await client.create_token("login", ttl="10m")
    await page.goto(f"{url}/?login={token.text}")
    await page.wait_for_selector(".link-state")
    return page


# -- change to pixel ---------------------------------------------------------------------------------------------------


async def change_to_pixel(page: Page, client: AsyncClient, url: str, root: Path, changes: int) -> None:
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
    show(
        f"from a kill to the pixel, {changes} times",
        f"p50 {percentile(delays, 0.5):.0f} ms, p99 {percentile(delays, 0.99):.0f} ms "
        f"(targets {TARGET_P50_MS:.0f} and {TARGET_P99_MS:.0f})",
    )


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


# -- the map -----------------------------------------------------------------------------------------------------------


def frame_times(trace: bytes) -> tuple[list[float], list[float]]:
    """Milliseconds of script in each frame that drew the map: of the thread, and by the clock. Where a graphics card is
    emulated it takes all cores, and the clock counts the time for which the thread has none of them."""
    called = [one for one in json.loads(trace)["traceEvents"] if one.get("name") == "FireAnimationFrame"]
    return [one["tdur"] / 1000 for one in called], [one["dur"] / 1000 for one in called]


async def map_frames(browser: Browser, page: Page, url: str, seconds: float) -> None:
    await page.goto(f"{url}/map")
    host = page.locator("[data-frame-p95-ms]")
    await host.wait_for()
    await asyncio.sleep(3)
    box = await host.bounding_box()
    if box is None:
        raise RuntimeError("the map is not shown")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.mouse.move(x, y)
    await browser.start_tracing(page=page, categories=["devtools.timeline"])
    until = time.monotonic() + seconds
    step = 0
    while time.monotonic() < until:
        # In, about, and out again, as somebody does who looks for something.
        phase = step // 20 % 4
        if phase in (0, 2):
            await page.mouse.wheel(0, -120 if phase == 0 else 120)
        else:
            await page.mouse.down()
            for part in range(1, 6):
                await page.mouse.move(x + 30 * part * (1 if phase == 1 else -1), y + 12 * part)
            await page.mouse.up()
            await page.mouse.move(x, y)
        step += 1
        await asyncio.sleep(0.05)
    cpu, wall = frame_times(await browser.stop_tracing())
    renderer = await page.evaluate(RENDERER)
    rate = await page.evaluate(
        """async () => { let n = 0; const began = performance.now();
        while (performance.now() - began < 2000) { await new Promise(requestAnimationFrame); n += 1; }
        return n / 2; }"""
    )
    show(
        f"map: script in a frame, {len(cpu)} frames",
        f"p50 {percentile(cpu, 0.5):.1f} ms, p95 {percentile(cpu, 0.95):.1f} ms of the thread's time "
        f"(target p95 {TARGET_FRAME_MS:.0f}); p95 {percentile(wall, 0.95):.1f} ms by the clock",
    )
    show("map: renderer, frames a second", f"{renderer}; {rate:.0f}")


async def heap_mib(session: CDPSession) -> float:
    await session.send("HeapProfiler.collectGarbage")
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return next(one["value"] for one in metrics if one["name"] == "JSHeapUsedSize") / (1 << 20)


async def memory(page: Page, minutes: float) -> None:
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    began = time.monotonic()
    told: list[float] = []
    while True:
        told.append(await heap_mib(session))
        show(f"browser's heap after {(time.monotonic() - began) / 60:.0f} min", f"{told[-1]:.1f} MiB")
        if time.monotonic() - began >= minutes * 60:
            break
        await asyncio.sleep(60)


async def run(options: argparse.Namespace) -> None:
    print(machine())
    wish = Wish(options.nodes, options.agents, options.instances, seed=1, speed=60.0)
    with workspace() as root:
        stage = Stage(None, wish)
        stage.open()
        try:
            served = stage.nexus(Ports())
            began = time.monotonic()
            for _ in stage.machines(served):
                pass
            show(
                f"{options.nodes} nodes, {options.instances or 'few'} instances up", f"{time.monotonic() - began:.0f} s"
            )
            nexus = stage.data / "nexus"
            target = Target(served.url, (nexus / "admin-token").read_text().strip(), (nexus / "ca.pem").read_text())
            fabric = Fabric(root)
            fabric.adopt(target)
            async with fabric.client() as client, chromium() as browser:
                await fabric.add_node(client, NODE)
                page = await log_in(browser, client, served.url)
                before, since = cpu_seconds(served.pid), time.monotonic()
                await change_to_pixel(page, client, served.url, root, options.changes)
                share = (cpu_seconds(served.pid) - before) / (time.monotonic() - since)
                show("Nexus meanwhile", f"{share:.0%} of a core, {resident_mib(served.pid):.0f} MiB resident")
                await map_frames(browser, page, served.url, options.seconds)
                if options.minutes:
                    await memory(page, options.minutes)
            fabric.end()
        finally:
            stage.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--instances", type=int, default=20_000)
    parser.add_argument("--changes", type=int, default=100, help="kills of the real node's process")
    parser.add_argument("--seconds", type=float, default=30.0, help="of moving about on the map")
    parser.add_argument("--minutes", type=float, default=0.0, help="of looking at the browser's memory")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
