"""The invariants see what is broken: each of these states is one that the core must never make."""

from collections.abc import Callable

import pytest
from immutables import Map
from msgspec.structs import replace
from tests.support.honest import facts
from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.decide import Decision, decide
from omnitide.fabric.evolve import apply
from omnitide.fabric.invariants import violations
from omnitide.fabric.state import Agent, FabricState, Instance, InstanceStatus, Job, JobStatus, Node, NodeStatus
from omnitide.fabric.steps import step_violations
from omnitide.model.spec import Port

Break = Callable[[FabricState], FabricState]


@pytest.fixture(scope="module")
def sound() -> FabricState:
    """`hello` of two replicas on alpha and beta, `late` pending, a task that runs, a lost stray on gamma."""
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.join("gamma", node_facts=facts(cpu=100))
    fabric.deploy(spec(ports={"http": Port()}), replicas=2)
    fabric.place(hello_1_1="alpha", hello_2_1="beta")
    fabric.settle()
    fabric.run()
    fabric.place(work_1_1="alpha")
    fabric.deploy(name="away")
    fabric.place(away_1_1="gamma")
    fabric.settle()
    fabric.lose("gamma")
    fabric.place()
    fabric.deploy(name="late")
    assert violations(fabric.state) == []
    return fabric.state


def agent(change: Callable[[Agent], Agent], name: str = "hello") -> Break:
    return lambda state: replace(state, agents=state.agents.set(name, change(state.agents[name])))


def instance(change: Callable[[Instance], Instance], name: str = "hello.1.1") -> Break:
    return lambda state: replace(state, instances=state.instances.set(name, change(state.instances[name])))


def node(change: Callable[[Node], Node], name: str = "n-alpha") -> Break:
    return lambda state: replace(state, nodes=state.nodes.set(name, change(state.nodes[name])))


def job(change: Callable[[Job], Job]) -> Break:
    return lambda state: replace(state, jobs=state.jobs.set("work", change(state.jobs["work"])))


BROKEN: dict[str, tuple[Break, str]] = {
    "counts": (
        agent(lambda a: replace(a, counts=replace(a.counts, running=3))),
        "agent hello: counts Counts(",
    ),
    "namespace counter": (
        lambda s: replace(s, namespaces=s.namespaces.set("default", replace(s.namespaces["default"], agents=9))),
        "namespace default: counts (9, 1) agents and jobs, holds (3, 1)",
    ),
    "namespace gone": (
        lambda s: replace(s, namespaces=s.namespaces.delete("default")),
        "namespace default: gone, and holds 3 agents and 1 jobs",
    ),
    "used": (
        node(lambda n: replace(n, used_cpu_milli=1)),
        "node n-alpha: sets aside 1 mcpu",
    ),
    "port not held": (
        node(lambda n: replace(n, ports=Map())),
        "node n-alpha: port 20000 (http) of hello.1.1 is held by (none)",
    ),
    "port held by no one": (
        node(lambda n: replace(n, ports=n.ports.set(7, "hello.1.1"))),
        "node n-alpha: port 7 is held by hello.1.1, which does not have it",
    ),
    "wrong ports": (
        instance(lambda i: replace(i, ports=())),
        "instance hello.1.1: has ports [], its spec wants ['http']",
    ),
    "orphan": (
        lambda s: replace(s, agents=s.agents.delete("hello"), agent_names=s.agent_names.delete("default/hello")),
        "instance hello.1.1: an orphan, there is no agent hello",
    ),
    "neither current nor stray": (
        agent(lambda a: replace(a, slots=a.slots.delete(2))),
        "instance hello.2.1: neither current nor a stray",
    ),
    "current and stray": (
        agent(lambda a: replace(a, strays=a.strays.set("hello.1.1", None))),
        "instance hello.1.1: current and a stray at once",
    ),
    "running stray": (
        instance(lambda i: replace(i, status=InstanceStatus.RUNNING), "away.1.1"),
        "instance away.1.1: a stray that is running",
    ),
    "missing slot": (
        agent(lambda a: replace(a, replicas=3)),
        "agent hello: 2 slots for 3 replicas",
    ),
    "unwanted slot": (
        agent(lambda a: replace(a, replicas=1)),
        "agent hello slot 2: not wanted, but its instance is running",
    ),
    "not replaced": (
        instance(lambda i: replace(i, status=InstanceStatus.STOPPED)),
        "agent hello slot 1: wanted, but its instance is stopped and was not replaced",
    ),
    "not rescheduled": (
        instance(lambda i: replace(i, status=InstanceStatus.FAILED)),
        "agent hello slot 1: failed (version 1) and not finished, but not replaced",
    ),
    "slot without instance": (
        agent(lambda a: replace(a, slots=a.slots.set(1, replace(a.slots[1], current="hello.1.7")))),
        "agent hello slot 1: its current instance hello.1.7 is not there",
    ),
    "generation above its slot": (
        agent(lambda a: replace(a, slots=a.slots.set(1, replace(a.slots[1], generation=0)))),
        "instance hello.1.1: generation above the highest that its slot knows of",
    ),
    "rollout passed an old version": (
        agent(lambda a: replace(a, version=2, versions=a.versions.set(2, replace(a.versions[1], number=2)))),
        "agent hello slot 1: version 1 of 2, and the rollout (0) has passed it",
    ),
    "pending of an old version": (
        agent(
            lambda a: replace(
                a, version=2, rollout_cursor=1, versions=a.versions.set(2, replace(a.versions[1], number=2))
            ),
            "late",
        ),
        "agent late slot 1: waits for a node with version 1 of 2",
    ),
    "version that is not kept": (
        instance(lambda i: replace(i, version=9)),
        "instance hello.1.1: runs version 9, which is not kept",
    ),
    "attached to nothing": (
        node(lambda n: replace(n, instances=n.instances.delete("hello.1.1"))),
        "instance hello.1.1: running, but node n-alpha does not know it",
    ),
    "ended and attached": (
        instance(lambda i: replace(i, status=InstanceStatus.SUCCEEDED)),
        "instance hello.1.1: succeeded, but still attached to node n-alpha",
    ),
    "attached and not there": (
        node(lambda n: replace(n, instances=n.instances.set("ghost.1.1", None))),
        "node n-alpha: ghost.1.1 is attached, but not there",
    ),
    "not in the pending set": (
        lambda s: replace(s, pending=Map()),
        "instance late.1.1: pending, but not in the pending set",
    ),
    "in the pending set": (
        lambda s: replace(s, pending=s.pending.set("hello.1.1", None)),
        "instance hello.1.1: in the pending set, but running",
    ),
    "lost on a live node": (
        node(lambda n: replace(n, status=NodeStatus.LIVE), "n-gamma"),
        "node n-gamma: live, and 1 of its instances are lost",
    ),
    "joined and in a session": (
        node(lambda n: replace(n, status=NodeStatus.JOINED)),
        "node n-alpha: joined in session",
    ),
    "draining set": (
        lambda s: replace(s, draining=s.draining.set("n-alpha", None)),
        "node n-alpha: in the draining set, but open",
    ),
    "one key twice": (
        node(lambda n: replace(n, key_digest="k-beta")),
        "node n-beta: has the key of node n-alpha",
    ),
    "a name without a node": (
        lambda s: replace(s, node_names=s.node_names.set("ghost", "n-alpha")),
        "fabric: 3 nodes have 4 names",
    ),
    "a name of another": (
        lambda s: replace(s, agent_names=s.agent_names.set("default/hello", "late")),
        "agent hello: is not what default/hello names",
    ),
    "one name for two": (
        lambda s: replace(s, job_names=Map({"default/hello": "work"})),
        "fabric: default/hello names an agent and a job",
    ),
    "finished with a running task": (
        job(lambda j: replace(j, status=JobStatus.FAILED, finished_ms=1)),
        "job work: failed, but its task is running",
    ),
    "active with an ended task": (
        instance(lambda i: replace(i, status=InstanceStatus.SUCCEEDED), "work.1.1"),
        "job work: active, but its task is succeeded",
    ),
    "finished at no time": (
        job(lambda j: replace(j, finished_ms=5)),
        "job work: active, finished at 5",
    ),
    "cancelled and running": (
        job(lambda j: replace(j, cancelling=True)),
        "job work: to be stopped, but its task is running",
    ),
    "token": (
        lambda s: replace(s, tokens=s.tokens.set("join", replace(s.tokens["join"], uses_left=-1))),
        "token join: used more often than allowed",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_state_is_seen_and_named(name: str, sound: FabricState) -> None:
    breaks, expected = BROKEN[name]
    found = violations(breaks(sound))
    assert any(line.startswith(expected) for line in found), found
    assert violations(breaks(sound)) == found, "the same words for the same state"


def decided(state: FabricState, command: cm.Command) -> Decision:
    decision = decide(state, command, cm.Header(principal="system:test", time_ms=state.time_ms + 1))
    assert isinstance(decision, Decision)
    return decision


STEPS: dict[str, tuple[Break, str]] = {
    "revision": (lambda s: replace(s, revision=s.revision + 1), "fabric: revision"),
    "time": (lambda s: replace(s, time_ms=0), "fabric: time 0 follows"),
    "generation": (
        agent(lambda a: replace(a, slots=a.slots.set(1, replace(a.slots[1], generation=0)))),
        "agent hello slot 1: generation 0 follows 1",
    ),
    "an orphan out of nothing": (
        lambda s: replace(s, instances=s.instances.set("ghost.1.1", s.instances["late.1.1"])),
        "fabric: 2 more instances, 1 more in slots and strays",
    ),
    "namespace counter": (
        lambda s: replace(s, namespaces=s.namespaces.set("default", replace(s.namespaces["default"], agents=0))),
        "",
    ),
    "version": (
        agent(lambda a: replace(a, versions=a.versions.set(1, replace(a.versions[1], principal="x")))),
        "agent hello: version 1 was changed",
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_broken_step_is_seen_and_named(name: str, sound: FabricState) -> None:
    breaks, expected = STEPS[name]
    decision = decided(sound, cm.ScaleAgent(namespace="default", name="hello", replicas=3))
    assert step_violations(sound, decision.state, decision.entry) == []
    found = step_violations(sound, breaks(decision.state), decision.entry)
    if not expected:
        # A counter of a namespace is compared where an agent or job comes or goes.
        removal = decided(sound, cm.DeleteAgent(namespace="default", name="late"))
        assert step_violations(sound, removal.state, removal.entry) == []
        found = step_violations(sound, breaks(removal.state), removal.entry)
        expected = "namespace default: counts -3 more agents and 0 more jobs, has [-1, 0] more"
    assert any(line.startswith(expected) for line in found), found


def test_a_placement_beyond_the_capacity_is_seen(sound: FabricState) -> None:
    late = ev.Placement("late.1.1", 100_000, 1, ())
    entry = ev.Entry(
        time_ms=sound.time_ms, principal="system:x", events=(ev.InstancesPlaced(node="n-beta", placements=(late,)),)
    )
    found = step_violations(sound, apply(sound, entry), entry)
    assert found == ["node n-beta: 100100 mcpu set aside of 4000"]


def test_an_instance_id_made_twice_is_seen(sound: FabricState) -> None:
    event = ev.InstancesCreated(
        workload_kind="agent", workload="hello", version=1, slots=(ev.SlotGeneration(slot=2, generation=1),)
    )
    entry = ev.Entry(time_ms=sound.time_ms, principal="system:x", events=(event,))
    found = step_violations(sound, apply(sound, entry), entry)
    assert "instance hello.2.1: made, after generation 1" in found


def test_a_job_that_finishes_twice_is_seen() -> None:
    fabric = Fabric()
    fabric.run()
    fabric.given(cm.CancelJob(namespace="default", name="work"))
    before = fabric.state
    event = ev.JobFinished(job="work", outcome="succeeded")
    entry = ev.Entry(time_ms=before.time_ms, principal="system:x", events=(event,))
    found = step_violations(before, apply(before, entry), entry)
    assert "job work: had finished (cancelled) and has changed since (succeeded)" in found


def test_a_session_that_goes_back_is_seen(sound: FabricState) -> None:
    event = ev.NodeConnected(node="n-alpha", session=1, outbox="o1", facts=facts())
    entry = ev.Entry(time_ms=sound.time_ms, principal="system:x", events=(event,))
    found = step_violations(sound, apply(sound, entry), entry)
    assert any(line.startswith("node n-alpha: session 1 follows") for line in found)
