"""What would come of changes, replica by replica: where each would go, and what would not fit.

Nothing is guessed: the changes are decided as they would be, and then the fabric's own rules go on, with the scheduler
that places, until nothing more would happen. What is assumed is that nodes do as they are told: what is placed comes to
run and is well, what is to stop stops, and nothing else changes meanwhile.

What is told is what the changes do, and not what would happen without them: of the replicas that they are about, and of
others that wait, stop, are to leave their nodes or are being updated (if they are few) only where they would fare
otherwise. For that the same fabric is looked at without the changes, too.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Final, Literal

import msgspec

from omnitide.fabric import commands as cm
from omnitide.fabric.folds.availability import runs_on
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.rules.conditions import staying_volumes
from omnitide.fabric.rules.failing import proven_nodes
from omnitide.fabric.rules.moving import is_leaving, next_version
from omnitide.fabric.state import ENDED, FabricState, Instance, InstanceStatus
from omnitide.scheduler.blocked import why_blocked, why_not_released
from omnitide.scheduler.explain import explain_instance
from omnitide.scheduler.explanation import Explanation
from omnitide.scheduler.future import Future
from omnitide.scheduler.slots import current_in, is_held, is_kept, serving_in, slots_of, was_on_node
from omnitide.scheduler.unheard import replaced, why_unheard

MAX_STEPS: Final = 400
"""Decisions that are looked ahead. A rollout takes a few for as many replicas as may be away at once."""
MAX_LISTED: Final = 300
"""Replicas that are listed; all are counted."""
MAX_OTHERS: Final = 40
"""Replicas that the changes are not about, and that may fare otherwise by them. Where there are more they are not
looked at: their agents' rollouts and moves would take the steps that the changes need."""
TOLD_AT_ONCE: Final = 500
"""Replicas of which it is told what becomes of them before whoever asks may have had enough."""
MAX_EXPLAINED: Final = 20
"""Waiting replicas for which the reason is given why they fit nowhere; of one agent it is mostly the same."""

_REPLACED: Final = "the one that it was to replace goes on"
_PROMISED: Final = "the room elsewhere is promised to others that wait for theirs."
_WAITING: Final = ""
"""In the place of the node that a replica is on."""
_UNKNOWN: Final = "no other node is known to have what it needs: another replica could start on none."

Fate = Literal["starts", "moves", "renews", "stops", "blocked", "stays", "unheard", "waits"]
_WORST_FIRST: Final[tuple[Fate, ...]] = ("waits", "stays", "unheard", "blocked", "stops", "moves", "renews", "starts")
_AT_REST: Final = ENDED | {InstanceStatus.RUNNING}
_ANEW: Final = frozenset[Fate]({"starts", "moves", "renews"})
"""Of one that the changes are not about they are all the same: which node a rollout takes is no doing of theirs."""


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one replica."""

    fate: Fate
    """`renews`: another generation on the same node. `stays`: it should leave its node and fits on no other. `blocked`:
    it should, and fits on another, but its agent's update does not let it go. `unheard`: it should, and its node is
    not there to be told. `waits`: it fits on no node."""
    agent: str
    """Id."""
    slot: int
    before: str = ""
    """Id of the node that it is on."""
    after: str = ""
    why: str = ""
    """It stays, is blocked, unheard or waits; or it stops, and the one that it was to replace goes on."""


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    replicas: tuple[Foreseen, ...]
    counts: Mapping[Fate, int]
    kept: int
    """Replicas that a rollback would keep as they are, with its spec."""
    held: int
    """Replicas that the changes would leave at an older version, or on a node that they are to leave: what was looked
    ahead does not get to them."""
    finished: bool
    """False: it goes on further than was looked, or than is known, and what comes after is not told."""
    steps: int
    unseen: int = 0
    """Replicas that the changes are about of which it was not looked what becomes of them: they are in nothing else
    here."""
    lost: int = 0
    """Replicas that are lost on nodes that the changes drain: their next generations are there, or wait for a node."""


class Foresight:
    """A fabric's future, as far as it follows from what is known. Of one state, used once; no clock, no input."""

    def __init__(self, state: FabricState, now_ms: int) -> None:
        self._before = state
        self._future = Future(state, now_ms)
        self._without = Future(state, now_ms)
        """As it would be without the changes."""
        self._rolled: set[str] = set()
        """Agents of which every replica is concerned: they come, go, or get another version."""
        self._own: dict[str, set[int]] = {}
        """Slots of other agents that the changes are about."""
        self._emptied: frozenset[str] = frozenset()
        """Nodes that they drain."""
        self._counts: dict[Fate, int] = {}
        self._listed: dict[Fate, list[Foreseen]] = {fate: [] for fate in _WORST_FIRST}
        self._explanations: dict[tuple[str, int, str, int], Explanation] = {}
        self._kept = self._held = self._lost = self._explained = self._told = 0

    @property
    def state(self) -> FabricState:
        """As far as it has been looked."""
        return self._future.state

    def change(self, command: cm.Command, principal: str) -> Rejection | Mapping[str, str | int]:
        """Make a change that is wished for; the result of the decision. All changes come before the first step."""
        before = self._future.state
        refused = self._future.decide(command, principal)
        if isinstance(refused, Rejection):
            return refused
        after = self._future.state
        for identifier in _changed_agents(before, after):
            self._future.watch(identifier)
        for node in sorted(after.draining):
            if node not in before.draining:
                for one in _agents_on(after, node):
                    self._future.watch(one)
        return refused

    def look(self) -> Iterator[None]:
        """One step at a time, so that whoever looks can do something else in between."""
        self._attribute()
        for one in _under_way(self._before):
            self._future.watch(one)
        while self._future.steps < MAX_STEPS and not self._future.quiet:
            self._future.step()
            yield
        others = [one for one in self._future.watched if one not in self._rolled]
        for one in others:
            self._without.watch(one)
        while others and self._without.steps < MAX_STEPS and not self._without.quiet:
            self._without.step()
            yield

    def tell(self) -> Iterator[None]:
        """Find what has become of each replica, some at a time: of 100,000 that takes long by itself. Once, after what
        has been looked at."""
        looked = 0
        for identifier in self._future.watched:
            before, after = self._before.agents.get(identifier), self.state.agents.get(identifier)
            own = self._own.get(identifier, frozenset[int]())
            # What the changes are about comes first: there may be no time for all.
            for number in sorted(slots_of(before, after), key=lambda number: (number not in own, number)):
                explained = self._explained
                self._tell_of(identifier, number)
                self._told += identifier in self._rolled or number in own
                looked += 1
                if looked % TOLD_AT_ONCE == 0 or self._explained != explained:
                    yield

    def outlook(self) -> Outlook:
        """What `tell` has found so far."""
        agents = ((self._before.agents.get(one), self.state.agents.get(one)) for one in self._rolled)
        concerned = sum(len(slots_of(before, after)) for before, after in agents) + sum(map(len, self._own.values()))
        return Outlook(
            replicas=tuple(islice(chain.from_iterable(self._listed.values()), MAX_LISTED)),
            counts=dict(self._counts),
            kept=self._kept,
            held=self._held,
            finished=(self._future.quiet or self._is_over()) and not self._depends(),
            steps=self._future.steps,
            unseen=concerned - self._told,
            lost=self._lost,
        )

    # -- what the changes are about ------------------------------------------------------------------------------------

    def _attribute(self) -> None:
        """After the changes, before anything follows from them."""
        now = self._future.state
        self._emptied = frozenset(node for node in now.draining if node not in self._before.draining)
        self._lost = replaced(self._before, now)
        for identifier in self._future.watched:
            before, after = self._before.agents.get(identifier), now.agents.get(identifier)
            if before is None or after is None or before.version != after.version:
                self._rolled.add(identifier)
            elif before is not after:
                changed = {
                    number
                    for number in slots_of(before, after)
                    if current_in(self._before, before, number) is not current_in(now, after, number)
                }
                self._own.setdefault(identifier, set()).update(changed)
        for node in self._emptied:
            for one in self._before.nodes[node].instances:
                instance = self._before.instances[one]
                if instance.kind == "agent" and runs_on(instance):
                    self._own.setdefault(instance.workload, set()).add(instance.slot)

    def _is_over(self) -> bool:
        """Whether all that the changes are about has come to rest, though rollouts go on that they did not begin."""
        if self._rolled:
            return False
        for identifier, numbers in self._own.items():
            agent = self.state.agents.get(identifier)
            for number in numbers:
                current = current_in(self.state, agent, number)
                if current is not None and current.status not in _AT_REST:
                    return False
        there = (self.state.instances[one] for node in self._emptied for one in self.state.nodes[node].instances)
        return not any(one.kind == "agent" for one in there)

    def _depends(self) -> bool:
        """Whether what the changes come to depends on how the next attempt of a replica ends that waits to be tried
        again: in a version that rolls out, which goes on or halts by it."""
        if not self._future.quiet:
            return False
        hanging = self._future.hanging()
        # What changes an agent, and none of its replicas at once, lets its rollout go on.
        return bool(hanging and self._held) or any(one in self._own and not self._own[one] for one in hanging)

    # -- what is told --------------------------------------------------------------------------------------------------

    def _tell_of(self, identifier: str, number: int) -> None:
        state, without = self.state, self._without.state
        after = state.agents.get(identifier)
        rolled, own = identifier in self._rolled, number in self._own.get(identifier, ())
        if not rolled and not own:
            unchanged = without.agents.get(identifier)
            if current_in(state, after, number) is current_in(without, unchanged, number):
                return
        one = self._unheard(identifier, number) if own and not rolled else None
        if one is None:
            one = self._fate(self._future, identifier, number)
        if one is not None and not rolled and not own and self._would_be_so(one):
            one = None
        if one is not None:
            self._count(one)
        self._kept += is_kept(self._before, state, after, number)
        if rolled:
            self._held += is_held(state, after, number)
        elif not own and self._future.quiet and self._without.quiet and is_held(state, after, number):
            self._held += not is_held(without, without.agents.get(identifier), number)

    def _would_be_so(self, one: Foreseen) -> bool:
        """Whether the same becomes of a replica without the changes, as far as is known."""
        if one.fate in _ANEW and not self._without.quiet:
            return True
        other = self._fate(self._without, one.agent, one.slot)
        return other is not None and (other.fate == one.fate or {other.fate, one.fate} <= _ANEW)

    def _count(self, one: Foreseen) -> None:
        if one.fate in ("stays", "blocked"):
            found = self._kind_of_staying(one)
            if found is None:
                self._held += 1
                return
            one = found
        elif one.fate == "waits" and not self._future.quiet and self._fits(one):
            self._held += 1
            return
        self._counts[one.fate] = self._counts.get(one.fate, 0) + 1
        # Of each fate: those that are worse off are listed first, and may well be found last.
        listed = self._listed[one.fate]
        if len(listed) < MAX_LISTED:
            if one.fate == "waits" and self._explained < MAX_EXPLAINED:
                one = msgspec.structs.replace(one, why=self._why_it_waits(one))
            listed.append(one)

    def _fate(self, future: Future, identifier: str, number: int) -> Foreseen | None:
        """Of the slot of this number in that future; None: it goes on as it is. What is to leave its node `stays`,
        whatever keeps it."""
        state = future.state
        before, after = self._before.agents.get(identifier), state.agents.get(identifier)
        was = serving_in(self._before, before, number, self._emptied)
        now = current_in(state, after, number)
        start = was.node if was is not None else ""
        wanted = after is not None and after.wants(number)
        remains = state.instances.get(was.id) if was is not None else None
        if remains is not None and wanted and remains.node in state.draining and runs_on(remains):
            if is_leaving(state, remains) or remains.node in self._emptied:
                return Foreseen(fate="stays", agent=identifier, slot=number, before=start, after=start)
            if now is None or now.status is not InstanceStatus.PENDING:
                return None
        if was is not None and (now is None or not wanted or now.status in ENDED):
            return Foreseen(fate="stops", agent=identifier, slot=number, before=start)
        if now is None or not wanted:
            return None
        if now.status is InstanceStatus.PENDING:
            return Foreseen(fate="waits", agent=identifier, slot=number, before=start)
        if is_leaving(state, now):
            return Foreseen(fate="stays", agent=identifier, slot=number, before=now.node, after=now.node)
        if now.status in ENDED or (was is not None and was.id == now.id):
            return None
        if was_on_node(self._before, now) and not (was is not None and was.superseded):
            # It is its slot's own again: what was to take its place stops.
            taken_back = Foreseen(fate="stops", agent=identifier, slot=number, before=start, why=_REPLACED)
            return taken_back if was is not None else None
        if was is None:
            return Foreseen(fate="starts", agent=identifier, slot=number, after=now.node)
        fate: Fate = "renews" if start == now.node else "moves"
        return Foreseen(fate=fate, agent=identifier, slot=number, before=start, after=now.node)

    def _unheard(self, identifier: str, number: int) -> Foreseen | None:
        """Of the slot of this number, if what is to leave its node is on one that cannot be told so."""
        was = serving_in(self._before, self._before.agents.get(identifier), number, self._emptied)
        why = why_unheard(self._before, was) if was is not None and was.node in self._emptied else ""
        if was is None or not why:
            return None
        return Foreseen(fate="unheard", agent=identifier, slot=number, before=was.node, after=was.node, why=why)

    def _kind_of_staying(self, one: Foreseen) -> Foreseen | None:
        """What keeps on its node what is to leave it; None: nothing, it was not looked so far ahead."""
        state, now_ms = self.state, self._future.now_ms
        agent = state.agents[one.agent]
        instance = serving_in(state, agent, one.slot, frozenset({one.before}))
        if instance is None:
            return one
        if instance.superseded and not is_leaving(state, instance):
            why = why_not_released(state, instance)
            return msgspec.structs.replace(one, fate="blocked", why=why) if self._future.quiet else None
        version = next_version(state, agent, instance)
        spec = agent.versions[version].spec
        key = (agent.id, version, one.before, one.slot if staying_volumes(spec) else 0)
        found = self._explain(key, instance)
        if found.verdict != "fits-now":
            return msgspec.structs.replace(one, fate="stays", why=found.text)
        if not self._future.quiet:
            return None
        blocked = why_blocked(state, instance, now_ms, generations=False)
        if blocked:
            return msgspec.structs.replace(one, fate="blocked", why=blocked)
        why = _PROMISED if proven_nodes(state, agent, version) is None else _UNKNOWN
        return msgspec.structs.replace(one, fate="stays", why=why)

    def _fits(self, one: Foreseen) -> bool:
        """Whether what waits for a node has only not been given one yet, as far as it was looked."""
        found = self._explained_waiting(one)
        return found is not None and found.verdict == "fits-now"

    def _why_it_waits(self, one: Foreseen) -> str:
        found = self._explained_waiting(one)
        return found.text if found is not None else ""

    def _explained_waiting(self, one: Foreseen) -> Explanation | None:
        agent = self.state.agents.get(one.agent)
        current = current_in(self.state, agent, one.slot)
        if agent is None or current is None:
            return None
        alone = current.pinned or staying_volumes(agent.versions[current.version].spec)
        key = (agent.id, current.version, _WAITING, one.slot if alone else 0)
        return self._explain(key, current)

    def _explain(self, key: tuple[str, int, str, int], instance: Instance) -> Explanation:
        """Once for all that are alike, which have the same key."""
        found = self._explanations.get(key)
        if found is None:
            self._explained += 1
            found = explain_instance(self.state, self._future.table(), instance, now_ms=self._future.now_ms)
            self._explanations[key] = found
        return found


def _under_way(state: FabricState) -> list[str]:
    """Ids of agents that have replicas which wait for a node, stop, are to leave their node, or are to be updated; none
    where those are too many."""
    found: dict[str, None] = {}
    several = len(state.pending) + sum(len(state.nodes[node].instances) for node in state.draining)
    if several > MAX_OTHERS:
        return []
    for one in chain(state.pending, *(sorted(state.nodes[node].instances) for node in state.draining)):
        instance = state.instances[one]
        if instance.kind == "agent" and instance.workload in state.agents:
            found[instance.workload] = None
    for identifier, agent in state.agents.items():
        if identifier in state.rolling or agent.counts.stopping:
            several += len(agent.slots)
            if several > MAX_OTHERS:
                return []
            found[identifier] = None
    return sorted(found)


def _agents_on(state: FabricState, node: str) -> list[str]:
    instances = (state.instances[one] for one in sorted(state.nodes[node].instances))
    return [one.workload for one in instances if one.kind == "agent" and one.workload in state.agents]


def _changed_agents(before: FabricState, after: FabricState) -> list[str]:
    if before.agents is after.agents:
        return []
    same = before.agents
    changed = [identifier for identifier, agent in after.agents.items() if same.get(identifier) is not agent]
    return sorted([*changed, *(identifier for identifier in same if identifier not in after.agents)])
