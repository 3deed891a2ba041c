"""The map's part of `bench.panel`: script in a frame, and whether memory stays while events come in."""

import asyncio
import bisect
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from bench._fabric import percentile, show
from bench._targets import Targets
from playwright.async_api import Browser, CDPSession, Locator, Page

TARGET_FRAME_MS = 8.0
FILL_S = 10.0
"""For the first picture, and for what is compiled on the way to it."""
MEMORY_EACH_S = 60.0
FILLED_AFTER, LEAST_READINGS = 3, 3
TARGET_GROWTH = 0.1
"""Flat: what is kept of a fabric that lives goes up and down by some hundredths; an hour of a leak is more."""
PUSHES = 20
"""Of the pointer, before it does something else."""

SCRIPT = frozenset(
    {"FireAnimationFrame", "FunctionCall", "EventDispatch", "TimerFire", "RunMicrotasks", "FireIdleCallback", "MinorGC"}
)
"""What a page's thread does for its scripts, as the browser's trace calls it; the outermost are added up."""
FRAME_END = "PrePaint"

RENDERER = """() => {
  const gl = document.createElement('canvas').getContext('webgl2');
  const told = gl?.getExtension('WEBGL_debug_renderer_info');
  return told ? gl.getParameter(told.UNMASKED_RENDERER_WEBGL) : 'none';
}"""

COUNTED = """(() => {
  const made = window.benchGraphics = {};
  for (const kind of ['Buffer', 'Texture', 'VertexArray', 'Program', 'Framebuffer']) {
    const of = WebGL2RenderingContext.prototype;
    const [create, drop] = [of['create' + kind], of['delete' + kind]];
    made[kind] = 0;
    of['create' + kind] = function (...words) { made[kind] += 1; return create.apply(this, words); };
    of['delete' + kind] = function (one) { if (one) made[kind] -= 1; return drop.call(this, one); };
  }
  const { drawElements } = WebGL2RenderingContext.prototype;
  WebGL2RenderingContext.prototype.drawElements = function (...words) {
    if (!window.benchUndrawn) drawElements.apply(this, words);
  };
})()"""
"""Before the page begins: what it has on the graphics card is counted, and its draw calls can be left out."""


class Frames(NamedTuple):
    """Milliseconds of script in each frame in which the page's scripts drew anything."""

    cpu: list[float]
    """Of the thread. Where a graphics card is emulated it takes all cores, and the clock counts the time for which the
    thread has none of them."""
    wall: list[float]


def frames_of(trace: bytes) -> Frames:
    """All script from the end of one frame to the end of the next, also what takes in messages in between."""
    events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
    ends: dict[tuple[int, int], list[float]] = defaultdict(list)
    for one in events:
        if one.get("name") == FRAME_END:
            ends[one["pid"], one["tid"]].append(one["ts"])
    if not ends:
        raise RuntimeError("no frame was drawn")
    thread = max(ends, key=lambda key: len(ends[key]))
    marks = sorted(ends[thread])
    called = [one for one in events if one.get("ph") == "X" and one.get("name") in SCRIPT]
    called = [one for one in called if (one["pid"], one["tid"]) == thread]
    cpu: dict[int, float] = defaultdict(float)
    wall: dict[int, float] = defaultdict(float)
    drew: set[int] = set()
    until = 0.0
    for one in sorted(called, key=lambda one: (one["ts"], -one["dur"])):
        frame = bisect.bisect_left(marks, one["ts"])
        if one["name"] == "FireAnimationFrame":
            drew.add(frame)
        if one["ts"] < until:
            continue
        until = one["ts"] + one["dur"]
        cpu[frame] += one.get("tdur", 0) / 1000
        wall[frame] += one["dur"] / 1000
    return Frames([cpu[at] for at in sorted(drew)], [wall[at] for at in sorted(drew)])


async def _to_the_map(page: Page, url: str) -> Locator:
    """Once it is drawn, and what is compiled on the way to that is compiled."""
    await page.goto(f"{url}/map")
    host = page.locator("[data-frame-p95-ms]")
    await host.wait_for()
    await asyncio.sleep(FILL_S)
    return host


async def map_frames(browser: Browser, page: Page, url: str, seconds: float, targets: Targets) -> None:
    host = await _to_the_map(page, url)
    box = await host.bounding_box()
    if box is None:
        raise RuntimeError("the map is not shown")
    show("map", (await page.locator("#map-summary").text_content() or "").strip())
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.mouse.move(x, y)
    # An emulated card is as slow as the cores are, and each of its few frames has the events of many. With its calls
    # left out, frames come as often as with a card, and scripts do all that they do.
    for what, moves, undrawn in (
        ("still", False, False),
        ("zoomed and moved", True, False),
        ("still, card left out", False, True),
        ("moved, card left out", True, True),
    ):
        await page.evaluate("undrawn => { window.benchUndrawn = undrawn; }", undrawn)
        before = await page.evaluate("() => document.querySelector('.link-state')?.textContent ?? ''")
        await browser.start_tracing(page=page, categories=["devtools.timeline", "v8"])
        until = time.monotonic() + seconds / 4
        step = 0
        while time.monotonic() < until:
            if moves:
                await push(page, x, y, step)
            step += 1
            await asyncio.sleep(0.05)
        cpu, wall = frames_of(await browser.stop_tracing())
        after = await page.evaluate("() => document.querySelector('.link-state')?.textContent ?? ''")
        show(
            f"map, {what}: script, {len(cpu)} frames",
            f"p50 {percentile(cpu, 0.5):.1f} ms, p95 {percentile(cpu, 0.95):.1f} ms of the thread's time; "
            f"p95 {percentile(wall, 0.95):.1f} ms by the clock",
        )
        targets.below(f"map, {what}: script in a frame, p95", percentile(cpu, 0.95), TARGET_FRAME_MS, "ms")
        show("  meanwhile", f"{before.strip()} to {after.strip()}; {len(cpu) / (seconds / 4):.1f} frames a second")
    show("map: renderer", str(await page.evaluate(RENDERER)))


async def push(page: Page, x: float, y: float, step: int) -> None:
    """In, about, and out again, as somebody does who looks for something."""
    phase = step // PUSHES % 4
    if phase in (0, 2):
        await page.mouse.wheel(0, -120 if phase == 0 else 120)
        return
    await page.mouse.down(button="middle")
    for part in range(1, 6):
        await page.mouse.move(x + 30 * part * (1 if phase == 1 else -1), y + 12 * part)
    await page.mouse.up(button="middle")
    await page.mouse.move(x, y)


async def memory(page: Page, url: str, minutes: float, targets: Targets) -> None:
    """What the map's page has in memory each minute, after a collection of garbage; whether it stays."""
    await _to_the_map(page, url)
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    began = time.monotonic()
    told: list[float] = []
    while True:
        told.append(await tell_memory(session, page, (time.monotonic() - began) / 60))
        left = began + minutes * 60 - time.monotonic()
        if left <= 0:
            break
        await asyncio.sleep(min(MEMORY_EACH_S, left))
    # The first minutes fill what is kept of two minutes of use, and what is compiled.
    rest = told[min(FILLED_AFTER, len(told) - 1) :]
    show(
        "browser's heap from the third minute on", f"{min(rest):.1f} to {max(rest):.1f} MiB, {rest[-1]:.1f} at the end"
    )
    if len(rest) < LEAST_READINGS:
        show("  whether it stays", f"not judged in less than {FILLED_AFTER + LEAST_READINGS - 1} minutes")
        return
    targets.most("browser's heap, growth over the minutes", growth(rest), TARGET_GROWTH, "of what it was")


def growth(told: Sequence[float]) -> float:
    """By how much of it the middle of the last third is above the middle of the first: one reading's chance, such as a
    list that was just being taken in, moves neither."""
    third = max(1, len(told) // 3)
    return statistics.median(told[-third:]) / statistics.median(told[:third]) - 1


async def tell_memory(session: CDPSession, page: Page, minute: float) -> float:
    await session.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in (await session.send("Performance.getMetrics"))["metrics"]}
    heap = metrics["JSHeapUsedSize"] / (1 << 20)
    graphics: dict[str, int] = await page.evaluate("() => window.benchGraphics ?? {}")
    show(
        f"after {minute:.0f} min: heap, DOM, graphics card",
        f"{heap:.1f} MiB, {metrics['Nodes']:.0f} nodes, {metrics['JSEventListeners']:.0f} listeners, "
        + ", ".join(f"{number} {kind}" for kind, number in graphics.items()),
    )
    return heap
