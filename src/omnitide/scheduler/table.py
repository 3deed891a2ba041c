"""A columnar view of the nodes, one row a node in order of node id, kept up to date row by row."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from omnitide.fabric.rules.room import gives_device, holds_port, label_of
from omnitide.fabric.state import FabricState, Node, NodeStatus
from omnitide.model.quantity import MAX_QUANTITY

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

ABSENT: Final = -1
"""Code of a label that a node does not have."""

PRESENT: Final = 1
HEALTHY: Final = 2
ENFORCES: Final = {"cpu": 4, "memory": 8, "pids": 16, "sandbox": 32}
"""Bits of a driver column."""

MAX_COLUMNS: Final = 256
"""Columns kept for labels, drivers and ports; past it the one asked for longest ago is dropped (and made again if asked
for). Nodes may declare any number of labels; only those that specs ask about become columns."""

_NUMBERS: Final = (
    "cpu_total",
    "memory_total",
    "cpu_free",
    "memory_free",
    "port_first",
    "port_last",
    "ports_free",
    "instances",
)
_CPU_TOTAL, _MEMORY_TOTAL, _CPU_FREE, _MEMORY_FREE, _PORT_FIRST, _PORT_LAST, _PORTS_FREE, _INSTANCES = range(8)


def driver_bits(node: Node, name: str) -> int:
    """PRESENT, HEALTHY and the ENFORCES of a driver on a node; 0 if the node does not have it."""
    fact = node.facts.driver(name)
    if fact is None:
        return 0
    bits = PRESENT | (HEALTHY if fact.healthy else 0)
    for limit in fact.enforces:
        bits |= ENFORCES.get(limit, 0)
    return bits


def workload_of(instance: str) -> str:
    """The workload's id in an instance id, `<workload>.<slot>.<generation>`."""
    return instance.rsplit(".", 2)[0]


def _numbers_of(node: Node) -> tuple[int, ...]:
    facts = node.facts
    cpu = min(facts.cpu_milli, MAX_QUANTITY)
    memory = min(facts.memory_bytes, MAX_QUANTITY)
    first, last = facts.port_first, facts.port_last
    if not 0 < first <= last:
        first, last = 0, -1
    used = sum(first <= port <= last for port in node.ports)
    return (
        cpu,
        memory,
        cpu - node.used_cpu_milli,
        memory - node.used_memory_bytes,
        first,
        last,
        last - first + 1 - used,
        len(node.instances),
    )


class _Column:
    """One number a node, read from the node; for labels the code of its value in `codes`."""

    __slots__ = ("codes", "read", "values")

    def __init__(self, read: Callable[[Node], int], codes: dict[str, int], nodes: list[Node]) -> None:
        self.read = read
        self.codes = codes
        self.values: Codes = np.fromiter(map(read, nodes), dtype=np.int32, count=len(nodes))


@dataclass(frozen=True, slots=True)
class LabelColumn:
    values: Codes
    """Code of each node's value, ABSENT if it has none."""
    codes: Mapping[str, int]


class NodeTable:
    """Follows the nodes of the committed state. One owner; readers (`place`, `explain`) change nothing that counts.

    Numbers of nodes are columns from the start; a label, driver or port becomes one when it is first asked about.
    Quantities are milli-cpu and bytes; free is what is not set aside, and negative on a node that shrank.
    """

    noun: str = "node"
    """What a text calls one of its rows."""

    def __init__(self, state: FabricState) -> None:
        self.revision = 0
        self.nodes: list[Node] = []
        self.rows: dict[str, int] = {}
        self._numbers: Ints = np.empty((len(_NUMBERS), 0), dtype=np.int64)
        self._flags: Flags = np.empty((2, 0), dtype=np.bool_)
        self._columns: dict[tuple[str, str | int], _Column] = {}
        self._held: dict[str, dict[str, int]] = {}
        self.refresh(state)

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def cpu_total(self) -> Ints:
        return self._numbers[_CPU_TOTAL]

    @property
    def memory_total(self) -> Ints:
        return self._numbers[_MEMORY_TOTAL]

    @property
    def cpu_free(self) -> Ints:
        return self._numbers[_CPU_FREE]

    @property
    def memory_free(self) -> Ints:
        return self._numbers[_MEMORY_FREE]

    @property
    def port_first(self) -> Ints:
        return self._numbers[_PORT_FIRST]

    @property
    def port_last(self) -> Ints:
        """Inclusive; less than `port_first` on a node without a range."""
        return self._numbers[_PORT_LAST]

    @property
    def ports_free(self) -> Ints:
        """Free ports of the node's range."""
        return self._numbers[_PORTS_FREE]

    @property
    def instances(self) -> Ints:
        return self._numbers[_INSTANCES]

    @property
    def live(self) -> Flags:
        return self._flags[0]

    @property
    def schedulable(self) -> Flags:
        """Live and open."""
        return self._flags[1]

    @property
    def left(self) -> Flags:
        """They took leave for good: what is no member of the fabric any more does not come back."""
        return self._column(("left", ""), lambda node: node.left, {}).values != 0

    @property
    def answers(self) -> Flags:
        """Live, and not about to go: of one that goes what it said last of its drivers is not what is the matter."""
        found = self._column(("answers", ""), lambda node: node.status is NodeStatus.LIVE and not node.departing, {})
        return found.values != 0

    def held(self, workload: str) -> Mapping[str, int]:
        """Node id -> instances of this workload on it, all versions."""
        return self._held.get(workload, {})

    def labels(self, key: str) -> LabelColumn:
        codes: dict[str, int] = {}

        def read(node: Node) -> int:
            value = label_of(node, key)
            return ABSENT if value is None else codes.setdefault(value, len(codes))

        column = self._column(("label", key), read, codes)
        return LabelColumn(values=column.values, codes=column.codes)

    def driver(self, name: str) -> Codes:
        """Bits of the driver on each node, see `driver_bits`."""
        return self._column(("driver", name), lambda node: driver_bits(node, name), {}).values

    def gives(self, device: str) -> Flags:
        """Nodes that give a container this device, as far as they have told."""
        return self._column(("device", device), lambda node: gives_device(node.facts, device), {}).values != 0

    def port_used(self, port: int) -> Flags:
        """Where an instance has this host port."""
        return self._column(("port", port), lambda node: holds_port(node, port), {}).values != 0

    def port_marked(self, port: int) -> Flags:
        """Where it was found taken by something else: it is not chosen, but may be named."""
        found = self._column(("mark", port), lambda node: port in node.ports and not holds_port(node, port), {})
        return found.values != 0

    def _column(self, key: tuple[str, str | int], read: Callable[[Node], int], codes: dict[str, int]) -> _Column:
        column = self._columns.pop(key, None)
        if column is None:
            column = _Column(read, codes, self.nodes)
            if len(self._columns) >= MAX_COLUMNS:
                del self._columns[next(iter(self._columns))]
        self._columns[key] = column
        return column

    def refresh(self, state: FabricState, changed: Iterable[str] | None = None) -> int:
        """Take over `state`: the nodes in `changed` (ids; joined and removed ones too), or whatever differs.

        Returns how many rows were written or dropped. Finding what differs costs one look at each node.
        """
        self.revision = state.revision
        if changed is None:
            known = self.rows
            changed = [node for node in state.nodes if node not in known]
            changed += [old.id for old in self.nodes if state.nodes.get(old.id) is not old]
        joined: list[Node] = []
        removed: list[int] = []
        written: list[int] = []
        for identifier in sorted(set(changed)):
            node = state.nodes.get(identifier)
            row = self.rows.get(identifier)
            if node is None:
                if row is not None:
                    removed.append(row)
            elif row is None:
                joined.append(node)
            elif self.nodes[row] is not node:
                self._hold(self.nodes[row], node)
                self.nodes[row] = node
                written.append(row)
        if written:
            self._write(written)
        if joined or removed:
            self._reorder(joined, removed)
        self._trim()
        return len(written) + len(joined) + len(removed)

    def _write(self, rows: list[int]) -> None:
        nodes = [self.nodes[row] for row in rows]
        self._numbers[:, rows] = np.array([_numbers_of(node) for node in nodes], dtype=np.int64).T
        self._flags[0, rows] = [node.status is NodeStatus.LIVE for node in nodes]
        self._flags[1, rows] = [node.schedulable for node in nodes]
        for column in self._columns.values():
            column.values[rows] = [column.read(node) for node in nodes]

    def _reorder(self, joined: list[Node], removed: list[int]) -> None:
        gone = set(removed)
        for row in removed:
            self._hold(self.nodes[row], None)
        for node in joined:
            self._hold(None, node)
        kept = [row for row in range(len(self.nodes)) if row not in gone]
        self.nodes = sorted([self.nodes[row] for row in kept] + joined, key=lambda node: node.id)
        old_rows = self.rows
        self.rows = {node.id: row for row, node in enumerate(self.nodes)}
        # Where each kept row goes; both sides are in order of id.
        moved = [row for row, node in enumerate(self.nodes) if node.id in old_rows]
        size = len(self.nodes)
        numbers = np.empty((len(_NUMBERS), size), dtype=np.int64)
        numbers[:, moved] = self._numbers[:, kept]
        self._numbers = numbers
        flags = np.empty((2, size), dtype=np.bool_)
        flags[:, moved] = self._flags[:, kept]
        self._flags = flags
        for column in self._columns.values():
            values = np.empty(size, dtype=np.int32)
            values[moved] = column.values[kept]
            column.values = values
        if joined:
            self._write([self.rows[node.id] for node in joined])

    def _hold(self, old: Node | None, new: Node | None) -> None:
        before = None if old is None else old.instances
        after = None if new is None else new.instances
        if before is after:
            return
        if old is not None and before is not None:
            for instance in before:
                if after is None or instance not in after:
                    workload = workload_of(instance)
                    nodes = self._held[workload]
                    if nodes[old.id] > 1:
                        nodes[old.id] -= 1
                    elif len(nodes) > 1:
                        del nodes[old.id]
                    else:
                        del self._held[workload]
        if new is not None and after is not None:
            for instance in after:
                if before is None or instance not in before:
                    nodes = self._held.setdefault(workload_of(instance), {})
                    nodes[new.id] = nodes.get(new.id, 0) + 1

    def _trim(self) -> None:
        """Drop label columns whose vocabulary is mostly of values that no node has any more."""
        limit = 2 * len(self.nodes) + 1024
        for key in [key for key, column in self._columns.items() if len(column.codes) > limit]:
            del self._columns[key]

    def without(self, node: str) -> "NodeTable":
        """The other rows, as they are now, and not followed. `node`: an id; one without a row is no loss."""
        return _Others(self, self.rows[node]) if node in self.rows else self


class _Others(NodeTable):
    """All rows of a table but one."""

    noun = "other node"

    def __init__(self, whole: NodeTable, row: int) -> None:
        self._whole = whole
        self._row = row
        self.revision = whole.revision
        self.nodes = [*whole.nodes[:row], *whole.nodes[row + 1 :]]
        self.rows = {node.id: at for at, node in enumerate(self.nodes)}
        self._numbers = np.delete(whole._numbers, row, axis=1)
        self._flags = np.delete(whole._flags, row, axis=1)
        self._columns = {}
        self._held = {}

    def held(self, workload: str) -> Mapping[str, int]:
        return {node: count for node, count in self._whole.held(workload).items() if node in self.rows}

    def _column(self, key: tuple[str, str | int], read: Callable[[Node], int], codes: dict[str, int]) -> _Column:
        whole = self._whole._column(key, read, codes)
        column = _Column(read, whole.codes, [])
        column.values = np.delete(whole.values, self._row)
        return column
