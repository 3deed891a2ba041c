"""Every condition under which a node may not take an instance, each as one vectorised question over all nodes.

`place` and `explain` ask the same rules, so that they cannot disagree. A rule is *lasting* if it holds of the node even
when it is live, open and empty; what passes by itself (offline, cordoned, full) is not.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from omnitide.model.spec import Constraint
from omnitide.scheduler.ask import Requirements
from omnitide.scheduler.table import ABSENT, ENFORCES, HEALTHY, PRESENT, Flags, Ints, NodeTable

RuleKind = Literal[
    "left",
    "offline",
    "closed",
    "driver",
    "driver-unhealthy",
    "enforcement",
    "device",
    "constraint",
    "static-port",
    "ports",
    "cpu",
    "memory",
    "node",
]
"""left: it took leave for good. offline: not live, and may be back. closed: cordoned, draining or drained. driver: the
node lacks it. driver-unhealthy: it is there and does not work now. enforcement: the driver cannot enforce a limit that
is required. device: the node gives it to no container. constraint: labels. static-port: a host port of that number is
taken. ports: too few free ports in the node's range. cpu, memory: too little free. node: it is bound to others, by a
volume that stays, the company that it keeps, or a move that somebody asked for."""

PASSING: Final = frozenset({"offline", "closed", "driver-unhealthy"})
"""Kinds that are never lasting. Those of room are lasting where even an empty node has too little."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule and the nodes that fail it."""

    kind: RuleKind
    subject: str
    """Which driver, constraint, limit or port; empty where the kind says all."""
    blocked: Flags
    need: int = 0
    have: Ints | None = None
    """For ports, cpu and memory: how much is needed and how much each node has free."""


@dataclass(slots=True)
class Room:
    """What is left on each node. A plan takes from its own copy as it goes."""

    cpu: Ints
    memory: Ints
    ports: Ints
    instances: Ints
    taken: dict[int, set[int]]
    """Host port -> rows where the plan has given it away."""
    empty: bool = False
    """Nothing runs: ports in use do not count."""

    def port_taken(self, table: NodeTable, port: int) -> Flags:
        used = np.zeros(len(table), dtype=np.bool_) if self.empty else table.port_used(port).copy()
        rows = self.taken.get(port)
        if rows:
            used[list(rows)] = True
        return used


def room_now(table: NodeTable) -> Room:
    return Room(
        cpu=table.cpu_free.copy(),
        memory=table.memory_free.copy(),
        ports=table.ports_free.copy(),
        instances=table.instances.copy(),
        taken={},
    )


def room_when_empty(table: NodeTable) -> Room:
    return Room(
        cpu=table.cpu_total,
        memory=table.memory_total,
        ports=table.port_last - table.port_first + 1,
        instances=np.zeros(len(table), dtype=np.int64),
        taken={},
        empty=True,
    )


def standing_rules(table: NodeTable, need: Requirements) -> Iterable[Rule]:
    """Rules on what a node is and how it stands: no placement changes their answer."""
    yield Rule("left", "", table.left)
    yield Rule("offline", "", ~table.live & ~table.left)
    yield Rule("closed", "", table.live & ~table.schedulable)
    bits = table.driver(need.driver)
    present = (bits & PRESENT) != 0
    yield Rule("driver", need.driver, ~present)
    yield Rule("driver-unhealthy", need.driver, table.answers & present & ((bits & HEALTHY) == 0))
    for limit in need.enforced:
        yield Rule("enforcement", limit, present & ((bits & ENFORCES[limit]) == 0))
    for device in need.devices:
        yield Rule("device", device, ~table.gives(device))
    for constraint in need.constraints:
        yield Rule("constraint", describe_constraint(constraint), ~_meets(table, constraint))


def bound_rule(table: NodeTable, only: tuple[str, ...], why: str) -> Rule:
    """The rule that no other nodes than these may take it. `why`: which they are, and what binds it to them."""
    blocked = np.ones(len(table), dtype=np.bool_)
    blocked[[table.rows[node] for node in only if node in table.rows]] = False
    return Rule("node", why, blocked)


def room_rules(table: NodeTable, room: Room, need: Requirements) -> Iterable[Rule]:
    """Rules on what is left on a node."""
    reserved = np.zeros(len(table), dtype=np.int64)
    for port in need.static_numbers:
        taken = room.port_taken(table, port)
        if need.allocated_ports:
            counted = taken if room.empty else taken | table.port_marked(port)
            reserved += (table.port_first <= port) & (port <= table.port_last) & ~counted
        yield Rule("static-port", str(port), np.ones_like(taken) if port == need.repeated_port else taken)
    if need.allocated_ports:
        wanted = len(need.allocated_ports)
        have = room.ports - reserved
        yield Rule("ports", "", have < wanted, wanted, have)
    yield Rule("cpu", "", room.cpu < need.cpu_milli, need.cpu_milli, room.cpu)
    yield Rule("memory", "", room.memory < need.memory_bytes, need.memory_bytes, room.memory)


def passes(table: NodeTable, rules: Iterable[Rule]) -> Flags:
    """Nodes that no rule blocks."""
    fits = np.ones(len(table), dtype=np.bool_)
    for rule in rules:
        fits &= ~rule.blocked
    return fits


def room_for(room: Room, need: Requirements, rows: Ints, limit: int) -> Ints:
    """How many such instances each of `rows`, which pass the rules, can take: at least 1, at most `limit`."""
    if need.static_ports:
        return np.ones(len(rows), dtype=np.int64)
    fits = np.full(len(rows), limit, dtype=np.int64)
    if need.cpu_milli:
        np.minimum(fits, room.cpu[rows] // need.cpu_milli, out=fits)
    if need.memory_bytes:
        np.minimum(fits, room.memory[rows] // need.memory_bytes, out=fits)
    if need.allocated_ports:
        np.minimum(fits, room.ports[rows] // len(need.allocated_ports), out=fits)
    return fits


def describe_constraint(constraint: Constraint) -> str:
    """`zone = eu`, `zone in (eu, us)`, `gpu exists`."""
    if constraint.operator in ("exists", "absent"):
        return f"{constraint.label} {constraint.operator}"
    values = ", ".join(constraint.values)
    single = constraint.operator in ("=", "!=") and len(constraint.values) == 1
    return f"{constraint.label} {constraint.operator} {values if single else f'({values})'}"


def _meets(table: NodeTable, constraint: Constraint) -> Flags:
    """Nodes that meet it. A node without the label meets `!=`, `not-in` and `absent`."""
    column = table.labels(constraint.label)
    if constraint.operator == "exists":
        return column.values != ABSENT
    if constraint.operator == "absent":
        return column.values == ABSENT
    codes = [column.codes[value] for value in constraint.values if value in column.codes]
    hit = np.isin(column.values, codes) if len(codes) != 1 else column.values == codes[0]
    return ~hit if constraint.operator in ("!=", "not-in") else hit
