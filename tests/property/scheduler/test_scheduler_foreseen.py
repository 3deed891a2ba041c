"""What is foreseen of changes is what comes of them, replica by replica, and what is not told fares as without them."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Final

from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.support.honest import facts
from tests.support.spec import OPERATOR, Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.rules.failing import is_held_up
from omnitide.fabric.state import ON_NODE, Agent, FabricState, Instance, InstanceStatus, Phase
from omnitide.model.spec import Resources, Update
from omnitide.scheduler.foresee import Foreseen, Foresight
from omnitide.scheduler.moving import plan_moves
from omnitide.scheduler.place import MAX_PLACEMENTS, place
from omnitide.scheduler.slots import is_held
from omnitide.scheduler.table import NodeTable
from omnitide.scheduler.waiting import Waiting

NODES: Final = ("n1", "n2")
AGENTS: Final = ("a", "b")
UPDATES: Final = (
    Update(),
    Update(max_unavailable=2),
    Update(max_unavailable=0, max_surge=1),
    Update(max_unavailable=1, max_surge=1),
)
PLACER: Final = "system:placer"
UNTIL: Final = ("waits", "blocked", "stays")
"""What may pass by itself."""


@dataclass(frozen=True)
class Ends:
    """What the replica runs ends by itself, is tried again, and runs then."""

    agent: str
    slot: int


class Placed(Fabric):
    """A fabric in which the real placer and mover decide."""

    def end(self, which: Ends) -> None:
        """If it runs."""
        instance = of_slot(self.state, which.agent, which.slot)
        node = self.nodes[self.state.nodes[instance.node].name] if instance is not None and instance.node else None
        if instance is not None and node is not None and instance.id in node.running():
            self.exit(instance.id)

    def go(self) -> bool:
        """One round of each; whether anything has changed."""
        before = self.state.revision
        asks = Waiting(self.state).asks(self.time_ms + 1, MAX_PLACEMENTS)
        if asks.ready and (plan := place(NodeTable(self.state), asks.ready)).choices:
            self.when(cm.PlaceInstances(seen_revision=plan.seen_revision, choices=plan.choices), by=PLACER)
        if self.state.draining and (moves := plan_moves(self.state, NodeTable(self.state))).choices:
            self.when(moves, by=PLACER)
        for name in sorted(self.nodes):
            self.act(name)
        return self.state.revision != before

    def rest(self) -> None:
        for _ in range(400):
            if not self.go() and not self.wait_for_rollouts():
                return
        raise AssertionError("it does not come to rest")


def agents() -> st.SearchStrategy[str]:
    return st.sampled_from(AGENTS)


@st.composite
def deploys(draw: st.DrawFn, names: st.SearchStrategy[str] | None = None) -> cm.Command:
    """Each replica takes one processor: what fits does not depend on who comes first."""
    name, update = draw(names if names is not None else agents()), draw(st.sampled_from(UPDATES))
    what = spec("serve", draw(st.sampled_from(("v1", "v2"))), resources=Resources(cpu=1000, memory=1), update=update)
    return cm.DeployAgent(agent=name, namespace="default", name=name, spec=what, replicas=draw(st.integers(1, 3)))


CHANGES: Final = st.one_of(
    deploys(),
    st.builds(cm.ScaleAgent, namespace=st.just("default"), name=agents(), replicas=st.integers(0, 4)),
    st.builds(cm.RestartAgent, namespace=st.just("default"), name=agents()),
    st.builds(cm.RollBackAgent, namespace=st.just("default"), name=agents()),
    st.builds(cm.StopAgent, namespace=st.just("default"), name=agents()),
    st.builds(cm.PauseRollout, namespace=st.just("default"), name=agents()),
    st.builds(cm.ResumeRollout, namespace=st.just("default"), name=agents()),
    st.builds(cm.DrainNode, node=st.sampled_from(NODES)),
    st.builds(cm.CordonNode, node=st.sampled_from(NODES)),
    st.builds(cm.UncordonNode, node=st.sampled_from(NODES)),
)

ENDS: Final = st.builds(Ends, agent=agents(), slot=st.integers(1, 3))


@settings(max_examples=400)
@given(
    room=st.lists(st.integers(1, 5), min_size=1, max_size=2),
    begun=st.tuples(*(deploys(st.just(name)) for name in AGENTS)),
    past=st.lists(st.tuples(CHANGES, st.sampled_from((0, 1, 400, 400))), max_size=4),
    ends=st.lists(ENDS, max_size=2),
    changes=st.lists(CHANGES, min_size=1, max_size=2),
)
def test_what_is_foreseen_comes_about(
    room: list[int],
    begun: tuple[cm.Command, ...],
    past: list[tuple[cm.Command, int]],
    ends: list[Ends],
    changes: list[cm.Command],
) -> None:
    fabric = Placed()
    for name, cpus in zip(NODES, room, strict=False):
        fabric.join(name, node_facts=facts(cpu=cpus * 1000))
    fabric.given(*begun)
    for command, rounds in past:
        fabric.when(command)
        if rounds == 400:
            fabric.rest()
        else:
            for _ in range(rounds):
                fabric.go()
    for which in ends:
        fabric.end(which)
    before = fabric.state
    foresight = Foresight(before, fabric.time_ms)
    made = [one for one in changes if not isinstance(foresight.change(one, OPERATOR), Rejection)]
    for looked in (foresight.look(), foresight.tell()):
        for _ in looked:
            pass
    outlook = foresight.outlook()
    # How the next attempt of a version that rolls out ends is not known, nor what the rollout comes to by it.
    assert outlook.finished or hangs(foresight.state)
    unchanged = deepcopy(fabric)
    unchanged.rest()
    fabric.given(*made)
    rolled = [one for one in AGENTS if is_changed(before.agents.get(one), fabric.state.agents.get(one))]
    fabric.rest()
    if outlook.finished and not any(one in fabric.state.rolling for one in AGENTS if one not in rolled):
        assert outlook.held == sum(held_in(fabric.state, one) for one in rolled)
    assert len(outlook.replicas) == sum(outlook.counts.values())
    for one in outlook.replicas:
        event(one.fate)
        if one.fate in UNTIL and (not outlook.finished or "is to be tried again" in one.why):
            event("unknown")
            continue
        assert comes_about(before, fabric.state, one), one
    if outlook.held == outlook.kept == 0:
        told = {(one.agent, one.slot) for one in outlook.replicas}
        for agent in AGENTS:
            for slot in range(1, 5):
                after = of_slot(fabric.state, agent, slot)
                assert (agent, slot) in told or is_alike(before, after, of_slot(unchanged.state, agent, slot)), after


def hangs(state: FabricState) -> bool:
    """Whether a rollout that is not held up waits for what ended in its version, and is to be tried again."""
    agents = (state.agents[one] for one in state.rolling if not is_held_up(state, state.agents[one]))
    new = {(agent.id, agent.version) for agent in agents}
    return any(
        one.phase is Phase.WAITING and (one.workload, one.version) in new and one.status is InstanceStatus.STARTING
        for one in state.instances.values()
    )


def is_changed(before: Agent | None, after: Agent | None) -> bool:
    return before is None or after is None or before.version != after.version


def held_in(state: FabricState, identifier: str) -> int:
    """Replicas of an agent that are at an older version."""
    agent = state.agents.get(identifier)
    return sum(is_held(state, agent, number) for number in range(1, 5))


def comes_about(before: FabricState, after: FabricState, one: Foreseen) -> bool:
    current = of_slot(after, one.agent, one.slot)
    match one.fate:
        case "starts" | "moves" | "renews":
            earlier = before.instances.get(current.id) if current is not None else None
            anew = earlier is None or earlier.superseded or earlier.status not in ON_NODE
            # What was to take its place may have been there already.
            there = (before.instances[each] for each in before.nodes[one.before].instances) if one.before else ()
            anew = anew or any(
                each.superseded and (each.workload, each.slot) == (one.agent, one.slot) for each in there
            )
            return current is not None and current.status in ON_NODE and anew
        case "waits":
            return current is not None and current.status is InstanceStatus.PENDING
        case "stays" | "blocked":
            return bool(of_slot_on(after, one.before, one.agent, one.slot))
        case "stops":
            was = of_slot(before, one.agent, one.slot)
            return bool(one.why) or current is None or (was is not None and after.instances.get(was.id) is None)
        case "unheard":
            return False


def is_alike(before: FabricState, after: Instance | None, without: Instance | None) -> bool:
    """Nothing has become of it, or the same as becomes of it without the changes."""
    if after is None or after.id in before.instances:
        return without is None or after is None or after.status is without.status or after.id == without.id
    return without is not None and after.status is without.status


def of_slot_on(state: FabricState, node: str, identifier: str, number: int) -> list[Instance]:
    """All generations of a slot that are on a node."""
    there = [state.instances[each] for each in state.nodes[node].instances] if node else []
    return [each for each in there if (each.workload, each.slot) == (identifier, number)]


def of_slot(state: FabricState, identifier: str, number: int) -> Instance | None:
    agent = state.agents.get(identifier)
    slot = agent.slots.get(number) if agent is not None and agent.wants(number) else None
    return state.instances.get(slot.current) if slot is not None else None
