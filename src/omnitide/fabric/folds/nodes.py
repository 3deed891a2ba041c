"""Folds of nodes: what they are, whether they are heard from, what may be placed on them."""

from typing import Final

from immutables import Map
from msgspec.structs import replace

from omnitide.fabric import events as ev
from omnitide.fabric.folds.moment import Fold, Moment
from omnitide.fabric.state import FabricState, Node, NodeStatus, Scheduling

FOREIGN_PORT: Final = "!"
"""Holder of a host port that something outside the fabric uses."""


def put_node(state: FabricState, node: Node) -> FabricState:
    return replace(state, nodes=state.nodes.set(node.id, node))


def node_joined(state: FabricState, event: ev.NodeJoined, at: Moment) -> FabricState:
    node = Node(
        id=event.node,
        name=event.name,
        key_digest=event.key_digest,
        facts=event.facts,
        join_labels=event.labels,
        instances=Map(),
        ports=Map(),
        joined_ms=at.time_ms,
        since_ms=at.time_ms,
        revision=at.revision,
    )
    return replace(
        state,
        nodes=state.nodes.set(node.id, node),
        node_names=state.node_names.set(node.name, node.id),
    )


def node_connected(state: FabricState, event: ev.NodeConnected, at: Moment) -> FabricState:
    node = state.nodes[event.node]
    ports = node.ports
    for port, holder in node.ports.items():
        if holder == FOREIGN_PORT:
            ports = ports.delete(port)
    return put_node(
        state,
        replace(
            node,
            facts=event.facts,
            ports=ports,
            status=NodeStatus.LIVE,
            since_ms=event.since_ms or (node.since_ms if node.status is NodeStatus.LIVE else at.time_ms),
            revision=at.revision,
            session=event.session,
            outbox=event.outbox,
            sequence=event.sequence,
            departing="",
            back_within_ms=0,
            stopped_ms=0,
        ),
    )


def node_key_offered(state: FabricState, event: ev.NodeKeyOffered, at: Moment) -> FabricState:
    return put_node(state, replace(state.nodes[event.node], next_key_digest=event.key_digest, revision=at.revision))


def node_key_changed(state: FabricState, event: ev.NodeKeyChanged, at: Moment) -> FabricState:
    node = state.nodes[event.node]
    return put_node(state, replace(node, key_digest=event.key_digest, next_key_digest="", revision=at.revision))


def node_facts_changed(state: FabricState, event: ev.NodeFactsChanged, at: Moment) -> FabricState:
    return put_node(state, replace(state.nodes[event.node], facts=event.facts, revision=at.revision))


def node_driver_silent(state: FabricState, event: ev.NodeDriverSilent, at: Moment) -> FabricState:
    node = state.nodes[event.node]
    silent = {**node.silent_drivers, event.driver: at.time_ms}
    return put_node(state, replace(node, silent_drivers=silent, revision=at.revision))


def node_driver_answers(state: FabricState, event: ev.NodeDriverAnswers, at: Moment) -> FabricState:
    node = state.nodes[event.node]
    silent = {name: since for name, since in node.silent_drivers.items() if name != event.driver}
    return put_node(state, replace(node, silent_drivers=silent, revision=at.revision))


def node_reported(state: FabricState, event: ev.NodeReported, at: Moment) -> FabricState:
    return put_node(state, replace(state.nodes[event.node], outbox=event.outbox, sequence=event.sequence))


def node_departing(state: FabricState, event: ev.NodeDeparting, at: Moment) -> FabricState:
    node = state.nodes[event.node]
    return put_node(
        state,
        replace(
            node,
            departing=event.reason,
            back_within_ms=event.back_within_ms,
            stopped_ms=at.time_ms if event.stopped else 0,
            revision=at.revision,
        ),
    )


def _status(state: FabricState, identifier: str, status: NodeStatus, at: Moment) -> FabricState:
    return put_node(
        state,
        replace(state.nodes[identifier], status=status, since_ms=at.time_ms, revision=at.revision),
    )


def node_unreachable(state: FabricState, event: ev.NodeUnreachable, at: Moment) -> FabricState:
    return _status(state, event.node, NodeStatus.UNREACHABLE, at)


def node_lost(state: FabricState, event: ev.NodeLost, at: Moment) -> FabricState:
    # `since` stays where the silence began: that is what people ask.
    return put_node(state, replace(state.nodes[event.node], status=NodeStatus.LOST, revision=at.revision))


def node_port_refused(state: FabricState, event: ev.NodePortRefused, at: Moment) -> FabricState:
    node = state.nodes[event.node]
    return put_node(state, replace(node, ports=node.ports.set(event.port, FOREIGN_PORT), revision=at.revision))


def node_labelled(state: FabricState, event: ev.NodeLabelled, at: Moment) -> FabricState:
    node = state.nodes[event.node]
    return put_node(state, replace(node, join_labels=event.labels, revision=at.revision))


def _scheduling(
    state: FabricState, identifier: str, scheduling: Scheduling, at: Moment, draining_since_ms: int = 0
) -> FabricState:
    node = replace(
        state.nodes[identifier], scheduling=scheduling, draining_since_ms=draining_since_ms, revision=at.revision
    )
    draining = state.draining
    if scheduling is Scheduling.DRAINING:
        draining = draining.set(identifier, None)
    elif identifier in draining:
        draining = draining.delete(identifier)
    return replace(state, nodes=state.nodes.set(identifier, node), draining=draining)


def node_cordoned(state: FabricState, event: ev.NodeCordoned, at: Moment) -> FabricState:
    return _scheduling(state, event.node, Scheduling.CORDONED, at)


def node_uncordoned(state: FabricState, event: ev.NodeUncordoned, at: Moment) -> FabricState:
    return _scheduling(state, event.node, Scheduling.OPEN, at)


def node_drain_started(state: FabricState, event: ev.NodeDrainStarted, at: Moment) -> FabricState:
    return _scheduling(state, event.node, Scheduling.DRAINING, at, event.since_ms)


def node_drained(state: FabricState, event: ev.NodeDrained, at: Moment) -> FabricState:
    return _scheduling(state, event.node, Scheduling.DRAINED, at)


def node_removed(state: FabricState, event: ev.NodeRemoved, at: Moment) -> FabricState:
    node = state.nodes[event.node]
    draining = state.draining.delete(node.id) if node.id in state.draining else state.draining
    return replace(
        state,
        nodes=state.nodes.delete(node.id),
        node_names=state.node_names.delete(node.name),
        draining=draining,
    )


FOLDS: Final[dict[type, Fold]] = {
    ev.NodeJoined: node_joined,
    ev.NodeConnected: node_connected,
    ev.NodeKeyOffered: node_key_offered,
    ev.NodeKeyChanged: node_key_changed,
    ev.NodeFactsChanged: node_facts_changed,
    ev.NodeDriverSilent: node_driver_silent,
    ev.NodeDriverAnswers: node_driver_answers,
    ev.NodeReported: node_reported,
    ev.NodeDeparting: node_departing,
    ev.NodeUnreachable: node_unreachable,
    ev.NodeLost: node_lost,
    ev.NodePortRefused: node_port_refused,
    ev.NodeLabelled: node_labelled,
    ev.NodeCordoned: node_cordoned,
    ev.NodeUncordoned: node_uncordoned,
    ev.NodeDrainStarted: node_drain_started,
    ev.NodeDrained: node_drained,
    ev.NodeRemoved: node_removed,
}
