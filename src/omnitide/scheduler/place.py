"""The plan: which waiting instance goes to which node. A pure function of the table and the asks.

Spread takes the node with the fewest instances of the same workload, then the one that is least loaded with the new
instance on it, then the one with the fewest instances; pack takes the most loaded one that still has room. Load is the
larger share of cpu and memory set aside. What is still equal goes by row.

Order between asks: the longest waiting first, but in rounds of doubling size, so that a large ask cannot take all that
is left before a small one had its turn. What does not fit stands in nobody's way: everything else is still tried.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from omnitide.fabric.commands import PlaceChoice
from omnitide.model.spec import Constraint
from omnitide.scheduler.ask import Ask, Requirements, Waiter
from omnitide.scheduler.ports import first_port, pick_ports
from omnitide.scheduler.reasons import Reason, reasons
from omnitide.scheduler.rules import passes, room_for, room_now, room_rules, standing_rules
from omnitide.scheduler.table import Flags, Ints, NodeTable

MAX_PLACEMENTS: Final = 1000
"""Of one plan: a plan is one command, and while it is decided nothing else is."""

MAX_EXPLAINED: Final = 32
"""Different requirements of one plan whose refusal is counted by rule; further ones are listed without reasons."""

_FIRST_ROUND: Final = 16
_MAX_CACHED: Final = 256

Floats = npt.NDArray[np.float64]


class Unplaced(msgspec.Struct, frozen=True, kw_only=True):
    """Instances of an ask that fit on no node once the plan is taken."""

    workload: str
    version: int
    avoid: tuple[str, ...]
    count: int
    reasons: tuple[Reason, ...]
    """Ranked. Empty beyond MAX_EXPLAINED, see there."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    seen_revision: int
    choices: tuple[PlaceChoice, ...]
    unplaced: tuple[Unplaced, ...]
    cut: bool
    """The plan reached its largest size: what is in neither list was not tried. Plan again once this is committed."""


def place(table: NodeTable, asks: Sequence[Ask], *, max_placements: int = MAX_PLACEMENTS) -> Plan:
    """Place all that fits, `max_placements` instances at most. Changes neither `table` nor `asks`."""
    planner = Planner(table)
    queue = deque((lot, 0, _FIRST_ROUND) for lot in _lots(table, asks))
    left = max_placements
    stuck: list[tuple[Ask, int]] = []
    cut = False
    while queue and left:
        lot, done, turn = queue.popleft()
        wanted = min(left, lot.size - done, turn if queue else left)
        placed = planner.take(lot, done, wanted)
        left -= placed
        done += placed
        if placed < wanted:
            stuck += lot.rest(done)
        elif done < lot.size:
            queue.append((lot, done, 2 * turn))
        elif any(len(ask.waiters) < ask.total for ask in lot.asks):
            cut = True
    return Plan(
        seen_revision=table.revision,
        choices=tuple(planner.choices),
        unplaced=planner.explain(stuck),
        cut=cut or bool(queue),
    )


def first_choice(
    table: NodeTable,
    need: Requirements,
    workload: str = "",
    avoid: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
) -> int | None:
    """Row of the node that a lone instance would be placed on; None if it fits nowhere. `only`: ids of the nodes that
    may be taken; empty: any."""
    planner = Planner(table)
    rows = planner.choose(need, workload, avoid, 1, among=planner.among(only))
    return rows[0] if rows else None


class _Lot:
    """What is placed in one go: the instances of one ask, or the lone instances of many alike (a burst of jobs)."""

    __slots__ = ("asks", "avoid", "need", "only", "size", "together", "workload")

    def __init__(self, asks: list[Ask]) -> None:
        self.asks = asks
        self.need = asks[0].need
        self.avoid = asks[0].avoid
        self.only = asks[0].only
        self.together = asks[0].together
        self.workload = asks[0].workload if len(asks) == 1 else ""
        self.size = len(asks[0].waiters) if len(asks) == 1 else len(asks)

    def part(self, start: int, end: int) -> Iterable[tuple[str, Waiter]]:
        """Workload and instance, in order."""
        if len(self.asks) == 1:
            return ((self.workload, waiter) for waiter in self.asks[0].waiters[start:end])
        return ((ask.workload, ask.waiters[0]) for ask in self.asks[start:end])

    def rest(self, done: int) -> Iterable[tuple[Ask, int]]:
        """What is left of each ask when `done` are placed."""
        if len(self.asks) == 1:
            return [(self.asks[0], self.asks[0].total - done)]
        return [(ask, 1) for ask in self.asks[done:]]


def _lots(table: NodeTable, asks: Sequence[Ask]) -> list[_Lot]:
    """The longest waiting first. Lone asks that differ in nothing that matters are one lot."""
    lots: list[list[Ask]] = []
    alike: dict[Requirements, list[Ask]] = {}
    times = Counter(ask.workload for ask in asks)
    for ask in sorted(asks, key=lambda ask: (ask.since_ms, ask.workload, ask.version, ask.avoid, ask.only)):
        lone = ask.total == len(ask.waiters) == times[ask.workload] == 1
        if not lone or ask.avoid or ask.only or ask.together or table.held(ask.workload):
            lots.append([ask])
        elif ask.need in alike:
            alike[ask.need].append(ask)
        else:
            lots.append(alike.setdefault(ask.need, [ask]))
    return [_Lot(together) for together in lots]


class Planner:
    """The scratch of one plan: what is left as placements are made, or room is promised."""

    def __init__(self, table: NodeTable) -> None:
        self.choices: list[PlaceChoice] = []
        self._table = table
        self._room = room_now(table)
        self._planned: dict[str, dict[int, int]] = {}
        """Workload -> row -> instances that this plan puts there."""
        self._standing: dict[tuple[str, tuple[str, ...], tuple[Constraint, ...]], Flags] = {}
        self._decided: dict[str, int] = {}
        """Word -> row, of those that this plan is the first to place of their company."""
        self._full: set[Requirements] = set()
        """What fits nowhere any more: room only shrinks within a plan."""

    def take(self, lot: _Lot, start: int, wanted: int) -> int:
        """Place `wanted` instances of the lot, or as many as fit: then the rest fits nowhere. Returns how many."""
        if lot.only or lot.together:
            return self._take_bound(lot, start, wanted)
        rows = self.choose(lot.need, lot.workload, lot.avoid, wanted)
        if rows:
            self._assign(lot, start, rows)
        return len(rows)

    def _take_bound(self, lot: _Lot, start: int, wanted: int) -> int:
        """As `take`, for those that may not go to any node. Where the first decides for all, it comes alone."""
        decides = bool(lot.together) and not lot.only and lot.together not in self._decided
        among = self.among(lot.only)
        if lot.together in self._decided and not lot.only:
            among = np.zeros(len(self._table), dtype=np.bool_)
            among[self._decided[lot.together]] = True
        rows = self.choose(lot.need, lot.workload, lot.avoid, 1 if decides else wanted, among=among)
        if not rows:
            return 0
        if lot.together:
            self._decided.setdefault(lot.together, rows[0])
        self._assign(lot, start, rows)
        if not decides or len(rows) == wanted:
            return len(rows)
        return len(rows) + self._take_bound(lot, start + len(rows), wanted - len(rows))

    def among(self, only: tuple[str, ...]) -> Flags | None:
        """The rows of these nodes; None for no condition."""
        if not only:
            return None
        flags = np.zeros(len(self._table), dtype=np.bool_)
        flags[[self._table.rows[node] for node in only if node in self._table.rows]] = True
        return flags

    def reserve(
        self, need: Requirements, workload: str, avoid: tuple[str, ...] = (), *, among: Flags | None = None
    ) -> int | None:
        """Take what one instance needs, its ports not chosen yet, and say on which row; None if it fits nowhere.

        `among`: on these rows alone.
        """
        rows = self.choose(need, workload, avoid, 1, among=among)
        if not rows:
            return None
        row, table, room = rows[0], self._table, self._room
        planned = self._planned.setdefault(workload, {})
        planned[row] = planned.get(row, 0) + 1
        for port in need.static_numbers:
            room.taken.setdefault(port, set()).add(row)
            if port not in table.nodes[row].ports:  # one that is marked as taken is counted already
                room.ports[row] -= int(table.port_first[row]) <= port <= int(table.port_last[row])
        room.ports[row] -= len(need.allocated_ports)
        room.cpu[row] -= need.cpu_milli
        room.memory[row] -= need.memory_bytes
        room.instances[row] += 1
        return row

    def choose(
        self,
        need: Requirements,
        workload: str,
        avoid: tuple[str, ...],
        wanted: int,
        *,
        among: Flags | None = None,
    ) -> list[int]:
        """A row for each of `wanted` instances, or for as many as fit. Takes nothing.

        They are of one workload, or, with `workload` empty, each of a workload of its own that runs nowhere yet.
        """
        if not wanted or need in self._full:
            return []
        fits = self._standing_for(need) & passes(self._table, room_rules(self._table, self._room, need))
        if among is not None:
            fits &= among
        avoided = [self._table.rows[node] for node in avoid if node in self._table.rows]
        spare = [row for row in dict.fromkeys(avoided) if fits[row]]
        fits[spare] = False
        candidates = np.flatnonzero(fits)
        order = self._pack if need.strategy == "pack" else self._spread
        rows = order(need, workload, candidates, wanted) if len(candidates) else []
        for row in spare:
            if len(rows) < wanted:
                more = room_for(self._room, need, np.array([row]), wanted - len(rows))
                rows += [row] * int(more[0])
        if len(rows) < wanted and among is None:
            self._full.add(need)
        return rows

    def explain(self, stuck: Sequence[tuple[Ask, int]]) -> tuple[Unplaced, ...]:
        known: dict[Requirements, tuple[Reason, ...]] = {}
        unplaced: list[Unplaced] = []
        for ask, count in stuck:
            if ask.need not in known and len(known) < MAX_EXPLAINED:
                known[ask.need] = reasons(self._table, self._room, ask.need)
            unplaced.append(
                Unplaced(
                    workload=ask.workload,
                    version=ask.version,
                    avoid=ask.avoid,
                    count=count,
                    reasons=known.get(ask.need, ()),
                )
            )
        return tuple(unplaced)

    def _standing_for(self, need: Requirements) -> Flags:
        key = (need.driver, need.enforced, need.constraints)
        fits = self._standing.get(key)
        if fits is None:
            if len(self._standing) >= _MAX_CACHED:
                self._standing.clear()
            fits = passes(self._table, standing_rules(self._table, need))
            self._standing[key] = fits
        return fits

    def _spread(self, need: Requirements, workload: str, candidates: Ints, wanted: int) -> list[int]:
        held = self._held(workload)[candidates]
        instances = self._room.instances[candidates]
        # Only the `wanted` best rows can be chosen at all: a row never gets better by what is placed on others.
        best = smallest((held, self._load(need, candidates), instances), wanted)
        rows = candidates[best]
        if wanted == 1:
            return [int(rows[0])]
        table, room = self._table, self._room
        cpu_total, memory_total = table.cpu_total[rows].tolist(), table.memory_total[rows].tolist()
        cpu_used = (table.cpu_total[rows] - room.cpu[rows]).tolist()
        memory_used = (table.memory_total[rows] - room.memory[rows]).tolist()
        fits = room_for(room, need, rows, wanted).tolist()
        places = range(len(rows))
        step = 1 if workload else 0
        # In order already, and so a heap. The place in the lists above comes last and is never compared: rows differ.
        heap = list(
            zip(
                held[best].tolist(),
                self._load(need, rows).tolist(),
                instances[best].tolist(),
                rows.tolist(),
                places,
                strict=True,
            )
        )
        chosen: list[int] = []
        while heap and len(chosen) < wanted:
            held_here, _, instances_here, row, place = heap[0]
            chosen.append(row)
            fits[place] -= 1
            if not fits[place]:
                heapq.heappop(heap)
                continue
            cpu_used[place] += need.cpu_milli
            memory_used[place] += need.memory_bytes
            load = max(
                _share(cpu_used[place] + need.cpu_milli, cpu_total[place]),
                _share(memory_used[place] + need.memory_bytes, memory_total[place]),
            )
            heapq.heapreplace(heap, (held_here + step, load, instances_here + 1, row, place))
        return chosen

    def _pack(self, need: Requirements, _workload: str, candidates: Ints, wanted: int) -> list[int]:
        """Fills one node after the other; among equally loaded ones (empty, say) the tightest first."""
        before = self._load(None, candidates)
        rows = candidates[smallest((-before, -self._load(need, candidates)), wanted)]
        fits = room_for(self._room, need, rows, wanted)
        return np.repeat(rows, fits)[:wanted].tolist()

    def _held(self, workload: str) -> Ints:
        """Instances of the workload on each node, those of this plan included."""
        held = np.zeros(len(self._table), dtype=np.int64)
        for node, count in self._table.held(workload).items():
            held[self._table.rows[node]] = count
        for row, count in self._planned.get(workload, {}).items():
            held[row] += count
        return held

    def _load(self, need: Requirements | None, rows: Ints) -> Floats:
        """Share of each row's capacity that is set aside, with one more instance if `need` is given."""
        table, room = self._table, self._room
        cpu_total, memory_total = table.cpu_total[rows], table.memory_total[rows]
        cpu = cpu_total - room.cpu[rows] + (need.cpu_milli if need else 0)
        memory = memory_total - room.memory[rows] + (need.memory_bytes if need else 0)
        return np.maximum(_shares(cpu, cpu_total), _shares(memory, memory_total))

    def _assign(self, lot: _Lot, start: int, rows: list[int]) -> None:
        need, nodes = lot.need, self._table.nodes
        planned = self._planned.setdefault(lot.workload, {})
        for (workload, waiter), row in zip(lot.part(start, start + len(rows)), rows, strict=True):
            if lot.workload:
                planned[row] = planned.get(row, 0) + 1
            ports = self._give_ports(need, workload, waiter, row) if need.static_ports or need.allocated_ports else ()
            self.choices.append(PlaceChoice(waiter.instance, nodes[row].id, ports))
        touched, counts = np.unique(rows, return_counts=True)
        self._room.cpu[touched] -= need.cpu_milli * counts
        self._room.memory[touched] -= need.memory_bytes * counts
        self._room.instances[touched] += counts

    def _give_ports(self, need: Requirements, workload: str, waiter: Waiter, row: int) -> tuple[tuple[str, int], ...]:
        table, room = self._table, self._room
        first, last = int(table.port_first[row]), int(table.port_last[row])
        given = list(need.static_ports)
        for port in need.static_numbers:
            room.taken.setdefault(port, set()).add(row)
            room.ports[row] -= first <= port <= last and port not in table.nodes[row].ports
        if need.allocated_ports:
            count = len(need.allocated_ports)
            used = table.nodes[row].ports
            start = first_port(workload, waiter, count, first, last)
            picked = pick_ports(start, first, last, count, lambda port: port in used or row in room.taken.get(port, ()))
            for port in picked:
                room.taken.setdefault(port, set()).add(row)
            room.ports[row] -= count
            given += zip(need.allocated_ports, picked, strict=True)
        return tuple(sorted(given))


def smallest(keys: Sequence[Ints | Floats], count: int) -> Ints:
    """Positions of the `count` smallest, in lexicographic order of `keys`, then of position; `count` is at least 1."""
    undecided = np.arange(len(keys[0]))
    sure: list[Ints] = []
    wanted = count
    for key in keys:
        if len(undecided) <= wanted:
            break
        values = key[undecided]
        bound = values.min() if wanted == 1 else np.partition(values, wanted - 1)[wanted - 1]
        below = undecided[values < bound]
        sure.append(below)
        wanted -= len(below)
        undecided = undecided[values == bound]
    chosen = np.concatenate([*sure, undecided[:wanted]])
    # Positions that are equal in every key are of one piece, and in order there: a stable sort leaves them so.
    return chosen if count == 1 else chosen[np.lexsort([key[chosen] for key in reversed(keys)])]


def _shares(used: Ints, total: Ints) -> Floats:
    return np.divide(used, total, out=np.zeros(len(used)), where=total > 0)


def _share(used: int, total: int) -> float:
    return used / total if total > 0 else 0.0
