"""What an idle fabric takes: memory, CPU and bytes written, for Nexus, node proxy and keeper; a large state's memory.

    python -m bench.memory [--idle 30] [--runs 0] [--instances 100000]

Each is a process of its own, read from /proc after it has settled: resident memory, and beside it the proportional
share (pages that several processes map are divided between them) and what is private to it. Bytes written are what the
process gave to write calls (wchar) and what of it was to reach a disk (write_bytes), made into an hour's.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench._fabric import Fabric, cpu_seconds, machine, resident_mib, show, watching, workspace
from bench._targets import Targets, add_report_only
from bench.core import large

SETTLE_S = 5.0
IDLE = {"Nexus": (120.0, 1.0, 10.0), "node proxy": (60.0, 0.5, 1.0)}
"""Of what does nothing: MiB resident, percent of a core, MiB written in an hour."""
LOADED_RUNS, LOADED_MIB = 500, 150.0
"""The node proxy's memory with so many instances."""
STATE_INSTANCES, STATE_MIB = 100_000, 500.0


@dataclass(frozen=True)
class Reading:
    at: float
    cpu_s: float
    written: int
    to_disk: int


def read(pid: int) -> Reading:
    io = fields(Path(f"/proc/{pid}/io"))
    return Reading(time.monotonic(), cpu_seconds(pid), io["wchar"], io["write_bytes"])


def fields(file: Path) -> Mapping[str, int]:
    """`name: number [unit]` lines."""
    found: dict[str, int] = {}
    for line in file.read_text().splitlines():
        name, separator, value = line.partition(":")
        words = value.split()
        if separator and words and words[0].isdigit():
            found[name] = int(words[0])
    return found


def report(name: str, pid: int, before: Reading, runs: int, targets: Targets) -> None:
    after = read(pid)
    seconds = after.at - before.at
    rollup = fields(Path(f"/proc/{pid}/smaps_rollup"))
    private = rollup["Private_Clean"] + rollup["Private_Dirty"]
    hourly = [
        value / seconds * 3600 / 2**20 for value in (after.written - before.written, after.to_disk - before.to_disk)
    ]
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    resident, share = resident_mib(pid), (after.cpu_s - before.cpu_s) / seconds * 100
    print(f"\n{name}")
    show("resident", f"{resident:.1f} MiB")
    show("proportional share, private", f"{rollup['Pss'] / 1024:.1f} MiB, {private / 1024:.1f} MiB")
    show("CPU while idle", f"{share:.2f} % of a core")
    show("written in an hour at this rate, of it to disk", f"{hourly[0]:.2f} MiB, {hourly[1]:.2f} MiB")
    show("threads", str(threads))
    if name in IDLE and not runs:
        for what, value, bound, unit in zip(
            ("resident", "CPU", "written"),
            (resident, share, hourly[0]),
            IDLE[name],
            ("MiB", "% of a core", "MiB/h"),
            strict=True,
        ):
            targets.below(f"{name}, idle, {what}", value, bound, unit)
    elif name == "node proxy" and runs <= LOADED_RUNS:
        targets.below(f"{name}, {runs} instances, resident", resident, LOADED_MIB, "MiB")


async def idle(root: Path, seconds: float, runs: int, targets: Targets) -> None:
    fabric = Fabric(root)
    nexus = fabric.start_nexus()
    async with fabric.client() as client:
        node = await fabric.add_node(client, "idle")
        if runs:
            async with watching(client, "instance.running") as events:
                await client.deploy_agent("sleepers", fabric.sleeper(), replicas=runs)
                await events.until("instance.running", runs)
    await asyncio.sleep(SETTLE_S)
    pids = {"Nexus": nexus.process.pid, "node proxy": node.process.pid, "keeper": node.keeper}
    before = {name: read(pid) for name, pid in pids.items()}
    await asyncio.sleep(seconds)
    for name, pid in pids.items():
        report(name, pid, before[name], runs, targets)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=float, default=30.0, help="seconds")
    parser.add_argument("--runs", type=int, default=0, help="sleeping instances on the node while it is read")
    parser.add_argument("--instances", type=int, default=100_000, help="of the large state; 0 leaves it out")
    add_report_only(parser)
    options = parser.parse_args()
    print(machine())
    targets = Targets()
    with workspace() as root:
        print(f"one Nexus, one node, {options.runs} instances, {options.idle:.0f} s idle, bytecode compiled before")
        await idle(root, options.idle, options.runs, targets)
    if options.instances:
        print(f"\na state of {options.instances:,} instances on 1,000 nodes, in Python objects")
        for figure in large(options.instances):
            if figure.name.startswith("resident, folded"):  # memory freed before hides in the other
                show(figure.name, figure.value.strip())
                if options.instances <= STATE_INSTANCES:
                    mib = float(figure.value.split()[0].replace(",", ""))
                    targets.below(f"a state of {options.instances:,} instances", mib, STATE_MIB, "MiB")
    return targets.end(options.report_only)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
