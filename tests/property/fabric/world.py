"""Any history of a small fabric: all commands, plausible and hostile, drawn from one source of chance.

The source is a `random.Random`, or what Hypothesis gives in its place, so that a seed (or a shrunk example) replays
exactly. Nothing here may depend on the order of a map or set.
"""

import random
from collections.abc import Callable

from tests.property.fabric.chance import NAMES, NAMESPACES
from tests.property.fabric.machines import MACHINES, Machines
from tests.property.fabric.workloads import Workloads
from tests.support.honest import HonestNode, facts
from tests.support.spec import FAR_MS, spec

from omnitide.fabric import commands as cm
from omnitide.fabric.rules.conditions import company, home_of, needs_are_met, only_node
from omnitide.fabric.rules.failing import gave_up, halted_by, proven_nodes
from omnitide.fabric.rules.moving import next_version
from omnitide.fabric.rules.room import Room, promise
from omnitide.fabric.rules.secrets import MAX_VALUE_BYTES
from omnitide.fabric.rules.sessions import holder
from omnitide.fabric.state import (
    ENDED,
    DriverFact,
    Health,
    InstanceStatus,
    JobStatus,
    NodeStatus,
    TokenPurpose,
    find_provision,
    spec_of_instance,
)
from omnitide.model.spec import Restart, Update


class World(Workloads, Machines):
    """`steps(n)` does n random things, each checked by `Fabric.when` and here; `come_to_rest` ends all trouble."""

    def __init__(self, chance: random.Random, *, checked: bool = True) -> None:
        super().__init__(chance, checked=checked)
        self._operations: list[Callable[[], None]] = []
        for weight, operation in (
            (6, self.deploy),
            (4, self.scale),
            (2, self.restart_agent),
            (2, self.roll_back),
            (2, self.pause),
            (2, self.resume),
            (4, self.advance),
            (4, self.migrate),
            (2, self.stop_agent),
            (3, self.start_agent),
            (2, self.delete_agent),
            (3, self.restart_instance),
            (4, self.run_job),
            (1, self.cancel_job),
            (1, self.delete_job),
            (6, self.place),
            (4, self.place_nonsense),
            (3, self.move),
            (4, self.join),
            (10, self.connect),
            (2, self.connect_nonsense),
            (1, self.offer_key),
            (1, self.change_facts),
            (16, self.work),
            (6, self.round),
            (4, self.absence),
            (6, self.exit),
            (1, self.health),
            (3, self.report_nonsense),
            (1, self.report_again),
            (1, self.depart),
            (3, self.silence),
            (4, self.declare_lost),
            (1, self.judge_old_session),
            (1, self.lose_disk),
            (2, self.lose_program),
            (2, self.broken_update),
            (1, self.cordon),
            (2, self.uncordon),
            (1, self.label),
            (2, self.drain),
            (1, self.remove),
            (2, self.namespace),
            (2, self.token),
            (5, self.provision),
            (1, self.forget),
            (1, self.repeat),
            (2, self.wait),
        ):
            self._operations += [operation] * weight
        if not self.maybe(8):
            # Most histories begin with something to work with; what is drawn from an empty fabric is mostly refused.
            self.fabric.given(cm.CreateNamespace(name="blue"), by="system:test")
            for name in NAMES[: 1 + self.chance.randrange(3)]:
                self.fabric.join(name, node_facts=MACHINES[name])

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.pick(self._operations)()

    def broken_update(self) -> None:
        """An agent is given a version that can run nowhere, and nobody looks for a while."""
        agents = sorted((agent.namespace, agent.name) for agent in self.fabric.state.agents.values())
        if not agents:
            return
        namespace, name = self.pick(agents)
        self.round()
        update = Update(max_unavailable=self.pick((1, 2, 3)))
        restart = Restart(policy=self.pick(("always", "always", "never")))
        what = spec("gone", update=update, restart=restart)
        self.do(cm.DeployAgent(agent=self.fresh("ag"), namespace=namespace, name=name, spec=what, replicas=4))
        for _ in range(self.chance.randrange(8)):
            self.round()

    def absence(self) -> None:
        """A node that runs something is away for long; others take over, things end unseen; mostly it returns."""
        there = [node for _, node in sorted(self.fabric.nodes.items()) if node.running() and self._hears(node)]
        if not there:
            return
        node = self.pick(there)
        self.do(cm.SuspectNode(node=node.id, session=node.session), by="system:leases")
        node.cut()
        self.declare_lost(node)
        taken_over = self.maybe(2)
        if taken_over:
            self.fabric.declare_lost(node.name)
            others = [name for name, other in sorted(self.fabric.nodes.items()) if self._hears(other)]
            for _ in range(2):
                self.fabric.round(others)
        for _ in range(self.chance.randrange(4)):
            self.pick((self.round, self.place, self.exit, self.restart_instance, self.scale, self.drain))()
        running = [name for name in node.running() if name in self.fabric.state.instances]
        if running and self.maybe(2):
            self._exit(node, self.pick(running))
        elif taken_over:
            # All that ran died, and what waited for its restart runs again before the node can ask.
            for name in running:
                instance = self.fabric.state.instances[name]
                node.exit(name, spec_of_instance(self.fabric.state, instance), code=1)
            node.step()
            node.step()
        if not self.maybe(4):
            self.connect(node)

    def namespace(self) -> None:
        name = self.pick((*NAMESPACES, "spare", "spare", "Nope!"))
        self.do(cm.DeleteNamespace(name=name) if self.maybe(2) else cm.CreateNamespace(name=name))
        if self.maybe(10):
            self.do(cm.CreateFabric(fabric_id="another"), by="system:test")
        if self.maybe(4):
            self.do(cm.RaiseFeatureLevel(level=self.pick((0, 1, 2))))

    def token(self) -> None:
        identifier = self.pick(("t1", "t2", "t3"))
        if self.maybe(3):
            self.do(cm.RevokeToken(id=identifier))
            return
        purpose = self.pick((TokenPurpose.JOIN, TokenPurpose.API, TokenPurpose.LOGIN))
        expires = self.pick((FAR_MS, self.fabric.time_ms + 5_000, 1, 0, 2**70))
        self.do(
            cm.IssueToken(id=identifier, purpose=purpose, digest="d", expires_ms=expires, uses=self.pick((1, 3, 0)))
        )
        if self.maybe(2):
            self._session(identifier)

    def _session(self, by: str) -> None:
        """A browser is let in by a token that may be of any kind, known or not."""
        known = self.fabric.state.tokens.get(by)
        whose = holder(self.fabric.state, known) if known is not None and not self.maybe(6) else "token:admin"
        ends = self.fabric.time_ms + self.pick((60_000, 0))
        self.do(cm.OpenSession(by=by, id=self.pick(("s1", "s2", "s3")), digest="d", expires_ms=ends), by=whose)

    def provision(self) -> None:
        """A secret or config is given a value, mostly for the id that it has, or removed."""
        secret = self.maybe(2)
        where = {"namespace": self.pick((*NAMESPACES, "gone")), "name": self.pick(("db", "db", "tls", "Bad Name"))}
        if self.maybe(3):
            self.do(cm.RemoveSecret(**where) if secret else cm.RemoveConfig(**where))
            return
        known = find_provision(self.fabric.state, "secret" if secret else "config", **where)
        identifier = self.fresh("pr") if known is None or self.maybe(6) else known.id
        if self.maybe(10):
            identifier = self.pick([*sorted(self.fabric.state.provisions), ""])
        digest = self.pick(("d1", "d2", "d3"))
        value = {"id": identifier, **where, "digest": digest, "blob": f"sha256:{digest}"}
        size = self.pick((0, 5, MAX_VALUE_BYTES)) if not self.maybe(10) else MAX_VALUE_BYTES + 1
        self.do(cm.SetSecret(size=size, **value) if secret else cm.SetConfig(size=size, **value))

    def forget(self) -> None:
        before = self.fabric.time_ms - self.pick((0, 1_000, 10**7))
        self.do(cm.Forget(finished_before_ms=before, keep_jobs=self.pick((0, 2, 100))), by="system:janitor")

    def wait(self) -> None:
        self.fabric.pass_ms(self.pick((10, 700, 5_000, 70_000, 50_000_000)))

    # The end of all trouble

    def come_to_rest(self) -> None:
        """Every node is back and honest, there is room for everything, and tasks get done. Then all is as wanted, but
        for what needs a program that its nodes do not have: that has failed for good, and holds its rollout up."""
        fabric = self.fabric
        fabric.given(
            cm.IssueToken(id="last", purpose=TokenPurpose.JOIN, digest="d", expires_ms=10**15, uses=100),
            by="system:test",
        )
        self._add_room()
        keys = {node.id: node.key for node in fabric.nodes.values()}
        for identifier in sorted(fabric.state.nodes):
            known = fabric.state.nodes[identifier]
            if keys.get(identifier, "") not in (known.key_digest, known.next_key_digest or known.key_digest):
                # Another machine had joined under this id, or it lost its key; an operator puts that right.
                fabric.given(cm.RemoveNode(node=identifier, force=True), by="system:test")
        for name in sorted(fabric.nodes):
            node = fabric.nodes[name]
            if node.id not in fabric.state.nodes:
                node.cut()
                continue
            if name in self.liars:
                node.forget(self.fresh("o"))
            assert fabric.connect(name).accepted
        for identifier in sorted(fabric.state.agents):
            agent = fabric.state.agents[identifier]
            if agent.paused:
                fabric.given(cm.ResumeRollout(namespace=agent.namespace, name=agent.name), by="system:test")
        bound = 20 + 12 * sum(agent.replicas for agent in fabric.state.agents.values()) + 3 * len(fabric.state.jobs)
        for _ in range(bound):
            # Longer than any back-off: what waits is due.
            fabric.pass_ms(3_600_000)
            changed = fabric.round()
            changed = self._finish_tasks() or self._get_well() or changed
            if not changed:
                break
        else:
            raise AssertionError(f"not at rest after {bound} rounds")
        self.check_rest()

    def _add_room(self) -> None:
        state = self.fabric.state
        fixed = sum(
            agent.replicas for agent in state.agents.values() if any(port.port for port in agent.spec.ports.values())
        )
        enforces = ("cpu", "memory", "pids")
        room = facts(
            cpu=10**9,
            memory=1 << 52,
            ports=(20000, 29999),
            drivers=(DriverFact(name="docker", enforces=enforces), DriverFact(name="process", enforces=enforces)),
        )
        for number in range(2 + fixed):
            node = HonestNode(id=f"n-room{number}", name=f"room{number}", key=f"k-room{number}", facts=room)
            self.fabric.nodes[node.name] = node
            self.fabric.given(node.join("last"), by="token:last")

    def _get_well(self) -> bool:
        """Whatever runs is ready."""
        before = self.fabric.state.revision
        for name, node in sorted(self.fabric.nodes.items()):
            for instance in node.running() if node.session else ():
                if node.runs[instance].health is not Health.HEALTHY:
                    node.set_health(instance, Health.HEALTHY)
            if node.session and node.unsent:
                self.fabric.send(name)
        return self.fabric.state.revision != before

    def _finish_tasks(self) -> bool:
        before = self.fabric.state.revision
        for name, node in sorted(self.fabric.nodes.items()):
            for instance in node.running() if node.session else ():
                known = self.fabric.state.instances.get(instance)
                if known is not None and known.kind == "job":
                    node.exit(instance, self.fabric.state.jobs[known.workload].spec, code=0)
            if node.session and node.unsent:
                assert self.fabric.send(name).accepted
        return self.fabric.state.revision != before

    def check_rest(self) -> None:
        state = self.fabric.state
        for identifier in sorted(state.pending):
            waiting = state.instances[identifier]
            what = spec_of_instance(state, waiting)
            home = state.nodes.get(only_node(state, waiting))
            needy = not needs_are_met(state, waiting.namespace, what)
            others = company(state, waiting.namespace, what.together) if what.together is not None else frozenset()
            if others and not any(promise(Room(state.nodes[other]), what) for other in others):
                continue
            assert needy or (home is not None and not home.schedulable), f"never placed: {identifier}"
        for identifier in sorted(state.draining):
            # There is room for all; what stays is of a version that others of its agent could start nowhere.
            held = [state.instances[name] for name in state.nodes[identifier].instances]
            assert held, f"never drained: {identifier}"
            for instance in held:
                agent = state.agents[instance.workload]
                if instance.superseded or home_of(state, instance, agent.versions[instance.version].spec):
                    continue
                assert proven_nodes(state, agent, next_version(state, agent, instance)) is not None, instance.name
        for agent in state.agents.values():
            assert not agent.deleting, f"{agent.name} is never gone"
            strays = sorted(set(agent.strays) - set(agent.superseded))
            assert not strays, f"{agent.name} keeps strays: {strays}"
            for identifier in agent.superseded:
                slot = agent.slots[state.instances[identifier].slot]
                assert state.instances[slot.current].status is not InstanceStatus.RUNNING, f"{identifier} stays"
            assert len(agent.slots) == (agent.replicas if agent.active else 0)
            for slot in agent.slots.values():
                current = state.instances[slot.current]
                halted = halted_by(state, agent) is not None or agent.counts.pending > 0
                assert halted or current.version == agent.version, f"{current.name} never became {agent.version}"
                assert current.status in (*ENDED, InstanceStatus.RUNNING, InstanceStatus.PENDING)
                # Of a halted rollout, some may have ended in the version before, by its rule.
                restart = agent.versions[current.version].spec.restart
                if current.status in ENDED and not gave_up(current, slot, restart):
                    assert restart.policy != "always", f"{current.name} is {current.status}"
        for job in state.jobs.values():
            waits = job.slot.current in state.pending
            assert waits or job.status is not JobStatus.ACTIVE, f"job {job.name} never finished"
            assert not job.deleting, f"job {job.name} is never gone"
            assert not job.strays
        machines = {node.id: node for node in self.fabric.nodes.values()}
        for node in state.nodes.values():
            assert node.status is NodeStatus.LIVE
            # What is, is what should be.
            assert set(node.instances) == set(machines[node.id].running()), node.name
