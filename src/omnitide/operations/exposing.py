"""The fabric as metrics for others' tools: what `/metrics` on Nexus says. No operation of the registry, since it is
text and no object; it declares itself as those do."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from omnitide import __version__
from omnitide.fabric.authorize import READ_METRICS
from omnitide.fabric.rules.rolling import available
from omnitide.fabric.state import Agent, FabricState, JobStatus
from omnitide.operations.inputs import Request
from omnitide.operations.operation import Declaration
from omnitide.operations.reaching import Nothing
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.failing import EXAMINED_SLOTS
from omnitide.operations.views.inventory import COUNTED, counted_as
from omnitide.operations.views.workloads import failing_replicas
from omnitide.telemetry.series.definition import Labels
from omnitide.telemetry.series.exposition import Sample


class ExposeMetricsRequest(Request, frozen=True, kw_only=True):
    pass


EXPOSE: Final = Declaration(
    name="metrics.expose",
    summary="The fabric's own metrics, for Prometheus.",
    method="GET",
    path="/metrics",
    input=ExposeMetricsRequest,
    output=Nothing,
    permission=READ_METRICS,
)

_COUNTED: Final = 50_000
"""Instances that are counted one by one; of more, only those of agents' counters are told."""
_AGENTS: Final = 1_000
"""Agents that have series of their own: of more, the first by name, and it is told how many have none."""


def samples(runtime: Runtime) -> Iterator[Sample]:
    state = runtime.committed()
    yield _gauge("build_info", "Which software this is; always 1.", 1, (("version", __version__),))
    started = runtime.started_ms() / 1000
    yield _gauge("nexus_start_time_seconds", "When this Nexus started.", started, unit="seconds")
    yield _gauge("revision", "Position of the event log that is shown.", state.revision)
    yield from _of_nodes(runtime, state)
    yield from _of_workloads(state)
    yield from _of_agents(state, runtime.ends(), runtime.now_ms())
    counts = runtime.metrics().counts()
    yield _counter("samples_total", "Samples taken from nodes.", counts["taken"])
    for reason, number in sorted(runtime.metrics().dropped().items()):
        text = "Samples or series that were not taken, by why."
        yield _counter("samples_dropped_total", text, number, labels=(("reason", reason),))
    yield _gauge("sample_streams", "Nodes that send samples now.", counts["streams"])
    yield _gauge("series", "Series of the last 15 minutes.", counts["series"])
    yield _gauge("series_memory_bytes", "Memory that they take.", counts["bytes"], unit="bytes")
    yield _gauge("series_memory_limit_bytes", "Memory that they may take.", counts["bound"], unit="bytes")
    for check in runtime.readiness():
        text = "Whether a part of Nexus that it depends on works."
        yield _gauge("ready", text, float(check.ok), (("part", check.name),))
    for queue in runtime.queues():
        labels = (("queue", queue.name),)
        yield _gauge("queue_length", "What waits in Nexus, by what for.", queue.length, labels)
        yield _gauge("queue_limit", "At which one more is refused.", queue.bound, labels)
    yield _counter("nexus_cpu_seconds_total", "Processor time of Nexus.", time.process_time(), unit="seconds")
    resident = _resident_bytes()
    if resident:
        yield _gauge("nexus_resident_memory_bytes", "Memory of Nexus.", resident, unit="bytes")


def _of_nodes(runtime: Runtime, state: FabricState) -> Iterator[Sample]:
    statuses = Counter(counted_as(node, runtime.node_live(node.id)) for node in state.nodes.values())
    for status in COUNTED:
        text = "Nodes of the fabric, by status; what its operator stopped, or has left, is that alone."
        yield _gauge("nodes", text, statuses[status], (("status", status),))
    total = {
        "cpu_capacity_cores": sum(node.facts.cpu_milli for node in state.nodes.values()) / 1000,
        "cpu_reserved_cores": sum(node.used_cpu_milli for node in state.nodes.values()) / 1000,
        "memory_capacity_bytes": sum(node.facts.memory_bytes for node in state.nodes.values()),
        "memory_reserved_bytes": sum(node.used_memory_bytes for node in state.nodes.values()),
    }
    for name, value in total.items():
        what = "Set aside for instances" if "reserved" in name else "What nodes have"
        yield _gauge(name, f"{what}, all together.", value, unit=name.rpartition("_")[2])


def _of_workloads(state: FabricState) -> Iterator[Sample]:
    yield _gauge("agents", "Agents that are declared.", len(state.agents))
    active = sum(job.status is JobStatus.ACTIVE for job in state.jobs.values())
    yield _gauge("jobs_active", "Jobs that have not finished.", active)
    if len(state.instances) <= _COUNTED:
        statuses = Counter(instance.status.value for instance in state.instances.values())
        for status in sorted({*statuses, "pending", "running", "failed", "lost"}):
            yield _gauge("instances", "Instances that are known, by status.", statuses[status], (("status", status),))
    else:
        yield _gauge("instances", "Instances that are known.", len(state.instances), (("status", "all"),))


def _of_agents(state: FabricState, ends: Mapping[str, int], now_ms: int) -> Iterator[Sample]:
    shown = 0
    for _, identifier in sorted(state.agent_names.items())[:_AGENTS]:
        agent = state.agents[identifier]
        if agent.deleting:
            continue
        shown += 1
        labels = (("agent", agent.name), ("namespace", agent.namespace))
        for name, (text, value) in _replicas(state, agent, now_ms).items():
            yield _gauge(f"agent_{name}", text, value, labels)
        text = "Times that replicas of an agent ended by themselves, since Nexus began."
        yield _counter("agent_ends_total", text, ends.get(identifier, 0), labels=labels)
    yield _gauge("agents_without_series", "Agents that have none here: they are too many.", len(state.agents) - shown)


def _replicas(state: FabricState, agent: Agent, now_ms: int) -> dict[str, tuple[str, float]]:
    counts = agent.counts
    wanted = agent.replicas if agent.active else 0
    return {
        "replicas": ("Replicas that an agent should have.", wanted),
        "replicas_available": ("Those that run and are ready.", min(available(state, agent, now_ms), wanted)),
        "replicas_pending": ("Those that wait for a node.", counts.pending),
        "replicas_failed": ("Those that have failed for good.", counts.failed),
        "replicas_failing": (
            f"Those that end again and again, of {EXAMINED_SLOTS} at most.",
            failing_replicas(state, agent, now_ms),
        ),
        "version": ("Version of its spec that it is to have.", agent.version),
        "rollout_under_way": ("Whether it goes from one version to another.", float(agent.rollout_cursor > 0)),
        "rollout_paused": ("Whether that goes no further by itself.", float(agent.paused)),
    }


def _gauge(name: str, text: str, value: float, labels: Labels = (), unit: str = "") -> Sample:
    return Sample(f"omnitide_{name}", labels, "gauge", unit, text, value)


def _counter(name: str, text: str, value: float, unit: str = "", labels: Labels = ()) -> Sample:
    return Sample(f"omnitide_{name}", labels, "counter", unit, text, value)


def _resident_bytes() -> int:
    """0 where the kernel does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
