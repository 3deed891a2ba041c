"""What a Prometheus is told beside the fabric's own metrics: whom to ask (HTTP service discovery), and what each node
has sampled. Nothing dials a node (law 5), so all of it is asked of Nexus, which knows their newest samples."""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from omnitide.fabric.authorize import READ_METRICS
from omnitide.fabric.state import Node, NodeStatus
from omnitide.operations.exposing import EXPOSE, ExposeMetricsRequest
from omnitide.operations.failures import failed
from omnitide.operations.inputs import Reference, Request
from omnitide.operations.operation import Declaration
from omnitide.operations.reaching import Nothing
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.inventory import COUNTED, counted_as
from omnitide.telemetry.series.exposition import Sample


class Target(msgspec.Struct, frozen=True):
    """One of a list, as Prometheus' HTTP service discovery has it."""

    targets: tuple[str, ...]
    labels: dict[str, str]


class ExposeNodeRequest(Request, frozen=True, kw_only=True):
    node: Reference


EXPOSE_NODE: Final = Declaration(
    name="metrics.exposenode",
    summary="The newest samples of a node and its instances, for Prometheus.",
    method="GET",
    path="/metrics/nodes/{node}",
    input=ExposeNodeRequest,
    output=Nothing,
    permission=READ_METRICS,
)

TARGETS: Final = Declaration(
    name="metrics.targets",
    summary="Whom a Prometheus is to ask: Nexus, and at Nexus for each node.",
    method="GET",
    path="/metrics/targets",
    input=ExposeMetricsRequest,
    output=tuple[Target, ...],
    permission=READ_METRICS,
)

_NO_LABEL: Final = re.compile(r"[^A-Za-z0-9_]")


def targets(runtime: Runtime, address: str, scheme: str) -> list[Target]:
    """`address`: host and port under which whoever asks reaches this Nexus, and so is to ask on."""
    here = {"__scheme__": scheme}
    found = [Target((address,), {**here, "__metrics_path__": EXPOSE.path, "role": "nexus"})]
    state = runtime.committed()
    for name, identifier in sorted(state.node_names.items()):
        node = state.nodes[identifier]
        if node.status is NodeStatus.LOST:
            continue
        told = {**node.facts.labels, **node.join_labels}
        labels = {f"__meta_omnitide_label_{_NO_LABEL.sub('_', key)}": value for key, value in sorted(told.items())}
        path = EXPOSE_NODE.path.replace("{node}", name)
        named = {"__metrics_path__": path, "role": "node", "instance": name, "__meta_omnitide_node_id": node.id}
        found.append(Target((address,), {**here, **named, **labels}))
    return found


def node_samples(runtime: Runtime, reference: str) -> Iterator[Sample]:
    """Raises Failed where there is no such node."""
    state = runtime.committed()
    node = state.nodes.get(state.node_names.get(reference, reference))
    if node is None:
        raise failed("not-found", f"there is no node {reference}", hint="GET /metrics/targets lists whom to ask")
    return _of_node(runtime, node)


def _of_node(runtime: Runtime, node: Node) -> Iterator[Sample]:
    named = (("node", node.name),)
    now = counted_as(node, runtime.node_live(node.id))
    for status in COUNTED:
        labels = (*named, ("status", status))
        text = "1 for the status that the node has; what its operator stopped, or has left, is that alone."
        yield Sample("omnitide_node_status", labels, "gauge", "", text, now == status)
    schedulable = node.schedulable
    yield Sample(
        "omnitide_node_schedulable", named, "gauge", "", "Whether instances may be placed on it.", float(schedulable)
    )
    for name, what, value in (
        ("cpu_allocatable_cores", "That instances may have of it, all together.", node.facts.cpu_milli / 1000),
        ("cpu_reserved_cores", "Set aside on it for instances.", node.used_cpu_milli / 1000),
        ("memory_allocatable_bytes", "That instances may have of it, all together.", node.facts.memory_bytes),
        ("memory_reserved_bytes", "Set aside on it for instances.", node.used_memory_bytes),
    ):
        yield Sample(f"omnitide_node_{name}", named, "gauge", name.rpartition("_")[2], what, value)
    yield from runtime.metrics().exposed(node.id)
