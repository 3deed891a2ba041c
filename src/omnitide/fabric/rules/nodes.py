"""Rules of nodes: joining, sessions, silence, and what operators do with them."""

from collections.abc import Callable

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.rejection import Refuse
from omnitide.fabric.rules.access import MAX_LABELS, require_name
from omnitide.fabric.rules.bounds import MAX_TEXT, bounded_text, require_facts
from omnitide.fabric.rules.proving import prove_by_replicas
from omnitide.fabric.rules.reports import in_session, take_report
from omnitide.fabric.rules.returning import welcome_back
from omnitide.fabric.rules.room import PLATFORM_LABELS
from omnitide.fabric.rules.settle import advance_drain, settle_instances
from omnitide.fabric.state import (
    ENDED,
    Instance,
    InstanceStatus,
    Node,
    NodeFacts,
    NodeStatus,
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
    principal = draft.header.principal
    if principal.startswith("token:") and principal != f"token:{command.token}":
        raise Refuse("forbidden", "a node joins by the token that it shows, not by another")
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
    require_facts(command.facts, f"node {command.name}")
    if not command.node or command.node in draft.state.nodes or command.node in draft.state.node_names:
        raise Refuse("already-exists", f"node id {command.node!r} is in use")
    # Operators name a node by its name or its id: neither may hide the other.
    if command.name in draft.state.node_names or command.name in draft.state.nodes:
        raise Refuse(
            "already-exists",
            f"another node is called {command.name!r}",
            hint="join with --name, or remove the old node first: omnitide nodes rm " + command.name,
            subject=f"node {command.name}",
        )
    for node in draft.state.nodes.values():
        if command.key_digest in (node.key_digest, node.next_key_digest):
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
            facts=command.facts,
            labels=token.labels,
        )
    )
    draft.result = {"node": command.node, "name": command.name}


def connect_node(draft: Draft, command: cm.ConnectNode) -> None:
    node = draft.state.nodes.get(command.node)
    if node is None:
        raise Refuse("not-found", f"node {command.node} is not of this fabric", hint="join it again")
    if command.key_digest not in (node.key_digest, node.next_key_digest or node.key_digest):
        raise Refuse("forbidden", f"node {node.name!r} has another key: its identity may be used elsewhere")
    if command.key_digest != node.key_digest:
        draft.emit(ev.NodeKeyChanged(node=node.id, key_digest=command.key_digest))
    require_facts(command.facts, f"node {node.name}")
    # The first session begins at the log's own position: above every session of a node of this id that was removed and
    # has joined again, so that no late command of that time fits this one.
    session = node.session + 1 if node.session else draft.moment.revision
    known = node.sequence if node.outbox == command.outbox else 0
    draft.emit(
        ev.NodeConnected(
            node=node.id,
            session=session,
            outbox=command.outbox,
            facts=command.facts,
            sequence=known,
            since_ms=node.since_ms if _was_live(node, command.facts) else draft.header.time_ms,
        )
    )
    _hear_drivers(draft, node, command.facts)
    reports = {report.instance: report for report in command.instances}
    for identifier in sorted(draft.state.nodes[node.id].instances):
        instance = draft.state.instances.get(identifier)
        if instance is not None and instance.status is InstanceStatus.LOST:
            welcome_back(draft, instance, reports.get(identifier))
    for report in command.instances:
        take_report(draft, node.id, report)
    draft.result = {"session": session, "sequence": known}


def _was_live(node: Node, facts: NodeFacts) -> bool:
    """Whether nothing tells that it was away. While Nexus is away itself nobody is declared unreachable: then its
    goodbye tells, or that its machine was started again."""
    restarted = node.facts.boot_id != facts.boot_id and bool(node.facts.boot_id and facts.boot_id)
    return node.status is NodeStatus.LIVE and not node.departing and not restarted


def offer_key(draft: Draft, command: cm.OfferKey) -> None:
    node = draft.state.nodes.get(command.node)
    if node is None:
        raise Refuse("not-found", f"node {command.node} is not of this fabric", hint="join it again")
    for other in draft.state.nodes.values():
        if other.id != node.id and command.key_digest in (other.key_digest, other.next_key_digest):
            raise Refuse("already-exists", f"this key is the identity of node {other.name!r}")
    if command.key_digest not in (node.key_digest, node.next_key_digest):
        draft.emit(ev.NodeKeyOffered(node=node.id, key_digest=command.key_digest))


def change_facts(draft: Draft, command: cm.ChangeNodeFacts) -> None:
    node = in_session(draft, command.node, command.session)
    require_facts(command.facts, f"node {node.name}")
    if node.facts != command.facts:
        draft.emit(ev.NodeFactsChanged(node=node.id, facts=command.facts))
        _hear_drivers(draft, node, command.facts)


def _hear_drivers(draft: Draft, node: Node, facts: NodeFacts) -> None:
    """Which of its drivers have fallen silent, and which no longer are. Nothing that they run ends by that."""
    silent = {driver.name: driver.detail for driver in facts.drivers if driver.silent}
    for name in sorted(silent.keys() - node.silent_drivers.keys()):
        detail = bounded_text(silent[name], MAX_TEXT)
        draft.emit(ev.NodeDriverSilent(node=node.id, driver=name, detail=detail))
    for name in sorted(node.silent_drivers.keys() - silent.keys()):
        draft.emit(ev.NodeDriverAnswers(node=node.id, driver=name))


def depart_node(draft: Draft, command: cm.DepartNode) -> None:
    """A goodbye: for a while, with its instances going on, or (0) for good, all that it ran having ended.

    The latter is known, and nothing has to run out first: its instances are lost at once, whatever they would wait for
    a silent node. Those that are to stay with their node (`keep`) wait for it.
    """
    node = in_session(draft, command.node, command.session)
    reason = bounded_text(command.reason, MAX_TEXT) or "left"
    said = (node.departing, node.back_within_ms, bool(node.stopped_ms))
    if said != (reason, command.back_within_ms, command.stopped):
        draft.emit(
            ev.NodeDeparting(
                node=node.id,
                session=command.session,
                reason=reason,
                back_within_ms=command.back_within_ms,
                stopped=command.stopped,
            )
        )
    if command.back_within_ms:
        return
    if node.status is NodeStatus.LIVE:
        cause = "stopped" if command.stopped else "left"
        draft.emit(ev.NodeUnreachable(node=node.id, session=command.session, cause=cause))
    if node.status is not NodeStatus.LOST:
        draft.emit(ev.NodeLost(node=node.id, session=command.session))
    _give_up(draft, node, lambda _: True)
    _look_at_moves(draft)


def _give_up(draft: Draft, node: Node, due: Callable[[int | None], bool]) -> None:
    """Count the node's instances as lost for which it is time, by their own `lost_after`, and may be."""
    gone: list[Instance] = []
    for identifier in sorted(node.instances):
        instance = draft.state.instances[identifier]
        if instance.status in ENDED:
            continue
        spec = spec_of_instance(draft.state, instance)
        if spec.on_disconnect != "keep" and due(spec.lost_after):
            gone.append(instance)
    if gone:
        for workload in sorted({instance.workload for instance in gone if instance.kind == "agent"}):
            prove_by_replicas(draft, workload)
        draft.emit(ev.InstancesLost(node=node.id, instances=tuple(instance.id for instance in gone)))
        settle_instances(draft, gone)


def suspect_node(draft: Draft, command: cm.SuspectNode) -> None:
    node = in_session(draft, command.node, command.session)
    if node.status is NodeStatus.LIVE:
        draft.emit(
            ev.NodeUnreachable(node=node.id, session=command.session, cause=command.cause, waited_ms=command.waited_ms)
        )


def declare_lost(draft: Draft, command: cm.DeclareLost) -> None:
    node = in_session(draft, command.node, command.session)
    if node.status not in (NodeStatus.UNREACHABLE, NodeStatus.LOST):
        return
    if node.status is NodeStatus.UNREACHABLE and command.silent_ms >= command.default_lost_after_ms:
        draft.emit(ev.NodeLost(node=node.id, session=command.session))
        _look_at_moves(draft)
    default_ms = command.default_lost_after_ms
    _give_up(draft, node, lambda lost_after: command.silent_ms >= (default_ms if lost_after is None else lost_after))


def label_node(draft: Draft, command: cm.LabelNode) -> None:
    node = node_by_name(draft, command.node)
    subject = f"node {node.name}"
    draft.result = {"node": node.id}
    if not command.labels and not command.remove:
        raise Refuse("invalid", "no label is named", hint="key=value sets one, key- takes it away", subject=subject)
    for key in sorted({*command.labels, *command.remove}):
        if key in command.labels and key in command.remove:
            raise Refuse("invalid", f"the label {key!r} is both set and taken away", subject=subject)
        if key == "node":
            raise Refuse("invalid", "the label 'node' is its name, which stays", subject=subject)
        if key in PLATFORM_LABELS:
            raise Refuse("invalid", f"the label {key!r} is what the machine declares of itself", subject=subject)
        if key in command.remove and key not in node.join_labels and key in node.facts.labels:
            raise Refuse(
                "conflict",
                f"the label {key!r} is one that node {node.name!r} says of itself",
                hint="take it out of node.labels where the node runs, or set it to something else here",
                subject=subject,
            )
    kept = {key: value for key, value in node.join_labels.items() if key not in command.remove}
    labels = dict(sorted({**kept, **command.labels}.items()))
    if len(labels) > MAX_LABELS:
        raise Refuse("limit", f"a node is given {MAX_LABELS} labels at most", subject=subject)
    if labels != node.join_labels:
        draft.emit(ev.NodeLabelled(node=node.id, labels=labels))
        _look_at_moves(draft)


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
    draft.emit(ev.NodeDrainStarted(node=node.id, since_ms=draft.header.time_ms))
    # What is there leaves by `moving.move_instances`, as soon as the scheduler has seen where it could go.
    advance_drain(draft, node.id)
    _look_at_moves(draft)


def _look_at_moves(draft: Draft) -> None:
    """A node takes no more of what was sent to it: moves under way may have come to nothing."""
    for agent in sorted(draft.state.rolling):
        draft.touch(agent)


def may_be_removed(node: Node) -> bool:
    """Without force. What is on it counts as ended then, which is not known while it is live: not of one that its
    operator stopped either, whose instances may go on without it."""
    if node.status is not NodeStatus.LIVE:
        return True
    return not node.instances and (node.scheduling is Scheduling.DRAINED or node.stopped_ms > 0)


def remove_node(draft: Draft, command: cm.RemoveNode) -> None:
    node = node_by_name(draft, command.node)
    if not may_be_removed(node) and not command.force:
        raise _kept(node)
    instances = [draft.state.instances[identifier] for identifier in sorted(node.instances)]
    for instance in instances:
        draft.emit(ev.InstanceEnded(instance=instance.id, status="lost"))
    draft.emit(ev.NodeRemoved(node=node.id, name=node.name))
    settle_instances(draft, instances)
    _look_at_moves(draft)
    draft.result = {"node": node.id}


def _kept(node: Node) -> Refuse:
    """That it may not be removed, why, and what to do first."""
    held = len(node.instances)
    instances = f"{held} instance{'' if held == 1 else 's'}"
    if node.stopped_ms:
        why = f"was stopped by its operator, and {instances} there may go on"
        hint = "remove it once it is unreachable, which it soon is"
    elif node.scheduling is Scheduling.DRAINING:
        why = f"is being drained, and still holds {instances}"
        hint = f"remove it once that is over: omnitide drain {node.name} waits for it, and says what stays"
    else:
        holds = f"holds {instances}" if held else "open to work"
        if not held and node.scheduling is not Scheduling.OPEN:
            holds = "not drained"
        why = f"is live and {holds}"
        hint = f"omnitide drain {node.name}, and then remove it"
    message = f"node {node.name!r} {why}"
    return Refuse("conflict", message, hint=f"{hint}; or use --force", subject=f"node {node.name}")
