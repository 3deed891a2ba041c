"""What would come of changes, replica by replica: where each would go, and what would not fit.

Nothing is guessed: the changes are decided as they would be, and then the fabric's own rules go on, with the scheduler
that places, until nothing more would happen. What is assumed is that nodes do as they are told: what is placed comes to
run and is well, what is to stop stops, and nothing else changes meanwhile.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Final, Literal

import msgspec

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.decide import decide
from omnitide.fabric.folds.availability import runs_on
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.rules.moving import is_leaving
from omnitide.fabric.rules.rolling import next_due
from omnitide.fabric.state import (
    ENDED,
    ON_NODE,
    Agent,
    ExitRecord,
    FabricState,
    Health,
    Instance,
    InstanceStatus,
    NodeStatus,
    Phase,
)
from omnitide.scheduler.explain import explain_instance
from omnitide.scheduler.moving import plan_moves
from omnitide.scheduler.place import MAX_PLACEMENTS, place
from omnitide.scheduler.table import NodeTable
from omnitide.scheduler.waiting import Waiting

MAX_STEPS: Final = 400
"""Decisions that are looked ahead. A rollout takes a few for as many replicas as may be away at once."""
MAX_LISTED: Final = 300
"""Replicas that are listed; all are counted."""
TOLD_AT_ONCE: Final = 500
"""Replicas of which it is told what becomes of them before whoever asks may have had enough."""
MAX_EXPLAINED: Final = 20
"""Replicas for which the reason is given why they fit nowhere; of one agent it is mostly the same."""

_SYSTEM: Final = "system:foresight"
_REPLACED: Final = "the one that it was to replace goes on"
_COMING: Final = frozenset({InstanceStatus.PLACED, InstanceStatus.STARTING})

Fate = Literal["starts", "moves", "renews", "stops", "stays", "waits"]
_WORST_FIRST: Final[tuple[Fate, ...]] = ("waits", "stays", "stops", "moves", "renews", "starts")


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one replica."""

    fate: Fate
    """`renews`: another generation on the same node. `stays`: it should leave its node and fits on no other. `waits`:
    it fits on no node."""
    agent: str
    """Id."""
    slot: int
    before: str = ""
    """Id of the node that it is on."""
    after: str = ""
    why: str = ""
    """It stays or waits; or it stops, and the one that it was to replace goes on."""


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    replicas: tuple[Foreseen, ...]
    counts: Mapping[Fate, int]
    kept: int
    """Replicas that a rollback would keep as they are, with its spec."""
    held: int
    """Replicas that would stay at an older version: the rollout would not get to them."""
    finished: bool
    """False: it goes on further than was looked, and what comes after is not told."""
    steps: int
    unseen: int = 0
    """Replicas of which it was not looked what becomes of them: they are in nothing else here."""


class Foresight:
    """A fabric's future, as far as it follows from what is known. Of one state, used once; no clock, no input."""

    def __init__(self, state: FabricState, now_ms: int) -> None:
        self._before = state
        self._state = state
        self._now_ms = max(now_ms, state.time_ms)
        self._table: NodeTable | None = None
        self._waiting: Waiting | None = None
        self._concerned: dict[str, None] = {}
        """Agents that the changes are about."""
        self._unsettled: dict[str, None] = {}
        """Instances of which a node will have something to say."""
        self._steps = 0
        self._quiet = False
        self._counts: dict[Fate, int] = {}
        self._listed: dict[Fate, list[Foreseen]] = {fate: [] for fate in _WORST_FIRST}
        self._kept = self._held = self._explained = self._told = 0

    @property
    def state(self) -> FabricState:
        """As far as it has been looked."""
        return self._state

    def change(self, command: cm.Command, principal: str) -> Rejection | Mapping[str, str | int]:
        """Make a change that is wished for; the result of the decision. All changes come before the first step."""
        before = self._state
        refused = self._decide(command, principal)
        if isinstance(refused, Rejection):
            return refused
        for identifier in _changed_agents(before, self._state):
            self._concern(identifier)
        for node in sorted(self._state.draining):
            if node not in before.draining:
                self._concern_node(node)
        return refused

    def look(self) -> Iterator[None]:
        """One step at a time, so that whoever looks can do something else in between."""
        while self._steps < MAX_STEPS and not self._quiet:
            self._quiet = not self._step()
            self._steps += 1
            yield

    def tell(self) -> Iterator[None]:
        """Find what has become of each replica, some at a time: of 100,000 that takes long by itself. Once, after what
        has been looked at."""
        for identifier in self._concerned:
            before, after = self._before.agents.get(identifier), self._state.agents.get(identifier)
            for number in sorted(_slots_of(before, after)):
                explained = self._explained
                self._tell_of(before, after, number)
                self._told += 1
                if self._told % TOLD_AT_ONCE == 0 or self._explained != explained:
                    yield

    def outlook(self) -> Outlook:
        """What `tell` has found so far."""
        agents = ((self._before.agents.get(one), self._state.agents.get(one)) for one in self._concerned)
        return Outlook(
            replicas=tuple(islice(chain.from_iterable(self._listed.values()), MAX_LISTED)),
            counts=dict(self._counts),
            kept=self._kept,
            held=self._held,
            finished=self._quiet,
            steps=self._steps,
            unseen=sum(len(_slots_of(before, after)) for before, after in agents) - self._told,
        )

    # -- one step ------------------------------------------------------------------------------------------------------

    def _step(self) -> bool:
        """Whether anything would happen."""
        return self._places() or self._moves() or self._reports() or self._advances()

    def _decide(self, command: cm.Command, principal: str) -> Rejection | Mapping[str, str | int]:
        self._now_ms += 1
        decision = decide(self._state, command, cm.Header(principal=principal, time_ms=self._now_ms))
        if isinstance(decision, Rejection):
            return decision
        for event in decision.entry.events:
            if isinstance(event, ev.InstancesPlaced):
                self._unsettled.update((one.instance, None) for one in event.placements)
            elif isinstance(event, ev.InstanceStopRequested):
                self._unsettled[event.instance] = None
        self._state = decision.state
        return decision.result

    def _goes(self, command: cm.Command, principal: str = _SYSTEM) -> bool:
        """Whether it changed something."""
        revision = self._state.revision
        return not isinstance(self._decide(command, principal), Rejection) and self._state.revision != revision

    def _seen(self) -> NodeTable:
        if self._table is None:
            self._table = NodeTable(self._state)
        self._table.refresh(self._state)
        return self._table

    def _places(self) -> bool:
        if self._waiting is None:
            self._waiting = Waiting(self._state)
        self._waiting.refresh(self._state)
        asks = self._waiting.asks(self._now_ms, MAX_PLACEMENTS)
        if not asks.ready:
            return False
        plan = place(self._seen(), asks.ready)
        return bool(plan.choices) and self._goes(
            cm.PlaceInstances(seen_revision=plan.seen_revision, choices=plan.choices)
        )

    def _moves(self) -> bool:
        if not self._state.draining:
            return False
        moves = plan_moves(self._state, self._seen())
        return bool(moves.choices) and self._goes(moves)

    def _reports(self) -> bool:
        """Each node says that what it was told has been done."""
        told: dict[str, list[cm.InstanceReport]] = {}
        for identifier in self._unsettled:
            instance = self._state.instances.get(identifier)
            report = _report(self._state, instance) if instance is not None else None
            if instance is not None and report is not None:
                told.setdefault(instance.node, []).append(report)
        self._unsettled.clear()
        changed = False
        for identifier in sorted(told):
            node = self._state.nodes[identifier]
            command = cm.ReportInstances(
                node=node.id,
                session=node.session,
                outbox=node.outbox,
                first_sequence=node.sequence + 1,
                reports=tuple(told[identifier]),
            )
            changed |= self._goes(command, f"node:{node.id}")
        return changed

    def _advances(self) -> bool:
        """The next replica of a rollout has run for long enough."""
        rolling = [
            (due, identifier)
            for identifier in self._concerned
            if identifier in self._state.rolling
            and (due := next_due(self._state, self._state.agents[identifier])) is not None
        ]
        if not rolling:
            return False
        due = min(due for due, _ in rolling)
        self._now_ms = max(self._now_ms, due)
        agents = tuple(one for at, one in rolling if at <= self._now_ms)
        return self._goes(cm.AdvanceRollouts(agents=agents, late=agents))

    # -- who is looked at ----------------------------------------------------------------------------------------------

    def _concern(self, identifier: str) -> None:
        if identifier in self._concerned:
            return
        self._concerned[identifier] = None
        agent = self._state.agents.get(identifier)
        if agent is None:
            return
        for slot in agent.slots.values():
            instance = self._state.instances.get(slot.current)
            if instance is not None and (instance.status in _COMING or instance.status is InstanceStatus.STOPPING):
                self._unsettled[instance.id] = None

    def _concern_node(self, node: str) -> None:
        for identifier in sorted(self._state.nodes[node].instances):
            instance = self._state.instances[identifier]
            if instance.kind == "agent" and instance.workload in self._state.agents:
                self._concern(instance.workload)

    # -- what is told --------------------------------------------------------------------------------------------------

    def _tell_of(self, before: Agent | None, after: Agent | None, number: int) -> None:
        one = self._fate(before, after, number)
        if one is not None:
            self._counts[one.fate] = self._counts.get(one.fate, 0) + 1
            # Of each fate: those that are worse off are listed first, and may well be found last.
            listed = self._listed[one.fate]
            if len(listed) < MAX_LISTED:
                if one.fate in ("stays", "waits") and self._explained < MAX_EXPLAINED:
                    self._explained += 1
                    one = msgspec.structs.replace(one, why=self._why(one))
                listed.append(one)
        self._kept += _is_kept(self._before, self._state, after, number)
        self._held += _is_held(self._state, after, number)

    def _fate(self, before: Agent | None, after: Agent | None, number: int) -> Foreseen | None:
        """Of the slot of this number; None: it goes on as it is."""
        agent = after or before
        if agent is None:
            return None
        was = _serving(self._before, before, number)
        now = _current(self._state, after, number)
        start = was.node if was is not None else ""
        wanted = after is not None and after.wants(number)
        if was is not None and (now is None or not wanted or now.status in ENDED):
            return Foreseen(fate="stops", agent=agent.id, slot=number, before=start)
        if now is None or not wanted:
            return None
        if now.status is InstanceStatus.PENDING:
            return Foreseen(fate="waits", agent=agent.id, slot=number, before=start)
        if is_leaving(self._state, now):
            return Foreseen(fate="stays", agent=agent.id, slot=number, before=now.node, after=now.node)
        if now.status in ENDED or (was is not None and was.id == now.id):
            return None
        if _was_on_node(self._before, now):
            # It is its slot's own again: what was to take its place stops.
            taken_back = Foreseen(fate="stops", agent=agent.id, slot=number, before=start, why=_REPLACED)
            return taken_back if was is not None else None
        if was is None:
            return Foreseen(fate="starts", agent=agent.id, slot=number, after=now.node)
        fate: Fate = "renews" if start == now.node else "moves"
        return Foreseen(fate=fate, agent=agent.id, slot=number, before=start, after=now.node)

    def _why(self, one: Foreseen) -> str:
        current = _current(self._state, self._state.agents.get(one.agent), one.slot)
        if current is None:
            return ""
        return explain_instance(self._state, self._seen(), current, now_ms=self._now_ms).text


def _changed_agents(before: FabricState, after: FabricState) -> list[str]:
    if before.agents is after.agents:
        return []
    same = before.agents
    changed = [identifier for identifier, agent in after.agents.items() if same.get(identifier) is not agent]
    return sorted([*changed, *(identifier for identifier in same if identifier not in after.agents)])


def _current(state: FabricState, agent: Agent | None, number: int) -> Instance | None:
    slot = agent.slots.get(number) if agent is not None else None
    return state.instances.get(slot.current) if slot is not None else None


def _serving(state: FabricState, agent: Agent | None, number: int) -> Instance | None:
    """What of a slot is on a node and has not been asked to stop."""
    current = _current(state, agent, number)
    if current is not None and current.status in ON_NODE and current.status is not InstanceStatus.STOPPING:
        return current
    if agent is None:
        return None
    others = (state.instances[identifier] for identifier in sorted(agent.superseded))
    return next((one for one in others if one.slot == number and one.status in ON_NODE), None)


def _was_on_node(before: FabricState, now: Instance) -> bool:
    """Also one that was being stopped: where its node says nothing of it, nobody knows what follows it."""
    was = before.instances.get(now.id)
    return was is not None and was.status in ON_NODE


def _slots_of(before: Agent | None, after: Agent | None) -> set[int]:
    return {*(before.slots if before is not None else ()), *(after.slots if after is not None else ())}


def _is_kept(before: FabricState, state: FabricState, agent: Agent | None, number: int) -> bool:
    """Whether a rollback that was looked at takes over what is in this slot."""
    current = _current(state, agent, number)
    was = before.instances.get(current.id) if current is not None else None
    return current is not None and was is not None and runs_on(current) and current.kept_ms > was.kept_ms


def _is_held(state: FabricState, agent: Agent | None, number: int) -> bool:
    """Whether a rollout does not get to this slot."""
    if agent is None or not agent.rollout_cursor or not agent.wants(number):
        return False
    current = _current(state, agent, number)
    return current is not None and current.status in ON_NODE and current.version != agent.version


def _report(state: FabricState, instance: Instance) -> cm.InstanceReport | None:
    """What its node will say of it; None: nothing, as far as can be known."""
    node = state.nodes.get(instance.node)
    if node is None or node.status is not NodeStatus.LIVE or not node.session:
        return None
    attempt = max(1, instance.attempt)
    if instance.status is InstanceStatus.STOPPING:
        return cm.InstanceReport(
            instance=instance.id,
            attempt=attempt,
            phase=Phase.ENDED,
            outcome="stopped",
            exit=ExitRecord(attempt=attempt, reason="stopped"),
        )
    # One that waits to be tried again after it ended may end again: nothing is known of it.
    if instance.status in _COMING and instance.phase is not Phase.WAITING:
        return cm.InstanceReport(
            instance=instance.id, attempt=attempt, phase=Phase.RUNNING, health=Health.HEALTHY, handle="foreseen"
        )
    return None
