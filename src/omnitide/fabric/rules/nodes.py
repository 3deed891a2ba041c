"""Rules of nodes: joining, sessions, silence, and what operators do with them."""

from msgspec.structs import replace

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.rejection import Refuse
from omnitide.fabric.rules.access import require_name
from omnitide.fabric.rules.reports import take_report
from omnitide.fabric.rules.settle import advance_drain, request_stop, settle_instance
from omnitide.fabric.state import (
    ENDED,
    Health,
    Instance,
    InstanceStatus,
    Node,
    NodeStatus,
    Phase,
    Scheduling,
    TokenPurpose,
    find_node,
    spec_of_instance,
)

MAX_NODES = 20_000


def node_by_name(draft: Draft, name: str) -> Node:
    node = find_node(draft.state, name)
    if node is None:
        raise Refuse("not-found", f"there is no node {name!r}", hint="omnitide nodes", subject=f"node {name}")
    return node


def join_node(draft: Draft, command: cm.JoinNode) -> None:
    token = draft.state.tokens.get(command.token)
    if token is None or token.revoked or token.purpose is not TokenPurpose.JOIN:
        raise Refuse("forbidden", "the join token is unknown or was revoked", hint="omnitide token create")
    if token.expires_ms <= draft.header.time_ms:
        raise Refuse("expired", "the join token has expired", hint="omnitide token create")
    again = draft.state.nodes.get(command.node)
    if again is not None and again.key_digest == command.key_digest:
        # The answer to this very join was lost: the same identity asks again, which is no second use of the token.
        draft.result = {"node": again.id, "name": again.name}
        return
    if token.uses_left < 1:
        raise Refuse("expired", "the join token has been used up", hint="omnitide token create")
    require_name(command.name, "a node")
    if command.node in draft.state.nodes:
        raise Refuse("already-exists", f"node id {command.node} is in use")
    taken = draft.state.node_names.get(command.name)
    if taken is not None:
        raise Refuse(
            "already-exists",
            f"another node is called {command.name!r}",
            hint="join with --name, or remove the old node first: omnitide nodes rm " + command.name,
            subject=f"node {command.name}",
        )
    for node in draft.state.nodes.values():
        if node.key_digest == command.key_digest:
            raise Refuse("already-exists", f"this identity belongs to node {node.name!r} already")
    if len(draft.state.nodes) >= MAX_NODES:
        raise Refuse("limit", f"the fabric holds {MAX_NODES} nodes, the most it can")
    draft.emit(ev.TokenUsed(id=token.id, node=command.node))
    draft.emit(
        ev.NodeJoined(
            node=command.node,
            name=command.name,
            key_digest=command.key_digest,
            token=token.id,
            facts=replace(command.facts, labels={**command.facts.labels, **token.labels}),
            labels=token.labels,
        )
    )
    draft.result = {"node": command.node, "name": command.name}


def connect_node(draft: Draft, command: cm.ConnectNode) -> None:
    node = draft.state.nodes.get(command.node)
    if node is None:
        raise Refuse("not-found", f"node {command.node} is not of this fabric", hint="join it again")
    if node.key_digest != command.key_digest:
        raise Refuse("forbidden", f"node {node.name!r} has another key: its identity may be used elsewhere")
    session = node.session + 1
    known = node.sequence if node.outbox == command.outbox else 0
    draft.emit(
        ev.NodeConnected(node=node.id, session=session, outbox=command.outbox, facts=command.facts, sequence=known)
    )
    reports = {report.instance: report for report in command.instances}
    for identifier in sorted(draft.state.nodes[node.id].instances):
        instance = draft.state.instances.get(identifier)
        if instance is not None and instance.status is InstanceStatus.LOST:
            _welcome_back(draft, instance, reports.get(identifier))
    for report in command.instances:
        take_report(draft, node.id, report)
    draft.result = {"session": session, "sequence": known}


def _welcome_back(draft: Draft, instance: Instance, report: cm.InstanceReport | None) -> None:
    """A lost instance whose node is back: the older healthy one wins unless its slot was updated."""
    lives = report is not None and report.phase is Phase.RUNNING and report.health is not Health.UNHEALTHY
    if report is not None and lives and not report.stopping and _may_merge(draft, instance):
        replacement = _current_of(draft, instance)
        draft.emit(ev.InstanceRecovered(instance=instance.id, attempt=report.attempt))
        if replacement is not None and replacement.id in draft.state.instances:
            request_stop(draft, draft.state.instances[replacement.id], "merged")
        if instance.kind == "agent":
            draft.touch(instance.workload)
        return
    draft.emit(ev.InstanceEnded(instance=instance.id, status="lost"))
    settle_instance(draft, instance)


def _current_of(draft: Draft, instance: Instance) -> Instance | None:
    if instance.kind == "agent":
        slot = draft.state.agents[instance.workload].slots.get(instance.slot)
    else:
        slot = draft.state.jobs[instance.workload].slot
    if slot is None or slot.current in ("", instance.id):
        return None
    return draft.state.instances.get(slot.current)


def _may_merge(draft: Draft, instance: Instance) -> bool:
    current = _current_of(draft, instance)
    if instance.kind == "job":
        job = draft.state.jobs[instance.workload]
        return not job.finished_ms and not job.cancelling and not job.deleting
    agent = draft.state.agents[instance.workload]
    if not agent.wants(instance.slot) or instance.version != agent.version or instance.stop_reason:
        return False
    # A replacement that has itself come back once keeps its place: two lost ones of a slot cannot both win.
    return current is None or current.generation > instance.generation


def change_facts(draft: Draft, command: cm.ChangeNodeFacts) -> None:
    node = in_session(draft, command.node, command.session)
    if node.facts != command.facts:
        draft.emit(ev.NodeFactsChanged(node=node.id, facts=command.facts))


def in_session(draft: Draft, identifier: str, session: int) -> Node:
    node = draft.state.nodes.get(identifier)
    if node is None:
        raise Refuse("not-found", f"node {identifier} is not of this fabric")
    if node.session != session:
        raise Refuse("stale", f"node {node.name!r} has a newer session ({node.session}) than {session}")
    return node


def depart_node(draft: Draft, command: cm.DepartNode) -> None:
    node = in_session(draft, command.node, command.session)
    draft.emit(
        ev.NodeDeparting(
            node=node.id,
            session=command.session,
            reason=command.reason,
            back_within_ms=command.back_within_ms,
        )
    )


def suspect_node(draft: Draft, command: cm.SuspectNode) -> None:
    node = in_session(draft, command.node, command.session)
    if node.status is NodeStatus.LIVE:
        draft.emit(ev.NodeUnreachable(node=node.id, session=command.session))


def declare_lost(draft: Draft, command: cm.DeclareLost) -> None:
    node = in_session(draft, command.node, command.session)
    if node.status not in (NodeStatus.UNREACHABLE, NodeStatus.LOST):
        return
    if node.status is NodeStatus.UNREACHABLE and command.silent_ms >= command.default_lost_after_ms:
        draft.emit(ev.NodeLost(node=node.id, session=command.session))
    gone: list[Instance] = []
    for identifier in sorted(node.instances):
        instance = draft.state.instances[identifier]
        if instance.status in ENDED:
            continue
        spec = spec_of_instance(draft.state, instance)
        lost_after = command.default_lost_after_ms if spec.lost_after is None else spec.lost_after
        if spec.on_disconnect != "keep" and command.silent_ms >= lost_after:
            gone.append(instance)
    if gone:
        draft.emit(ev.InstancesLost(node=node.id, instances=tuple(instance.id for instance in gone)))
        for instance in gone:
            settle_instance(draft, instance)


def cordon_node(draft: Draft, command: cm.CordonNode) -> None:
    node = node_by_name(draft, command.node)
    if node.scheduling is Scheduling.OPEN:
        draft.emit(ev.NodeCordoned(node=node.id))
    draft.result = {"node": node.id}


def uncordon_node(draft: Draft, command: cm.UncordonNode) -> None:
    node = node_by_name(draft, command.node)
    if node.scheduling is not Scheduling.OPEN:
        draft.emit(ev.NodeUncordoned(node=node.id))
    draft.result = {"node": node.id}


def drain_node(draft: Draft, command: cm.DrainNode) -> None:
    node = node_by_name(draft, command.node)
    draft.result = {"node": node.id}
    if node.scheduling in (Scheduling.DRAINING, Scheduling.DRAINED):
        return
    draft.emit(ev.NodeDrainStarted(node=node.id))
    advance_drain(draft, node.id)


def remove_node(draft: Draft, command: cm.RemoveNode) -> None:
    node = node_by_name(draft, command.node)
    if node.status is NodeStatus.LIVE and not command.force:
        raise Refuse(
            "conflict",
            f"node {node.name!r} is live and runs {len(node.instances)} instances",
            hint=f"omnitide drain {node.name}, stop its node proxy, then remove it; or use --force",
            subject=f"node {node.name}",
        )
    instances = [draft.state.instances[identifier] for identifier in sorted(node.instances)]
    for instance in instances:
        draft.emit(ev.InstanceEnded(instance=instance.id, status="lost"))
    draft.emit(ev.NodeRemoved(node=node.id))
    for instance in instances:
        settle_instance(draft, instance)
    draft.result = {"node": node.id}
