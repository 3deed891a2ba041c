"""Who waits for a node, grouped into asks and kept up to date, so that a plan costs what it places, not what waits."""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from omnitide.fabric.state import FabricState, Instance, spec_of_instance
from omnitide.scheduler.ask import Ask, Requirements, Waiter, requirements_of


class Asks(NamedTuple):
    ready: tuple[Ask, ...]
    next_due_ms: int | None
    """Log time at which the next instance ends its back-off; None if none is in one."""


class _Group:
    """Instances of one key. `order` holds the due ones; ones that have left stay in it until they are passed over."""

    __slots__ = ("_asked", "key", "members", "need", "order", "since", "tidy")

    def __init__(self, key: tuple[str, int, tuple[str, ...]], need: Requirements) -> None:
        self.key = key
        self.need = need
        self.members = 0
        """Due or not."""
        self.since: dict[str, int] = {}
        """Instance id -> since when it waits, of those due."""
        self.order: list[tuple[int, int, str]] = []
        """Slot, generation, id. Plain tuples: they sort faster, and the garbage collector lets go of them."""
        self.tidy = True
        self._asked: tuple[int, Ask | None] | None = None
        """The limit and the answer of the last `ask`, while nothing has changed."""

    def add(self, instance: Instance) -> None:
        self.since[instance.id] = instance.since_ms
        self.order.append((instance.slot, instance.generation, instance.id))
        self.tidy = False
        self._asked = None

    def drop(self, identifier: str) -> None:
        if self.since.pop(identifier, None) is not None:
            self._asked = None

    def ask(self, limit: int) -> Ask | None:
        """The first `limit` of those due; None if none is."""
        if self._asked is None or self._asked[0] != limit:
            waiters = self._first(limit)
            ask = None
            if waiters:
                workload, version, avoid = self.key
                ask = Ask(
                    workload=workload,
                    version=version,
                    need=self.need,
                    waiters=waiters,
                    total=len(self.since),
                    avoid=avoid,
                    since_ms=self.since[waiters[0].instance],
                )
            self._asked = (limit, ask)
        return self._asked[1]

    def _first(self, limit: int) -> list[Waiter]:
        if not self.tidy:
            self.order.sort()
            self.tidy = True
        found: list[tuple[int, int, str]] = []
        passed = 0
        for waiter in self.order:
            if len(found) == limit:
                break
            if waiter[2] in self.since and (not found or found[-1] != waiter):
                found.append(waiter)
            passed += 1
        if passed > len(found):
            self.order[:passed] = found
        return [Waiter(*waiter) for waiter in found]


class Waiting:
    """Who waits, by the committed state. One owner. Time is log time and never goes back."""

    def __init__(self, state: FabricState) -> None:
        self._groups: dict[tuple[str, int, tuple[str, ...]], _Group] = {}
        """By workload, version and nodes to avoid."""
        self._group_of: dict[str, _Group] = {}
        """Every instance that waits, due or not -> its group."""
        self._later: list[tuple[int, str]] = []
        """Heap of (not before, instance id); ones that have left stay until they come up."""
        self._not_due: dict[str, Instance] = {}
        self._pending = state.pending
        self.refresh(state, state.pending)

    def __len__(self) -> int:
        return len(self._group_of)

    def refresh(self, state: FabricState, changed: Iterable[str] | None = None) -> None:
        """Take over `state`: the instances in `changed` (ids), or whatever differs, which costs one look at each."""
        if changed is None:
            if state.pending is self._pending:
                return
            changed = [instance for instance in state.pending if instance not in self._group_of]
            changed += [instance for instance in self._group_of if instance not in state.pending]
        self._pending = state.pending
        for identifier in changed:
            waits = identifier in state.pending
            if waits and identifier not in self._group_of:
                self._enter(state, state.instances[identifier])
            elif not waits and identifier in self._group_of:
                self._leave(identifier)

    def asks(self, now_ms: int, limit: int) -> Asks:
        """What is due at `now_ms`, at most `limit` instances of each group, in order of group."""
        self._wake(now_ms)
        asked = (self._groups[key].ask(limit) for key in sorted(self._groups))
        ready = [ask for ask in asked if ask is not None]
        return Asks(ready=tuple(ready), next_due_ms=self._later[0][0] if self._later else None)

    def _enter(self, state: FabricState, instance: Instance) -> None:
        key = (instance.workload, instance.version, instance.avoids)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(key, requirements_of(spec_of_instance(state, instance)))
        self._group_of[instance.id] = group
        group.members += 1
        if instance.not_before_ms:
            self._not_due[instance.id] = instance
            heapq.heappush(self._later, (instance.not_before_ms, instance.id))
        else:
            group.add(instance)

    def _leave(self, identifier: str) -> None:
        group = self._group_of.pop(identifier)
        self._not_due.pop(identifier, None)
        group.drop(identifier)
        group.members -= 1
        if not group.members:
            del self._groups[group.key]

    def _wake(self, now_ms: int) -> None:
        while self._later and (self._later[0][0] <= now_ms or self._later[0][1] not in self._not_due):
            _, identifier = heapq.heappop(self._later)
            instance = self._not_due.pop(identifier, None)
            if instance is not None:
                self._group_of[identifier].add(instance)


def derive_asks(state: FabricState, now_ms: int, limit: int = 2**31) -> Asks:
    """What `state` asks for at a log time, from scratch."""
    return Waiting(state).asks(now_ms, limit)
