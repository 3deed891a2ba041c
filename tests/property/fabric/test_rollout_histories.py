"""Rollouts and moves under everything that can happen meanwhile: no step of theirs takes more replicas away than the
update allows, no volume that stays has two owners on its node, and once trouble ends every rollout does.

One agent on four nodes. A failing seed replays exactly: `Trial(random.Random(seed)).steps(n)`.
"""

import random
from collections.abc import Callable
from typing import Final

import pytest
from msgspec.structs import replace
from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.folds.availability import runs_on
from omnitide.fabric.rules.moving import hopeless
from omnitide.fabric.snapshot import dump, load
from omnitide.fabric.state import (
    ENDED,
    Agent,
    FabricState,
    Health,
    Instance,
    InstanceStatus,
    NodeStatus,
    Scheduling,
)
from omnitide.model.probes import Probe, Probes
from omnitide.model.provisions import Volume, stays
from omnitide.model.spec import AgentSpec, Restart, Update

HELLO: Final = {"namespace": "default", "name": "hello"}
NODES: Final = ("a", "b", "c", "d")
PROBED: Final = Probes(readiness=Probe(type="exec", command=("true",)))
STEPS: Final = 120
SEEDS: Final = 60
OWN_STOPS: Final = frozenset({"update", "restart", "superseded", "drain"})
"""Reasons of stops that a rollout or a move asks for by itself."""
TOLD: Final = (ev.InstanceStarting, ev.InstanceExited, ev.InstanceHealthChanged, ev.InstanceEnded)


def is_there(agent: Agent, instance: Instance, now_ms: int) -> bool:
    """Available by the rule of its own version: ready for its `min_healthy`, unless that was seen to be so before."""
    asked = agent.versions[instance.version].spec
    if instance.status is not InstanceStatus.RUNNING:
        return False
    if asked.health.readiness is not None and instance.health is not Health.HEALTHY:
        return False
    since = instance.started_ms if asked.health.readiness is None else instance.ready_ms
    return instance.id not in agent.watched or now_ms - since >= asked.update.min_healthy


def available_slots(state: FabricState, agent: Agent, now_ms: int) -> set[int]:
    """Slots of which some generation serves."""
    return {
        instance.slot
        for instance in state.instances.values()
        if instance.workload == agent.id
        and runs_on(instance)
        and agent.wants(instance.slot)
        and is_there(agent, instance, now_ms)
    }


class Trial:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.fabric = Fabric()
        self.fabric.join(*NODES)
        self.number = 0
        self.fabric.deploy(self.version(), replicas=chance.choice((1, 1, 2, 3, 4)))
        self.fabric.settle()
        self.before = self.fabric.state
        self.fabric.observe = self.check
        self.command: cm.Command | None = None
        self.kept = 0
        """Replicas that rollbacks have kept."""

    # What is asked

    def version(self, *, good: bool = True) -> AgentSpec:
        """Another version, that may run or not."""
        self.number += 1
        surge = self.chance.choice((0, 1, 1, 2))
        volumes = {"data": Volume(target="data")} if self.chance.random() < 0.2 else {}
        away = self.chance.choice((0, 0, 1, 2)) if surge and not volumes else self.chance.choice((1, 1, 2))
        return spec(
            "serve" if good else "gone",
            str(self.number),
            update=Update(
                max_unavailable=away,
                max_surge=0 if volumes else surge,
                min_healthy=self.chance.choice((0, 1000, 5000)),
                on_failure=self.chance.choice(("halt", "rollback")),
            ),
            health=PROBED if self.chance.random() < 0.5 else Probes(),
            restart=Restart(attempts=self.chance.choice((0, 3))),
            volumes=volumes,
        )

    def do(self, command: cm.Command, by: str = "token:admin") -> None:
        self.command = command
        self.fabric.when(command, by=by)

    def deploy(self) -> None:
        good = self.chance.random() < 0.7
        self.do(cm.DeployAgent(agent="hello", spec=self.version(good=good), **HELLO))

    def hurry(self) -> None:
        """A version that is to run for long comes after one that works, and another before it has."""
        self.do(cm.DeployAgent(agent="hello", spec=self.version(), **HELLO))
        for _ in range(4):
            self.rounds()
        self.deploy()
        self.command = None
        self.fabric.place()
        for name, node in sorted(self.fabric.nodes.items()):
            for _ in range(2 if node.session else 0):
                node.desire(self.fabric.state)
                node.step()
                if node.unsent:
                    self.fabric.send(name)
        self.deploy()

    def deploy_again(self) -> None:
        """The spec of an earlier version."""
        versions = self.fabric.agent().versions
        earlier = versions[self.chance.choice(sorted(versions)[-4:])].spec
        replicas = self.chance.choice((None, None, 2, 4))
        self.do(cm.DeployAgent(agent="hello", spec=earlier, replicas=replicas, take_over_replicas=True, **HELLO))

    def scale(self) -> None:
        self.do(cm.ScaleAgent(replicas=self.chance.choice((0, 1, 2, 3, 5)), **HELLO))

    def pause(self) -> None:
        self.do(cm.PauseRollout(**HELLO))

    def resume(self) -> None:
        self.do(cm.ResumeRollout(**HELLO))

    def roll_back(self) -> None:
        self.do(cm.RollBackAgent(version=self.chance.choice((0, 0, 1, max(0, self.number - 3))), **HELLO))

    def restart(self) -> None:
        self.do(cm.RestartAgent(**HELLO))

    def stop_and_start(self) -> None:
        self.do(cm.StopAgent(**HELLO))
        self.rounds()
        self.do(cm.StartAgent(**HELLO))

    def restart_instance(self) -> None:
        if self.fabric.state.instances:
            self.do(cm.RestartInstance(instance=self.chance.choice(sorted(self.fabric.state.instances))))

    def migrate(self) -> None:
        if self.fabric.state.instances:
            instance = self.chance.choice(sorted(self.fabric.state.instances))
            node, leave = self.chance.choice(("", *NODES)), self.chance.random() < 0.5
            self.do(cm.MigrateInstance(instance=instance, node=node, leave_volumes=leave))

    # What happens

    def drain(self) -> None:
        self.do(cm.DrainNode(node=self.chance.choice(NODES)))

    def open(self) -> None:
        self.do(cm.UncordonNode(node=self.chance.choice(NODES)))

    def lose(self) -> None:
        name = self.chance.choice(NODES)
        if self.fabric.nodes[name].session:
            self.fabric.silence(name)
            if self.chance.random() < 0.7:
                self.fabric.declare_lost(name)

    def reconnect(self) -> None:
        name = self.chance.choice(NODES)
        if not self.fabric.nodes[name].session:
            self.fabric.connect(name)

    def flap(self) -> None:
        """Some become ready and some do not stay so."""
        for name, node in sorted(self.fabric.nodes.items()):
            for instance in node.running() if node.session else ():
                if self.chance.random() < 0.5:
                    node.set_health(instance, self.chance.choice((Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY)))
            if node.session and node.unsent:
                self.fabric.send(name)

    def crash(self) -> None:
        live = sorted(node for node in NODES if self.fabric.nodes[node].session)
        for name in live[:1]:
            for instance in self.fabric.nodes[name].running()[:1]:
                if instance in self.fabric.state.instances:
                    self.fabric.exit(instance, code=1, permanent=self.chance.random() < 0.2)

    def rounds(self) -> None:
        for _ in range(self.chance.randrange(1, 4)):
            self.command = None
            self.fabric.pass_ms(self.chance.choice((1, 400, 1000, 5000)))
            self.fabric.round()

    def look(self) -> None:
        self.do(cm.AdvanceRollouts(agents=("hello",), late=self.chance.choice(((), ("hello",)))), by="system:rollouts")

    def steps(self, number: int) -> None:
        acts: list[Callable[[], None]] = [
            *[self.deploy] * 3,
            *[self.rounds] * 8,
            *[self.flap] * 4,
            *[self.migrate] * 3,
            *[self.look] * 2,
            *[self.hurry] * 2,
            *[self.deploy_again] * 2,
            self.scale,
            self.pause,
            self.resume,
            self.roll_back,
            self.restart,
            self.stop_and_start,
            self.restart_instance,
            self.drain,
            self.open,
            self.open,
            self.lose,
            self.reconnect,
            self.reconnect,
            self.crash,
        ]
        for _ in range(number):
            self.command = None
            self.chance.choice(acts)()
            assert load(list(dump(self.fabric.state))) == self.fabric.state, "what is loaded is what was written"

    # What has to hold

    def check(self, events: tuple[ev.Event, ...]) -> None:
        before, self.before = self.before, self.fabric.state
        state, now_ms = self.fabric.state, self.fabric.log[-1].time_ms
        agent, was = state.agents["hello"], before.agents["hello"]
        self.check_volumes(state, agent)
        self.check_kept(events, before, agent)
        stopped = [
            before.instances[event.instance]
            for event in events
            if isinstance(event, ev.InstanceStopRequested)
            and event.reason in OWN_STOPS
            # A restart of the agent rolls out; one of an instance is what somebody asked for, whatever it takes.
            and not (isinstance(self.command, cm.RestartInstance) and event.reason == "restart")
        ]
        # By what was decided on: the new version may ask more of being available than the one before.
        judged = replace(was, version=agent.version, versions=agent.versions)
        had = available_slots(before, judged, now_ms)
        has = available_slots(state, agent, now_ms)
        # What the world takes in the same entry, or somebody asked for, is none of a rollout's doing.
        told = {event.instance for event in events if isinstance(event, TOLD)}
        told |= {self.command.instance} if isinstance(self.command, cm.RestartInstance) else set()
        had -= {before.instances[one].slot for one in told if one in before.instances}
        if isinstance(self.command, cm.DeployAgent):
            had = {slot for slot in had if agent.wants(slot)}  # it may ask for fewer replicas too
        if any(one.slot in had and agent.wants(one.slot) for one in stopped):
            # What has failed for good is not on its way: nothing that leaves a node waits for it; nor does a drain for
            # what a halted rollout holds up (decision 0030).
            failed = sum(slot.current in agent.failed for slot in agent.slots.values())
            if any(one.slot in had and state.instances[one.id].stop_reason == "drain" for one in stopped):
                failed = max(failed, hopeless(before, was), hopeless(state, agent))
            least = min(len(had), agent.replicas - agent.spec.update.max_unavailable - failed)
            assert len(has) >= least, (had, has, events)
        self.check_worth(stopped, was, agent, now_ms)
        superseded = [state.instances[other] for other in agent.superseded]
        assert len({one.slot for one in superseded}) == len(superseded), "two superseded ones of a slot"

    def check_worth(self, stopped: list[Instance], was: Agent, agent: Agent, now_ms: int) -> None:
        """What serves in a version that is known to work does not make room for what does not serve yet, while no
        replica may be away."""
        for one in stopped:
            if agent.spec.update.max_unavailable or not agent.versions[one.version].proven:
                continue
            judged = replace(agent, watched=agent.watched.update(was.watched))
            others = [other for _, other in sorted(self.fabric.state.instances.items()) if other.slot == one.slot]
            if len(others) > 1 and agent.wants(one.slot) and is_there(was, one, now_ms):
                assert any(is_there(judged, other, now_ms) for other in others), f"{one.name} was stopped too early"

    def check_kept(self, events: tuple[ev.Event, ...], before: FabricState, agent: Agent) -> None:
        """What runs the spec that is gone back to, or deployed again, goes on as it is, in the new version. Of what is
        deployed again: unless a restart of it was asked for since."""
        again = (event for event in events if isinstance(event, ev.AgentRolledBack | ev.AgentUpdated) and event.keeps)
        back = next(again, None)
        if back is None:
            return
        was = before.agents["hello"]
        spec_again, since = agent.versions[back.version].spec, 0
        if isinstance(back, ev.AgentUpdated):
            since = max(
                number
                for number, version in [*was.versions.items(), (0, None)]
                if version is None or (version.spec == spec_again and version.reason == "restarted")
            )
        said = {event.instance for event in events if isinstance(event, TOLD)}
        for one in sorted(before.instances.values(), key=lambda one: one.id):
            slot = was.slots.get(one.slot)
            of_a_slot = one.superseded or (slot is not None and slot.current == one.id)
            if not of_a_slot or not runs_on(one) or one.id in said:
                continue
            now = self.fabric.state.instances.get(one.id)
            if was.versions[one.version].spec != spec_again or one.version < since:
                assert now is None or now.version == one.version, f"{one.name} is none of those that are kept"
                continue
            assert now is not None, one.name
            assert (now.version, now.attempt, now.node) == (back.version, one.attempt, one.node)
            may = {"superseded"} if agent.wants(one.slot) else {"superseded", "scaled-down"}
            assert runs_on(now) or now.stop_reason in may, f"{one.name} is {now.status}: {now.stop_reason}"
            self.kept += 1

    def check_volumes(self, state: FabricState, agent: Agent) -> None:
        """A volume that stays is of one generation at a time, where it is."""
        owners: dict[tuple[str, int], Instance] = {}
        for _, one in sorted(state.instances.items()):
            keeps = any(map(stays, agent.versions[one.version].spec.volumes.values()))
            if one.status in ENDED or not one.node or not keeps:
                continue
            if state.nodes[one.node].status is not NodeStatus.LIVE:
                continue
            other = owners.setdefault((one.node, one.slot), one)
            assert other is one, f"{other.name} and {one.name} share a volume"

    def come_to_rest(self) -> None:
        """Trouble ends, a version that runs is asked for: it is there, on every slot, and nothing else is."""
        fabric = self.fabric
        for name in NODES:
            if not fabric.nodes[name].session:
                fabric.connect(name)
            if fabric.state.nodes[f"n-{name}"].scheduling is not Scheduling.OPEN:
                self.do(cm.UncordonNode(node=name))
        if not fabric.agent().replicas:
            self.do(cm.ScaleAgent(replicas=2, **HELLO))
        self.do(cm.DeployAgent(agent="hello", spec=self.version(), **HELLO))
        for _ in range(60):
            fabric.pass_ms(3_600_000)
            for name, node in sorted(fabric.nodes.items()):
                for instance in node.running():
                    if node.runs[instance].health is not Health.HEALTHY:
                        node.set_health(instance, Health.HEALTHY)
                if node.unsent:
                    fabric.send(name)
            if not fabric.round() and not any(node.unsent for node in fabric.nodes.values()):
                break
        agent = fabric.agent()
        known = {one.name: (one.status.value, one.version) for _, one in sorted(fabric.state.instances.items())}
        assert (agent.rollout_cursor, list(agent.superseded), list(agent.strays)) == (0, [], []), known
        assert {status for status, _ in known.values()} == {InstanceStatus.RUNNING.value}, known
        assert {version for _, version in known.values()} == {agent.version}, known
        assert len(known) == agent.replicas
        assert "hello" not in fabric.state.rolling


def run(seed: int) -> int:
    """Returns how many replicas rollbacks have kept."""
    trial = Trial(random.Random(seed))
    trial.steps(STEPS)
    trial.come_to_rest()
    return trial.kept


@pytest.mark.parametrize("block", range(6))
def test_a_rollout_takes_no_more_than_it_may_and_ends(block: int) -> None:
    each, kept = SEEDS // 6, 0
    for seed in range(block * each, (block + 1) * each):
        try:
            kept += run(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
    assert kept, "no rollback ever kept a replica"
