"""What can never fit is refused at submit (promise 1), as far as that is certain: nodes may still join."""

from omnitide.fabric.draft import Draft
from omnitide.fabric.rejection import Refuse
from omnitide.model.quantity import format_bytes, format_cpu
from omnitide.model.spec import WorkloadSpec


def require_feasible(draft: Draft, spec: WorkloadSpec, subject: str) -> None:
    """Refuse a spec that contradicts itself, or that asks more than any node known, even empty, has.

    An empty fabric refuses nothing here: what it will be made of is not known yet. Labels and drivers are left to the
    scheduler's explanation, since a node's labels can change.
    """
    limits, wanted = spec.limits, spec.resources
    if limits.cpu and limits.cpu < wanted.cpu:
        raise Refuse(
            "impossible",
            f"limits.cpu {format_cpu(limits.cpu)} is below resources.cpu {format_cpu(wanted.cpu)}",
            hint="a limit is at least what is set aside",
            subject=subject,
        )
    if limits.memory and limits.memory < wanted.memory:
        raise Refuse(
            "impossible",
            f"limits.memory {format_bytes(limits.memory)} is below resources.memory {format_bytes(wanted.memory)}",
            hint="a limit is at least what is set aside",
            subject=subject,
        )
    if spec.driver == "process" and not (spec.command and spec.command[0].strip()):
        raise Refuse("invalid", "the command names no program", hint="command[0] is the program", subject=subject)
    static = [(port.port, port.protocol) for port in spec.ports.values() if port.port]
    if len(static) != len(set(static)):
        raise Refuse("impossible", "two ports of the spec have the same number", subject=subject)
    if any(
        node.facts.cpu_milli >= wanted.cpu and node.facts.memory_bytes >= wanted.memory
        for node in draft.state.nodes.values()
        if node.facts.cpu_milli
    ):
        return
    nodes = [node.facts for node in draft.state.nodes.values() if node.facts.cpu_milli]
    if not nodes:
        return
    most_cpu = max(facts.cpu_milli for facts in nodes)
    most_memory = max(facts.memory_bytes for facts in nodes)
    raise Refuse(
        "impossible",
        f"each instance asks for {format_cpu(wanted.cpu)} cpu and {format_bytes(wanted.memory)}; no node "
        f"of {len(nodes)} has both, even empty (most cpu {format_cpu(most_cpu)}, "
        f"most memory {format_bytes(most_memory)})",
        hint="ask for less, or join a larger node first",
        subject=subject,
    )
