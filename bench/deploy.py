"""From nothing to the first agent running, and from `deploy` to running on a warm fabric.

    python -m bench.deploy [--rounds 5] [--deploys 100] [--replicas 20]

From nothing: empty data folders; the keyring, the log and the node's identity are made; Nexus, node proxy and keeper
are processes that are started, one after the other, as `up` does it. This process stands for the command line: its own
modules are loaded before. Warm: from the sending of the PUT to `instance.running` on the WebSocket event stream, so
with TLS, decision, sync, placement, the node's session, the keeper's start and the way back. Beside them the times
without the stream's tick: from `instance.created` to `instance.running` by the log's own clock, in milliseconds.
"""

import argparse
import asyncio
import datetime as dt
import itertools
import resource
import subprocess
import sys
import time
from pathlib import Path

from bench._fabric import Events, Fabric, environment, machine, percentile, show, watching, workspace
from bench._targets import Targets, add_report_only

from omnitide.sdk import AsyncClient

PEERS = (
    ("Nomad 2.0.6, raw_exec: ready", "1.8 s"),
    ("Nomad 2.0.6, raw_exec: one more agent running, p50", "1.06 s"),
    ("Nomad 2.0.6, raw_exec: 20 replicas", "1.75 s"),
    ("Docker Swarm 20.10: one more replica", "0.54 s"),
    ("Docker Swarm 20.10: 20 replicas", "6.2 s"),
    ("Ray 2.60: to start", "5.5 s"),
)
"""Not measured here: read earlier on two such cores, with the peers' defaults (the design notes, "Figures")."""

TARGET_ALL_S, TARGET_P50_MS, TARGET_P99_MS = 3.0, 30.0, 100.0
PARTS = ("Nexus ready", "token and join", "node live", "agent running", "all")


def imported(root: Path, module: str) -> tuple[float, float]:
    """Seconds of an interpreter that loads a module and ends, and of its CPU."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-P", "-c", f"import {module}"], env=environment(root), check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu


async def from_nothing(root: Path, number: int) -> list[float]:
    """Seconds of each of PARTS."""
    fabric = Fabric(root, f"round{number}")
    marks = [time.perf_counter()]

    def mark() -> None:
        marks.append(time.perf_counter())

    fabric.start_nexus()
    mark()
    try:
        async with fabric.client() as client:
            await fabric.join(client, "first")
            mark()
            async with watching(client, "node.connected", "instance.running") as events:
                fabric.start_node("first")
                await events.until("node.connected")
                mark()
                await client.deploy_agent("hello", fabric.sleeper(), replicas=1)
                await events.until("instance.running")
                mark()
    finally:
        fabric.end()
    return [*(after - before for before, after in itertools.pairwise(marks)), marks[-1] - marks[0]]


async def deployed(
    client: AsyncClient, fabric: Fabric, events: Events, name: str, replicas: int
) -> tuple[float, float]:
    """Seconds until all of a new agent's replicas were seen running, and by the log's clock."""
    start = len(events.seen)
    began = time.monotonic()
    await client.deploy_agent(name, fabric.sleeper(), replicas=replicas)
    about = f"instance/default/{name}-"
    running = await events.until("instance.running", replicas, start=start, about=about)
    created = await events.until("instance.created", replicas, start=start, about=about)
    logged = [dt.datetime.fromisoformat(seen.event.time).timestamp() for seen in (created[0], running[-1])]
    return running[-1].at - began, logged[1] - logged[0]


async def warm(root: Path, deploys: int, replicas: int, rounds: int, targets: Targets) -> None:
    fabric = Fabric(root, "warm")
    fabric.start_nexus()
    async with fabric.client() as client:
        await fabric.add_node(client, "first")
        async with watching(client, "instance.created", "instance.running") as events:
            await deployed(client, fabric, events, "warm-up", 1)
            ones = [await deployed(client, fabric, events, f"one-{number}", 1) for number in range(deploys)]
            many = [await deployed(client, fabric, events, f"many-{number}", replicas) for number in range(rounds)]
    print(f"\ndeploy to running on a warm fabric: {deploys} new agents, one after the other")
    spread("seen on the event stream", [seen for seen, _ in ones])
    spread("by the log's clock", [logged for _, logged in ones])
    for share, bound in ((0.5, TARGET_P50_MS), (0.99, TARGET_P99_MS)):
        took = percentile([seen for seen, _ in ones], share) * 1000
        targets.below(f"deploy to running, p{share * 100:.0f}", took, bound, "ms")
    print(f"\n{replicas} replicas of a new agent at once, to the last one: {rounds} times")
    spread("seen on the event stream", [seen for seen, _ in many])
    spread("by the log's clock", [logged for _, logged in many])


def spread(what: str, values: list[float]) -> None:
    p50, p99, most = (percentile(values, share) * 1000 for share in (0.5, 0.99, 1.0))
    show(what, f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {most:.0f} ms")


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--deploys", type=int, default=100)
    parser.add_argument("--replicas", type=int, default=20)
    add_report_only(parser)
    options = parser.parse_args()
    print(machine())
    targets = Targets()
    with workspace() as root:
        await from_nothing(root, 0)  # compiles what is imported late; not counted
        rounds = [await from_nothing(root, number) for number in range(1, options.rounds + 1)]
        print(f"\nfrom nothing to the first agent running: {options.rounds} rounds, bytecode compiled before")
        for part, values in zip(PARTS, zip(*rounds, strict=True), strict=True):
            show(part, f"p50 {percentile(values, 0.5):.2f} s, max {max(values):.2f} s")
        targets.below(
            "from nothing to the first agent running, p50",
            percentile([one[-1] for one in rounds], 0.5),
            TARGET_ALL_S,
            "s",
        )
        for module in ("omnitide.api.process", "omnitide.node.main"):
            took, cpu = zip(*(imported(root, module) for _ in range(options.rounds)), strict=True)
            show(f"of these, loading {module}", f"p50 {percentile(took, 0.5):.2f} s, CPU {percentile(cpu, 0.5):.2f} s")
        await warm(root, options.deploys, options.replicas, options.rounds, targets)
    print("\npeers, not run now: read earlier on such a machine")
    for name, value in PEERS:
        show(name, value)
    return targets.end(options.report_only)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
