"""A fabric as it goes on by itself: decisions, places and moves, and the reports of nodes that do as they are told.

No clock and no input: it goes from one thing that is due to the next, until nothing more would happen.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.decide import decide
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.rules.failing import is_held_up
from omnitide.fabric.rules.rolling import next_due
from omnitide.fabric.state import (
    Agent,
    ExitRecord,
    FabricState,
    Health,
    Instance,
    InstanceStatus,
    Phase,
)
from omnitide.scheduler.moving import plan_moves
from omnitide.scheduler.place import MAX_PLACEMENTS, place
from omnitide.scheduler.table import NodeTable
from omnitide.scheduler.unheard import hears
from omnitide.scheduler.waiting import Waiting

_SYSTEM: Final = "system:foresight"
_COMING: Final = frozenset({InstanceStatus.PLACED, InstanceStatus.STARTING})


class Future:
    """Of one state. Rollouts go on, and nodes report, of the agents alone that are watched."""

    def __init__(self, state: FabricState, now_ms: int) -> None:
        self._state = state
        self._now_ms = max(now_ms, state.time_ms)
        self._table: NodeTable | None = None
        self._waiting: Waiting | None = None
        self._watched: dict[str, None] = {}
        self._unsettled: dict[str, None] = {}
        """Instances of which a node will have something to say."""
        self._steps = 0
        self._quiet = False

    @property
    def state(self) -> FabricState:
        """As far as it has come."""
        return self._state

    @property
    def now_ms(self) -> int:
        """Log time there."""
        return self._now_ms

    @property
    def steps(self) -> int:
        return self._steps

    @property
    def quiet(self) -> bool:
        """Nothing more would happen."""
        return self._quiet

    def hanging(self) -> list[str]:
        """Ids of agents whose rollout goes on or halts by how the next attempt of a replica of its version ends: it
        ended, and is to be tried again."""
        return [
            agent.id
            for agent in self._rolling_out()
            if any(one.version == agent.version for one in _to_be_tried_again(self._state, agent))
        ]

    @property
    def watched(self) -> Mapping[str, None]:
        """Ids of agents, in the order in which they came to be."""
        return self._watched

    def watch(self, identifier: str) -> None:
        """An agent, whether it is there or not."""
        if identifier in self._watched:
            return
        self._watched[identifier] = None
        agent = self._state.agents.get(identifier)
        if agent is None:
            return
        currents = (slot.current for slot in agent.slots.values())
        for one in chain(currents, sorted(agent.superseded), sorted(agent.strays)):
            instance = self._state.instances.get(one)
            if instance is not None and (instance.status in _COMING or instance.status is InstanceStatus.STOPPING):
                self._unsettled[instance.id] = None

    def decide(self, command: cm.Command, principal: str) -> Rejection | Mapping[str, str | int]:
        """Make a change there; the result of the decision."""
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

    def step(self) -> None:
        """Go on by one decision of each kind, or find that nothing more would happen."""
        self._quiet = not self._step()
        self._steps += 1

    def table(self) -> NodeTable:
        """Of the nodes as they are there."""
        if self._table is None:
            self._table = NodeTable(self._state)
        self._table.refresh(self._state)
        return self._table

    def _step(self) -> bool:
        """Whether anything would happen."""
        return self._places() or self._moves() or self._reports() or self._advances() or self._tries_again()

    def _goes(self, command: cm.Command, principal: str = _SYSTEM) -> bool:
        """Whether it changed something."""
        revision = self._state.revision
        return not isinstance(self.decide(command, principal), Rejection) and self._state.revision != revision

    def _places(self) -> bool:
        if self._waiting is None:
            self._waiting = Waiting(self._state)
        self._waiting.refresh(self._state)
        asks = self._waiting.asks(self._now_ms, MAX_PLACEMENTS)
        if not asks.ready:
            return False
        plan = place(self.table(), asks.ready)
        return bool(plan.choices) and self._goes(
            cm.PlaceInstances(seen_revision=plan.seen_revision, choices=plan.choices)
        )

    def _moves(self) -> bool:
        if not self._state.draining:
            return False
        moves = plan_moves(self._state, self.table())
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
        return self._told(told)

    def _tries_again(self) -> bool:
        """What waits to be tried again in an older version comes to run where a rollout has come no further for it.

        It makes way then, as it does if it ends once more instead: for good, after as many attempts as its spec allows.
        """
        told: dict[str, list[cm.InstanceReport]] = {}
        for agent in self._rolling_out():
            for instance in _to_be_tried_again(self._state, agent):
                if instance.version != agent.version:
                    told.setdefault(instance.node, []).append(_runs(instance))
        return self._told(told)

    def _rolling_out(self) -> Iterator[Agent]:
        """Agents of which the rollout is under way, and not held up."""
        for identifier in self._watched:
            agent = self._state.agents.get(identifier) if identifier in self._state.rolling else None
            if agent is not None and agent.rollout_cursor and not is_held_up(self._state, agent):
                yield agent

    def _told(self, told: Mapping[str, list[cm.InstanceReport]]) -> bool:
        """Nodes (by id) report; whether it changed something."""
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
            for identifier in self._watched
            if identifier in self._state.rolling
            and (due := next_due(self._state, self._state.agents[identifier])) is not None
        ]
        if not rolling:
            return False
        due = min(due for due, _ in rolling)
        self._now_ms = max(self._now_ms, due)
        agents = tuple(one for at, one in rolling if at <= self._now_ms)
        return self._goes(cm.AdvanceRollouts(agents=agents, late=agents))


def _report(state: FabricState, instance: Instance) -> cm.InstanceReport | None:
    """What its node will say of it; None: nothing, as far as can be known."""
    node = state.nodes.get(instance.node)
    if node is None or not hears(node):
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
        return _runs(instance)
    return None


def _runs(instance: Instance) -> cm.InstanceReport:
    """In the attempt that it is in, or after the one that ended."""
    attempt = instance.attempt + 1 if instance.phase is Phase.WAITING else max(1, instance.attempt)
    return cm.InstanceReport(
        instance=instance.id, attempt=attempt, phase=Phase.RUNNING, health=Health.HEALTHY, handle="foreseen"
    )


def _to_be_tried_again(state: FabricState, agent: Agent) -> Iterator[Instance]:
    """Its replicas that ended and are to be tried again where they are, on nodes that hear."""
    if not agent.counts.starting and not agent.superseded:
        return
    for one in chain((slot.current for slot in agent.slots.values()), sorted(agent.superseded)):
        instance = state.instances.get(one)
        if instance is None or instance.status not in _COMING or instance.phase is not Phase.WAITING:
            continue
        node = state.nodes.get(instance.node)
        if node is not None and hears(node):
            yield instance
