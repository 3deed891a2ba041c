"""Given events, when a command, then events: a small harness for the core, in which every step is checked.

`Fabric` runs commands through `decide`, checks the invariants after each, and folds what is accepted through the bytes
of the log as well. `when` gives an `Outcome` to compare; `given` insists that commands are accepted.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from msgspec.structs import replace
from tests.support.honest import HonestNode, facts, first_fit, first_moves

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.decide import Decision, decide
from omnitide.fabric.evolve import apply
from omnitide.fabric.invariants import violations
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.rules.rolling import next_due
from omnitide.fabric.state import (
    Agent,
    FabricState,
    Instance,
    Job,
    Node,
    NodeFacts,
    TokenPurpose,
    empty_state,
    find_agent,
    find_job,
)
from omnitide.fabric.steps import step_violations
from omnitide.model.spec import AgentSpec, JobSpec

START_MS = 1_700_000_000_000
FAR_MS = 10**13

OPERATOR = "token:admin"
"""An API token that every `Fabric` has."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command. Exactly one of `decision` and `rejection` is there."""

    decision: Decision | None
    rejection: Rejection | None

    @property
    def accepted(self) -> bool:
        return self.decision is not None

    @property
    def events(self) -> tuple[ev.Event, ...]:
        return self.decision.entry.events if self.decision is not None else ()

    @property
    def kinds(self) -> list[str]:
        """`agent.created`, ...: the kinds of the events without their versions."""
        return [ev.kind_of(event).rpartition(".")[0] for event in self.events]

    @property
    def result(self) -> dict[str, str | int]:
        assert self.decision is not None, self.rejection
        return self.decision.result

    @property
    def code(self) -> str:
        return self.rejection.code if self.rejection is not None else ""

    @property
    def message(self) -> str:
        return self.rejection.message if self.rejection is not None else ""


def spec(*command: str, **fields: object) -> AgentSpec:
    return AgentSpec(command=command or ("serve",), **fields)  # type: ignore[arg-type]


def task(*command: str, **fields: object) -> JobSpec:
    return JobSpec(command=command or ("work",), **fields)  # type: ignore[arg-type]


class Fabric:
    """A fabric of nothing but the core. Time moves by one millisecond with each command, and by `pass_ms`."""

    def __init__(self, *, checked: bool = True) -> None:
        self.state: FabricState = empty_state()
        self.log: list[ev.Entry] = []
        self.nodes: dict[str, HonestNode] = {}
        self.time_ms = START_MS
        self.observe: Callable[[tuple[ev.Event, ...]], None] | None = None
        """Called with the events of each entry."""
        self._checked = checked
        self.given(
            cm.CreateFabric(fabric_id="f1"),
            cm.IssueToken(id="admin", purpose=TokenPurpose.API, digest="hmac:admin"),
            cm.IssueToken(id="join", purpose=TokenPurpose.JOIN, digest="hmac:join", expires_ms=FAR_MS, uses=1000),
            by="system:test",
        )

    # Commands

    def when(self, command: cm.Command, *, by: str = OPERATOR, time_ms: int | None = None, **header: str) -> Outcome:
        """Decide one command. What is accepted becomes the state."""
        self.time_ms += 1
        before = self.state
        stamp = cm.Header(principal=by, time_ms=self.time_ms if time_ms is None else time_ms, **header)
        decision = decide(before, command, stamp)
        assert decide(before, command, stamp) == decision, "deciding twice gave two answers"
        if isinstance(decision, Rejection):
            assert decision.message
            return Outcome(None, decision)
        if decision.payload:
            self._accept(before, decision)
        return Outcome(decision, None)

    def _accept(self, before: FabricState, decision: Decision) -> None:
        self.state = decision.state
        self.log.append(decision.entry)
        assert decision.revision == self.state.revision
        if self.observe is not None:
            self.observe(decision.entry.events)
        if not self._checked:
            return
        wrong = step_violations(before, self.state, decision.entry) + violations(self.state)
        assert not wrong, "\n".join([*wrong, *map(str, decision.entry.events)])
        assert decision.payload == ev.encode_entry(decision.entry)
        assert apply(before, ev.decode_entry(decision.payload)) == self.state, "the fold of the log differs"

    def given(self, *commands: cm.Command, by: str = OPERATOR, **header: str) -> list[Outcome]:
        """Commands that must be accepted."""
        outcomes = [self.when(command, by=by, **header) for command in commands]
        for command, outcome in zip(commands, outcomes, strict=True):
            assert outcome.accepted, f"{type(command).__name__}: {outcome.rejection}"
        return outcomes

    def pass_ms(self, milliseconds: int) -> None:
        self.time_ms += milliseconds

    # Reading

    def agent(self, name: str = "hello", namespace: str = "default") -> Agent:
        found = find_agent(self.state, namespace, name)
        assert found is not None, f"there is no agent {name}"
        return found

    def job(self, name: str = "work", namespace: str = "default") -> Job:
        found = find_job(self.state, namespace, name)
        assert found is not None, f"there is no job {name}"
        return found

    def node(self, name: str) -> Node:
        return self.state.nodes[f"n-{name}"]

    def instance(self, identifier: str) -> Instance:
        return self.state.instances[identifier]

    def statuses(self, workload: str = "hello") -> dict[str, str]:
        """Instance -> status, of an agent or job with the id `<name>` (as `deploy` and `run` give it)."""
        return {
            identifier: instance.status.value
            for identifier, instance in sorted(self.state.instances.items())
            if instance.workload == workload
        }

    def running(self, name: str = "hello") -> int:
        return self.agent(name).counts.running

    # Nodes

    def join(self, *names: str, node_facts: NodeFacts | None = None) -> None:
        """Nodes `n-<name>` with the key `k-<name>`, joined and connected."""
        for name in names:
            node = HonestNode(id=f"n-{name}", name=name, key=f"k-{name}", facts=node_facts or facts())
            self.nodes[name] = node
            self.given(node.join("join"), by="token:join")
            self.connect(name)

    def connect(self, name: str) -> Outcome:
        """The node says hello with all that it knows; then it does what is wanted of it."""
        node = self.nodes[name]
        outcome = self.when(node.hello(), by=node.principal)
        if outcome.accepted:
            node.welcomed(int(outcome.result["session"]), int(outcome.result["sequence"]))
        return outcome

    def silence(self, name: str) -> None:
        """The node is cut off and its lease ends."""
        node = self.nodes[name]
        self.given(cm.SuspectNode(node=node.id, session=self.node(name).session), by="system:leases")
        node.cut()

    def lose(self, name: str, silent_ms: int = 60_000, default_ms: int = 15_000) -> Outcome:
        """As `silence`, for so long that it is lost."""
        if self.nodes[name].session:
            self.silence(name)
        return self.declare_lost(name, silent_ms, default_ms)

    def declare_lost(self, name: str, silent_ms: int = 60_000, default_ms: int = 15_000) -> Outcome:
        command = cm.DeclareLost(
            node=f"n-{name}",
            session=self.node(name).session,
            silent_ms=silent_ms,
            default_lost_after_ms=default_ms,
        )
        return self.given(command, by="system:leases")[0]

    def report(self, name: str, *reports: cm.InstanceReport) -> Outcome:
        """The node says this of its instances, whatever it does."""
        node = self.node(name)
        command = cm.ReportInstances(
            node=node.id,
            session=node.session,
            outbox=node.outbox,
            first_sequence=node.sequence + 1,
            reports=reports,
        )
        return self.when(command, by=f"node:{node.id}")

    def exit(
        self, instance: str, *, code: int | None = 1, cause: str = "", message: str = "", permanent: bool = False
    ) -> Outcome:
        """The process of a running instance ends; its node reports it."""
        known = self.instance(instance)
        name = self.state.nodes[known.node].name
        workload = self.state.agents.get(known.workload)
        what = workload.versions[known.version].spec if workload is not None else self.state.jobs[known.workload].spec
        self.nodes[name].exit(instance, what, code=code, cause=cause, message=message, permanent=permanent)
        return self.send(name)

    def cannot_start(self, instance: str, cause: str = "user") -> Outcome:
        """Its node lacks what the instance needs, and says that another try there cannot help."""
        return self.exit(instance, code=None, cause=cause, message=f"no {cause} here", permanent=True)

    def send(self, name: str) -> Outcome:
        """What the node has not yet told."""
        node = self.nodes[name]
        command = node.reports()
        assert command is not None, f"node {name} has nothing to say"
        outcome = self.when(command, by=node.principal)
        if outcome.accepted:
            node.acknowledged(int(outcome.result["sequence"]))
        return outcome

    # Workloads

    def deploy(self, what: AgentSpec | None = None, *, name: str = "hello", **fields: object) -> Outcome:
        """An agent whose id is its name."""
        return self.when(
            cm.DeployAgent(agent=name, namespace="default", name=name, spec=what or spec(), **fields)  # type: ignore[arg-type]
        )

    def run(self, what: JobSpec | None = None, *, name: str = "work") -> Outcome:
        """A job whose id is its name."""
        return self.when(cm.RunJob(job=name, namespace="default", name=name, spec=what or task()))

    def place(self, **where: str) -> Outcome:
        """What is pending goes to the first node with room, or where it is told to: `hello_1_1="alpha"`."""
        plan = first_fit(self.state, self.time_ms + 1)
        if where:
            named = {key.replace("_", "."): f"n-{node}" for key, node in where.items()}
            choices = {choice.instance: choice for choice in plan.choices}
            plan = replace(
                plan,
                choices=tuple(choices[key]._replace(node=node) for key, node in sorted(named.items())),
            )
        return self.given(plan, by="system:placer")[0]

    def drain(self, name: str) -> Outcome:
        """Begin to empty a node, and move what can go at once."""
        self.given(cm.DrainNode(node=name))
        return self.move()

    def move(self) -> Outcome:
        """What is on draining nodes leaves them, as far as it has somewhere to go."""
        return self.given(first_moves(self.state), by="system:placer")[0]

    # Rounds

    def round(self, names: Iterable[str] | None = None) -> bool:
        """One round of a fabric at work: what is pending is placed, what is to leave its node and can does so, every
        connected node acts and reports.

        Returns whether anything changed.
        """
        before = self.state.revision
        plan = first_fit(self.state, self.time_ms + 1)
        if plan.choices:
            self.given(plan, by="system:placer")
        if self.state.draining:
            self.move()
        for name in sorted(self.nodes if names is None else names):
            if self.nodes[name].session:
                self.act(name)
        return self.state.revision != before or self.wait_for_rollouts()

    def act(self, name: str) -> None:
        """A node does what is wanted of it, brings it to its end, and reports both."""
        node = self.nodes[name]
        for _ in range(2):
            node.desire(self.state)
            if node.unsent:
                assert self.send(name).accepted
            node.step()
            if node.unsent:
                assert self.send(name).accepted

    def place_and_act(self) -> None:
        """A round in which no time passes that a rollout would wait for."""
        self.place()
        for name in sorted(self.nodes):
            self.act(name)

    def wait_for_rollouts(self) -> bool:
        """Time passes until a replica has been ready for long enough, if one is about to be. Returns whether something
        came of it."""
        before = self.state.revision
        dues = [next_due(self.state, self.state.agents[agent]) for agent in self.state.rolling]
        due = min((due for due in dues if due is not None), default=None)
        if due is None:
            return False
        self.time_ms = max(self.time_ms, due)
        rolling = tuple(sorted(self.state.rolling))
        self.given(cm.AdvanceRollouts(agents=rolling, late=rolling), by="system:rollouts")
        return self.state.revision != before

    def settle(self, rounds: int = 100) -> int:
        """Rounds, an hour apart so that no back-off is in the way, until nothing changes. Returns how many it took."""
        for number in range(rounds):
            self.pass_ms(3_600_000)
            if not self.round():
                return number
        raise AssertionError(f"the fabric does not come to rest within {rounds} rounds: {self.state.agents}")
