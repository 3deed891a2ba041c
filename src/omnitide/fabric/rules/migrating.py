"""Moving one replica on request: it starts on the other node, and stops here once it is available there."""

from omnitide.fabric import commands as cm
from omnitide.fabric.draft import Draft
from omnitide.fabric.folds.availability import runs_on
from omnitide.fabric.folds.membership import is_current
from omnitide.fabric.rejection import Refuse
from omnitide.fabric.rules.conditions import company, staying_volumes
from omnitide.fabric.rules.failing import Wanted
from omnitide.fabric.rules.rolling import overlap
from omnitide.fabric.rules.room import Room, obstacles
from omnitide.fabric.state import Agent, FabricState, Instance, Node, find_node
from omnitide.model.names import called
from omnitide.model.spec import WorkloadSpec

_NAMED = 3
"""Nodes whose reasons a refusal gives."""


def migrate_instance(draft: Draft, command: cm.MigrateInstance) -> None:
    state = draft.state
    instance = state.instances.get(command.instance)
    if instance is None:
        raise Refuse("not-found", f"there is no instance {command.instance}", hint="omnitide ps")
    if instance.kind != "agent":
        raise Refuse(
            "conflict", f"{instance.name} is a task of a job; it runs to its end where it is", hint="run the job again"
        )
    agent = state.agents[instance.workload]
    _require_movable(draft, agent, instance)
    version = Wanted(state, agent).version(instance.slot)
    spec = agent.versions[version].spec
    volumes = staying_volumes(spec)
    if volumes and not command.leave_volumes:
        raise Refuse(
            "conflict",
            f"{instance.name} has its volume {', '.join(volumes)} on node {state.nodes[instance.node].name!r}, which "
            "stays there",
            hint='to start without what is in it: --leave-volumes; to allow that always: on_move = "empty"',
            subject=f"instance {instance.name}",
        )
    target = _target(state, agent, instance, spec, command.node)
    overlap(draft, instance, version, reason="migrated", node=target.id)
    draft.touch(agent.id)
    following = draft.state.agents[agent.id].slots[instance.slot].current
    draft.result = {"agent": agent.id, "instance": instance.id, "following": following, "node": target.id}


def _require_movable(draft: Draft, agent: Agent, instance: Instance) -> None:
    subject = f"instance {instance.name}"
    if not agent.wants(instance.slot):
        raise Refuse("conflict", f"{instance.name} is being stopped", subject=subject)
    if instance.superseded or not is_current(draft.state, instance):
        raise Refuse(
            "conflict",
            f"{instance.name} is being replaced already",
            hint=f"omnitide ps {called(agent.namespace, agent.name)}",
            subject=subject,
        )
    if not runs_on(instance):
        raise Refuse(
            "conflict",
            f"{instance.name} is {instance.status.value}: it is on no node that it could leave",
            hint=f"omnitide explain {called(instance.namespace, instance.name)}",
            subject=subject,
        )
    if any(draft.state.instances[other].slot == instance.slot for other in agent.superseded):
        raise Refuse(
            "conflict",
            f"{instance.name} is about to take the place of the instance before it",
            hint="wait until it has",
            subject=subject,
        )


def _target(state: FabricState, agent: Agent, instance: Instance, spec: WorkloadSpec, wanted: str) -> Node:
    """The node that it goes to. Raises Refuse, with the reasons, where it fits on none that may be chosen."""
    subject = f"instance {instance.name}"
    if wanted:
        node = find_node(state, wanted)
        if node is None:
            raise Refuse("not-found", f"there is no node {wanted!r}", hint="omnitide nodes", subject=f"node {wanted}")
        if node.id == instance.node:
            raise Refuse("conflict", f"{instance.name} is on node {node.name!r} already", subject=subject)
        against = _against(state, instance, spec, node)
        if against:
            raise Refuse(
                "impossible",
                f"{instance.name} does not fit on node {node.name!r}: {'; '.join(against)}",
                hint=f"omnitide migrate {called(instance.namespace, instance.name)} chooses another node",
                subject=subject,
            )
        return node
    others = sorted((node for node in state.nodes.values() if node.id != instance.node), key=lambda node: node.id)
    reasons = {node.id: _against(state, instance, spec, node) for node in others}
    fitting = [node for node in others if not reasons[node.id]]
    if not fitting:
        told = [f"{node.name}: {'; '.join(reasons[node.id])}" for node in others[:_NAMED]]
        more = f" (and {len(others) - _NAMED} more)" if len(others) > _NAMED else ""
        raise Refuse(
            "impossible",
            f"{instance.name} fits on no other node: {', '.join(told) or 'there is none'}{more}",
            subject=subject,
        )
    held: dict[str, int] = {}
    for slot in agent.slots.values():
        current = state.instances.get(slot.current)
        if current is not None and current.node:
            held[current.node] = held.get(current.node, 0) + 1
    return min(fitting, key=lambda node: (held.get(node.id, 0), _load(node), node.id))


def _against(state: FabricState, instance: Instance, spec: WorkloadSpec, node: Node) -> list[str]:
    found = obstacles(Room(node), spec)
    if spec.together is not None:
        with_it = company(state, instance.namespace, spec.together, besides=instance.id)
        if with_it and node.id not in with_it:
            names = ", ".join(sorted(state.nodes[other].name for other in with_it))
            found.append(f"it is kept together with others of {spec.together!r}, on {names}")
    return found


def _load(node: Node) -> int:
    """Thousandths of its cpu that are set aside."""
    return 1000 * node.used_cpu_milli // max(1, node.facts.cpu_milli)
