"""Who waits for a node, grouped into asks and kept up to date, so that a plan costs what it places, not what waits."""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from omnitide.fabric.rules.conditions import company, needs_are_met, only_node, volume_holder
from omnitide.fabric.state import FabricState, Instance, spec_of_instance
from omnitide.model.spec import WorkloadSpec
from omnitide.scheduler.ask import Ask, Waiter, requirements_of


class Asks(NamedTuple):
    ready: tuple[Ask, ...]
    next_due_ms: int | None
    """Log time at which the next instance ends its back-off; None if none is in one."""


class _Key(NamedTuple):
    workload: str
    version: int
    avoids: tuple[str, ...]
    only: str
    """See `conditions.only_node`."""


class _Group:
    """Instances of one key. `order` holds the due ones; ones that have left stay in it until they are passed over."""

    __slots__ = ("_asked", "key", "members", "namespace", "need", "order", "since", "spec", "tidy")

    def __init__(self, key: _Key, spec: WorkloadSpec, namespace: str) -> None:
        self.key = key
        self.need = requirements_of(spec)
        self.spec = spec
        self.namespace = namespace
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
                workload, version, avoid, only = self.key
                ask = Ask(
                    workload=workload,
                    version=version,
                    need=self.need,
                    waiters=waiters,
                    total=len(self.since),
                    avoid=avoid,
                    only=(only,) if only else (),
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
        self._groups: dict[_Key, _Group] = {}
        self._group_of: dict[str, _Group] = {}
        """Every instance that waits, due or not -> its group."""
        self._later: list[tuple[int, str]] = []
        """Heap of (not before, instance id); ones that have left stay until they come up."""
        self._not_due: dict[str, Instance] = {}
        self._pending = state.pending
        self._nodes = state.nodes
        self._bound: dict[str, None] = {}
        """Instances that may be placed on one node alone, or might be bound anew when nodes change."""
        self._held: dict[str, None] = {}
        """Instances whose volumes another generation of their slot still has."""
        self._needy: dict[_Key, None] = {}
        """Groups that need others of their namespace."""
        self._state = state
        self.refresh(state, state.pending)

    def __len__(self) -> int:
        return len(self._group_of)

    def refresh(self, state: FabricState, changed: Iterable[str] | None = None) -> None:
        """Take over `state`: the instances in `changed` (ids), or whatever differs, which costs one look at each."""
        self._state = state
        if self._bound and state.nodes is not self._nodes:
            self._bind(state)
        self._nodes = state.nodes
        for identifier in [*self._held]:
            instance = state.instances.get(identifier)
            if instance is not None and identifier in state.pending and volume_holder(state, instance) is None:
                self._leave(identifier)
                self._enter(state, instance)
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

    @property
    def needy(self) -> bool:
        """Whether something waits that needs other agents or jobs, which may be as it needs them at any time."""
        return bool(self._needy)

    def asks(self, now_ms: int, limit: int) -> Asks:
        """What is due at `now_ms` and has what it needs of others, at most `limit` instances of each group, in order of
        group."""
        self._wake(now_ms)
        ready: list[Ask] = []
        companies: dict[tuple[str, str], frozenset[str]] = {}
        for key in sorted(self._groups):
            group = self._groups[key]
            if key in self._needy and not needs_are_met(self._state, group.namespace, group.spec):
                continue
            ask = group.ask(limit)
            if ask is not None and group.spec.together is not None:
                ask = self._with_company(ask, group.namespace, group.spec.together, companies)
            if ask is not None:
                ready.append(ask)
        return Asks(ready=tuple(ready), next_due_ms=self._later[0][0] if self._later else None)

    def _with_company(
        self, ask: Ask, namespace: str, word: str, companies: dict[tuple[str, str], frozenset[str]]
    ) -> Ask | None:
        """The ask on the nodes where its company is; None if it has to be elsewhere."""
        found = companies.get((namespace, word))
        if found is None:
            found = companies[(namespace, word)] = company(self._state, namespace, word)
        allowed = tuple(sorted(found.intersection(ask.only) if ask.only and found else found or ask.only))
        if found and not allowed:
            return None
        return msgspec.structs.replace(ask, only=allowed, together=f"{namespace}/{word}")

    def _bind(self, state: FabricState) -> None:
        """Group those anew that nodes bind, when nodes have come, gone or changed."""
        for identifier in [*self._bound]:
            instance = state.instances.get(identifier)
            if instance is None or identifier not in state.pending:
                continue
            if only_node(state, instance) != self._group_of[identifier].key.only:
                self._leave(identifier)
                self._enter(state, instance)

    def _enter(self, state: FabricState, instance: Instance) -> None:
        spec = spec_of_instance(state, instance)
        only = only_node(state, instance)
        if instance.pinned or spec.volumes:
            self._bound[instance.id] = None
        key = _Key(instance.workload, instance.version, instance.avoids, only)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(key, spec, instance.namespace)
            if spec.needs:
                self._needy[key] = None
        self._group_of[instance.id] = group
        group.members += 1
        if volume_holder(state, instance) is not None:
            self._held[instance.id] = None
        elif instance.not_before_ms:
            self._not_due[instance.id] = instance
            heapq.heappush(self._later, (instance.not_before_ms, instance.id))
        else:
            group.add(instance)

    def _leave(self, identifier: str) -> None:
        group = self._group_of.pop(identifier)
        self._bound.pop(identifier, None)
        self._held.pop(identifier, None)
        self._not_due.pop(identifier, None)
        group.drop(identifier)
        group.members -= 1
        if not group.members:
            del self._groups[group.key]
            self._needy.pop(group.key, None)

    def _wake(self, now_ms: int) -> None:
        while self._later and (self._later[0][0] <= now_ms or self._later[0][1] not in self._not_due):
            _, identifier = heapq.heappop(self._later)
            instance = self._not_due.pop(identifier, None)
            if instance is not None:
                self._group_of[identifier].add(instance)


def derive_asks(state: FabricState, now_ms: int, limit: int = 2**31) -> Asks:
    """What `state` asks for at a log time, from scratch."""
    return Waiting(state).asks(now_ms, limit)
