"""How long the scheduler takes: the table of nodes, what waits, plans and explanations, over the size of the fabric.

    python bench/scheduler.py [--nodes 100 1000 10000]

Each figure is the CPU time of the best of several runs on fresh input, with the median behind it: nothing here waits,
so on a core of its own that is also the time that passes.
"""

import argparse
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

from immutables import Map
from msgspec.structs import replace

from omnitide.fabric.state import (
    Agent,
    Counts,
    DriverFact,
    FabricState,
    Instance,
    InstanceStatus,
    Job,
    Node,
    NodeFacts,
    NodeStatus,
    Slot,
    Version,
    empty_state,
)
from omnitide.model.spec import AgentSpec, Constraint, JobSpec, Port, Resources
from omnitide.scheduler.ask import Ask, Requirements, Waiter, requirements_of
from omnitide.scheduler.explain import explain
from omnitide.scheduler.place import place
from omnitide.scheduler.table import NodeTable
from omnitide.scheduler.waiting import Waiting

GIB = 1 << 30
EACH = 10
"""Instances that run on each node to begin with."""


def fabric(nodes: int) -> FabricState:
    """`nodes` nodes of three sizes in four zones, each running EACH instances, each with one port."""
    made: dict[str, Node] = {}
    for number in range(nodes):
        cpu = (8, 16, 64)[number % 3] * 1000
        running = [f"agent-{(number * EACH + index) % max(1, nodes // 2)}.{number}.{index}" for index in range(EACH)]
        made[f"n{number:06}"] = Node(
            id=f"n{number:06}",
            name=f"node-{number}",
            key_digest="",
            facts=NodeFacts(
                labels={"zone": f"z{number % 4}", "rack": f"r{number // 40}"},
                cpu_milli=cpu,
                memory_bytes=cpu // 250 * GIB,
                drivers=(DriverFact(name="process", enforces=("cpu", "memory", "pids")), DriverFact(name="docker")),
                port_first=20000,
                port_last=29999,
                platform={"os": "linux", "arch": "x86_64"},
            ),
            instances=Map(dict.fromkeys(running)),
            ports=Map({20000 + index: name for index, name in enumerate(running)}),
            joined_ms=0,
            since_ms=0,
            revision=0,
            status=NodeStatus.LIVE,
            used_cpu_milli=EACH * 100,
            used_memory_bytes=EACH * (32 << 20),
        )
    return replace(empty_state(), nodes=Map(made))


def need(**changes: Any) -> Requirements:
    spec = AgentSpec(command=("true",), resources=Resources(cpu=100, memory=32 << 20))
    return requirements_of(replace(spec, **changes))


def ask(workload: str, count: int, wanted: Requirements) -> Ask:
    waiters = [Waiter(slot, 1, f"{workload}.{slot}.1") for slot in range(1, count + 1)]
    return Ask(workload=workload, version=1, need=wanted, waiters=waiters, total=count)


def waiting_state(state: FabricState, count: int) -> FabricState:
    """One agent with `count` instances that wait."""
    spec = AgentSpec(command=("true",))
    agent = Agent(
        id="wide",
        namespace="default",
        name="wide",
        version=1,
        replicas=count,
        versions=Map({1: Version(number=1, spec=spec, created_ms=0, principal="")}),
        slots=Map(),
        counts=Counts(pending=count),
        created_ms=0,
        revision=0,
    )
    instances = {
        f"wide.{slot}.1": Instance(
            id=f"wide.{slot}.1",
            namespace="default",
            kind="agent",
            workload="wide",
            name=f"wide-{slot}.1",
            version=1,
            slot=slot,
            generation=1,
            status=InstanceStatus.PENDING,
            created_ms=0,
            since_ms=0,
            revision=0,
        )
        for slot in range(1, count + 1)
    }
    return replace(state, agents=Map({"wide": agent}), instances=Map(instances), pending=Map(dict.fromkeys(instances)))


def jobs_state(state: FabricState, count: int) -> FabricState:
    """`count` jobs of one task each, that no node can take."""
    spec = JobSpec(command=("true",), resources=Resources(cpu=1_000_000))
    jobs: dict[str, Job] = {}
    instances: dict[str, Instance] = {}
    for number in range(count):
        name = f"job{number}"
        jobs[name] = Job(
            id=name, namespace="default", name=name, spec=spec, slot=Slot(), created_ms=0, revision=0, strays=Map()
        )
        instances[f"{name}.1.1"] = Instance(
            id=f"{name}.1.1",
            namespace="default",
            kind="job",
            workload=name,
            name=f"{name}-1.1",
            version=1,
            slot=1,
            generation=1,
            status=InstanceStatus.PENDING,
            created_ms=number,
            since_ms=number,
            revision=0,
        )
    return replace(state, jobs=Map(jobs), instances=Map(instances), pending=Map(dict.fromkeys(instances)))


def timed(make: Callable[[], Any], run: Callable[[Any], object], times: int) -> tuple[float, float]:
    """Best and median seconds of `run` on what `make` made."""
    taken: list[float] = []
    for _ in range(times):
        subject = make()
        gc.collect()
        started = time.process_time()
        run(subject)
        taken.append(time.process_time() - started)
    return min(taken), statistics.median(taken)


def shown(seconds: tuple[float, float]) -> str:
    best, median = (f"{value * 1e3:.2f}" if value < 0.1 else f"{value * 1e3:.0f}" for value in seconds)
    return f"{best} ({median}) ms"


def measure(nodes: int) -> list[tuple[str, str]]:
    state = fabric(nodes)
    table = NodeTable(state)
    plain = need()
    placed = need(ports={"http": Port()})
    narrow = need(constraints=(Constraint(label="zone", operator="in", values=("z1", "z2")),))
    never = need(resources=Resources(cpu=1_000_000, memory=0))
    rows: list[tuple[str, str]] = []

    def row(name: str, make: Callable[[], Any], run: Callable[[Any], object], times: int = 5) -> None:
        rows.append((name, shown(timed(make, run, times))))

    def touched() -> FabricState:
        node = state.nodes[f"n{nodes // 2:06}"]
        return replace(state, nodes=state.nodes.set(node.id, replace(node, used_cpu_milli=node.used_cpu_milli + 1)))

    def plans(name: str, asks: list[Ask]) -> None:
        total = sum(len(each.waiters) for each in asks)
        place(table, asks, max_placements=total)
        row(name, lambda: None, lambda _: place(table, asks, max_placements=total))

    def one_row(new: FabricState) -> None:
        table.refresh(new, [f"n{nodes // 2:06}"])

    row(f"build the table ({nodes * EACH} instances run)", lambda: None, lambda _: NodeTable(state))
    row("refresh one row, named", touched, one_row, 50)
    row("refresh one row, found", touched, table.refresh, 20)
    for count in (1, 100, 10_000):
        plans(f"place {count} of one agent", [ask("a", count, plain)])
    plans("place 100, zone in (z1, z2)", [ask("a", 100, narrow)])
    plans("place 1,000 with a port each", [ask("a", 1000, placed)])
    plans("place 1,000 of one agent, pack", [ask("a", 1000, need(placement="pack"))])
    plans("place 1,000 of 10 agents", [ask(f"a{number}", 100, plain) for number in range(10)])
    plans("place 1,000 jobs of one task", [ask(f"j{number}", 1, plain) for number in range(1000)])
    plans("refuse 1,000 jobs, all alike", [ask(f"j{number}", 1, never) for number in range(1000)])
    different = [need(resources=Resources(cpu=1_000_000 + number, memory=0)) for number in range(1000)]
    plans("refuse 1,000 jobs, all different", [ask(f"j{number}", 1, each) for number, each in enumerate(different)])
    row("explain one, with 100 nodes of the table", lambda: None, lambda _: explain(table, never, node_limit=100))
    jobs = Waiting(jobs_state(state, 10_000))
    place(table, jobs.asks(0, 1000).ready)
    row("10,000 jobs wait in vain: one look", lambda: None, lambda _: place(table, jobs.asks(0, 1000).ready))
    waits = waiting_state(state, nodes * EACH)
    row(f"follow {nodes * EACH} waiting instances, from nothing", lambda: None, lambda _: Waiting(waits), 3)
    row("the first 1,000 of them", lambda: Waiting(waits), lambda waiting: waiting.asks(0, 1000), 3)
    left = replace(waits, pending=waits.pending.delete("wide.1.1"))
    row("one of them leaves, named, and again", lambda: begun(waits), lambda waiting: step(waiting, left), 3)
    return rows


def begun(state: FabricState) -> Waiting:
    waiting = Waiting(state)
    waiting.asks(0, 1000)
    return waiting


def step(waiting: Waiting, state: FabricState) -> None:
    waiting.refresh(state, ["wide.1.1"])
    waiting.asks(0, 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[100, 1000, 10_000])
    sizes: list[int] = parser.parse_args().nodes
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    )
    for nodes in sizes:
        rows = measure(nodes)
        print(f"\n{nodes} nodes: best (median)")
        width = max(len(name) for name, _ in rows)
        for name, figure in rows:
            print(f"  {name:<{width}}  {figure:>22}")


if __name__ == "__main__":
    main()
