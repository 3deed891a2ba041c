"""An honest node: it does what the fabric's state wants of it and reports what is, in the way of the real node proxy.

A model for tests of the core alone: no clock, no processes, no session; one call is one step. It keeps the rules of the
node's reconciler: an attempt begins after the one before has ended, attempts only grow, ended is final, stopping is
final, and what has ended is told again if the fabric still wants it. Its outbox numbers reports, drops what was
acknowledged and sends the rest again.
"""

from dataclasses import dataclass, field

from omnitide.fabric import commands as cm
from omnitide.fabric.folds.nodes import FOREIGN_PORT
from omnitide.fabric.rules.conditions import company, needs_are_met, only_node, volume_holder
from omnitide.fabric.state import (
    DriverFact,
    ExitRecord,
    FabricState,
    Health,
    Instance,
    InstanceStatus,
    NodeFacts,
    Phase,
    scoped,
    spec_of_instance,
)
from omnitide.model.spec import WorkloadSpec

GIB = 1 << 30
WANTED = (InstanceStatus.PLACED, InstanceStatus.STARTING, InstanceStatus.RUNNING)


def facts(
    *, cpu: int = 4000, memory: int = 8 * GIB, ports: tuple[int, int] = (20000, 20019), **more: object
) -> NodeFacts:
    drivers = (DriverFact(name="process", enforces=("cpu", "memory", "pids")),)
    fields: dict[str, object] = {"drivers": drivers, **more}
    return NodeFacts(cpu_milli=cpu, memory_bytes=memory, port_first=ports[0], port_last=ports[1], **fields)  # type: ignore[arg-type]


@dataclass(slots=True)
class Run:
    """One instance as its node knows it."""

    attempt: int
    phase: Phase = Phase.STARTING
    stopping: bool = False
    wanted: bool = True
    health: Health = Health.UNKNOWN
    exit: ExitRecord | None = None
    outcome: str = ""
    restarts: int = 0

    def report(self, instance: str) -> cm.InstanceReport:
        return cm.InstanceReport(
            instance=instance,
            attempt=self.attempt,
            phase=self.phase,
            stopping=self.stopping and self.phase is not Phase.ENDED,
            exit=self.exit,
            health=self.health if self.phase is Phase.RUNNING else Health.UNKNOWN,
            handle=f"pid-{self.attempt}" if self.phase is Phase.RUNNING else "",
            outcome=self.outcome,
        )


@dataclass(slots=True)
class HonestNode:
    """`id`, `name` and `key` are its identity; everything else it can lose."""

    id: str
    name: str
    key: str
    facts: NodeFacts = field(default_factory=facts)
    outbox: str = "o1"
    sent: int = 0
    """Reports acknowledged."""
    unsent: list[cm.InstanceReport] = field(default_factory=list[cm.InstanceReport])
    runs: dict[str, Run] = field(default_factory=dict[str, Run])
    lacks: tuple[str, ...] = ("gone",)
    """Programs that are not on this machine. One is on none."""
    session: int = 0
    """Epoch of the session that it is in; 0 outside."""

    @property
    def principal(self) -> str:
        return f"node:{self.id}"

    # What it says

    def join(self, token: str) -> cm.JoinNode:
        return cm.JoinNode(token=token, node=self.id, name=self.name, key_digest=self.key, facts=self.facts)

    def hello(self) -> cm.ConnectNode:
        return cm.ConnectNode(
            node=self.id, key_digest=self.key, facts=self.facts, outbox=self.outbox, instances=self.inventory()
        )

    def inventory(self) -> tuple[cm.InstanceReport, ...]:
        """Everything that it knows and the fabric may care about."""
        return tuple(run.report(instance) for instance, run in sorted(self.runs.items()))

    def welcomed(self, session: int, sequence: int) -> None:
        """The answer to `hello`."""
        self.session = session
        self.acknowledged(sequence)

    def reports(self) -> cm.ReportInstances | None:
        """All that is not acknowledged; None if there is nothing."""
        if not self.unsent:
            return None
        return cm.ReportInstances(
            node=self.id,
            session=self.session,
            outbox=self.outbox,
            first_sequence=self.sent + 1,
            reports=tuple(self.unsent),
        )

    def acknowledged(self, sequence: int) -> None:
        if sequence > self.sent:
            del self.unsent[: sequence - self.sent]
            self.sent = sequence

    def cut(self) -> None:
        """The session broke; everything else goes on."""
        self.session = 0

    def forget(self, outbox: str) -> None:
        """It lost its disk: a new outbox, and nothing known of any run."""
        self.outbox, self.sent, self.session = outbox, 0, 0
        self.unsent.clear()
        self.runs.clear()

    # What it does

    def desire(self, state: FabricState) -> None:
        """Take over what should be here: start, stop and forget accordingly."""
        node = state.nodes.get(self.id)
        wanted = {} if node is None else {name: state.instances[name] for name in sorted(node.instances)}
        for name in sorted(self.runs):
            instance = wanted.get(name)
            if instance is None or instance.status not in (*WANTED, InstanceStatus.STOPPING):
                # Not this node's business any more: killed, and forgotten.
                del self.runs[name]
        for name, instance in wanted.items():
            if instance.status in WANTED:
                self._want(name, instance, spec_of_instance(state, instance))
            elif instance.status is InstanceStatus.STOPPING:
                self._unwant(name, instance)

    def _want(self, name: str, instance: Instance, spec: WorkloadSpec) -> None:
        run = self.runs.get(name)
        if run is None:
            self.runs[name] = Run(attempt=instance.attempt + 1)
            program = spec.command[0] if spec.command else ""
            if program in self.lacks:
                message = f"there is no {program} here"
                self.exit(name, spec, code=None, cause="command-not-found", message=message, permanent=True)
            else:
                self._say(name)
        elif run.phase is Phase.ENDED:
            self._say(name)

    def _unwant(self, name: str, instance: Instance) -> None:
        run = self.runs.get(name)
        if run is None:
            self.runs[name] = Run(attempt=instance.attempt, phase=Phase.ENDED, outcome="stopped")
            self._say(name)
        elif run.phase is Phase.ENDED:
            self._say(name)
        elif not run.stopping:
            run.stopping = True

    def step(self) -> None:
        """Everything that is under way here comes to its end: starts are through, stops are done, waits are over."""
        for name in sorted(self.runs):
            run = self.runs[name]
            if run.phase is Phase.ENDED:
                continue
            if run.stopping:
                self._end(name, run, "stopped", ExitRecord(attempt=run.attempt, signal=15, reason="signalled"))
            elif run.phase is Phase.STARTING:
                run.phase = Phase.RUNNING
                self._say(name)
            elif run.phase is Phase.WAITING:
                run.attempt += 1
                run.phase = Phase.STARTING
                self._say(name)

    def exit(
        self,
        name: str,
        spec: WorkloadSpec,
        *,
        code: int | None,
        cause: str = "",
        message: str = "",
        permanent: bool = False,
    ) -> None:
        """The process of a running instance ends by itself, or could not be started; its restart policy follows."""
        run = self.runs[name]
        success = code == 0 and not cause
        reason = "start-failed" if code is None else "exited"
        run.exit = ExitRecord(
            attempt=run.attempt, code=code, reason=reason, cause=cause, message=message, permanent=permanent
        )
        policy = spec.restart
        done = policy.policy == "on-failure" and success
        final = permanent or cause == "port-busy" or policy.policy == "never" or done
        if run.stopping:
            self._end(name, run, "stopped", run.exit)
        elif final:
            self._end(name, run, "succeeded" if success else "failed", run.exit)
        elif run.restarts >= policy.attempts:
            self._end(name, run, "failed", run.exit)
        else:
            run.restarts += 1
            run.phase = Phase.WAITING
            self._say(name)

    def running(self) -> list[str]:
        """Ids of what runs here and was not told to stop."""
        return [name for name, run in sorted(self.runs.items()) if run.phase is Phase.RUNNING and not run.stopping]

    def set_health(self, name: str, health: Health) -> None:
        self.runs[name].health = health
        self._say(name)

    def _end(self, name: str, run: Run, outcome: str, exit_record: ExitRecord) -> None:
        run.phase, run.outcome, run.exit = Phase.ENDED, outcome, exit_record
        self._say(name)

    def _say(self, name: str) -> None:
        self.unsent.append(self.runs[name].report(name))


def first_fit(state: FabricState, time_ms: int) -> cm.PlaceInstances:
    """A plan of the simplest kind: every pending instance that is due, on the first node by id that has room."""
    cpu = {node.id: node.facts.cpu_milli - node.used_cpu_milli for node in state.nodes.values()}
    memory = {node.id: node.facts.memory_bytes - node.used_memory_bytes for node in state.nodes.values()}
    taken = {
        node.id: {port for port, holder in node.ports.items() if holder != FOREIGN_PORT}
        for node in state.nodes.values()
    }
    choices: list[cm.PlaceChoice] = []
    decided: dict[str, str] = {}
    for identifier in sorted(state.pending):
        instance = state.instances[identifier]
        spec = spec_of_instance(state, instance)
        if volume_holder(state, instance) is not None:
            continue
        if instance.not_before_ms > time_ms or not needs_are_met(state, instance.namespace, spec):
            continue
        only, with_it = only_node(state, instance), frozenset[str]()
        if spec.together is not None:
            with_it = company(state, instance.namespace, spec.together)
            chosen = decided.get(scoped(instance.namespace, spec.together))
            with_it = with_it or (frozenset() if chosen is None else frozenset((chosen,)))
        for node_id in sorted(state.nodes, key=lambda candidate: (candidate in instance.avoids, candidate)):
            node = state.nodes[node_id]
            driver = node.facts.driver(spec.driver)
            fits = spec.resources.cpu <= cpu[node_id] and spec.resources.memory <= memory[node_id]
            if not node.schedulable or driver is None or not driver.healthy or not fits:
                continue
            if only not in ("", node_id) or (with_it and node_id not in with_it):
                continue
            marked = {port for port, holder in node.ports.items() if holder == FOREIGN_PORT}
            ports = _ports(spec, node.facts, taken[node_id], marked)
            if ports is None:
                continue
            cpu[node_id] -= spec.resources.cpu
            memory[node_id] -= spec.resources.memory
            taken[node_id].update(port for _, port in ports)
            choices.append(cm.PlaceChoice(identifier, node_id, ports))
            decided.setdefault(scoped(instance.namespace, spec.together or ""), node_id)
            break
    return cm.PlaceInstances(seen_revision=state.revision, choices=tuple(choices))


def first_moves(state: FabricState) -> cm.MoveInstances:
    """Whatever is on a draining node goes to each node in turn: which of these hold is for the core to say."""
    choices = [
        cm.MoveChoice(instance, target)
        for node in sorted(state.draining)
        for instance in sorted(state.nodes[node].instances)
        for target in sorted(state.nodes)
    ]
    return cm.MoveInstances(seen_revision=state.revision, choices=tuple(choices))


def _ports(
    spec: WorkloadSpec, facts: NodeFacts, taken: set[int], marked: set[int]
) -> tuple[tuple[str, int], ...] | None:
    """`marked`: found taken by something else, and given to whoever names them alone."""
    chosen: list[tuple[str, int]] = []
    used = set(taken)
    for name, port in sorted(spec.ports.items()):
        free = (number for number in range(facts.port_first, facts.port_last + 1) if number not in marked)
        numbers = [port.port] if port.port else free
        number = next((number for number in numbers if number and number not in used), None)
        if number is None:
            return None
        used.add(number)
        chosen.append((name, number))
    return tuple(chosen)
