"""What can never come about on the nodes that there are, however long it is waited for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from omnitide.cli.show.words import plural
from omnitide.model.names import called
from omnitide.model.quantity import format_bytes, format_cpu
from omnitide.model.spec import MAX_REPLICAS

if TYPE_CHECKING:
    from omnitide.model.explanations import InstanceExplanation, PlacementVerdict
    from omnitide.model.inventory import Node
    from omnitide.model.objects import Agent
    from omnitide.model.spec import AgentSpec
    from omnitide.sdk.client import Client

MOST_NODES: Final = 1000
"""Nodes that an explanation tells one by one. Of further ones it is not known whether they can ever take a replica, and
they count as if they could."""


@dataclass(frozen=True)
class TooMany:
    """An agent wants more replicas than fit at once."""

    text: str
    hint: str


def never_placed(trouble: "InstanceExplanation") -> str:
    """Why it stays without a node for good; empty where it may get one."""
    placement = trouble.placement
    if placement is None:
        return ""
    if placement.verdict == "never":
        return placement.text
    failed = "; ".join(reason.text for reason in placement.reasons if reason.rule == "need-failed")
    return f"{trouble.instance.name} {failed}" if failed else ""


def too_many(client: "Client", agent: "Agent", specs: "Sequence[AgentSpec]", pending: str) -> TooMany | None:
    """Whether all replicas of an agent can never be on nodes at once, be these up, open and empty. None where they may,
    or where nobody may say. `specs`: of the versions that they run; `pending`: id of a replica that waits for a node.
    """
    from omnitide.sdk.errors import FabricError

    if any(spec.restart.policy != "always" for spec in specs):
        return None  # one that has done its work makes room for another
    try:
        nodes = list(client.nodes())
        placement = client.explain_instance(pending, nodes=MOST_NODES).placement
    except FabricError:
        return None  # whoever may scale may not see nodes, or it has just been placed: it goes on being waited for
    if placement is None:
        return None
    shut = _shut(placement)
    left = [node for node in nodes if node.id not in shut]
    needs = _needs(specs)
    holds = sum(_holds(node, needs) for node in left)
    if holds >= agent.replicas:
        return None
    # What is short by itself, else only together.
    short = [need for need in needs if sum(_holds(node, [need]) for node in left) < agent.replicas] or needs
    each = " and ".join(need.text for need in short)
    which = f"the {plural(len(left), 'node')} there are" if len(left) == len(nodes) else "those that can ever take one"
    if len(left) == 1:
        which = "the only node there is" if len(nodes) == 1 else "the only node that can ever take one"
    name = called(agent.namespace, agent.name)
    return TooMany(
        f"at most {holds} of {agent.replicas} fit at once on {which}, were nothing else there: each needs {each}",
        f"fewer: omnitide scale {name} {holds}; omnitide explain {name}; it goes on being tried",
    )


def _shut(placement: "PlacementVerdict") -> set[str]:
    """Ids of nodes that can take none, even if they were up, open and empty."""
    return {node.node for node in placement.table if any(failure.lasting for failure in node.failures)}


class _Need(NamedTuple):
    kind: Literal["cpu", "memory", "port"]
    amount: int
    text: str


def _needs(specs: "Sequence[AgentSpec]") -> list[_Need]:
    """The least that a replica takes of a node, whichever of the versions it runs."""
    cpu, memory = (min(getattr(spec.resources, kind) for spec in specs) for kind in ("cpu", "memory"))
    fixed = [{port.port for port in spec.ports.values() if port.port} for spec in specs]
    ports = sorted(port for port in fixed[0] if all(port in others for others in fixed))
    found = [_Need("cpu", cpu, f"{format_cpu(cpu)} cpu")] if cpu else []
    found += [_Need("memory", memory, format_bytes(memory))] if memory else []
    return found + [_Need("port", 1, f"port {port}") for port in ports[:1]]


def _holds(node: "Node", needs: Sequence[_Need]) -> int:
    if not node.cpu_milli:
        return MAX_REPLICAS  # it has joined, and has not told yet what it has
    has = {"cpu": node.cpu_milli, "memory": node.memory_bytes, "port": 1}
    return min((has[need.kind] // need.amount for need in needs), default=MAX_REPLICAS)
