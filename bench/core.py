"""How fast the core decides and folds, what a large state takes of memory, and how long a snapshot of it takes.

Run: python -m bench.core [--instances 100000] [--quick]

Throughput is commands a second of CPU time on one core, deciding and encoding included (a decision carries the bytes
for the log): the best of three runs. Memory and snapshots are measured in processes of their own.
"""

import argparse
import gc
import multiprocessing
import os
import pickle
import platform
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import psutil

from omnitide.fabric import commands as cm
from omnitide.fabric.decide import Decision, decide
from omnitide.fabric.events import Entry, decode_entry, encode_entry
from omnitide.fabric.evolve import apply
from omnitide.fabric.invariants import violations
from omnitide.fabric.snapshot import dump, load
from omnitide.fabric.state import DriverFact, FabricState, NodeFacts, Phase, TokenPurpose, empty_state
from omnitide.model.spec import AgentSpec, JobSpec, Port, Resources

GIB = 1 << 30
START_MS = 1_700_000_000_000
FACTS = NodeFacts(
    labels={"zone": "z1"},
    cpu_milli=10**9,
    memory_bytes=1 << 50,
    drivers=(DriverFact(name="process", enforces=("cpu", "memory", "pids")),),
    port_first=1,
    port_last=65_535,
    platform={"os": "linux", "arch": "x86_64"},
)
SPEC = AgentSpec(command=("serve", "--port", "${PORT_HTTP}"), environment={"MODE": "fast"}, resources=Resources(cpu=50))


class Log:
    """Decides one command after the other, as the engine does."""

    def __init__(self) -> None:
        self.state: FabricState = empty_state()
        self.entries: list[Entry] = []
        self.time_ms = START_MS
        self.keep = True

    def run(self, command: cm.Command, principal: str = "system:bench", **header: str) -> Decision:
        self.time_ms += 1
        outcome = decide(self.state, command, cm.Header(principal=principal, time_ms=self.time_ms, **header))
        if not isinstance(outcome, Decision):
            raise RuntimeError(f"{type(command).__name__}: {outcome.message}")
        if outcome.entry.events:
            self.state = outcome.state
            if self.keep:
                self.entries.append(outcome.entry)
        return outcome


def fabric(nodes: int) -> Log:
    log = Log()
    log.run(cm.CreateFabric(fabric_id="bench"))
    log.run(
        cm.IssueToken(id="t", purpose=TokenPurpose.JOIN, digest="d", expires_ms=START_MS * 2, uses=10_000),
    )
    for number in range(nodes):
        node = f"n{number:05}"
        join = cm.JoinNode(token="t", node=node, name=f"node-{number}", key_digest=f"k{number}", facts=FACTS)
        log.run(join, "token:t")
        log.run(cm.ConnectNode(node=node, key_digest=f"k{number}", facts=FACTS, outbox="o"), f"node:{node}")
    return log


def fill(log: Log, instances: int, nodes: int, each: int = 100) -> None:
    """Agents of `each` replicas with a port each, all running, spread evenly."""
    for number in range(instances // each):
        agent = f"a{number:05}"
        spec = AgentSpec(command=SPEC.command, resources=SPEC.resources, ports={"http": Port()})
        log.run(
            cm.DeployAgent(agent=agent, namespace="default", name=f"agent-{number}", spec=spec, replicas=each),
        )
        choices = tuple(
            cm.PlaceChoice(
                f"{agent}.{slot}.1",
                f"n{(number * each + slot) % nodes:05}",
                (("http", number * each // nodes + slot // nodes + 1000),),
            )
            for slot in range(1, each + 1)
        )
        placed = log.run(cm.PlaceInstances(seen_revision=log.state.revision, choices=choices)).result["placed"]
        if placed != each:
            raise RuntimeError(f"placed {placed} of {each}")
    sequences = dict.fromkeys(log.state.nodes, 0)
    for node in sorted(log.state.nodes):
        known = log.state.nodes[node]
        reports = tuple(
            cm.InstanceReport(instance=instance, attempt=1, phase=Phase.RUNNING, handle="pid:12345")
            for instance in sorted(known.instances)
        )
        for start in range(0, len(reports), 1000):
            part = reports[start : start + 1000]
            log.run(
                cm.ReportInstances(
                    node=node, session=known.session, outbox="o", first_sequence=sequences[node] + 1, reports=part
                ),
                f"node:{node}",
            )
            sequences[node] += len(part)


class Figure(NamedTuple):
    name: str
    value: str


def rate(make: Callable[[], tuple[Callable[[], object], int]], runs: int = 3) -> float:
    """Units a second of CPU time: the best of `runs`, each on what `make` makes anew."""
    best = 0.0
    for _ in range(runs):
        run, units = make()
        gc.collect()
        gc.freeze()
        began = time.process_time()
        run()
        best = max(best, units / (time.process_time() - began))
        gc.unfreeze()
    return best


def through(log: Log, commands: Iterable[tuple[cm.Command, str]], **header: str) -> Callable[[], object]:
    listed = list(commands)

    def run() -> None:
        for command, principal in listed:
            log.run(command, principal, **header)

    return run


def deciding(count: int) -> list[Figure]:
    api = "token:api"

    def base(replicas: int = 0) -> Log:
        log = fabric(100)
        log.run(cm.IssueToken(id="api", purpose=TokenPurpose.API, digest="d"))
        if replicas:
            log.run(cm.DeployAgent(agent="big", namespace="default", name="big", spec=SPEC, replicas=replicas))
        return log

    def deploys() -> tuple[Callable[[], object], int]:
        log = base()
        commands = (
            (cm.DeployAgent(agent=f"a{number}", namespace="default", name=f"a-{number}", spec=SPEC), api)
            for number in range(count)
        )
        return through(log, commands), count

    def updates() -> tuple[Callable[[], object], int]:
        log = base(3)
        specs = [AgentSpec(command=("serve", str(number))) for number in range(2)]
        commands = (
            (cm.DeployAgent(agent="x", namespace="default", name="big", spec=specs[number % 2]), api)
            for number in range(count)
        )
        return through(log, commands), count

    def unchanged() -> tuple[Callable[[], object], int]:
        log = base(3)
        command = cm.DeployAgent(agent="x", namespace="default", name="big", spec=SPEC)
        return through(log, [(command, api)] * count), count

    def scales(**header: str) -> tuple[Callable[[], object], int]:
        log = base(1000)
        commands = (
            (cm.ScaleAgent(namespace="default", name="big", replicas=1000 + number % 2), api) for number in range(count)
        )
        return through(log, commands, **header), count

    def keyed() -> tuple[Callable[[], object], int]:
        log = base(1000)

        def run() -> None:
            for number in range(count):
                command = cm.ScaleAgent(namespace="default", name="big", replicas=1000 + number % 2)
                log.run(command, api, idempotency_key=f"key-{number}", fingerprint="sha256:0", correlation="r-1")

        return run, count

    def jobs() -> tuple[Callable[[], object], int]:
        log = base()
        spec = JobSpec(command=("true",))
        commands = (
            (cm.RunJob(job=f"j{number}", namespace="default", name=f"j-{number}", spec=spec), api)
            for number in range(count)
        )
        return through(log, commands), count

    def places(batch: int) -> tuple[Callable[[], object], int]:
        log = base(count)
        plans = (
            (
                cm.PlaceInstances(
                    seen_revision=0,
                    choices=tuple(
                        cm.PlaceChoice(f"big.{slot}.1", f"n{slot % 100:05}", ())
                        for slot in range(start, min(start + batch, count + 1))
                    ),
                ),
                "system:placer",
            )
            for start in range(1, count + 1, batch)
        )
        return through(log, plans), count

    def reports(batch: int) -> tuple[Callable[[], object], int]:
        """Each instance comes to start and then to run, a report each."""
        log = base(count)
        choices = tuple(cm.PlaceChoice(f"big.{slot}.1", f"n{slot % 100:05}", ()) for slot in range(1, count + 1))
        for start in range(0, count, 1000):
            log.run(cm.PlaceInstances(seen_revision=0, choices=choices[start : start + 1000]))
        commands: list[tuple[cm.Command, str]] = []
        for node in sorted(log.state.nodes):
            known = log.state.nodes[node]
            said = [
                cm.InstanceReport(instance=instance, attempt=1, phase=phase, handle="pid:12345")
                for phase in (Phase.STARTING, Phase.RUNNING)
                for instance in sorted(known.instances)
            ]
            commands += [
                (
                    cm.ReportInstances(
                        node=node,
                        session=known.session,
                        outbox="o",
                        first_sequence=start + 1,
                        reports=tuple(said[start : start + batch]),
                    ),
                    f"node:{node}",
                )
                for start in range(0, len(said), batch)
            ]
        return through(log, commands), 2 * count

    def crashes() -> tuple[Callable[[], object], int]:
        log = base()
        fill(log, 1000, 100)
        commands: list[tuple[cm.Command, str]] = []
        sequences = {node: log.state.nodes[node].sequence for node in log.state.nodes}
        for number in range(count):
            node = f"n{number % 100:05}"
            known = log.state.nodes[node]
            instance = min(known.instances)
            attempt, phase = divmod(number // 100, 2)
            report = cm.InstanceReport(
                instance=instance, attempt=2 + attempt, phase=Phase.RUNNING if not phase else Phase.WAITING
            )
            sequences[node] += 1
            commands.append(
                (
                    cm.ReportInstances(
                        node=node,
                        session=known.session,
                        outbox="o",
                        first_sequence=sequences[node],
                        reports=(report,),
                    ),
                    f"node:{node}",
                )
            )
        return through(log, commands), count

    def lost() -> tuple[Callable[[], object], int]:
        log = base()
        fill(log, 10_000, 10, 1000)
        commands: list[tuple[cm.Command, str]] = []
        for number in range(10):
            known = log.state.nodes[f"n{number:05}"]
            commands.append((cm.SuspectNode(node=known.id, session=known.session), "system:leases"))
            lost = cm.DeclareLost(node=known.id, session=known.session, silent_ms=10**6, default_lost_after_ms=1)
            commands.append((lost, "system:leases"))
        return through(log, commands), 10_000

    rows: list[tuple[str, str, Callable[[], tuple[Callable[[], object], int]]]] = [
        ("scale an agent of 1,000 by one", "commands", scales),
        ("the same with an idempotency key", "commands", keyed),
        ("deploy a new agent", "commands", deploys),
        ("deploy another version", "commands", updates),
        ("deploy what is there", "commands", unchanged),
        ("run a job", "commands", jobs),
        ("place, 1 a plan", "instances", lambda: places(1)),
        ("place, 100 a plan", "instances", lambda: places(100)),
        ("report, 1 a message", "reports", lambda: reports(1)),
        ("report, 20 a message", "reports", lambda: reports(20)),
        ("report a crash or a restart", "reports", crashes),
        ("declare a node of 1,000 lost", "instances", lost),
    ]
    return [Figure(name, f"{rate(make):>10,.0f} {unit}/s") for name, unit, make in rows]


def folding(count: int) -> list[Figure]:
    log = fabric(100)
    log.run(cm.DeployAgent(agent="big", namespace="default", name="big", spec=SPEC, replicas=1000))
    fill(log, 1000, 100)
    for number in range(count):
        log.run(cm.ScaleAgent(namespace="default", name="big", replicas=1000 + number % 2))
    payloads = [encode_entry(entry) for entry in log.entries]

    def decode_and_apply() -> tuple[Callable[[], object], int]:
        def run() -> None:
            state = empty_state()
            for payload in payloads:
                state = apply(state, decode_entry(payload))

        return run, len(payloads)

    def encode() -> tuple[Callable[[], object], int]:
        return (lambda: [encode_entry(entry) for entry in log.entries]), len(log.entries)

    size = sum(map(len, payloads)) / len(payloads)
    return [
        Figure("decode and apply", f"{rate(decode_and_apply):>10,.0f} entries/s"),
        Figure(f"encode ({size:.0f} bytes each)", f"{rate(encode):>10,.0f} entries/s"),
    ]


def _resident() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss


def folded(instances: int, path: Path, answer: "multiprocessing.Queue[list[Figure]]") -> None:
    """In a process of its own: what a state of so many instances takes, and a snapshot of it."""
    log = fabric(1000)
    log.keep = False
    before = _resident()
    fill(log, instances, 1000)
    resident = _resident() - before
    began = time.process_time()
    longest, last = 0.0, began
    chunks: list[bytes] = []
    for chunk in dump(log.state):
        now = time.process_time()
        longest, last = max(longest, now - last), now
        chunks.append(chunk)
    took = time.process_time() - began
    path.write_bytes(pickle.dumps(chunks))
    answer.put(
        [
            Figure("resident, folded from commands", f"{resident / 2**20:>10,.0f} MiB"),
            Figure("snapshot", f"{sum(map(len, chunks)) / 2**20:>10.1f} MiB in {len(chunks)} chunks"),
            Figure("dump", f"{took * 1000:>10,.0f} ms, {longest * 1000:.0f} ms the longest chunk"),
        ]
    )


def loaded(instances: int, path: Path, answer: "multiprocessing.Queue[list[Figure]]") -> None:
    """In a process of its own: what loading that snapshot takes."""
    chunks: list[bytes] = pickle.loads(path.read_bytes())
    before = _resident()
    began = time.process_time()
    state = load(chunks)
    took = time.process_time() - began
    resident = _resident() - before
    began = time.process_time()
    wrong = violations(state)
    checked = time.process_time() - began
    if wrong or len(state.instances) != instances:
        raise RuntimeError(f"{len(state.instances)} instances, {wrong[:3]}")
    answer.put(
        [
            Figure("load", f"{took * 1000:>10,.0f} ms"),
            Figure("resident, loaded from the snapshot", f"{resident / 2**20:>10,.0f} MiB"),
            Figure("check all invariants", f"{checked * 1000:>10,.0f} ms"),
        ]
    )


def large(instances: int) -> list[Figure]:
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[list[Figure]] = context.Queue()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        for target in (folded, loaded):
            process = context.Process(target=target, args=(instances, Path(folder) / "chunks", answer))
            process.start()
            figures += answer.get(timeout=600)
            process.join()
    return figures


def show(title: str, figures: list[Figure]) -> None:
    print(f"\n{title}")
    for name, value in figures:
        print(f"  {name:<36}{value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, for a look")
    arguments = parser.parse_args()
    count = 2_000 if arguments.quick else 20_000
    instances = arguments.instances // 10 if arguments.quick else arguments.instances
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    )
    show("decide", deciding(count))
    show("fold", folding(count))
    show(f"a state of {instances:,} instances on 1,000 nodes", large(instances))


if __name__ == "__main__":
    main()
