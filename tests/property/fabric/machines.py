"""Four machines: honest most of the time, silent, lost, forgetful or lying at others."""

from msgspec.structs import replace
from tests.property.fabric.chance import NAMES, Chance
from tests.support.honest import GIB, HonestNode, facts

from omnitide.fabric import commands as cm
from omnitide.fabric.state import DriverFact, ExitRecord, Health, Phase, spec_of_instance

FACTS = (
    facts(),
    facts(cpu=1500, memory=2 * GIB),
    facts(cpu=100, memory=64 << 20),
    facts(ports=(20000, 20001)),
    facts(ports=(0, 0)),
    facts(drivers=(DriverFact(name="process", healthy=False, silent=True), DriverFact(name="docker"))),
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


class Machines(Chance):
    """Joining, sessions, reports, silence, and what operators do with nodes."""

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
            ((0, "", ""), (1, "", "boom"), (1, "port-busy", "20000"), (1, "port-busy", "²"), (None, "user", "no user"))
        )
        node.exit(name, what, code=code, cause=cause, message=message, permanent=code is None)
        if node.session:
            self._send(node)

    def lose_program(self) -> None:
        """A machine, or each of them, no longer has a program that specs name, or has all again."""
        lacks = self.pick((("gone", "serve"), ("gone", "once", "until", "work"), ("gone",)))
        nodes = [node for _, node in sorted(self.fabric.nodes.items())]
        for node in nodes if self.maybe(3) or not nodes else [self.pick(nodes)]:
            node.lacks = lacks

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
            exit=self.pick(
                (
                    None,
                    ExitRecord(code=1),
                    ExitRecord(cause="port-busy", message="20001 and 9" * 300),
                    ExitRecord(cause="user", permanent=True),
                )
            ),
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
        """Stopped by its operator, or as an older proxy says it."""
        node = self.node()
        session, stopped = self.epoch(node), self.maybe(2)
        self.do(
            cm.DepartNode(node=node.id, session=session, reason="restart", back_within_ms=5000, stopped=stopped),
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

    def label(self) -> None:
        """What a fabric gives a node; of one that is not there, or that a node alone may say of itself."""
        key = self.pick(("rack", "rack", "os"))
        labels = {key: self.pick(("1", "2"))} if self.maybe(2) else {}
        self.do(cm.LabelNode(node=self.pick((*NAMES, "x")), labels=labels, remove=() if labels else (key,)))

    def uncordon(self) -> None:
        self.do(cm.UncordonNode(node=self.pick(NAMES)))

    def drain(self) -> None:
        self.do(cm.DrainNode(node=self.pick(NAMES)))

    def remove(self) -> None:
        node = self.node()
        if self.do(cm.RemoveNode(node=node.name, force=self.maybe(2))).events:
            node.cut()
