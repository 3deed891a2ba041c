"""From the loss of a node to its work running elsewhere, with default leases.

    python -m bench.loss [--rounds 5] [--replicas 4]

Two nodes share an agent. One is lost in two ways, in turn. *Silent*: proxy, keeper and instances are stopped (SIGSTOP),
so that every TCP connection stays open, as with a machine that hangs or a cable that is cut. *Reset*: all of them are
killed (SIGKILL), so that the kernel ends the connections. Times are from the signal to the arrival of the event here.
After each loss the node comes back and the agent is deleted and deployed anew, so that every round begins alike.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence

from bench._fabric import START_S, Events, Fabric, Node, descendants, machine, percentile, send, watching, workspace
from bench._targets import Targets, add_report_only

from omnitide.sdk import AsyncClient

PEERS = (
    ("Nomad 2.0.6, client killed: noticed", "19.3 s"),
    ("Nomad 2.0.6, client killed: its work running elsewhere", "20.1 s"),
)
"""Not measured here: read earlier on two such cores, with the peer's defaults (the design notes, "Figures")."""

TARGET_S = 5.0
AGENT = "spread"
KINDS = ("node.unreachable", "node.connected", "instance.lost", "instance.running")
PARTS = ("node unreachable", "first instance lost", "last replacement running")


async def settled(client: AsyncClient, replicas: int, nodes: Sequence[str]) -> None:
    """Until all replicas run and every node has some of them. Raises TimeoutError."""
    async with asyncio.timeout(START_S):
        while True:
            found = [instance async for instance in client.instances(agent=AGENT)]
            running = [instance.node for instance in found if instance.status == "running"]
            if len(running) == len(found) == replicas and set(running) == set(nodes):
                return
            await asyncio.sleep(0.05)


async def lose(client: AsyncClient, events: Events, node: Node, number: signal.Signals) -> list[float]:
    """Seconds of each of PARTS."""
    pids = [*descendants(node.process.pid), *descendants(node.keeper)]
    theirs = sum([1 async for instance in client.instances(agent=AGENT) if instance.node == node.name])
    start = len(events.seen)
    began = time.monotonic()
    send(pids, number)
    unreachable = await events.until("node.unreachable", start=start)
    lost = await events.until("instance.lost", theirs, start=start)
    running = await events.until("instance.running", theirs, start=events.seen.index(lost[0]))
    return [unreachable[0].at - began, lost[0].at - began, running[-1].at - began]


async def bring_back(fabric: Fabric, events: Events, node: Node, number: signal.Signals) -> None:
    start = len(events.seen)
    if number is signal.SIGSTOP:
        send([*descendants(node.process.pid), *descendants(node.keeper)], signal.SIGCONT)
    else:
        node.process.wait()
        fabric.start_node(node.name)
    await events.until("node.connected", start=start)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--replicas", type=int, default=4)
    add_report_only(parser)
    options = parser.parse_args()
    print(machine())
    ways = (("silent (SIGSTOP)", signal.SIGSTOP), ("reset (SIGKILL)", signal.SIGKILL))
    times: dict[str, list[list[float]]] = {way: [] for way, _ in ways}
    with workspace() as root:
        fabric = Fabric(root)
        fabric.start_nexus()
        async with fabric.client() as client, watching(client, *KINDS) as events:
            for name in ("alpha", "beta"):
                await fabric.add_node(client, name)
            for number in range(options.rounds):
                for way, sent in ways:
                    await client.deploy_agent(AGENT, fabric.sleeper(), replicas=options.replicas)
                    await settled(client, options.replicas, list(fabric.nodes))
                    node = fabric.nodes["alpha" if number % 2 else "beta"]
                    times[way].append(await lose(client, events, node, sent))
                    await bring_back(fabric, events, node, sent)
                    await client.delete_agent(AGENT)
                    await gone(client)
    print(f"\n{options.rounds} rounds each, {options.replicas} replicas on two nodes: seconds from the loss, p50 (max)")
    print(f"  {'':<26}" + "".join(f"{part:>26}" for part in PARTS))
    for way, rounds in times.items():
        cells = [f"{percentile(values, 0.5):.2f} ({max(values):.2f})" for values in zip(*rounds, strict=True)]
        print(f"  {way:<26}" + "".join(f"{cell:>26}" for cell in cells))
    print("\npeers, not run now: read earlier on such a machine")
    for name, value in PEERS:
        print(f"  {name:<56}{value}")
    print()
    targets = Targets()
    for way, rounds in times.items():
        targets.below(
            f"{way}, to the last replacement, p50", percentile([one[-1] for one in rounds], 0.5), TARGET_S, "s"
        )
    return targets.end(options.report_only)


async def gone(client: AsyncClient) -> None:
    """Until no agent is left."""
    async with asyncio.timeout(START_S):
        while [agent async for agent in client.agents()]:
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
