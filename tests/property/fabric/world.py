"""Any history of a small fabric: all commands, plausible and hostile, drawn from one source of chance.

The source is a `random.Random`, or what Hypothesis gives in its place, so that a seed (or a shrunk example) replays
exactly. Nothing here may depend on the order of a map or set.
"""

import random
from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace
from tests.support.honest import GIB, HonestNode, facts, first_fit
from tests.support.spec import FAR_MS, OPERATOR, Fabric, Outcome, spec, task

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.decide import Decision, decide
from omnitide.fabric.snapshot import digest
from omnitide.fabric.state import (
    ENDED,
    DriverFact,
    ExitRecord,
    Health,
    InstanceStatus,
    JobStatus,
    NodeStatus,
    Phase,
    Scheduling,
    TokenPurpose,
    spec_of_instance,
)
from omnitide.model.spec import AgentSpec, JobSpec, Limits, Port, Resources, Restart, Update

NAMES = ("a", "b", "c", "d")
NAMESPACES = ("default", "blue", "green")
AGENTS = ("api", "db", "web", "cron", "mail", "cache")
JOBS = ("load", "report", "api")
"""One of them is the name of an agent, too."""

T = TypeVar("T")

AGENT_SPECS: tuple[AgentSpec, ...] = (
    spec("serve"),
    spec("serve", "v2"),
    spec("serve", ports={"http": Port()}, update=Update(max_unavailable=2)),
    spec("serve", on_disconnect="keep"),
    spec("serve", lost_after=1_000, restart=Restart(attempts=0)),
    spec("once", restart=Restart(policy="never")),
    spec("until", restart=Restart(policy="on-failure", attempts=1), ports={"http": Port(), "admin": Port()}),
    spec("big", resources=Resources(cpu=2500, memory=5 * GIB)),
    spec("fixed", ports={"http": Port(port=8080)}),
    spec("boxed", limits=Limits(memory=GIB, enforcement="required")),
    spec("other", driver="docker"),
    spec("huge", resources=Resources(cpu=10**6, memory=1 << 45)),
    spec("odd", limits=Limits(cpu=1), resources=Resources(cpu=500)),
)
JOB_SPECS: tuple[JobSpec, ...] = (
    task("work"),
    task("work", restart=Restart(policy="on-failure", attempts=1)),
    task("work", restart=Restart(policy="on-failure", attempts=0), ports={"http": Port()}),
    task("work", on_disconnect="keep"),
    task("work", lost_after=0, resources=Resources(cpu=1500, memory=GIB)),
)
FACTS = (
    facts(),
    facts(cpu=1500, memory=2 * GIB),
    facts(cpu=100, memory=64 << 20),
    facts(ports=(20000, 20001)),
    facts(ports=(0, 0)),
    facts(drivers=(DriverFact(name="process", healthy=False), DriverFact(name="docker"))),
    facts(cpu=-1),
    facts(ports=(70_000, 80_000)),
    facts(labels={"zone": "z1"}),
)
MACHINES = {
    "a": FACTS[0],
    "b": facts(cpu=1000, memory=256 << 20),
    "c": facts(cpu=350),
    "d": facts(ports=(20000, 20001)),
}
"""What each of the four really is: most of them are soon full."""
PRINCIPALS = (OPERATOR, "system:test", "token:join", "token:gone", "node:n-a", "node:n-x", "someone", "")


class World:
    """`steps(n)` does n random things, each checked by `Fabric.when` and here; `come_to_rest` ends all trouble."""

    def __init__(self, chance: random.Random, *, checked: bool = True) -> None:
        self.chance = chance
        self.fabric = Fabric(checked=checked)
        self.fabric.observe = self._check_history
        self.counter = 0
        self.liars: set[str] = set()
        """Nodes that reported what is not so: they have to lose their memory before they can be believed."""
        self.sessions: dict[str, int] = {}
        self.made: set[str] = set()
        self.finished: dict[str, tuple[JobStatus, ExitRecord | None]] = {}
        self.keyed: list[tuple[cm.Command, cm.Header, Decision]] = []
        self.accepted: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self._operations: list[Callable[[], None]] = []
        for weight, operation in (
            (6, self.deploy),
            (4, self.scale),
            (2, self.restart_agent),
            (2, self.stop_agent),
            (3, self.start_agent),
            (2, self.delete_agent),
            (3, self.restart_instance),
            (4, self.run_job),
            (1, self.cancel_job),
            (1, self.delete_job),
            (6, self.place),
            (4, self.place_nonsense),
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
            (1, self.cordon),
            (2, self.uncordon),
            (2, self.drain),
            (1, self.remove),
            (2, self.namespace),
            (2, self.token),
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

    # The source of chance

    def pick(self, options: tuple[T, ...] | list[T]) -> T:
        return options[self.chance.randrange(len(options))]

    def maybe(self, one_in: int) -> bool:
        return self.chance.randrange(one_in) == 0

    def fresh(self, prefix: str) -> str:
        self.counter += 1
        return f"{prefix}{self.counter}"

    # Steps

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.pick(self._operations)()

    def do(self, command: cm.Command, by: str = "", **header: str) -> Outcome:
        """One command, as the given principal, or now and then as another; with a key now and then."""
        principal = by or OPERATOR
        if self.maybe(25):
            principal = self.pick(PRINCIPALS)
        if self.maybe(8):
            header["idempotency_key"] = self.pick(("k1", "k2", "k3", "k4"))
            header["fingerprint"] = self.pick(("f1", "f2"))
        if self.maybe(4):
            header["correlation"] = self.fresh("r")
        before = self.fabric.state
        seen = digest(before) if self.maybe(10) else ""
        # A clock that steps back must not take log time with it.
        time_ms = self.fabric.time_ms - 10_000 if self.maybe(30) else None
        outcome = self.fabric.when(command, by=principal, time_ms=time_ms, **header)
        kind = type(command).__name__
        counted = self.accepted if outcome.accepted else self.refused
        counted[kind] = counted.get(kind, 0) + 1
        if not outcome.accepted or (outcome.decision is not None and not outcome.events):
            assert self.fabric.state is before
        assert not seen or digest(before) == seen, "a decision changed the state that it was made on"
        if outcome.decision is not None and outcome.events and header.get("idempotency_key"):
            stamp = cm.Header(principal=principal, **header)
            self.keyed.append((command, stamp, outcome.decision))
            self._repeat(command, stamp, outcome.decision)
        return outcome

    def _check_history(self, events: tuple[ev.Event, ...]) -> None:
        """What no single step shows."""
        state = self.fabric.state
        for event in events:
            if isinstance(event, ev.NodeConnected):
                assert event.session > self.sessions.get(event.node, 0), "a session's epoch came twice"
                self.sessions[event.node] = event.session
            elif isinstance(event, ev.InstancesCreated):
                for slot in event.slots:
                    identifier = f"{event.workload}.{slot.slot}.{slot.generation}"
                    assert identifier not in self.made, f"{identifier} was made twice"
                    self.made.add(identifier)
            elif isinstance(event, ev.JobFinished):
                assert event.job not in self.finished, f"job {event.job} finished twice"
                self.finished[event.job] = (JobStatus(event.outcome), event.exit)
        for job, end in self.finished.items():
            known = state.jobs.get(job)
            assert known is None or (known.status, known.exit) == end, f"job {job} did not stay finished"

    def _repeat(self, command: cm.Command, header: cm.Header, first: Decision) -> None:
        """The same request again: the stored answer, and nothing more."""
        state = self.fabric.state
        again = decide(state, command, replace(header, time_ms=self.fabric.time_ms))
        allowed = decide(state, cm.RevokeToken(id="gone"), replace(header, time_ms=self.fabric.time_ms))
        if not isinstance(again, Decision):
            # Its token was revoked by this very command, or its node removed.
            assert again.code == "forbidden", (again, allowed)
            return
        assert again.replayed
        assert not again.entry.events
        assert again.state is state
        assert (again.result, again.revision) == (first.result, first.revision)

    def repeat(self) -> None:
        """A request comes again much later."""
        if not self.keyed:
            return
        command, header, _ = self.pick(self.keyed)
        again = decide(self.fabric.state, command, replace(header, time_ms=self.fabric.time_ms))
        if isinstance(again, Decision) and again.replayed:
            newest = [made for _, stamp, made in self.keyed if stamp.idempotency_key == header.idempotency_key]
            assert any(made.result == again.result and made.revision == again.revision for made in newest)

    # Workloads

    def where(self) -> dict[str, str]:
        return {"namespace": self.pick(NAMESPACES), "name": self.pick(AGENTS)}

    def known(self) -> dict[str, str]:
        """Mostly the name of an agent that is there."""
        agents = sorted((agent.namespace, agent.name) for agent in self.fabric.state.agents.values())
        if not agents or self.maybe(8):
            return self.where()
        namespace, name = self.pick(agents)
        return {"namespace": namespace, "name": name}

    def if_match(self, name: dict[str, str]) -> int | None:
        if not self.maybe(6):
            return None
        known = self.fabric.state.agent_names.get(f"{name['namespace']}/{name['name']}")
        if known is None or self.maybe(2):
            return self.chance.randrange(3)
        return self.fabric.state.agents[known].revision

    def deploy(self) -> None:
        name = self.known() if self.maybe(2) else self.where()
        if self.maybe(30):
            name["name"] = self.pick(("Bad Name", "", "a" * 41, "x\n", "ünicode"))
        replicas = self.pick((None, 0, 1, 1, 2, 3, 5, -1) if self.maybe(10) else (None, 1, 2, 3))
        command = cm.DeployAgent(
            agent=self.fresh("ag"),
            spec=self.pick(AGENT_SPECS),
            replicas=replicas,
            take_over_replicas=self.maybe(3),
            if_match=self.if_match(name),
            **name,
        )
        if self.maybe(30):
            command = replace(command, agent=self.pick(sorted(self.fabric.state.agents) or [""]))
        self.do(command)

    def scale(self) -> None:
        name = self.known()
        replicas = self.pick((0, 1, 2, 3, 4, 5))
        if self.maybe(20):
            replicas = self.pick((-1, 10**6))
        self.do(cm.ScaleAgent(replicas=replicas, if_match=self.if_match(name), **name))

    def restart_agent(self) -> None:
        name = self.known()
        self.do(cm.RestartAgent(if_match=self.if_match(name), **name))

    def stop_agent(self) -> None:
        name = self.known()
        self.do(cm.StopAgent(if_match=self.if_match(name), **name))

    def start_agent(self) -> None:
        name = self.known()
        self.do(cm.StartAgent(if_match=self.if_match(name), **name))

    def delete_agent(self) -> None:
        name = self.known()
        self.do(cm.DeleteAgent(if_match=self.if_match(name), **name))

    def any_instance(self) -> str:
        known = sorted(self.fabric.state.instances)
        return self.pick(known) if known and not self.maybe(20) else "none.1.1"

    def restart_instance(self) -> None:
        self.do(cm.RestartInstance(instance=self.any_instance()))

    def run_job(self) -> None:
        self.do(
            cm.RunJob(
                job=self.fresh("jb"),
                namespace=self.pick(NAMESPACES),
                name=self.pick(JOBS),
                spec=self.pick(JOB_SPECS),
            )
        )

    def cancel_job(self) -> None:
        self.do(cm.CancelJob(namespace=self.pick(NAMESPACES), name=self.pick(JOBS)))

    def delete_job(self) -> None:
        self.do(cm.DeleteJob(namespace=self.pick(NAMESPACES), name=self.pick(JOBS)))

    def place(self) -> None:
        plan = first_fit(self.fabric.state, self.fabric.time_ms + 1)
        choices = tuple(choice for choice in plan.choices if not self.maybe(3))
        self.do(replace(plan, choices=choices), by="system:placer")

    def place_nonsense(self) -> None:
        """A plan made on another state, or on none: much more than there is room for, and everything twice."""
        state = self.fabric.state
        waiting = sorted(state.pending)
        live = [node.id for node in state.nodes.values() if node.schedulable]
        node = self.pick(sorted(live)) if live and not self.maybe(4) else f"n-{self.pick((*NAMES, 'x'))}"
        instances = [
            self.pick(waiting) if waiting and not self.maybe(6) else self.any_instance()
            for _ in range(self.chance.randrange(4))
        ]
        choices: list[cm.PlaceChoice] = []
        for instance in [*waiting, *instances]:
            ports: tuple[tuple[str, int], ...] = ()
            if instance in state.instances and not self.maybe(8):
                wanted = spec_of_instance(state, state.instances[instance]).ports
                numbers = (20000, 20001, 20001, 20002, 19000)
                ports = tuple((name, port.port or self.pick(numbers)) for name, port in sorted(wanted.items()))
            if self.maybe(8):
                node = f"n-{self.pick(NAMES)}"
            choices.append(cm.PlaceChoice(instance, node, ports))
        self.do(cm.PlaceInstances(seen_revision=0, choices=tuple(choices)), by="system:placer")

    # Nodes

    def node(self) -> HonestNode:
        """One of four machines; mostly one that has joined."""
        name = self.pick(NAMES)
        if f"n-{name}" not in self.fabric.state.nodes and not self.maybe(4):
            name = self.pick(sorted(node.name for node in self.fabric.state.nodes.values()) or [name])
        if name not in self.fabric.nodes:
            self.fabric.nodes[name] = HonestNode(id=f"n-{name}", name=name, key=f"k-{name}", facts=MACHINES[name])
        return self.fabric.nodes[name]

    def connected(self) -> HonestNode | None:
        there = [node for _, node in sorted(self.fabric.nodes.items()) if node.session]
        return self.pick(there) if there else None

    def epoch(self, node: HonestNode) -> int:
        known = self.fabric.state.nodes.get(node.id)
        return known.session if known is not None else 1

    def join(self) -> None:
        node = self.node()
        token = self.pick(("join", "join", "join", "t1", "t2", "gone"))
        command = node.join(token)
        if self.maybe(10):
            command = replace(command, node=f"n-{self.pick(NAMES)}", key_digest=f"k-{self.pick(NAMES)}")
        self.do(command, by=f"token:{self.pick((token, token, 'join'))}")

    def connect(self, node: HonestNode | None = None) -> None:
        node = node or self.node()
        outcome = self.do(node.hello(), by=node.principal)
        if outcome.accepted and outcome.events:
            node.welcomed(int(outcome.result["session"]), int(outcome.result["sequence"]))

    def connect_nonsense(self) -> None:
        """A hello that leaves things out, makes things up, or is another's."""
        node = self.node()
        reports = [report for report in node.inventory() if not self.maybe(3)]
        if self.maybe(2):
            reports.append(self.nonsense())
        command = replace(
            node.hello(),
            instances=tuple(reports),
            key_digest=node.key if not self.maybe(4) else "k-other",
            outbox=node.outbox if not self.maybe(4) else self.fresh("o"),
            facts=self.pick(FACTS),
        )
        outcome = self.do(command, by=node.principal)
        if outcome.accepted and outcome.events:
            self.liars.add(node.name)
            node.cut()

    def offer_key(self) -> None:
        """A node renews its certificate for another key, and mostly uses it from then on."""
        node = self.node()
        key = self.fresh(f"{node.key}-") if not self.maybe(4) else f"k-{self.pick(NAMES)}"
        if self.do(cm.OfferKey(node=node.id, key_digest=key), by=node.principal).events and not self.maybe(3):
            node.key = key

    def change_facts(self) -> None:
        node = self.node()
        self.do(
            cm.ChangeNodeFacts(node=node.id, session=self.epoch(node), facts=self.pick(FACTS)),
            by=node.principal,
        )

    def work(self) -> None:
        """A connected node does what is wanted of it, and says so."""
        node = self.connected()
        if node is None:
            return
        node.desire(self.fabric.state)
        if self.maybe(2):
            node.step()
        self._send(node)

    def round(self) -> None:
        """Some of the nodes work without trouble for a while."""
        there = [name for name, node in sorted(self.fabric.nodes.items()) if node.session and not self.maybe(4)]
        for _ in range(2):
            self.fabric.round([name for name in there if self._hears(self.fabric.nodes[name])])

    def _hears(self, node: HonestNode) -> bool:
        """Whether the session that the node believes to be in is its newest."""
        known = self.fabric.state.nodes.get(node.id)
        return known is not None and (known.session, known.outbox) == (node.session, node.outbox)

    def _send(self, node: HonestNode) -> None:
        command = node.reports()
        if command is None or self.maybe(10):
            return
        outcome = self.do(command, by=node.principal)
        if outcome.accepted and outcome.events and not self.maybe(5):
            node.acknowledged(int(outcome.result["sequence"]))
        elif not outcome.accepted:
            node.cut()

    def exit(self) -> None:
        """Something ends by itself on a node, whether that can say so now or not."""
        running = [
            (node, name)
            for _, node in sorted(self.fabric.nodes.items())
            for name in node.running()
            if name in self.fabric.state.instances
        ]
        if not running:
            return
        self._exit(*self.pick(running))

    def _exit(self, node: HonestNode, name: str) -> None:
        instance = self.fabric.state.instances[name]
        what = spec_of_instance(self.fabric.state, instance)
        code, cause, message = self.pick(
            ((0, "", ""), (1, "", "boom"), (1, "port-busy", "20000"), (1, "port-busy", "²"))
        )
        node.exit(name, what, code=code, cause=cause, message=message)
        if node.session:
            self._send(node)

    def health(self) -> None:
        node = self.connected()
        if node is None or not node.running():
            return
        node.set_health(self.pick(node.running()), self.pick(tuple(Health)))
        self._send(node)

    def nonsense(self) -> cm.InstanceReport:
        return cm.InstanceReport(
            instance=self.any_instance(),
            attempt=self.chance.randrange(4),
            phase=self.pick(tuple(Phase)),
            stopping=self.maybe(4),
            exit=self.pick((None, ExitRecord(code=1), ExitRecord(cause="port-busy", message="20001 and 9" * 300))),
            health=self.pick(tuple(Health)),
            outcome=self.pick(("", "succeeded", "failed", "stopped", "unheard-of")),
            handle="h" * 5000,
            unenforced=("pids",) * 40,
        )

    def report_nonsense(self) -> None:
        node = self.node()
        known = self.fabric.state.nodes.get(node.id)
        sequence = known.sequence if known is not None else 0
        command = cm.ReportInstances(
            node=node.id,
            session=self.epoch(node) - (1 if self.maybe(4) else 0),
            outbox=node.outbox if not self.maybe(6) else "other",
            first_sequence=sequence + self.pick((1, 1, 1, 0, -3, 5)),
            reports=tuple(self.nonsense() for _ in range(self.chance.randrange(3))),
        )
        if self.do(command, by=node.principal).events:
            self.liars.add(node.name)

    def report_again(self) -> None:
        """What was acknowledged long ago comes once more."""
        node = self.connected()
        if node is None or not node.sent:
            return
        before = self.fabric.state
        known = before.nodes.get(node.id)
        command = cm.ReportInstances(
            node=node.id,
            session=node.session,
            outbox=node.outbox,
            first_sequence=1,
            reports=(self.nonsense(),),
        )
        outcome = self.do(command, by=node.principal)
        if outcome.accepted and known is not None and known.sequence >= 1:
            assert not outcome.events, "a report was taken twice"

    def depart(self) -> None:
        node = self.node()
        self.do(
            cm.DepartNode(node=node.id, session=self.epoch(node), reason="restart", back_within_ms=5000),
            by=node.principal,
        )

    def silence(self) -> None:
        node = self.node()
        outcome = self.do(cm.SuspectNode(node=node.id, session=self.epoch(node)), by="system:leases")
        if outcome.accepted:
            node.cut()

    def declare_lost(self, node: HonestNode | None = None) -> None:
        node = node or self.node()
        self.do(
            cm.DeclareLost(
                node=node.id,
                session=self.epoch(node),
                silent_ms=self.pick((0, 500, 2_000, 20_000, 60_000)),
                default_lost_after_ms=15_000,
            ),
            by="system:leases",
        )

    def absence(self) -> None:
        """A node that runs something is away for long; others take over, things end unseen; mostly it returns."""
        there = [node for _, node in sorted(self.fabric.nodes.items()) if node.running() and self._hears(node)]
        if not there:
            return
        node = self.pick(there)
        self.do(cm.SuspectNode(node=node.id, session=node.session), by="system:leases")
        node.cut()
        self.declare_lost(node)
        for _ in range(self.chance.randrange(4)):
            self.pick((self.round, self.place, self.exit, self.restart_instance, self.scale, self.drain))()
        running = [name for name in node.running() if name in self.fabric.state.instances]
        if running and self.maybe(2):
            self._exit(node, self.pick(running))
        if not self.maybe(4):
            self.connect(node)

    def judge_old_session(self) -> None:
        """A timer of a session that has ended."""
        node = self.node()
        session = self.epoch(node) - 1
        before = self.fabric.state
        self.do(cm.SuspectNode(node=node.id, session=session), by="system:leases")
        command = cm.DeclareLost(node=node.id, session=session, silent_ms=10**9, default_lost_after_ms=0)
        self.do(command, by="system:leases")
        assert self.fabric.state.nodes == before.nodes

    def lose_disk(self) -> None:
        node = self.node()
        node.forget(self.fresh("o"))
        self.liars.discard(node.name)

    def cordon(self) -> None:
        self.do(cm.CordonNode(node=self.pick((*NAMES, "n-a", "n-b"))))

    def uncordon(self) -> None:
        self.do(cm.UncordonNode(node=self.pick(NAMES)))

    def drain(self) -> None:
        self.do(cm.DrainNode(node=self.pick(NAMES)))

    def remove(self) -> None:
        node = self.node()
        if self.do(cm.RemoveNode(node=node.name, force=self.maybe(2))).events:
            node.cut()

    # The rest

    def namespace(self) -> None:
        name = self.pick((*NAMESPACES, "spare", "spare", "Nope!"))
        self.do(cm.DeleteNamespace(name=name) if self.maybe(2) else cm.CreateNamespace(name=name))
        if self.maybe(10):
            self.do(cm.CreateFabric(fabric_id="another"), by="system:test")

    def token(self) -> None:
        identifier = self.pick(("t1", "t2", "t3"))
        if self.maybe(3):
            self.do(cm.RevokeToken(id=identifier))
            return
        purpose = self.pick((TokenPurpose.JOIN, TokenPurpose.API))
        expires = self.pick((FAR_MS, self.fabric.time_ms + 5_000, 1, 0, 2**70))
        self.do(
            cm.IssueToken(id=identifier, purpose=purpose, digest="d", expires_ms=expires, uses=self.pick((1, 3, 0)))
        )

    def forget(self) -> None:
        before = self.fabric.time_ms - self.pick((0, 1_000, 10**7))
        self.do(cm.Forget(finished_before_ms=before, keep_jobs=self.pick((0, 2, 100))), by="system:janitor")

    def wait(self) -> None:
        self.fabric.pass_ms(self.pick((10, 700, 5_000, 70_000, 50_000_000)))

    # The end of all trouble

    def come_to_rest(self) -> None:
        """Every node is back and honest, there is room for everything, and tasks get done. Then all is as wanted."""
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
        bound = 20 + 3 * sum(agent.replicas for agent in fabric.state.agents.values()) + 3 * len(fabric.state.jobs)
        for _ in range(bound):
            # Longer than any back-off: what waits is due.
            fabric.pass_ms(3_600_000)
            changed = fabric.round()
            changed = self._finish_tasks() or changed
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
        assert not state.pending, f"never placed: {sorted(state.pending)}"
        assert not state.draining, f"never drained: {sorted(state.draining)}"
        for agent in state.agents.values():
            assert not agent.deleting, f"{agent.name} is never gone"
            assert not agent.strays, f"{agent.name} keeps strays: {sorted(agent.strays)}"
            assert len(agent.slots) == (agent.replicas if agent.active else 0)
            for slot in agent.slots.values():
                current = state.instances[slot.current]
                assert current.version == agent.version, f"{current.name} never became version {agent.version}"
                assert current.status is InstanceStatus.RUNNING or current.status in ENDED
                if current.status in ENDED:
                    assert agent.spec.restart.policy != "always", f"{current.name} is {current.status}"
        for job in state.jobs.values():
            assert job.status is not JobStatus.ACTIVE, f"job {job.name} never finished"
            assert not job.deleting, f"job {job.name} is never gone"
            assert not job.strays
        machines = {node.id: node for node in self.fabric.nodes.values()}
        for node in state.nodes.values():
            assert node.status is NodeStatus.LIVE
            assert node.scheduling is not Scheduling.DRAINING
            # What is, is what should be.
            assert set(node.instances) == set(machines[node.id].running()), node.name
