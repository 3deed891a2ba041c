"""What is foreseen of changes is what comes of them, replica by replica, and what is not told fares as without them."""

from copy import deepcopy
from typing import Final

from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.support.honest import facts
from tests.support.spec import OPERATOR, Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import ON_NODE, FabricState, Instance, InstanceStatus
from omnitide.model.spec import Resources, Update
from omnitide.scheduler.foresee import Foreseen, Foresight
from omnitide.scheduler.moving import plan_moves
from omnitide.scheduler.place import MAX_PLACEMENTS, place
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


class Placed(Fabric):
    """A fabric in which the real placer and mover decide."""

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


@settings(max_examples=400)
@given(
    room=st.lists(st.integers(1, 5), min_size=1, max_size=2),
    begun=st.tuples(*(deploys(st.just(name)) for name in AGENTS)),
    past=st.lists(st.tuples(CHANGES, st.sampled_from((0, 1, 400, 400))), max_size=4),
    changes=st.lists(CHANGES, min_size=1, max_size=2),
)
def test_what_is_foreseen_comes_about(
    room: list[int], begun: tuple[cm.Command, ...], past: list[tuple[cm.Command, int]], changes: list[cm.Command]
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
    before = fabric.state
    foresight = Foresight(before, fabric.time_ms)
    made = [one for one in changes if not isinstance(foresight.change(one, OPERATOR), Rejection)]
    for looked in (foresight.look(), foresight.tell()):
        for _ in looked:
            pass
    outlook = foresight.outlook()
    assert outlook.finished
    unchanged = deepcopy(fabric)
    unchanged.rest()
    fabric.given(*made)
    fabric.rest()
    assert len(outlook.replicas) == sum(outlook.counts.values())
    for one in outlook.replicas:
        event(one.fate)
        assert comes_about(before, fabric.state, one), one
    if outlook.held == outlook.kept == 0:
        told = {(one.agent, one.slot) for one in outlook.replicas}
        for agent in AGENTS:
            for slot in range(1, 5):
                after = of_slot(fabric.state, agent, slot)
                assert (agent, slot) in told or is_alike(before, after, of_slot(unchanged.state, agent, slot)), after


def comes_about(before: FabricState, after: FabricState, one: Foreseen) -> bool:
    current = of_slot(after, one.agent, one.slot)
    match one.fate:
        case "starts" | "moves" | "renews":
            earlier = before.instances.get(current.id) if current is not None else None
            anew = earlier is None or earlier.superseded or earlier.status not in ON_NODE
            return current is not None and current.status in ON_NODE and anew
        case "waits":
            return current is not None and current.status is InstanceStatus.PENDING
        case "stays" | "blocked":
            there = (after.instances[each] for each in after.nodes[one.before].instances)
            return any((each.workload, each.slot) == (one.agent, one.slot) for each in there)
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


def of_slot(state: FabricState, identifier: str, number: int) -> Instance | None:
    agent = state.agents.get(identifier)
    slot = agent.slots.get(number) if agent is not None and agent.wants(number) else None
    return state.instances.get(slot.current) if slot is not None else None
